//! Reads, and nothing else.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::ArmError;
use signalr_private_link_core::approval::{self, Match};
use signalr_private_link_core::desired::{Desired, Limits};
use signalr_private_link_core::marker::Marker;
use signalr_private_link_core::observed::{
    ConnectionState, Connections, Link, Links, Observed, Operation, Permissions, Provisioning, Read, Reading, Rival,
    Sighting,
};
use signalr_private_link_core::resource_id::ConnectionId;
use tokio::time::Instant;

use super::{Context, ObjectKey};
use crate::api::{self, SignalRSharedPrivateLink};

/// How long a shared read waits for others that want the same answer.
const GATHER: Duration = Duration::from_millis(20);
/// The same for objects that are settled: their phases coincide, and nobody waits.
const GATHER_SETTLED: Duration = Duration::from_millis(500);

/// What is known before anything was read.
pub(super) fn begin(context: &Context, key: &ObjectKey, desired: &Desired) -> Observed {
    let signalr = desired.link.signalr();
    let mut memory = context.memories.recall(key, &context.limits);
    memory.signalr_busy = context.lanes.busy(signalr.key(), key);
    let rivals = rivals(context, desired);
    (memory.late_write, memory.late_write_told) =
        context.memories.late_write(key, &desired.link, !rivals.is_empty(), &context.limits);
    Observed {
        operation_held: context.memories.operation(key).map(|operation| operation.kind),
        rivals,
        memory,
        ..Observed::default()
    }
}

/// Other objects that claim the same link, as far as the watch has seen.
fn rivals(context: &Context, desired: &Desired) -> Vec<Rival> {
    let claims = |object: &SignalRSharedPrivateLink| {
        let name = object.spec.azure_name.as_deref().or(object.metadata.name.as_deref())?;
        // Cheap and enough for nearly all: this runs for every object in every pass.
        if !name.eq_ignore_ascii_case(desired.link.name())
            || object.metadata.uid.as_deref() == Some(desired.object.uid.as_str())
        {
            return None;
        }
        let other = api::desired(object, Limits::REAL).ok()?;
        (other.link == desired.link).then(|| Rival {
            object: api::identity(object),
            manages: !other.deleting
                && other.management == signalr_private_link_core::desired::ManagementPolicy::Manage,
        })
    };
    let mut rivals = Vec::new();
    (context.seen)(&mut |object| rivals.extend(claims(object)));
    rivals
}

/// Makes the read that the plan asked for.
pub(super) async fn read(context: &Context, key: &ObjectKey, desired: &Desired, observed: &mut Observed, read: Read) {
    match read {
        Read::Operation => observed.operation = operation(context, key).await,
        Read::Links => {
            observed.links = links(context, desired).await;
            if let (true, Reading::Known(links)) = (context.sees_all, &observed.links) {
                let count = context.orphans.count(desired.link.signalr().key(), links, &context.seen);
                context.metrics.orphans(count);
            }
            note_progress(context, key, desired, observed);
        }
        Read::Connections => {
            let begun = Instant::now();
            observed.connections = connections(context, desired).await;
            observed.memory.sighting = sighting(context, key, desired, observed, begun);
            observed.memory.appeared = appeared(context, key, desired, observed);
        }
        Read::Replicas => {
            observed.replicas = context.arm.count_replicas(&desired.link.signalr()).await.into();
        }
        Read::Permissions => {
            observed.permissions = permissions(context, &desired.object.namespace).await.into();
        }
    }
}

async fn operation(context: &Context, key: &ObjectKey) -> Reading<Operation> {
    let Some(followed) = context.memories.operation(key) else {
        return Reading::Known(Operation::Succeeded);
    };
    let answer = context.arm.operation(&followed).await;
    match &answer {
        // Failed is kept until the link is put again: its words explain the link's state.
        Ok(Operation::Running | Operation::Failed(_)) => {}
        // A URL that cannot be read any more is not needed: the link says where it stands.
        Ok(Operation::Succeeded) | Err(_) => context.memories.follow(key, None),
    }
    answer.into()
}

fn gather(desired: &Desired) -> Duration {
    if desired.remembered.ready == Some(true) {
        let period = desired.sync_period.mul_f64(desired.limits.pace);
        // A pass that waits holds a place: only a small part of its period.
        GATHER_SETTLED.min(period / 100).max(GATHER)
    } else {
        GATHER
    }
}

async fn links(context: &Context, desired: &Desired) -> Reading<Links> {
    let signalr = desired.link.signalr();
    let (arm, id) = (context.arm.clone(), signalr.clone());
    let request = move || async move { arm.list_links(&id).await };
    let answer = context.links.read(signalr.key(), gather(desired), request).await;
    answer.map(|links| (*links).clone()).into()
}

async fn connections(context: &Context, desired: &Desired) -> Reading<Connections> {
    let (arm, id) = (context.arm.clone(), desired.vault.clone());
    let request = move || async move { arm.list_connections(&id).await };
    let answer = context.connections.read(desired.vault.key(), GATHER, request).await;
    answer.map(|connections| (*connections).clone()).into()
}

/// The namespace and the policies, with a failure that reads like ARM's.
pub(super) async fn permissions(context: &Context, namespace: &str) -> Result<Permissions, ArmError> {
    let doing = format!("reading the namespace {namespace} and the approval policies");
    context.objects.permissions(namespace).await.map_err(|error| error.to_arm(&doing))
}

fn own_link<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a Link> {
    let Reading::Known(links) = &observed.links else {
        return None;
    };
    links.links.iter().find(|link| link.name.eq_ignore_ascii_case(desired.link.name()))
}

fn own_marker(desired: &Desired, link: &Link) -> Option<Marker> {
    Marker::parse(&link.message).filter(|marker| marker.uid == desired.object.uid)
}

fn note_progress(context: &Context, key: &ObjectKey, desired: &Desired, observed: &mut Observed) {
    if !matches!(observed.links, Reading::Known(_)) {
        return;
    }
    let link = own_link(desired, observed);
    if let Some(link) = link.filter(|link| link.connection == ConnectionState::Approved)
        && let Some(marker) = own_marker(desired, link)
    {
        context.memories.approved_under(key, &marker.nonce);
    }
    if link.is_none() {
        context.memories.absent(key);
    }
    let state = link.map(|link| &link.provisioning);
    let in_progress = matches!(state, Some(Provisioning::InProgress(_) | Provisioning::Deleting));
    let failed = matches!(state, Some(Provisioning::Failed | Provisioning::Canceled));
    let refused = link.is_some_and(|link| {
        use ConnectionState::{Disconnected, Rejected, Timeout};
        matches!(link.connection, Rejected | Disconnected | Timeout)
    });
    context.memories.progress(key, in_progress, failed, refused);
}

/// M5: remembers the only match in this list, and tells whether an earlier list had the same.
fn sighting(
    context: &Context,
    key: &ObjectKey,
    desired: &Desired,
    observed: &Observed,
    begun: Instant,
) -> Option<Sighting> {
    let Reading::Known(vault) = &observed.connections else {
        return None;
    };
    let link = own_link(desired, observed)?;
    if link.provisioning != Provisioning::Succeeded {
        return None;
    }
    let own = own_marker(desired, link);
    let found = match approval::find(desired, link, own.as_ref(), vault) {
        Match::One(connection, endpoint) => Some(Sighting {
            connection: connection.id.clone(),
            endpoint: endpoint.clone(),
            message: link.message.clone(),
            at: (context.clock)(),
            age: Duration::ZERO,
        }),
        _ => None,
    };
    context.memories.sight(key, found, begun)
}

/// When each pending connection that carries our message was first seen.
fn appeared(
    context: &Context,
    key: &ObjectKey,
    desired: &Desired,
    observed: &Observed,
) -> Vec<(ConnectionId, Timestamp)> {
    let (Reading::Known(vault), Some(link)) = (&observed.connections, own_link(desired, observed)) else {
        return Vec::new();
    };
    let ours = vault.connections.iter().filter(|c| c.description == link.message && !link.message.is_empty());
    context.memories.appeared(key, ours.map(|c| c.id.clone()).collect(), (context.clock)())
}

/// Frees the SignalR's lane once the object's own operation is seen to have ended.
pub(super) fn settle_lane(context: &Context, key: &ObjectKey, desired: &Desired, observed: &Observed) {
    let signalr = desired.link.signalr();
    if !context.lanes.occupied_by(signalr.key(), key) {
        return;
    }
    let ended = match (&observed.operation, &observed.links) {
        (Reading::Known(Operation::Succeeded | Operation::Failed(_)), _) => true,
        (_, Reading::Known(_)) => own_link(desired, observed)
            .is_none_or(|link| !matches!(link.provisioning, Provisioning::InProgress(_) | Provisioning::Deleting)),
        _ => false,
    };
    if ended {
        context.lanes.rest(signalr.key(), key);
    }
}

/// The time until the next common look of all settled objects of one SignalR: its phase within
/// the period derives from the SignalR's id, so the objects of one SignalR look together and
/// different SignalRs do not.
pub(super) fn phase(signalr: &str, period: Duration, now: Timestamp) -> Duration {
    let period = period.max(Duration::from_millis(100));
    let mut hasher = DefaultHasher::new();
    signalr.hash(&mut hasher);
    let offset = period.mul_f64((hasher.finish() % 10_000) as f64 / 10_000.0);
    let now = Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
    let into = Duration::from_nanos(((now + period - offset).as_nanos() % period.as_nanos()) as u64);
    let left = period - into;
    // The clock may have been slowed since the last look: that is no reason for two in a row.
    if left < period / 100 { left + period } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_one_signalr_look_together() {
        let period = Duration::from_secs(600);
        let now = Timestamp::now();
        let (a, b) = (phase("a", period, now), phase("a", period, now));
        assert!(a.abs_diff(b) < Duration::from_secs(1) || a.abs_diff(b) > Duration::from_secs(590));
        for second in 0..600 {
            let wait = phase("a", period, now + jiff::SignedDuration::from_secs(second));
            assert!(wait >= period / 100 && wait <= period + period / 100, "{wait:?}");
        }
    }
}

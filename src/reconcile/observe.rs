//! The reads of a pass. What the process learns from one is handed to the core's memory at once, so that the
//! decision sees it; and a lane is freed once the link shows that its operation has ended.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::ArmError;
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::observed::{
    Connections, Link, Links, Memory, Observed, Operation, Permissions, Read, Reading, Rival,
};

use super::{Context, ObjectKey};
use crate::api::{self, SignalRSharedPrivateLink};

/// How long a shared read waits for others that want the same answer.
const GATHER: Duration = Duration::from_millis(20);
/// The same for objects that are settled: their phases coincide, and nobody waits.
const GATHER_SETTLED: Duration = Duration::from_millis(500);

/// What is known before anything was read.
pub(super) fn begin(context: &Context, key: &ObjectKey, desired: &Desired) -> Observed {
    let rivals = rivals(context, desired);
    Observed {
        operation_held: context.memories.operation(key).map(|operation| operation.kind),
        memory: context.memories.recall(key, &context.limits),
        signalr_busy: context.lanes.busy(desired.link.signalr().key(), key),
        late_write: context.memories.late_write(key, &desired.link, !rivals.is_empty(), &context.limits),
        rivals,
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
        let other = api::desired(object, context.limits).ok()?;
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
            if matches!(observed.links, Reading::Known(_)) {
                if own_link(desired, observed).is_none() {
                    context.memories.forget_audit(key);
                }
                // An operation that has run for so long is believed no more: the link has the last word.
                if observed.memory.running_for >= context.limits.follow {
                    context.memories.follow(key, None);
                }
            }
            context.memories.learn(key, |learned, now| learned.learn_links(desired, &observed.links, now));
        }
        Read::Link => observed.link = context.arm.get_link(&desired.link).await.map(|(link, _)| link).into(),
        Read::Connections => {
            let begun = context.memories.moment();
            observed.connections = connections(context, desired).await;
            let (links, vault, clock) = (&observed.links, &observed.connections, (context.clock)());
            context.memories.learn(key, |learned, now| {
                learned.learn_connections(desired, links, vault, (begun, now), clock);
            });
        }
        Read::Replicas => {
            observed.replicas = context.arm.count_replicas(&desired.link.signalr()).await.into();
        }
        Read::Permissions => {
            observed.permissions = permissions(context, &desired.object.namespace).await.into();
        }
    }
    // The fence is measured from before the reads: what they show may be as old as that (R7).
    let Memory { deleting_for, quarantine, .. } = observed.memory;
    observed.memory = Memory { deleting_for, quarantine, ..context.memories.recall(key, &context.limits) };
}

async fn operation(context: &Context, key: &ObjectKey) -> Reading<Operation> {
    let Some(followed) = context.memories.operation(key) else {
        return Reading::Known(Operation::Succeeded);
    };
    let answer = context.arm.operation(&followed).await;
    if let Ok(Operation::Failed(words)) = &answer {
        // The words explain the link's state later on; the URL is not needed any more.
        context.memories.learn(key, |learned, now| learned.learn_failure(followed.kind, words.clone(), now));
    }
    // Nor is a URL that cannot be read: the link itself says where it stands.
    if !matches!(answer, Ok(Operation::Running)) {
        context.memories.follow(key, None);
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
    match &observed.links {
        Reading::Known(links) => links.named(&desired.link),
        _ => None,
    }
}

/// Frees the SignalR's lane once the object's own operation is seen to have ended.
pub(super) fn settle_lane(context: &Context, key: &ObjectKey, desired: &Desired, observed: &Observed) {
    let signalr = desired.link.signalr();
    if !context.lanes.occupied_by(signalr.key(), key) {
        return;
    }
    let ended = match (&observed.operation, &observed.links) {
        (Reading::Known(Operation::Succeeded | Operation::Failed(_)), _) => true,
        (_, Reading::Known(_)) => own_link(desired, observed).is_none_or(|link| !link.provisioning.is_running()),
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

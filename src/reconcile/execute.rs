//! One action becomes one conditional write (R4, R6): inside the lane of its parent, and after
//! what authorises it was read once more. Any difference from what was decided on ends the pass.

use std::time::Duration;

use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{self, LastLook};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::marker::{
    ApprovalRecord, Marker, NO_ENDPOINT, NONCE_LENGTH, Nonce, Verdict, endpoint_hash,
};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::{ConnectionState, Link, OperationKind, Permissions};
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::time::Instant;

use super::{Context, ObjectKey, observe};
use crate::api::SignalRSharedPrivateLink;
use crate::azure::{ApprovalWrite, CallError, Fate, FollowedOperation};
use crate::kubernetes::KubeFailure;

/// What authorises a write was read at most this long before it is sent (R6).
const MAX_READ_AGE: Duration = Duration::from_secs(5);

/// Why a write is not made after all.
enum Stop {
    /// Something is not what was decided on.
    Changed(String),
    /// It could not be read again.
    Failed(ArmError),
}

impl From<ArmError> for Stop {
    fn from(error: ArmError) -> Self {
        Self::Failed(error)
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Changed(what) => Self::Changed(what),
            Stop::Failed(error) => Self::NotApplied(error),
        }
    }
}

impl Stop {
    fn because<T>(what: &str) -> Result<T, Self> {
        Err(Self::Changed(what.to_owned()))
    }
}

/// Carries out one action.
pub(super) async fn execute(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    action: &Action,
) -> Outcome {
    let parent = match action {
        Action::AddFinalizer => return kubernetes("adding the finalizer", context.objects.add_finalizer(object).await),
        Action::RemoveFinalizer { proven_by_get } => {
            if *proven_by_get && let Err(stop) = link_is_gone(context, desired).await {
                return stop.into();
            }
            return kubernetes("removing the finalizer", context.objects.remove_finalizer(object).await);
        }
        Action::PutLink { .. } | Action::DeleteLink { .. } => desired.link.signalr().key().to_owned(),
        Action::Decide(decision) => decision.connection.vault().key().to_owned(),
    };
    let _lane = context.lanes.enter(&parent).await;
    let not_after = Instant::now() + MAX_READ_AGE;
    // Somebody else may have begun a change while this one waited for the lane.
    let to_signalr = !matches!(action, Action::Decide(_));
    if to_signalr && context.lanes.busy(&parent, key) {
        return Outcome::Changed("another change to the SignalR began".to_owned());
    }
    let result = match action {
        Action::PutLink { replaces, .. } => put(context, key, desired, replaces.as_ref(), not_after).await,
        Action::DeleteLink { message, waives_fence } => {
            delete(context, key, desired, message, *waives_fence, not_after).await
        }
        Action::Decide(decision) => {
            let result = write_verdict(context, key, desired, decision, not_after).await;
            let tried = !matches!(result, Err(Stop::Changed(_)));
            if tried && desired.force_finalize && decision.verdict == Verdict::Revoked {
                context.memories.learn(key, |learned, _| learned.end_forced_revocation());
            }
            result
        }
        Action::AddFinalizer | Action::RemoveFinalizer { .. } => Stop::because("not a write to Azure"),
    };
    result.unwrap_or_else(Outcome::from)
}

/// R11: a single GET shows that no link of this object's is there; a list alone may lag.
async fn link_is_gone(context: &Context, desired: &Desired) -> Result<(), Stop> {
    match link_now(context, desired).await? {
        Some(link) if link.marker_of(&desired.object.uid).is_some() => Stop::because("the link is still there"),
        _ => Ok(()),
    }
}

/// The link by a single GET; without its SignalR there is none either.
async fn link_now(context: &Context, desired: &Desired) -> Result<Option<Link>, Stop> {
    match context.arm.get_link(&desired.link).await {
        Ok((link, _)) => Ok(link),
        Err(error) if error.failure.proves_absence() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A refusal that may last is told, not only tried again.
fn kubernetes(doing: &str, result: Result<(), KubeFailure>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied(None),
        Err(error @ (KubeFailure::Changed | KubeFailure::NotFound)) => Outcome::Changed(error.to_string()),
        Err(error) => Outcome::NotApplied(error.to_arm(doing)),
    }
}

/// The object, read once more.
async fn object_now(context: &Context, desired: &Desired) -> Result<Desired, Stop> {
    let identity = &desired.object;
    match context.objects.get(&identity.namespace, &identity.name).await {
        Ok(Some(live)) => live.desired(context.limits).or_else(|problems| Stop::because(&problems.join("; "))),
        Ok(None) => Stop::because("the object is gone"),
        Err(error) => Stop::because(&format!("the object cannot be read: {error}")),
    }
}

/// The object is the same, and as alive as it was.
async fn same_object(context: &Context, desired: &Desired) -> Result<(), Stop> {
    if desired.still_asks_the_same_as(&object_now(context, desired).await?) {
        Ok(())
    } else {
        Stop::because("the object changed")
    }
}

fn failed(call: CallError) -> Outcome {
    match call.fate {
        Fate::Unknown => Outcome::Unknown(call.error),
        Fate::NotApplied => Outcome::NotApplied(call.error),
        Fate::DecideAgain => Outcome::Changed(call.error.message.into()),
    }
}

async fn put(
    context: &Context,
    key: &ObjectKey,
    desired: &Desired,
    replaces: Option<&Marker>,
    not_after: Instant,
) -> Result<Outcome, Stop> {
    same_object(context, desired).await?;
    // Somebody else's PUT of this link may have ended so while this one waited for the lane.
    if context.memories.late_write(key, &desired.link, false, &context.limits).is_some() {
        return Stop::because("an earlier write to the link may still land");
    }
    let (found, _) = context.arm.get_link(&desired.link).await?;
    match (&found, replaces) {
        (None, None) => {}
        (Some(link), Some(own)) if may_replace(link, own) => {}
        _ => return Stop::because("the link is not what was decided on"),
    }
    // One that is put again keeps its marker: what is on the vault already was asked for with that.
    let marker = replaces.cloned().unwrap_or_else(|| Marker {
        uid: desired.object.uid.clone(),
        nonce: Nonce::from_random(rand::random::<[u8; NONCE_LENGTH]>()),
        tag: desired.tag(),
    });
    let message = marker.message(&desired.request_text);
    let signalr = desired.link.signalr();
    Ok(match context.arm.put_link(&desired.link, &desired.vault, &desired.group_id, &message, not_after).await {
        Ok((link, operation)) => {
            context.lanes.occupy(signalr.key(), key);
            let followed = operation.map(|url| FollowedOperation::new(OperationKind::Put, desired.link.clone(), url));
            context.memories.follow(key, followed);
            context.memories.learn(key, Learned::accept_put);
            Outcome::Applied(link.map(Box::new))
        }
        Err(call) => not_accepted(context, key, desired, call),
    })
}

/// S5, R12: a link is put again only where it is our own, failed, does not work all the same, and was not
/// turned down.
fn may_replace(link: &Link, own: &Marker) -> bool {
    Marker::parse(&link.message).as_ref() == Some(own)
        && link.provisioning.has_failed()
        && link.connection != ConnectionState::Approved
        && !link.connection.is_turned_down()
}

/// A write to the link that Azure did not accept, or whose outcome is not known.
fn not_accepted(context: &Context, key: &ObjectKey, desired: &Desired, call: CallError) -> Outcome {
    // 409 is "busy", whatever the parent's state says: nobody tries again at once.
    if matches!(call.error.failure, Failure::Busy(_)) {
        context.lanes.rest_after_refusal(desired.link.signalr().key(), key);
    }
    if call.fate == Fate::Unknown {
        context.memories.unknown_outcome(&desired.link);
    }
    failed(call)
}

async fn delete(
    context: &Context,
    key: &ObjectKey,
    desired: &Desired,
    message: &str,
    waives_fence: bool,
    not_after: Instant,
) -> Result<Outcome, Stop> {
    same_object(context, desired).await?;
    match context.arm.get_link(&desired.link).await? {
        (Some(link), _) if link.message == message => {}
        _ => return Stop::because("the link is not the one that was decided on"),
    }
    context.memories.learn(key, |learned, _| learned.begin_delete(waives_fence));
    let signalr = desired.link.signalr();
    Ok(match context.arm.delete_link(&desired.link, not_after).await {
        Ok(operation) => {
            context.lanes.occupy(signalr.key(), key);
            let followed =
                operation.map(|url| FollowedOperation::new(OperationKind::Delete, desired.link.clone(), url));
            context.memories.follow(key, followed);
            context.memories.learn(key, Learned::accept_delete);
            Outcome::Applied(None)
        }
        Err(call) => not_accepted(context, key, desired, call),
    })
}

async fn write_verdict(
    context: &Context,
    key: &ObjectKey,
    desired: &Desired,
    decision: &Decision,
    not_after: Instant,
) -> Result<Outcome, Stop> {
    context.memories.learn(key, Learned::begin_decision);
    let object = object_now(context, desired).await?;
    let permissions = match decision.verdict {
        Verdict::Approved => observe::permissions(context, &desired.object.namespace).await?,
        Verdict::Revoked => Permissions::default(),
    };
    let link = link_now(context, desired).await?;
    let (connection, date) = context.arm.get_connection(&decision.connection).await?;
    let last =
        LastLook { object: &object, link: link.as_ref(), permissions: &permissions, connection: connection.as_ref() };
    approval::still_authorised(desired, decision, &last).or_else(Stop::because)?;
    // M7 measures from here, and never by our own clock.
    let (Some(connection), Some(at)) = (&connection, date) else {
        return Stop::because("ARM's answer had no date");
    };
    let record = ApprovalRecord {
        at,
        verdict: decision.verdict,
        object: desired.object.path(),
        endpoint_hash: connection.endpoint.as_ref().map_or_else(|| NO_ENDPOINT.to_owned(), endpoint_hash),
        uid: decision.uid.clone(),
        nonce: decision.nonce.clone(),
    };
    let write = ApprovalWrite {
        connection: &decision.connection,
        etag: connection.etag.as_deref(),
        status: match decision.verdict {
            Verdict::Approved => "Approved",
            Verdict::Revoked => "Rejected",
        },
        description: &record.to_description(),
        not_after,
    };
    Ok(match context.arm.put_connection(&write).await {
        Ok(()) => Outcome::Applied(None),
        Err(call) => failed(call),
    })
}

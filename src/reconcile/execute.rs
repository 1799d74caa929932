//! One action becomes one conditional write (R4, R6): inside the lane of its parent, and after
//! what authorises it was read once more. Any difference from what was decided on ends the pass.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval;
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::failure::Outcome;
use signalr_private_link_core::marker::{ApprovalRecord, Marker, NONCE_LENGTH, Nonce, Verdict, endpoint_hash};
use signalr_private_link_core::observed::{Link, OperationKind, Provisioning};
use signalr_private_link_core::{ArmError, Failure};
use tokio::time::Instant;

use super::{Context, ObjectKey, observe};
use crate::api::{self, SignalRSharedPrivateLink};
use crate::azure::{ApprovalWrite, CallError, FollowedOperation};
use crate::kubernetes::KubeFailure;

/// What authorises a write was read at most this long before it is sent (R6).
const FRESH: Duration = Duration::from_secs(5);

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
        Action::AddFinalizer => return kubernetes(context.objects.add_finalizer(object).await),
        Action::RemoveFinalizer => {
            return kubernetes(context.objects.remove_finalizer(object).await);
        }
        Action::PutLink { .. } | Action::DeleteLink { .. } => desired.link.signalr().key().to_owned(),
        Action::Decide(decision) => decision.connection.vault().key().to_owned(),
    };
    let _lane = context.lanes.enter(&parent).await;
    let begun = Instant::now();
    // Somebody else may have begun a change while this one waited for the lane.
    let to_signalr = !matches!(action, Action::Decide(_));
    if to_signalr && context.lanes.busy(&parent, key) {
        return Outcome::Changed("another change to the SignalR began".to_owned());
    }
    let result = match action {
        Action::PutLink { replaces } => put(context, key, object, desired, replaces.as_ref(), begun).await,
        Action::DeleteLink { message, waives_fence } => {
            delete(context, key, object, desired, message, *waives_fence, begun).await
        }
        Action::Decide(decision) => decide(context, object, desired, decision, begun).await,
        Action::AddFinalizer | Action::RemoveFinalizer => Stop::because("not a write to Azure"),
    };
    match result {
        Ok(outcome) => outcome,
        Err(Stop::Changed(what)) => Outcome::Changed(what),
        Err(Stop::Failed(error)) => Outcome::NotApplied(error),
    }
}

fn kubernetes(result: Result<(), KubeFailure>) -> Outcome {
    match result {
        Ok(()) => Outcome::Applied(None),
        Err(error) => Outcome::Changed(error.to_string()),
    }
}

/// The object, read once more: the same uid and generation, and as alive as it was.
async fn same_object(context: &Context, object: &SignalRSharedPrivateLink) -> Result<(), Stop> {
    let namespace = object.namespace().unwrap_or_default();
    let live = match context.objects.get(&namespace, &object.name_any()).await {
        Ok(Some(live)) => live,
        Ok(None) => return Stop::because("the object is gone"),
        Err(error) => return Stop::because(&format!("the object cannot be read: {error}")),
    };
    let identity = |o: &SignalRSharedPrivateLink| {
        (
            o.uid(),
            o.metadata.generation,
            o.metadata.deletion_timestamp.is_some(),
            o.finalizers().iter().any(|f| f == api::FINALIZER),
            o.annotations().get(api::RECREATE_ANNOTATION).cloned(),
        )
    };
    if identity(&live) == identity(object) { Ok(()) } else { Stop::because("the object changed") }
}

/// A1: what was read must not have become old while waiting for the last answer.
fn still_fresh(begun: Instant) -> Result<(), Stop> {
    if begun.elapsed() <= FRESH { Ok(()) } else { Stop::because("the last reads took too long") }
}

fn failed(call: CallError) -> Outcome {
    if call.maybe_applied { Outcome::Unknown(call.error) } else { Outcome::NotApplied(call.error) }
}

async fn put(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    replaces: Option<&Marker>,
    begun: Instant,
) -> Result<Outcome, Stop> {
    same_object(context, object).await?;
    let (found, _) = context.arm.get_link(&desired.link).await?;
    match (&found, replaces) {
        (None, None) => {}
        (Some(link), Some(own)) if may_replace(link, own) => {}
        _ => return Stop::because("the link is not what was decided on"),
    }
    let nonce = Nonce::from_random(rand::random::<[u8; NONCE_LENGTH]>());
    let marker = Marker { uid: desired.object.uid.clone(), nonce, tag: desired.tag() };
    let message = marker.message(&desired.words);
    still_fresh(begun)?;
    let signalr = desired.link.signalr();
    Ok(match context.arm.put_link(&desired.link, &desired.vault, &desired.group_id, &message).await {
        Ok((link, operation)) => {
            context.lanes.occupy(signalr.key(), key);
            let followed = operation.map(|url| FollowedOperation::new(OperationKind::Put, desired.link.clone(), url));
            context.memories.follow(key, followed);
            Outcome::Applied(Some(Box::new(link)))
        }
        Err(call) => {
            rest_if_busy(context, key, desired, &call);
            failed(call)
        }
    })
}

/// S5: a link is put again only where it is our own and failed.
fn may_replace(link: &Link, own: &Marker) -> bool {
    Marker::parse(&link.message).as_ref() == Some(own)
        && matches!(link.provisioning, Provisioning::Failed | Provisioning::Canceled)
}

/// 409 is "busy", whatever the parent's state says: nobody tries again at once.
fn rest_if_busy(context: &Context, key: &ObjectKey, desired: &Desired, call: &CallError) {
    if call.error.failure == Failure::Busy {
        context.lanes.rest(desired.link.signalr().key(), key);
    }
}

async fn delete(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    message: &str,
    waives_fence: bool,
    begun: Instant,
) -> Result<Outcome, Stop> {
    same_object(context, object).await?;
    match context.arm.get_link(&desired.link).await? {
        (Some(link), _) if link.message == message => {}
        _ => return Stop::because("the link is not the one that was decided on"),
    }
    still_fresh(begun)?;
    context.memories.deleting(key, waives_fence);
    let signalr = desired.link.signalr();
    Ok(match context.arm.delete_link(&desired.link).await {
        Ok(operation) => {
            context.lanes.occupy(signalr.key(), key);
            let followed =
                operation.map(|url| FollowedOperation::new(OperationKind::Delete, desired.link.clone(), url));
            context.memories.follow(key, followed);
            Outcome::Applied(None)
        }
        Err(call) => {
            rest_if_busy(context, key, desired, &call);
            if call.maybe_applied {
                context.memories.delete_unknown(key);
            }
            failed(call)
        }
    })
}

async fn decide(
    context: &Context,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    decision: &Decision,
    begun: Instant,
) -> Result<Outcome, Stop> {
    same_object(context, object).await?;
    if let Some(policy) = &decision.policy {
        // M6: the policy permits it now, not only when it was decided.
        let permissions = observe::permissions(context, &desired.object.namespace).await?;
        if approval::permitting_policy(desired, &decision.endpoint, &permissions) != Ok(policy) {
            return Stop::because("the policy changed");
        }
        // M4: the link is still this incarnation, with this nonce, and still pending.
        match context.arm.get_link(&desired.link).await? {
            (Some(link), _)
                if link.message == decision.message && approval::m1_link_is_ours(desired, &link, &decision.marker) => {}
            _ => return Stop::because("the link is not the one that was decided on"),
        }
    }
    let (connection, date) = match context.arm.get_connection(&decision.connection).await? {
        (Some(connection), date) if decision.still_holds_for(&connection) => (connection, date),
        _ => return Stop::because("the connection is not what was decided on"),
    };
    let record = ApprovalRecord {
        at: date.unwrap_or_else(Timestamp::now),
        verdict: decision.verdict,
        object: desired.object.path(),
        endpoint_hash: endpoint_hash(&decision.endpoint),
        uid: decision.marker.uid.clone(),
        nonce: decision.marker.nonce.clone(),
    };
    still_fresh(begun)?;
    let write = ApprovalWrite {
        connection: &decision.connection,
        etag: connection.etag.as_deref(),
        endpoint: &decision.endpoint,
        status: match decision.verdict {
            Verdict::Approved => "Approved",
            Verdict::Revoked => "Rejected",
        },
        description: &record.to_description(),
    };
    Ok(match context.arm.put_connection(&write).await {
        Ok(()) => Outcome::Applied(None),
        Err(call) => failed(call),
    })
}

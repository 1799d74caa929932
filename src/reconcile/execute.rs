//! One action becomes one conditional write (R4, R6): inside the lane of its parent, and after
//! what authorises it was read once more. Any difference from what was decided on ends the pass.

use std::time::Duration;

use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{self, LastLook};
use signalr_private_link_core::azure::{ConnectionState, Link, OperationKind};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::marker::{
    ApprovalRecord, Marker, NO_ENDPOINT, NONCE_LENGTH, Nonce, Verdict, endpoint_hash,
};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::Permissions;
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Pass;
use crate::azure::{ApprovalWrite, CallError, Fate, FollowedOperation, WriteKind};
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

impl Pass<'_> {
    /// Carries out one action.
    pub(super) async fn execute(&self, action: &Action) -> Outcome {
        let Self { context, object, .. } = *self;
        let result = match action {
            Action::AddFinalizer => {
                return kubernetes("adding the finalizer", context.objects.add_finalizer(object).await);
            }
            Action::RemoveFinalizer { proven_by_get } => {
                if *proven_by_get && let Err(stop) = self.link_is_gone().await {
                    return stop.into();
                }
                return kubernetes("removing the finalizer", context.objects.remove_finalizer(object).await);
            }
            Action::PutLink { replaces, .. } => self.put(replaces.as_ref()).await,
            Action::DeleteLink { message, waives_fence } => self.delete(message, *waives_fence).await,
            Action::Decide(decision) => self.decide(decision).await,
        };
        result.unwrap_or_else(Outcome::from)
    }

    /// The lane of a parent, once one more write may be sent; and until when what is read from now on authorises it.
    async fn enter(&self, parent: &str, subscription: &str, write: WriteKind) -> (OwnedMutexGuard<()>, Instant) {
        self.arm.admit_write(subscription, write).await;
        let lane = self.context.lanes.enter(parent).await;
        (lane, Instant::now() + MAX_READ_AGE)
    }

    /// The same for a write to the SignalR; somebody else may have begun a change while this one waited.
    async fn enter_signalr(&self, write: WriteKind) -> Result<(OwnedMutexGuard<()>, Instant), Stop> {
        let signalr = self.desired.link.signalr();
        let entered = self.enter(signalr.key(), signalr.subscription(), write).await;
        if self.context.lanes.busy(signalr.key(), self.key) {
            return Stop::because("another change to the SignalR began");
        }
        Ok(entered)
    }

    /// R11: a single GET shows that no link of this object's is there; a list alone may lag.
    async fn link_is_gone(&self) -> Result<(), Stop> {
        match self.link_now().await? {
            Some(link) if link.marker_of(&self.desired.object.uid).is_some() => {
                Stop::because("the link is still there")
            }
            _ => Ok(()),
        }
    }

    /// The link by a single GET; without its SignalR there is none either.
    async fn link_now(&self) -> Result<Option<Link>, Stop> {
        match self.arm.without_waiting().get_link(&self.desired.link).await {
            Ok((link, _)) => Ok(link),
            Err(error) if error.failure.proves_absence() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object, read once more.
    async fn object_now(&self) -> Result<Desired, Stop> {
        let Self { context, key, .. } = *self;
        match context.objects.get(&key.namespace, &key.name).await {
            Ok(Some(live)) => live.desired().or_else(|problems| Stop::because(&problems.join("; "))),
            Ok(None) => Stop::because("the object is gone"),
            Err(error) => Stop::because(&format!("the object cannot be read: {error}")),
        }
    }

    /// The object is the same, and as alive as it was.
    async fn same_object(&self) -> Result<(), Stop> {
        if self.desired.still_asks_the_same_as(&self.object_now().await?) {
            Ok(())
        } else {
            Stop::because("the object changed")
        }
    }

    async fn put(&self, replaces: Option<&Marker>) -> Result<Outcome, Stop> {
        let Self { context, key, desired, ref arm, .. } = *self;
        let (_lane, not_after) = self.enter_signalr(WriteKind::Create).await?;
        self.same_object().await?;
        // Somebody else's PUT of this link may have ended so while this one waited for the lane.
        if context.memories.late_write(key, &desired.link, false, &context.limits).is_some() {
            return Stop::because("an earlier write to the link may still land");
        }
        let (found, _) = arm.without_waiting().get_link(&desired.link).await?;
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
        Ok(match arm.put_link(&desired.link, &desired.vault, &desired.group_id, &message, not_after).await {
            Ok((link, operation)) => {
                self.accepted(OperationKind::Put, operation);
                Outcome::Applied(link.map(Box::new))
            }
            Err(call) => self.not_accepted(call),
        })
    }

    async fn delete(&self, message: &str, waives_fence: bool) -> Result<Outcome, Stop> {
        let Self { context, key, desired, ref arm, .. } = *self;
        let (_lane, not_after) = self.enter_signalr(WriteKind::Delete).await?;
        self.same_object().await?;
        match arm.without_waiting().get_link(&desired.link).await? {
            (Some(link), _) if link.message == message => {}
            _ => return Stop::because("the link is not the one that was decided on"),
        }
        context.memories.learn(key, |learned, _| learned.begin_delete(waives_fence));
        Ok(match arm.delete_link(&desired.link, not_after).await {
            Ok(operation) => {
                self.accepted(OperationKind::Delete, operation);
                Outcome::Applied(None)
            }
            Err(call) => self.not_accepted(call),
        })
    }

    /// Azure has accepted a write to the link.
    fn accepted(&self, kind: OperationKind, operation: Option<String>) {
        let Self { context, key, desired, .. } = *self;
        context.lanes.occupy(desired.link.signalr().key(), key);
        let followed = operation.map(|url| FollowedOperation::new(kind, desired.link.clone(), url));
        context.memories.follow(key, followed);
        context.memories.learn(
            key,
            match kind {
                OperationKind::Put => Learned::accept_put,
                OperationKind::Delete => Learned::accept_delete,
            },
        );
    }

    /// A write to the link that Azure did not accept, or whose outcome is not known.
    fn not_accepted(&self, call: CallError) -> Outcome {
        let Self { context, key, desired, .. } = *self;
        // 409 is "busy", whatever the parent's state says: nobody tries again at once.
        if matches!(call.error.failure, Failure::Busy(_)) {
            context.lanes.rest_after_refusal(desired.link.signalr().key(), key);
        }
        if call.fate == Fate::Unknown {
            context.memories.unknown_outcome(&desired.link);
        }
        failed(call)
    }

    async fn decide(&self, decision: &Decision) -> Result<Outcome, Stop> {
        let result = self.write_verdict(decision).await;
        let tried = !matches!(result, Err(Stop::Changed(_)));
        if tried && self.desired.force_finalize && decision.verdict == Verdict::Revoked {
            self.context.memories.learn(self.key, |learned, _| learned.end_forced_revocation());
        }
        result
    }

    async fn write_verdict(&self, decision: &Decision) -> Result<Outcome, Stop> {
        let Self { context, key, desired, .. } = *self;
        let vault = decision.connection.vault();
        let (_lane, not_after) = self.enter(vault.key(), vault.subscription(), WriteKind::Decide).await;
        context.memories.learn(key, Learned::begin_decision);
        let object = self.object_now().await?;
        let permissions = match decision.verdict {
            Verdict::Approved => self.permissions().await?,
            Verdict::Revoked => Permissions::default(),
        };
        let link = self.link_now().await?;
        let (connection, date) = self.arm.without_waiting().get_connection(&decision.connection).await?;
        let last = LastLook {
            object: &object,
            link: link.as_ref(),
            permissions: &permissions,
            connection: connection.as_ref(),
        };
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
        Ok(match self.arm.put_connection(&write).await {
            Ok(()) => Outcome::Applied(None),
            Err(call) => failed(call),
        })
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

fn failed(call: CallError) -> Outcome {
    match call.fate {
        Fate::Unknown => Outcome::Unknown(call.error),
        Fate::NotApplied => Outcome::NotApplied(call.error),
        Fate::DecideAgain => Outcome::Changed(call.error.message.into()),
    }
}

/// S5, R12: a link is put again only where it is our own, failed, does not work all the same, and was not
/// turned down.
fn may_replace(link: &Link, own: &Marker) -> bool {
    Marker::parse(&link.message).as_ref() == Some(own)
        && link.provisioning.has_failed()
        && link.connection != ConnectionState::Approved
        && !link.connection.is_turned_down()
}

//! One action becomes one conditional write (R4, R6): inside the lane of its parent, and after
//! what authorises it was read once more. Any difference from what was decided on ends the pass.

use std::time::Duration;

use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{self, LastLook};
use signalr_private_link_core::azure::{Link, OperationKind};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::marker::{Marker, Verdict};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::Permissions;
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Pass;
use crate::azure::{FollowedOperation, WriteKind};
use crate::kubernetes::KubeFailure;

/// What authorises a write was read at most this long before it is sent (R6).
const MAX_READ_AGE: Duration = Duration::from_secs(5);

/// A step towards a write, or how the write ended before it was made.
type Step<T> = Result<T, Outcome>;

/// Something is not what was decided on, so nothing is written.
fn changed(what: &str) -> Outcome {
    Outcome::Changed(what.to_owned())
}

impl Pass<'_> {
    /// Carries out one action.
    pub(super) async fn execute(&self, action: &Action) -> Outcome {
        let (objects, object) = (&self.context.objects, self.subject.object);
        let ended = match action {
            Action::AddFinalizer => {
                let added = objects.add_finalizer(object).await;
                return kubernetes("adding the finalizer", added.map(|written| self.subject.keep(written)));
            }
            Action::RemoveFinalizer { proven_by_get } => {
                if *proven_by_get && let Err(outcome) = self.link_is_gone().await {
                    return outcome;
                }
                return kubernetes("removing the finalizer", objects.remove_finalizer(object).await);
            }
            Action::PutLink { replaces, .. } => self.put(replaces.as_ref()).await,
            Action::DeleteLink { message, waives_fence } => self.delete(message, *waives_fence).await,
            Action::Decide(decision) => self.decide(decision).await,
        };
        ended.map_or_else(|early| early, Outcome::Applied)
    }

    /// The lane of a parent, once one more write may be sent; and until when what is read from now on authorises it.
    async fn enter(&self, parent: &str, subscription: &str, write: WriteKind) -> (OwnedMutexGuard<()>, Instant) {
        self.arm.admit_write(subscription, write).await;
        let lane = self.context.lanes.enter(parent).await;
        (lane, Instant::now() + MAX_READ_AGE)
    }

    /// The same for a write to the SignalR; somebody else may have begun a change, or changed the object, while this one
    /// waited.
    async fn enter_signalr(&self, write: WriteKind) -> Step<(OwnedMutexGuard<()>, Instant)> {
        let signalr = self.desired.link.signalr();
        let entered = self.enter(signalr.key(), signalr.subscription(), write).await;
        if self.context.lanes.busy(signalr.key(), self.key) {
            return Err(changed("another change to the SignalR began"));
        }
        if !self.desired.still_asks_the_same_as(&self.object_now().await?) {
            return Err(changed("the object changed"));
        }
        Ok(entered)
    }

    /// R11: a single GET shows that no link of this object's is there; a list alone may lag.
    async fn link_is_gone(&self) -> Step<()> {
        match self.link_now().await? {
            Some(link) if link.marker_of(&self.desired.object.uid).is_some() => Err(changed("the link is still there")),
            _ => Ok(()),
        }
    }

    /// The link by a single GET; without its SignalR there is none either.
    async fn link_now(&self) -> Step<Option<Link>> {
        match self.arm.without_waiting().get_link(&self.desired.link).await {
            Ok((link, _)) => Ok(link),
            Err(error) if error.failure.proves_absence() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object, read once more.
    async fn object_now(&self) -> Step<Desired> {
        let Self { context, key, .. } = *self;
        match context.objects.get(&key.namespace, &key.name).await {
            Ok(Some(live)) => live.desired().map_err(|problems| changed(&problems.join("; "))),
            Ok(None) => Err(changed("the object is gone")),
            Err(error) => Err(changed(&format!("the object cannot be read: {error}"))),
        }
    }

    async fn put(&self, replaces: Option<&Marker>) -> Step<Option<Box<Link>>> {
        let Self { context, desired, ref arm, .. } = *self;
        let (_lane, not_after) = self.enter_signalr(WriteKind::Create).await?;
        // Somebody else's PUT of this link may have ended so while this one waited for the lane.
        if context.memories.late_write(&desired.link, false, &context.limits).is_some() {
            return Err(changed("an earlier write to the link may still land"));
        }
        let (found, _) = arm.without_waiting().get_link(&desired.link).await?;
        approval::may_put(found.as_ref(), replaces).map_err(changed)?;
        // One that is put again keeps its marker: what is on the vault already was asked for with that.
        let marker = replaces.cloned().unwrap_or_else(|| desired.marker(rand::random()));
        let message = marker.message(&desired.request_text);
        let put = arm.put_link(&desired.link, &desired.vault, &desired.group_id, &message, not_after).await;
        self.end_write(OperationKind::Put, put.as_ref().map(|(_, operation)| operation.clone()));
        put.map(|(link, _)| link.map(Box::new))
    }

    async fn delete(&self, message: &str, waives_fence: bool) -> Step<Option<Box<Link>>> {
        let Self { desired, ref arm, .. } = *self;
        let (_lane, not_after) = self.enter_signalr(WriteKind::Delete).await?;
        match arm.without_waiting().get_link(&desired.link).await? {
            (Some(link), _) if link.message == message => {}
            _ => return Err(changed("the link is not the one that was decided on")),
        }
        self.learn(|learned, _| learned.begin_delete(waives_fence));
        let deleted = arm.delete_link(&desired.link, not_after).await;
        self.end_write(OperationKind::Delete, deleted.as_ref().cloned());
        deleted.map(|_| None)
    }

    /// What the answer to a write to the link, with the operation that it began, means for the lane of its SignalR, and
    /// what is remembered of it.
    fn end_write(&self, kind: OperationKind, answer: Result<Option<String>, &Outcome>) {
        let Self { subject, context, key, desired, .. } = *self;
        let (link, signalr) = (&desired.link, desired.link.signalr_key());
        let operation = match answer {
            Ok(operation) => operation,
            // 409 is "busy", whatever the parent's state says: nobody tries again at once.
            Err(Outcome::NotApplied(ArmError { failure: Failure::Busy(_), .. })) => {
                return context.lanes.rest_after_refusal(signalr, key);
            }
            Err(Outcome::Unknown(_)) => return context.memories.note_unknown_outcome(link),
            Err(_) => return,
        };
        context.lanes.occupy(signalr, key);
        {
            let mut memory = subject.memory.lock();
            memory.lane = Some(signalr.into());
            memory.operation = operation.map(|url| FollowedOperation::new(kind, link.clone(), url));
        }
        self.learn(match kind {
            OperationKind::Put => Learned::accept_put,
            OperationKind::Delete => Learned::accept_delete,
        });
    }

    async fn decide(&self, decision: &Decision) -> Step<Option<Box<Link>>> {
        let result = self.write_verdict(decision).await;
        let tried = !matches!(result, Err(Outcome::Changed(_)));
        if tried && self.desired.force_finalize && decision.verdict == Verdict::Revoked {
            self.learn(|learned, _| learned.end_forced_revocation());
        }
        result
    }

    async fn write_verdict(&self, decision: &Decision) -> Step<Option<Box<Link>>> {
        let desired = self.desired;
        let vault = decision.connection.vault();
        let (_lane, not_after) = self.enter(vault.key(), vault.subscription(), WriteKind::Decide).await;
        self.learn(Learned::begin_decision);
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
        approval::still_authorised(desired, decision, &last).map_err(changed)?;
        // M7 measures from here, and never by our own clock.
        let (Some(connection), Some(at)) = (&connection, date) else {
            return Err(changed("ARM's answer had no date"));
        };
        let description = decision.record(desired.object.path(), at).to_description();
        let etag = connection.etag.as_deref();
        self.arm.put_connection(&decision.connection, etag, decision.verdict, &description, not_after).await?;
        Ok(None)
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

//! Objects about which nothing can be decided: those whose spec cannot be read, and those of which
//! nobody can tell whether they are deleted, or all of them with their definition.

use kube::ResourceExt as _;
use signalr_private_link_core::desired::{DeletionPolicy, Desired, ManagementPolicy};
use signalr_private_link_core::{Reason, Report};

use super::{Context, End, Failed, Look, Subject};
use crate::api::{self, SignalRSharedPrivateLink};
use crate::kubernetes::KubeFailure;
use crate::metrics::PassOutcome;

impl Subject<'_> {
    /// Says what is wrong with a spec. Such an object
    /// identifies no link, so only its owner can release it (force-finalize).
    pub(super) async fn unusable(&self, problems: &[String]) -> Result<End, Failed> {
        let object = self.object;
        let said = if object.metadata.deletion_timestamp.is_none() {
            Report::new(Reason::InvalidSpec, &problems.join("; "))
        } else if !object.finalizers().iter().any(|f| f == api::FINALIZER) {
            return Ok(End::untold(PassOutcome::Undecided, Look::Never));
        } else if api::forced_to_go(object) {
            return self.release().await;
        } else {
            Report::new(Reason::DeletionBlocked, &names_no_link(object, problems))
        };
        self.say(&said).await
    }

    async fn release(&self) -> Result<End, Failed> {
        let Self { context, object, .. } = *self;
        context.objects.remove_finalizer(object).await.map_err(|error| ("removing the finalizer", error))?;
        let approved = object.status.as_ref().and_then(|status| status.approval.as_ref());
        if approved.is_some_and(|approval| approval.approved_by.as_deref() == Some("Operator")) {
            self.alarm(Some(RELEASED_UNREAD)).await;
        }
        Ok(End::untold(PassOutcome::Undecided, Look::Never))
    }

    /// Says that the definition cannot be read, if that may last.
    pub(super) async fn report_unreadable_definition(&self, error: KubeFailure) -> Result<End, Failed> {
        match error {
            KubeFailure::Forbidden(why) => {
                self.say(&Report::new(Reason::DeletionBlocked, &definition_unreadable(self.object, &why))).await
            }
            error => Err(("reading the definition", error)),
        }
    }
}

/// What somebody has to look at after the finalizer of an object was removed by force that could not be read.
const RELEASED_UNREAD: &str = "The finalizer was removed by force, and the object could not be read: whether SignalR confirmed the connection that the operator approved for it is not known. Check the vault's private endpoint connections.";

/// Why an object whose ids cannot be read keeps its finalizer, and the way out.
fn names_no_link(object: &SignalRSharedPrivateLink, problems: &[String]) -> String {
    format!(
        "The spec names no link that could be deleted: {}. Look for it in Azure yourself; to remove the finalizer, set the annotation {}: {:?}.",
        problems.join("; "),
        api::FORCE_FINALIZE_ANNOTATION,
        object.metadata.uid.as_deref().unwrap_or_default()
    )
}

/// What a deletion means: deleting the definition deletes every object, and is no wish to delete links.
/// The finalizer is removed, and Azure stays as it is.
///
/// # Errors
/// When the definition cannot be read.
pub(super) async fn resolve_deletion_intent(context: &Context, desired: Desired) -> Result<Desired, KubeFailure> {
    let deletes = desired.deletion == DeletionPolicy::Delete && desired.management == ManagementPolicy::Manage;
    let matters = desired.deleting && desired.finalizer && !desired.force_finalize && deletes;
    if matters && context.objects.definition_is_going().await? {
        return Ok(Desired { deletion: DeletionPolicy::Detach, ..desired });
    }
    Ok(desired)
}

/// Why an object keeps its finalizer as long as nobody can tell a deletion of its own from one of all.
fn definition_unreadable(object: &SignalRSharedPrivateLink, why: &str) -> String {
    format!(
        "Whether only this object is deleted, or all of them with their definition (which is no wish to delete links), may not be read: {why}. Grant get on customresourcedefinitions, as the chart does; or, to remove the finalizer and leave Azure as it is, set the annotation {}: {:?}.",
        api::FORCE_FINALIZE_ANNOTATION,
        object.metadata.uid.as_deref().unwrap_or_default()
    )
}

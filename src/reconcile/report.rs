//! What a pass says: `status` where it differs, an Event where the reason changed, a line in the
//! log. Only the status can fail, and then the pass is made again.

use kube::Resource as _;
use kube::runtime::events::{Event, EventType};
use signalr_private_link_core::Action;
use signalr_private_link_core::Report;
use signalr_private_link_core::desired::{Approver, Desired};
use signalr_private_link_core::failure::Outcome;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::message::safe;
use signalr_private_link_core::reason::{Progress, Reason};
use signalr_private_link_core::report::Fact;

use super::{Context, ObjectKey};
use crate::api::{self, SignalRSharedPrivateLink, SignalRSharedPrivateLinkStatus};
use crate::kubernetes::KubeFailure;

/// Writes `status` if it differs, and an Event if the reason is another one.
///
/// # Errors
/// When the status could not be written.
pub(super) async fn report(
    context: &Context,
    object: &SignalRSharedPrivateLink,
    desired: Option<&Desired>,
    report: &Report,
    stale: bool,
) -> Result<(), KubeFailure> {
    let next = api::render(object, desired, report, stale, (context.clock)());
    if object.status.as_ref() == Some(&next) {
        return Ok(());
    }
    context.objects.write_status(object, &next).await?;
    context.metrics.status_write();
    let before = object.status.as_ref().and_then(ready_reason);
    let now = ready_reason(&next);
    if before != now {
        tracing::info!(
            object = %path(object),
            from = before,
            to = now,
            why = report.message,
            "the reason changed"
        );
        let severity = match report.progress() {
            Progress::Failed => EventType::Warning,
            _ if report.reason == Reason::DeletionBlocked => EventType::Warning,
            _ => EventType::Normal,
        };
        if report.reason == Reason::ApprovalUnconfirmed {
            context.metrics.unconfirmed_approval();
        }
        publish(context, object, severity, report.reason.as_str(), &report.message).await;
    }
    Ok(())
}

/// `<namespace>/<name>`, as every line of the log has it.
fn path(object: &SignalRSharedPrivateLink) -> String {
    api::identity(object).path()
}

fn ready_reason(status: &SignalRSharedPrivateLinkStatus) -> Option<&str> {
    status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.reason.as_str())
}

/// One Event and one line per approval and revocation: who, what, and why.
pub(super) async fn audit(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    action: &Action,
    outcome: &Outcome,
) {
    let (Action::Decide(decision), Outcome::Applied(_)) = (action, outcome) else {
        return;
    };
    let approved = decision.verdict == Verdict::Approved;
    if approved {
        context.memories.audited(key);
    }
    let policy = decision.policy.as_ref().map(|policy| policy.reference());
    let entry = Audit {
        approved,
        connection: decision.connection.path(),
        endpoint: decision.endpoint.as_ref().map_or("none", |endpoint| endpoint.path()),
        policy: policy.as_deref().unwrap_or("none"),
        because: &decision.because,
    };
    entry.publish(context, object).await;
}

/// The same for an approval whose answer was lost, or whose process died: it is told of when it is
/// read back from the vault, before `status` says so.
pub(super) async fn audit_found(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    report: &Report,
) {
    let (Fact::Set(approval), Fact::Set(Some(connection))) = (&report.approval, &report.connection) else {
        return;
    };
    let said = object.status.as_ref().and_then(|status| status.approval.as_ref()?.approved_by.as_deref());
    let found = approval.approved_by == Some(Approver::Operator) && approval.revoked_at.is_none();
    if !found || said == Some("Operator") || context.memories.audited(key) {
        return;
    }
    let entry = Audit {
        approved: true,
        connection: &connection.id,
        endpoint: &connection.endpoint,
        policy: approval.policy.as_deref().unwrap_or("none"),
        because: "the answer to the approval was lost, and the vault shows it",
    };
    entry.publish(context, object).await;
}

/// What is told of a decision on a connection.
struct Audit<'a> {
    approved: bool,
    connection: &'a str,
    endpoint: &'a str,
    policy: &'a str,
    because: &'a str,
}

impl Audit<'_> {
    async fn publish(&self, context: &Context, object: &SignalRSharedPrivateLink) {
        let Self { approved, connection, endpoint, policy, because } = *self;
        let (severity, reason, verb) = if approved {
            (EventType::Normal, "ConnectionApproved", "Approved")
        } else {
            (EventType::Warning, "ApprovalRevoked", "Revoked the approval of")
        };
        context.metrics.decision(reason);
        tracing::info!(
            object = %path(object), uid = object.metadata.uid,
            connection, endpoint, policy, because, reason, "decided on a connection"
        );
        let note =
            format!("{verb} the connection {connection} (private endpoint {endpoint}, policy {policy}): {because}");
        publish(context, object, severity, reason, &note).await;
    }
}

/// An object was let go, or is Ready, although an approval of ours may be a stranger's: somebody
/// has to look.
pub(super) async fn alarm(context: &Context, object: &SignalRSharedPrivateLink, alarm: &str) {
    tracing::error!(object = %path(object), uid = object.metadata.uid, alarm, "an approval of the operator's has to be looked at");
    context.metrics.unconfirmed_approval();
    publish(context, object, EventType::Warning, Reason::ApprovalUnconfirmed.as_str(), alarm).await;
}

/// Publishes an Event; that it could not be published is told and forgotten.
async fn publish(context: &Context, object: &SignalRSharedPrivateLink, type_: EventType, reason: &str, note: &str) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(safe(note)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    let regarding = object.object_ref(&());
    let publishing = context.events.publish(&event, &regarding);
    match tokio::time::timeout(std::time::Duration::from_secs(5), publishing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an Event could not be published"),
        Err(_) => tracing::debug!("an Event could not be published in time"),
    }
}

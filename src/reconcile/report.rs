//! What a pass says: `status` where it differs, an Event where the reason changed, a line in the
//! log. Only the status can fail, and then the pass is made again.

use kube::Resource as _;
use kube::runtime::events::{Event, EventType};
use signalr_private_link_core::Action;
use signalr_private_link_core::Report;
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::failure::Outcome;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::message::safe;
use signalr_private_link_core::reason::{Progress, Reason};

use super::Context;
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
pub(super) async fn audit(context: &Context, object: &SignalRSharedPrivateLink, action: &Action, outcome: &Outcome) {
    let (Action::Decide(decision), Outcome::Applied(_)) = (action, outcome) else {
        return;
    };
    let policy = decision.policy.as_ref().map_or_else(|| "none".to_owned(), |p| p.reference());
    let endpoint = decision.endpoint.as_ref().map_or("none", |endpoint| endpoint.path());
    let (severity, reason, verb) = match decision.verdict {
        Verdict::Approved => (EventType::Normal, "ConnectionApproved", "Approved"),
        Verdict::Revoked => (EventType::Warning, "ApprovalRevoked", "Revoked the approval of"),
    };
    context.metrics.decision(reason);
    tracing::info!(
        object = %path(object), uid = object.metadata.uid,
        connection = %decision.connection, endpoint,
        policy, because = decision.because, reason, "decided on a connection"
    );
    let note = format!(
        "{verb} the connection {} (private endpoint {endpoint}, policy {policy}): {}",
        decision.connection, decision.because
    );
    publish(context, object, severity, reason, &note).await;
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

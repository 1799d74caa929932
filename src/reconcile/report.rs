//! What a pass says: `status` where it differs, an Event where the reason changed, a line in the
//! log. Only the status can fail, and then the pass is made again.

use std::time::Duration;

use kube::Resource as _;
use kube::runtime::events::{Event, EventType};
use signalr_private_link_core::action::{Action, Decision, Outcome};
use signalr_private_link_core::desired::{Approver, Desired};
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::message::safe;
use signalr_private_link_core::policy::Policy;
use signalr_private_link_core::reason::{Reason, Severity};
use signalr_private_link_core::report::{Fact, Report};
use signalr_private_link_core::resource_id::EndpointId;
use tracing::Instrument as _;

use super::{Failed, Subject};
use crate::api::{self, AsTold};
use crate::telemetry::{self, spans};

/// The most characters that Kubernetes takes as the action of an Event.
const MAX_ACTION: usize = 128;
/// No pass waits longer for an Event.
const EVENT_DEADLINE: Duration = Duration::from_secs(5);

impl Subject<'_> {
    /// Writes `status` if it differs, and an Event if the reason is another one. Returns whether it differed.
    ///
    /// # Errors
    /// When the status could not be written.
    pub(super) async fn write_status(
        &self,
        desired: Option<&Desired>,
        report: &Report,
        ready_expired: bool,
    ) -> Result<bool, Failed> {
        let Self { context, key, memory, object } = *self;
        let lasting = memory.lock().has_said_for(report.reason) >= context.limits.right_grace;
        let as_told = AsTold { ready_expired, lasting, now: (context.clock)() };
        let next = api::render(object, desired, report, as_told);
        if object.status.as_ref() == Some(&next) {
            return Ok(false);
        }
        let written = context.objects.write_status(object, &next).instrument(spans::write("status")).await;
        self.keep(written.map_err(|error| ("writing the status", error))?);
        context.metrics.links.write_status();
        let before = object.status.as_ref().and_then(|status| status.reason());
        let now = next.reason();
        if before != now {
            tracing::info!(
                object = %key, uid = object.metadata.uid, generation = object.metadata.generation,
                pass = telemetry::number(), reason = now, before, why = report.message, "the reason changed"
            );
            let severity = match report.reason.severity() {
                Severity::Warning => EventType::Warning,
                Severity::Normal => EventType::Normal,
            };
            if report.reason == Reason::ApprovalUnconfirmed {
                context.metrics.links.alarm();
            }
            self.publish(severity, report.reason.as_str(), "Reconcile", &report.message).await;
        }
        Ok(true)
    }

    /// One Event and one line per approval and revocation: who, what, and why.
    pub(super) async fn audit(&self, action: &Action, outcome: &Outcome) {
        let (Action::Decide(decision), Outcome::Applied(_)) = (action, outcome) else {
            return;
        };
        let Decision { verdict, connection, endpoint, policy, because, .. } = &**decision;
        self.memory.lock().is_audited |= *verdict == Verdict::Approved;
        let endpoint = endpoint.as_ref().map_or("none", EndpointId::path);
        let policy = policy.as_ref().map(Policy::reference);
        self.tell_decision(*verdict, connection.path(), endpoint, policy.as_deref(), because).await;
    }

    /// The same for an approval whose answer was lost, or whose process died: it is told of when it is
    /// read back from the vault, before `status` says so.
    pub(super) async fn audit_found(&self, report: &Report) {
        let (Fact::Set(approval), Fact::Set(Some(connection))) = (&report.approval, &report.connection) else {
            return;
        };
        let said = self.object.status.as_ref().and_then(|status| status.approval.as_ref()?.approved_by.as_deref());
        let found = approval.approved_by == Some(Approver::Operator) && approval.revoked_at.is_none();
        if !found || said == Some("Operator") {
            return;
        }
        let was_told = std::mem::replace(&mut self.memory.lock().is_audited, true);
        if was_told {
            return;
        }
        let (endpoint, policy) = (&connection.endpoint, approval.policy.as_deref());
        let because = "the answer to the approval was lost, and the vault shows it";
        self.tell_decision(Verdict::Approved, &connection.id, endpoint, policy, because).await;
    }

    async fn tell_decision(
        &self,
        verdict: Verdict,
        connection: &str,
        endpoint: &str,
        policy: Option<&str>,
        because: &str,
    ) {
        let Self { context, key, object, .. } = *self;
        let policy = policy.unwrap_or("none");
        let (severity, reason, verb) = match verdict {
            Verdict::Approved => (EventType::Normal, "ConnectionApproved", "Approved"),
            Verdict::Revoked => (EventType::Warning, "ApprovalRevoked", "Revoked the approval of"),
        };
        context.metrics.links.decide(verdict);
        tracing::info!(
            object = %key, uid = object.metadata.uid, generation = object.metadata.generation,
            pass = telemetry::number(), reason, connection, endpoint, policy, why = because, "decided on a connection"
        );
        let note =
            format!("{verb} the connection {connection} (private endpoint {endpoint}, policy {policy}): {because}");
        // Events of one action become a series with the first one's note: each decision is an action of its own.
        let action = format!("{reason}-{}", connection.rsplit('/').next().unwrap_or_default());
        self.publish(severity, reason, &action, &note).await;
    }

    /// A finalizer was removed, or a link is Ready, although an approval of ours may be a stranger's: somebody
    /// has to look. The same is told once.
    pub(super) async fn alarm(&self, alarm: Option<&str>) {
        let Self { context, key, memory, object } = *self;
        let before = std::mem::replace(&mut memory.lock().alarm, alarm.map(str::to_owned));
        let Some(alarm) = alarm.filter(|alarm| before.as_deref() != Some(alarm)) else { return };
        tracing::error!(
            object = %key, uid = object.metadata.uid, generation = object.metadata.generation,
            pass = telemetry::number(), why = alarm, "an approval of the operator's has to be looked at"
        );
        context.metrics.links.alarm();
        self.publish(EventType::Warning, Reason::ApprovalUnconfirmed.as_str(), "Alarm", alarm).await;
    }

    /// Publishes an Event; a failure to publish is logged and otherwise ignored.
    async fn publish(&self, type_: EventType, reason: &str, action: &str, note: &str) {
        let Self { context, key, object, .. } = *self;
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(safe(note)),
            action: action.chars().take(MAX_ACTION).collect(),
            secondary: None,
        };
        let regarding = object.object_ref(&());
        let publishing = context.events.publish(&event, &regarding).instrument(spans::write("event"));
        let error = match tokio::time::timeout(EVENT_DEADLINE, publishing).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", EVENT_DEADLINE.as_secs()),
        };
        tracing::warn!(
            object = %key, uid = object.metadata.uid, generation = object.metadata.generation,
            pass = telemetry::number(), reason, error, "an Event could not be published"
        );
    }
}

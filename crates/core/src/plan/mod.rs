//! The decision: from what is wanted and what was read to one effect and what is said about it.
//!
//! [`plan`] is total and pure. Where it needs something that was not read yet it says so, and is
//! asked again with the answer; so the vault, the replicas and the policies are read only in the
//! phases that need them, and the phases stand in one place.

mod conclude;
mod confirming;
mod decided;
mod deletion;
mod live;
mod pending;

use std::time::Duration;

use jiff::Timestamp;

use crate::action::Action;
use crate::desired::Desired;
use crate::failure::{ArmError, CONNECTION_APPROVER, Failure, LINK_MANAGER, Level};
use crate::marker::Marker;
use crate::message::{safe, sentence};
use crate::observed::{Link, Links, Observed, Read};
use crate::reason::Reason;
use crate::report::Report;

pub use conclude::conclude;

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Again {
    /// At once: this pass was only one step.
    Now,
    /// After this time exactly: a limit ends then, or ARM asked for it.
    After(Duration),
    /// As the reason says, growing.
    AsReason,
    /// Not before something changes: the object is gone, or none of ours.
    Never,
}

/// What a pass does and says.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The one effect.
    pub action: Option<Action>,
    /// What is said if the effect succeeds; `None` leaves `status` as it is.
    pub report: Option<Report>,
    /// When to look again.
    pub again: Again,
    /// What somebody has to look at, although the object is let go or Ready: an approval that was
    /// not taken back. Told when the effect, if any, is carried out.
    pub alarm: Option<String>,
}

impl Plan {
    /// Only says something.
    fn say(report: Report) -> Self {
        Self { action: None, report: Some(report), again: Again::AsReason, alarm: None }
    }

    /// Does something, and says so if it succeeds.
    fn act(action: Action, report: Report) -> Self {
        Self { action: Some(action), report: Some(report), again: Again::AsReason, alarm: None }
    }

    /// A step on the Kubernetes side, after which the pass begins anew.
    fn step(action: Action, again: Again) -> Self {
        Self { action: Some(action), report: None, again, alarm: None }
    }

    fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// Raises an alarm, if the object is let go by this plan.
    fn alarmed(mut self, alarm: String) -> Self {
        self.alarm = matches!(self.action, Some(Action::RemoveFinalizer)).then_some(alarm);
        self
    }

    fn map_report(mut self, change: impl FnOnce(Report) -> Report) -> Self {
        self.report = self.report.map(change);
        self
    }
}

/// What comes next in a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// This has to be read first.
    Read(Read),
    /// The decision.
    Plan(Box<Plan>),
}

/// Decides. `now` is used for what people wait for (timeouts), never for what is approved.
#[must_use]
pub fn plan(desired: &Desired, observed: &Observed, now: Timestamp) -> Next {
    let decided = if desired.deleting { deletion::plan(desired, observed) } else { live::plan(desired, observed, now) };
    match decided {
        Err(read) => Next::Read(read),
        Ok(plan) => Next::Plan(Box::new(held_back(observed, plan))),
    }
}

/// A link that is there and is ours (`own` is its marker) or adopted, with all that a decision
/// about it rests on.
#[derive(Clone, Copy)]
struct Case<'a> {
    d: &'a Desired,
    o: &'a Observed,
    links: &'a Links,
    link: &'a Link,
    own: Option<&'a Marker>,
    now: Timestamp,
}

/// R7: a process that has just started does not write at once for an object that somebody else
/// may have been writing for. What it read is told all the same.
fn held_back(observed: &Observed, plan: Plan) -> Plan {
    let writes_to_azure =
        matches!(plan.action, Some(Action::PutLink { .. } | Action::DeleteLink { .. } | Action::Decide(_)));
    match observed.memory.quarantine {
        Some(left) if writes_to_azure => {
            let held = Plan { action: None, again: Again::After(left), alarm: None, ..plan };
            held.map_report(|report| {
                let message = format!(
                    "The operator has just started, and writes once no write of an earlier process can be under way. Next: {}",
                    report.message
                );
                Report { message: safe(&message), ..report }
            })
        }
        _ => plan,
    }
}

/// Which of the two services a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    SignalR,
    Vault,
}

/// What is said of a failed call.
fn failed(desired: &Desired, error: &ArmError, side: Side) -> Plan {
    let words = sentence(&error.to_string());
    let signalr = desired.link.signalr();
    let (reason, message) = match (error.failure, side) {
        (Failure::Throttled(_), _) => (
            Reason::Throttled,
            format!(
                "ARM asks to slow down while {words} The operator waits as long as ARM asks; nothing needs to be done."
            ),
        ),
        (Failure::CredentialUnavailable, _) => (
            Reason::CredentialUnavailable,
            format!("No token for ARM could be had: {words} Check the operator's AZURE_* settings and the credential."),
        ),
        (Failure::Unauthorized, _) => (
            Reason::CredentialUnavailable,
            format!(
                "ARM does not accept the operator's token: {words} Check that tenant, audience and cloud belong together."
            ),
        ),
        (Failure::NotFound(Level::Subscription), Side::SignalR) => (
            Reason::SignalRNotFound,
            format!(
                "The subscription {} is not found, or not visible to the operator's identity: {words} Check spec.signalR.resourceId, and the cloud and tenant that the operator is configured for.",
                signalr.subscription()
            ),
        ),
        (Failure::NotFound(_), Side::SignalR) => (
            Reason::SignalRNotFound,
            format!(
                "The SignalR {signalr} does not exist: {words} Create it, or correct spec.signalR.resourceId by deleting and re-creating this object."
            ),
        ),
        (Failure::NotFound(_), Side::Vault) => (
            Reason::KeyVaultNotFound,
            format!(
                "The key vault {} does not exist (a soft-deleted vault looks the same): {words} Create or recover it, or correct spec.keyVault.resourceId by deleting and re-creating this object.",
                desired.vault
            ),
        ),
        (Failure::Forbidden, Side::SignalR) => (
            Reason::AuthorizationFailed,
            format!(
                "The operator's identity may not do this; it needs the action {} at the scope {}. Grant it with: {} (the role is in deploy/azure/roles; an assignment takes up to ten minutes). {words}",
                error.action,
                error.scope,
                error.remedy(LINK_MANAGER)
            ),
        ),
        (Failure::Forbidden, Side::Vault) => (
            Reason::ApprovalNotAuthorized,
            format!(
                "The operator's identity may not do this on the key vault; it needs the action {} at the scope {}. Grant it with: {} (the role is in deploy/azure/roles; an assignment takes up to ten minutes; the Microsoft.KeyVault provider must be registered on the endpoint's subscription). {words}",
                error.action,
                error.scope,
                error.remedy(CONNECTION_APPROVER)
            ),
        ),
        (Failure::Busy, Side::SignalR) => (
            Reason::WaitingForSignalR,
            format!("{} takes no change at the moment; the operator tries again. {words}", signalr.name()),
        ),
        (Failure::Busy, Side::Vault) => (
            Reason::Approving,
            format!(
                "The key vault {} takes no change at the moment; the operator tries again. {words}",
                desired.vault.name()
            ),
        ),
        (Failure::Invalid, _) => (Reason::InvalidSpec, format!("ARM refuses the request: {words}")),
        (Failure::PolicyDenied, _) => (
            Reason::PolicyDenied,
            format!("An Azure Policy refuses the change: {words} Ask for an exemption, or change the policy."),
        ),
        (Failure::Locked, _) => {
            (Reason::Locked, format!("A management lock refuses the change: {words} Remove the lock."))
        }
        (Failure::SubscriptionDisabled, _) => (
            Reason::OperationFailed,
            format!(
                "The subscription takes no changes: {words} Enable it again; if it should be another one, check the cloud and tenant that the operator is configured for."
            ),
        ),
        (Failure::NotRegistered, side) => {
            let (namespace, subscription) = match side {
                Side::SignalR => ("Microsoft.SignalRService", signalr.subscription().to_owned()),
                Side::Vault => ("Microsoft.KeyVault", desired.vault.subscription().to_owned()),
            };
            (
                Reason::OperationFailed,
                format!(
                    "The subscription is not registered for the resource provider: {words} Register it with: az provider register --namespace {namespace} --subscription {subscription}."
                ),
            )
        }
        (Failure::QuotaExceeded, _) => (
            Reason::OperationFailed,
            format!(
                "A quota of Azure's is used up: {words} Remove links that are not needed, or ask Microsoft for more."
            ),
        ),
        (Failure::Transient | Failure::Unexpected, _) => {
            (Reason::TransientError, format!("That did not succeed; the operator tries again. {words}"))
        }
    };
    let again = match error.failure {
        Failure::Throttled(Some(after)) => Again::After(after),
        _ => Again::AsReason,
    };
    Plan::say(Report::new(reason, &message)).again(again)
}

//! What is said once the outcome of the one effect is known.

use super::{Again, Plan, Side, deletion, failed};
use crate::action::Action;
use crate::desired::Desired;
use crate::failure::{ArmError, Failure, Level, Outcome};
use crate::marker::Verdict;
use crate::message::sentence;
use crate::reason::Reason;
use crate::report::{Ready, Report, Truth};

/// The report of a pass whose action ended with `outcome`. What is not known is observed again
/// in the next pass, never repeated.
#[must_use]
pub fn conclude(desired: &Desired, plan: Plan, outcome: &Outcome) -> Plan {
    let Some(action) = plan.action.clone() else {
        return plan;
    };
    match outcome {
        Outcome::Applied(link) => match link {
            Some(link) => Plan { report: plan.report.map(|r| r.with_link(link)), ..plan },
            None => plan,
        },
        // Nothing was written; the next pass decides on what is there now.
        Outcome::Changed(_) => Plan { report: None, again: Again::AsReason, ..plan },
        Outcome::NotApplied(error) | Outcome::Unknown(error) if is_revocation(&action) => {
            not_taken_back(desired, plan, action, error)
        }
        Outcome::Unknown(error) if desired.deleting && matches!(action, Action::DeleteLink { .. }) => {
            let said = deletion::blocked(desired, error, says_blocked(&plan));
            Plan { report: said.report.map(|report| with_facts(plan.report, report)), again: said.again, ..plan }
        }
        Outcome::Unknown(error) => {
            let message = format!(
                "Whether the last request took effect is not known; the operator looks again. {}",
                sentence(&error.to_string())
            );
            let mut said = Plan::say(with_facts(plan.report, Report::new(Reason::TransientError, &message)));
            said.action = Some(action);
            said
        }
        Outcome::NotApplied(error) => {
            let said = match &action {
                Action::DeleteLink { .. } if desired.deleting => deletion::blocked(desired, error, says_blocked(&plan)),
                Action::RemoveFinalizer => {
                    let message = format!("The object cannot be let go. {}", sentence(&error.to_string()));
                    Plan::say(deletion::blocked_by(desired, &message))
                }
                // It may be the connection or the vault that has gone since it was read.
                Action::Decide(_) if error.failure == Failure::NotFound(Level::Resource) => {
                    let words = sentence(&error.to_string());
                    let message =
                        format!("The connection to approve is not there any more; the operator looks again. {words}");
                    Plan::say(Report::new(Reason::WaitingForConnection, &message))
                }
                Action::Decide(_) => failed(desired, error, Side::Vault),
                _ => failed(desired, error, Side::SignalR),
            };
            let again = match error.failure {
                // The next pass reads the new state at once.
                Failure::NotFound(_) if matches!(action, Action::DeleteLink { .. }) => Again::Now,
                _ => said.again,
            };
            let report = said.report.map(|report| with_facts(plan.report, report));
            Plan { action: Some(action), report, again, alarm: None }
        }
    }
}

/// Whether the plan itself says that the deletion has been waiting for too long.
fn says_blocked(plan: &Plan) -> bool {
    plan.report.as_ref().is_some_and(|report| report.reason == Reason::DeletionBlocked)
}

fn is_revocation(action: &Action) -> bool {
    matches!(action, Action::Decide(decision) if decision.verdict == Verdict::Revoked)
}

/// An approval that must not stand still does: that stays the news, and is tried again soon.
fn not_taken_back(desired: &Desired, plan: Plan, action: Action, error: &ArmError) -> Plan {
    let words = sentence(&error.to_string());
    let why = match &action {
        Action::Decide(decision) => decision.because.clone(),
        _ => String::new(),
    };
    let again = match error.failure {
        Failure::Throttled(Some(after)) => Again::After(after),
        _ => Again::After(desired.limits.second_look),
    };
    let said = if desired.deleting {
        deletion::blocked_by(desired, &format!("{why} Taking the approval back did not succeed. {words}"))
    } else {
        let needs = if error.failure == Failure::Forbidden {
            format!(" It needs the action {} at the scope {}.", error.action, error.scope)
        } else {
            String::new()
        };
        let message = format!(
            "{why} Taking the approval back did not succeed; the operator tries again. {words}{needs} Until then reject the connection on the vault's side."
        );
        Report::new(Reason::ApprovalUnconfirmed, &message)
    };
    Plan { action: Some(action), report: Some(with_facts(plan.report, said)), again, alarm: None }
}

/// The report of a failure keeps the facts that were read before the effect was tried; an effect
/// is tried only where the link is not functional.
fn with_facts(planned: Option<Report>, said: Report) -> Report {
    let Some(planned) = planned else { return said };
    Report { reason: said.reason, message: said.message, ready: Ready::Is(Truth::False), ..planned }
}

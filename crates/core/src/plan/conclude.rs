//! What is said once the outcome of the one effect is known.

use super::failed::{Service, failed};
use super::{Again, Plan, deletion};
use crate::action::{Action, Outcome};
use crate::annotation::RECREATE_ANNOTATION;
use crate::desired::Desired;
use crate::failure::{ArmError, Failure, Level};
use crate::limits::Limits;
use crate::marker::Verdict;
use crate::message::{duration, sentence};
use crate::reason::Reason;
use crate::report::{Ready, Report, Truth};

/// The report of a pass whose action ended with `outcome`. What is not known is observed again
/// in the next pass, never repeated.
#[must_use]
pub fn conclude(desired: &Desired, limits: &Limits, plan: Plan, outcome: &Outcome) -> Plan {
    let Some(action) = plan.action.clone() else {
        return plan;
    };
    if let Action::Decide(decision) = &action
        && decision.verdict == Verdict::Revoked
        && let Outcome::NotApplied(error) | Outcome::Unknown(error) = outcome
    {
        return not_taken_back(desired, limits, plan, &decision.because, error);
    }
    match outcome {
        Outcome::Applied(link) => match link {
            Some(link) => plan.map_report(|report| report.with_link(link)),
            None => plan,
        },
        // Nothing was written; the next pass decides on what is there now.
        Outcome::Changed(_) => Plan::step(action, Again::AsReason),
        Outcome::NotApplied(error) | Outcome::Unknown(error)
            if desired.deleting && matches!(action, Action::DeleteLink { .. }) =>
        {
            let said = deletion::blocked(desired, error, says_blocked(&plan));
            let report = said.report.map(|report| with_facts(plan.report, report));
            Plan { action: Some(action), report, again: said.again, alarm: None }
        }
        Outcome::Unknown(error) => {
            let message = format!(
                "Whether the last request took effect is not known; the operator looks again. {}",
                sentence(&error.to_string())
            );
            let report = with_facts(plan.report, Report::new(Reason::TransientError, &message));
            let mut said = Plan::say(report).again(Again::failed(error.failure));
            said.action = Some(action);
            said
        }
        Outcome::NotApplied(error) => {
            let said = match &action {
                Action::RemoveFinalizer { .. } => deletion::blocked(desired, error, says_blocked(&plan)),
                Action::PutLink { beside: Some(other), .. } if matches!(error.failure, Failure::Busy(_)) => {
                    Plan::say(held_up(desired, limits, other, error))
                }
                // Azure may take no change of a link whose creation failed.
                Action::PutLink { replaces: Some(_), .. } if error.failure == Failure::Invalid => {
                    Plan::say(not_replaced(desired, error))
                }
                // It may be the connection or the vault that has gone since it was read.
                Action::Decide(_) if error.failure == Failure::NotFound(Level::Resource) => {
                    let words = sentence(&error.to_string());
                    let message =
                        format!("The connection to approve is not there any more; the operator looks again. {words}");
                    Plan::say(Report::new(Reason::WaitingForConnection, &message))
                }
                Action::Decide(_) => failed(desired, error, Service::KeyVault),
                _ => failed(desired, error, Service::SignalR),
            };
            let report = said.report.map(|report| with_facts(plan.report, report));
            Plan { action: Some(action), report, again: said.again, alarm: None }
        }
    }
}

/// Azure has been at work on another link for too long, and takes no change of this one.
fn held_up(desired: &Desired, limits: &Limits, other: &str, error: &ArmError) -> Report {
    let message = format!(
        "Azure has been at work on the link {other} of {} for more than {}, and takes no other change: {} If it stays so, open a support case with Microsoft for that link.",
        desired.link.signalr_name(),
        duration(limits.operation),
        sentence(&error.to_string())
    );
    Report::new(Reason::OperationTimedOut, &message)
}

/// A link whose creation failed cannot be put again in its place.
fn not_replaced(desired: &Desired, error: &ArmError) -> Report {
    let message = format!(
        "Azure could not create the link {}, and takes no second request over it: {} Set the annotation {RECREATE_ANNOTATION} to a new value: the link is deleted and created once more.",
        desired.link.name(),
        sentence(&error.to_string())
    );
    Report::new(Reason::OperationFailed, &message)
}

/// Whether the plan itself says that the deletion has been waiting for too long.
fn says_blocked(plan: &Plan) -> bool {
    plan.report.as_ref().is_some_and(|report| report.reason == Reason::DeletionBlocked)
}

/// An approval that must not stand still does: that stays the news, and is tried again soon.
fn not_taken_back(desired: &Desired, limits: &Limits, plan: Plan, why: &str, error: &ArmError) -> Plan {
    let words = sentence(&error.to_string());
    if plan.report.as_ref().is_some_and(|report| report.reason == Reason::Approved) {
        // An approval of an earlier incarnation: the link that is there now works all the same.
        let alarm = format!("{why} Taking the approval back did not succeed; the operator will retry. {words}");
        return plan.again(Again::After(limits.second_look)).with_alarm(alarm);
    }
    let again = match Again::failed(error.failure) {
        Again::AsReason => Again::After(limits.second_look),
        Again::AsReasonAfter(after) => Again::After(after.max(limits.second_look)),
        again => again,
    };
    let said = if desired.deleting {
        deletion::blocked_by(desired, &format!("{why} Taking the approval back did not succeed. {words}"))
    } else {
        let needs = if error.failure == Failure::Forbidden {
            format!(" It needs {}.", error.missing_right())
        } else {
            String::new()
        };
        let message = format!(
            "{why} Taking the approval back did not succeed; the operator will retry. {words}{needs} Until then reject the connection on the vault's side."
        );
        Report::new(Reason::ApprovalUnconfirmed, &message)
    };
    Plan { action: plan.action, report: Some(with_facts(plan.report, said)), again, alarm: None }
}

/// The report of a failure keeps the facts that were read before the effect was tried; an effect
/// is tried only where the link is not functional.
fn with_facts(planned: Option<Report>, said: Report) -> Report {
    let Some(planned) = planned else { return said };
    Report { reason: said.reason, message: said.message, ready: Ready::Is(Truth::False), ..planned }
}

//! The decision: from what is wanted and what was read to one effect and what is said about it.
//!
//! [`plan`] is total and pure. Where it needs something that was not read yet it says so, and is
//! asked again with the answer; so the vault, the replicas and the policies are read only in the
//! phases that need them, and the phases stand in one place.

mod absent;
mod approved;
mod conclude;
mod decided;
mod deletion;
mod failed;
mod live;
mod pending;
mod recreate;
mod unconfirmed;

use std::time::Duration;

use jiff::Timestamp;

use crate::action::Action;
use crate::azure::{Link, Links, Operation, OperationKind};
use crate::desired::Desired;
use crate::failure::{ArmError, Failure};
use crate::limits::Limits;
use crate::marker::Marker;
use crate::message::{duration, safe_report, sentence};
use crate::observed::{Observed, Read};
use crate::reason::Reason;
use crate::report::Report;

pub use conclude::conclude;

/// What a plan needs: a value, or a read that is to be made first.
type Needs<T> = Result<T, Read>;

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Again {
    /// At once: this pass was only one step.
    Now,
    /// After this time exactly: a limit ends then, or ARM asked for it.
    After(Duration),
    /// As the reason says, growing, and not before ARM's `Retry-After`.
    AsReasonAfter(Duration),
    /// As the reason says, growing.
    AsReason,
    /// Not before something changes: the object is gone, or none of ours.
    Never,
}

impl Again {
    /// When to try again what failed so.
    fn failed(failure: Failure) -> Self {
        match failure {
            Failure::Throttled(Some(after)) => Self::After(after),
            failure => failure.retry_after().map_or(Self::AsReason, Self::AsReasonAfter),
        }
    }
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
    /// What somebody has to look at, although the finalizer is removed or the link is Ready: an approval
    /// that was not taken back. Told when the effect, if any, is carried out.
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

    /// Does something of which there is nothing to say: the next pass begins anew.
    fn step(action: Action, again: Again) -> Self {
        Self { action: Some(action), report: None, again, alarm: None }
    }

    fn again(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    /// This plan if it has an effect, else the other one.
    fn unless_it_acts(self, otherwise: Self) -> Self {
        if self.action.is_some() { self } else { otherwise }
    }

    fn with_alarm(self, alarm: String) -> Self {
        Self { alarm: Some(alarm), ..self }
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
        Ok(plan) => Next::Plan(Box::new(withhold_writes_in_quarantine(observed, plan))),
    }
}

/// A link that is there and is ours (`own` is its marker) or adopted, with all that a decision
/// about it rests on.
#[derive(Clone, Copy)]
struct OwnLink<'a> {
    d: &'a Desired,
    o: &'a Observed,
    links: &'a Links,
    link: &'a Link,
    own: Option<&'a Marker>,
    now: Timestamp,
}

impl OwnLink<'_> {
    /// Whether so much time has passed since then.
    fn has_lasted(&self, since: Option<Timestamp>, limit: Duration) -> bool {
        let lasted = since.and_then(|at| Duration::try_from(self.now.duration_since(at)).ok()).unwrap_or_default();
        lasted >= limit
    }

    /// Whether `approval.timeout` has passed since then.
    fn has_waited_since(&self, since: Option<Timestamp>) -> bool {
        self.has_lasted(since, self.d.approval_timeout.mul_f64(self.o.memory.limits.pace))
    }
}

/// R7: a process that has just started does not write at once for an object that somebody else
/// may have been writing for. What it read is told all the same.
fn withhold_writes_in_quarantine(observed: &Observed, plan: Plan) -> Plan {
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
                Report { message: safe_report(&message), ..report }
            })
        }
        _ => plan,
    }
}

/// Whether an operation that this process began runs although the link does not show it. The link has the last word:
/// it is asked first, and believed alone once the operation has had the time of any honest one. An operation that has
/// failed brings ARM's words for what the link shows.
fn is_operation_running(o: &Observed, kind: OperationKind) -> Needs<bool> {
    let may_run = o.memory.begun_ago.is_some_and(|ago| ago < o.memory.limits.operation);
    if o.operation_held != Some(kind) || !may_run {
        return Ok(false);
    }
    Ok(matches!(o.operation.or_read(Read::Operation)?, Ok(Operation::Running)))
}

/// What is said while an operation of ours runs.
fn in_progress(d: &Desired, kind: OperationKind) -> Report {
    let (link, signalr) = (d.link.name(), d.link.signalr_name());
    match kind {
        OperationKind::Put => {
            Report::new(Reason::Creating, &format!("Azure is creating the link {link} on {signalr}."))
        }
        OperationKind::Delete => {
            Report::new(Reason::Deleting, &format!("Azure is deleting the link {link} on {signalr}."))
        }
    }
}

/// R11: what ARM says of a parent is believed at once where nothing of this object's was ever in Azure, and
/// else when two reads far enough apart have said so. Until then, how long to wait for the second.
fn unproven_absence(d: &Desired, o: &Observed, said_for: Option<Duration>) -> Option<Duration> {
    let left = Limits::left(o.memory.limits.absence, said_for.unwrap_or_default());
    left.filter(|_| d.was_in_azure())
}

/// What is said while a parent's absence is not proven.
fn doubted(o: &Observed, error: &ArmError, left: Duration) -> Plan {
    let message = format!(
        "ARM says that something is not there which was there before; it is believed when two reads at least {} apart say so. {}",
        duration(o.memory.limits.absence),
        sentence(&error.to_string())
    );
    Plan::say(Report::new(Reason::TransientError, &message)).again(Again::After(left))
}

//! What stands before a write to the SignalR: other changes to it, and the wish to have the link created
//! once more.

use super::{Again, OwnLink, Plan, deletion};
use crate::action::Action;
use crate::azure::Links;
use crate::backoff::{self, Range};
use crate::desired::Desired;
use crate::limits::Limits;
use crate::observed::Observed;
use crate::reason::Reason;
use crate::report::Report;

/// Whether another write to this SignalR is under way: Azure takes one at a time. One that has run for
/// longer than any honest operation is not waited for: Azure itself says 409 if it means it.
pub(super) fn busy(d: &Desired, o: &Observed, links: &Links) -> Option<Plan> {
    let signalr = d.link.signalr_name();
    let other = links.running_beside(&d.link).filter(|_| o.memory.others_running_for < o.memory.limits.operation);
    let message = match other {
        Some(other) => format!(
            "Azure is at work on another link of {signalr}, {} ({}); a SignalR takes one change at a time.",
            other.name,
            other.provisioning.as_str()
        ),
        None if o.signalr_busy => {
            format!("Another change to {signalr} is under way; a SignalR takes one at a time.")
        }
        None => return None,
    };
    Some(Plan::say(Report::new(Reason::WaitingForSignalR, &message)))
}

/// The link of the same SignalR on which Azure has been at work for too long.
pub(super) fn stuck_beside(d: &Desired, o: &Observed, links: &Links) -> Option<String> {
    let stuck = links.running_beside(&d.link).filter(|_| o.memory.others_running_for >= o.memory.limits.operation);
    stuck.map(|link| link.name.clone())
}

/// `recreate-requested-at`: the link is deleted when the annotation's hash is not the tag that
/// the link was created with. The next pass finds it absent and creates it with the new tag.
pub(super) fn recreate(case: &OwnLink<'_>) -> Option<Plan> {
    let OwnLink { d, o, links, link, own, .. } = *case;
    if d.recreate.is_none() || own?.tag == d.tag() {
        return None;
    }
    if let Some(rest) = deletion::lingers(d, o, link) {
        return Some(rest);
    }
    if let Some(busy) = busy(d, o, links) {
        return Some(busy.map_report(|report| report.with_link(link)));
    }
    let delete = Action::DeleteLink { message: link.message.clone(), waives_fence: false };
    let message = format!(
        "The link {} is deleted and created once more, as the recreate-requested-at annotation asks.",
        d.link.name()
    );
    Some(Plan::act(delete, Report::new(Reason::Deleting, &message).with_link(link)))
}

/// How much longer a PUT rests after so many operations in a row that Azure ended badly.
pub(super) fn rests(limits: &Limits, count: u32, elapsed: std::time::Duration) -> Option<Again> {
    let range = Range { from: limits.failed_rest, to: limits.operation };
    Limits::left(backoff::delay(range, count.saturating_sub(1), 0.0), elapsed).map(Again::After)
}

//! The end of an object: its link is deleted if it is our own, and the object is let go once no
//! write can land any more (R7).

use std::time::Duration;

use super::{Again, Plan};
use crate::action::Action;
use crate::desired::{DeletionPolicy, Desired, ManagementPolicy};
use crate::failure::{ArmError, Failure, Level};
use crate::marker::Marker;
use crate::message::sentence;
use crate::observed::{Link, Links, Observed, Operation, OperationKind, Provisioning, Read};
use crate::reason::Reason;
use crate::report::Report;

pub(super) fn plan(d: &Desired, o: &Observed) -> Result<Plan, Read> {
    if !d.finalizer {
        return Ok(Plan { action: None, report: None, again: Again::Never });
    }
    let leave_alone = d.deletion == DeletionPolicy::Detach || d.management == ManagementPolicy::ObserveOnly;
    if d.force_finalize || leave_alone {
        return Ok(release());
    }
    if let Some(kind) = o.operation_held
        && let Ok(Operation::Running) = o.operation.or_read(Read::Operation)?
        && o.memory.in_progress_for < d.limits.operation
    {
        return Ok(Plan::say(match kind {
            OperationKind::Delete => deleting(d),
            OperationKind::Put => still_creating(d),
        }));
    }
    let links = match o.links.or_read(Read::Links)? {
        Ok(links) => links,
        Err(error) => return Ok(unreadable(d, o, error)),
    };
    let link = links.links.iter().find(|l| l.name.eq_ignore_ascii_case(d.link.name()));
    let own = link.filter(|link| Marker::parse(&link.message).is_some_and(|marker| marker.uid == d.object.uid));
    Ok(match own {
        None => once_no_write_can_land(d, o),
        Some(link) => delete(d, o, links, link),
    })
}

fn release() -> Plan {
    Plan::step(Action::RemoveFinalizer, Again::Never)
}

fn deleting(d: &Desired) -> Report {
    Report::new(
        Reason::Deleting,
        &format!("Azure is deleting the link {} on {}.", d.link.name(), d.link.signalr().name()),
    )
}

fn still_creating(d: &Desired) -> Report {
    let message =
        format!("Azure is still creating the link {}; it is deleted as soon as that has ended.", d.link.name());
    Report::new(Reason::Deleting, &message)
}

/// R7: the link is absent. A PUT that was decided before the deletion was seen may still land; so
/// may a DELETE whose outcome is unknown.
fn once_no_write_can_land(d: &Desired, o: &Observed) -> Plan {
    let fence = d.limits.fence;
    let left = |since: Duration| fence.checked_sub(since).filter(|left| !left.is_zero());
    let put = if o.memory.fence_waived { None } else { left(o.memory.deleting_for.unwrap_or_default()) };
    let delete = o.memory.unknown_delete.and_then(left);
    match put.max(delete) {
        None => release(),
        Some(wait) => {
            let message = format!(
                "The link {} does not exist; the object is let go once no earlier request to Azure can take effect any more.",
                d.link.name()
            );
            Plan::say(Report::new(Reason::Deleting, &message).without_link()).again(Again::After(wait))
        }
    }
}

fn delete(d: &Desired, o: &Observed, links: &Links, link: &Link) -> Plan {
    if link.provisioning == Provisioning::Deleting {
        return Plan::say(deleting(d).with_link(link));
    }
    if o.memory.signalr_busy {
        let message = format!("Another change to {} is under way; the deletion follows.", d.link.signalr().name());
        return Plan::say(Report::new(Reason::WaitingForSignalR, &message).with_link(link));
    }
    // Nobody can have read absence, and so decided a PUT, since the deletion was seen: the link
    // stood there, older than any write that could still be on its way.
    let age = links
        .date
        .zip(link.created_at)
        .and_then(|(date, created)| Duration::try_from(date.duration_since(created)).ok());
    let waives_fence = link.provisioning == Provisioning::Succeeded
        && o.memory.deleting_for.is_some_and(|seen| seen >= d.limits.fence_read)
        && age.is_some_and(|age| age >= d.limits.fence);
    let action = Action::DeleteLink { message: link.message.clone(), waives_fence };
    Plan::act(action, deleting(d).with_link(link))
}

/// The links cannot be read: gone, or blocked.
fn unreadable(d: &Desired, o: &Observed, error: &ArmError) -> Plan {
    match error.failure {
        Failure::NotFound(Level::Subscription) => {}
        Failure::NotFound(_) => return once_no_write_can_land(d, o),
        _ => {}
    }
    blocked(d, error)
}

/// Why the deletion does not go on, and the way out.
pub(super) fn blocked(d: &Desired, error: &ArmError) -> Plan {
    let words = sentence(&error.to_string());
    let message = match error.failure {
        Failure::Busy => {
            return Plan::say(Report::new(
                Reason::Deleting,
                &format!(
                    "{} takes no change at the moment; the deletion is tried again. {words}",
                    d.link.signalr().name()
                ),
            ));
        }
        Failure::Forbidden => format!(
            "The link cannot be deleted: the operator's identity needs the action {} at the scope {}. {words}",
            error.action, error.scope
        ),
        Failure::Locked => {
            format!("The link cannot be deleted: a management lock forbids it. {words} Remove the lock.")
        }
        Failure::NotFound(Level::Subscription) => format!(
            "The subscription {} is not found, which is more likely a wrong cloud or tenant in the operator's own settings than a fact. {words}",
            d.link.subscription()
        ),
        Failure::CredentialUnavailable | Failure::Unauthorized => {
            format!("The link cannot be deleted: no usable token for ARM. {words}")
        }
        _ => format!("The link cannot be deleted at the moment. {words}"),
    };
    let again = match error.failure {
        Failure::Throttled(Some(after)) => Again::After(after),
        _ => Again::AsReason,
    };
    let escape = format!(
        "{message} The deletion is tried again. To let the object go and leave Azure as it is, set the annotation privatelink.signalr-operator.io/force-finalize: {:?}.",
        d.object.uid
    );
    Plan::say(Report::new(Reason::DeletionBlocked, &escape)).again(again)
}

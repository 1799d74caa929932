//! The end of an object: its link is deleted if it is our own, and the object is let go once no
//! write can land any more (R7).

use std::time::Duration;

use super::{Again, Plan, confirming};
use crate::action::Action;
use crate::approval::Unconfirmed;
use crate::desired::{DeletionPolicy, Desired, ManagementPolicy};
use crate::failure::{ArmError, Failure, Level};
use crate::marker::Marker;
use crate::message::{duration, sentence};
use crate::observed::{ConnectionState, Link, Links, Observed, Operation, OperationKind, Provisioning, Read, Reading};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::Report;

pub(super) fn plan(d: &Desired, o: &Observed) -> Result<Plan, Read> {
    if !d.finalizer {
        return Ok(Plan { action: None, report: None, again: Again::Never, alarm: None });
    }
    if d.force_finalize || d.deletion == DeletionPolicy::Detach || d.management == ManagementPolicy::ObserveOnly {
        return leave(d, o);
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
    let links = match links(o)? {
        Ok(links) => links,
        Err(error) => return Ok(blocked(d, error, overdue(d, o))),
    };
    let link = links.and_then(|links| find(d, links));
    let own = link.filter(|link| Marker::parse(&link.message).is_some_and(|marker| marker.uid == d.object.uid));
    match standing(d, o, link)? {
        Standing::None => {}
        Standing::Overdue(overdue) if overdue.then == OnUnconfirmed::Revoke => return Ok(take_back(d, &overdue)),
        Standing::Overdue(overdue) if own.is_none() => {
            return Ok(once_no_write_can_land(d, o).alarmed(left_approved(d, &overdue)));
        }
        Standing::Overdue(_) => {}
        Standing::Unreadable(error) => return Ok(blocked_by_vault(d, error)),
    }
    Ok(match (links, own) {
        (Some(links), Some(link)) => delete(d, o, links, link),
        _ => once_no_write_can_land(d, o),
    })
}

/// What is said of an operation of Azure's that has been running for too long, and so holds up the
/// deletion.
fn never_ends(d: &Desired, o: &Observed, link: &Link) -> Option<Report> {
    let working = matches!(link.provisioning, Provisioning::InProgress(_) | Provisioning::Deleting);
    let message = format!(
        "Azure has reported {} for the link {} for more than {}. If it stays so, open a support case with Microsoft for {}.",
        link.provisioning.as_str(),
        d.link.name(),
        duration(d.limits.operation),
        d.link
    );
    (working && o.memory.in_progress_for >= d.limits.operation).then(|| blocked_by(d, &message))
}

/// The links; `None` when the SignalR, its resource group or the provider's list is gone.
///
/// A subscription that is not found is more likely a wrong cloud or tenant in the operator's own
/// settings than a fact.
fn links(o: &Observed) -> Result<Result<Option<&Links>, &ArmError>, Read> {
    Ok(match o.links.or_read(Read::Links)? {
        Ok(links) => Ok(Some(links)),
        Err(error) => match error.failure {
            Failure::NotFound(Level::Subscription) => Err(error),
            Failure::NotFound(_) => Ok(None),
            _ => Err(error),
        },
    })
}

fn find<'a>(d: &Desired, links: &'a Links) -> Option<&'a Link> {
    links.links.iter().find(|l| l.name.eq_ignore_ascii_case(d.link.name()))
}

/// What is known of an approval of ours that SignalR has not confirmed (M7).
enum Standing<'a> {
    /// There is none.
    None,
    /// There is one.
    Overdue(Unconfirmed<'a>),
    /// There may be one, and it cannot be read.
    Unreadable(&'a ArmError),
}

/// Looks for an approval of ours before the link, or the object, goes. Not being able to look
/// matters only where the operator may have approved something.
fn standing<'a>(d: &Desired, o: &'a Observed, link: Option<&Link>) -> Result<Standing<'a>, Read> {
    if link.is_some_and(|link| link.connection == ConnectionState::Approved) {
        return Ok(Standing::None);
    }
    let unreadable = |error: &'a ArmError| match error.failure {
        Failure::NotFound(level) if level != Level::Subscription => Standing::None,
        _ if d.may_have_approved() => Standing::Unreadable(error),
        _ => Standing::None,
    };
    let vault = match o.connections.or_read(Read::Connections)? {
        Ok(vault) => vault,
        Err(error) => return Ok(unreadable(error)),
    };
    Ok(match confirming::overdue(d, o, link, vault)? {
        Ok(None) => Standing::None,
        Ok(Some(overdue)) => Standing::Overdue(overdue),
        Err(error) => unreadable(error),
    })
}

fn take_back(d: &Desired, overdue: &Unconfirmed<'_>) -> Plan {
    let why = confirming::words(d, &overdue.why);
    let report = Report::new(Reason::Deleting, &format!("{why} The operator takes its approval back first."));
    Plan::act(confirming::take_back(overdue, why), report).again(Again::Now)
}

fn left_approved(d: &Desired, overdue: &Unconfirmed<'_>) -> String {
    format!(
        "{} It was left Approved: {}. Check it on the vault's side, and reject it if it is not wanted.",
        confirming::words(d, &overdue.why),
        overdue.connection.id
    )
}

/// Detach, ObserveOnly and force-finalize leave the link alone; an approval that SignalR has not
/// confirmed is taken back all the same. A forced end tries that once.
fn leave(d: &Desired, o: &Observed) -> Result<Plan, Read> {
    let unknown = |error: &ArmError| {
        format!(
            "The object was let go by force before SignalR was seen to confirm a connection that the operator may have approved on {}. {} Check the vault's private endpoint connections.",
            d.vault.name(),
            sentence(&error.to_string())
        )
    };
    let links = match links(o)? {
        Ok(links) => links,
        Err(_) if !d.may_have_approved() => return Ok(release()),
        Err(error) if d.force_finalize => return Ok(release().alarmed(unknown(error))),
        Err(error) => return Ok(blocked(d, error, overdue(d, o))),
    };
    let link = links.and_then(|links| find(d, links));
    Ok(match standing(d, o, link)? {
        Standing::Overdue(overdue) if overdue.then == OnUnconfirmed::Hold => {
            release().alarmed(left_approved(d, &overdue))
        }
        Standing::Overdue(overdue) if d.force_finalize && o.memory.revocation_tried => {
            release().alarmed(left_approved(d, &overdue))
        }
        Standing::Overdue(overdue) => take_back(d, &overdue),
        Standing::Unreadable(error) if d.force_finalize => release().alarmed(unknown(error)),
        Standing::Unreadable(error) => blocked_by_vault(d, error),
        Standing::None if d.force_finalize => release(),
        Standing::None if confirmed_or_never_approved(d, link) && o.memory.late_write.is_none() => release(),
        Standing::None => match fence(d, o) {
            None => release(),
            Some(wait) => {
                let message = "The link is left alone; the object is let go once no earlier request of the operator's can take effect any more.";
                Plan::say(Report::new(Reason::Deleting, message)).again(Again::After(wait))
            }
        },
    })
}

/// Whether no approval of ours can be on its way: R7 holds for approvals too.
fn confirmed_or_never_approved(d: &Desired, link: Option<&Link>) -> bool {
    !d.may_have_approved() || link.is_some_and(|link| link.connection == ConnectionState::Approved)
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

/// R7: how long to wait although nothing of ours is there. A PUT or an approval that was decided
/// before the deletion was seen may still land; so may a write whose outcome is not known.
fn fence(d: &Desired, o: &Observed) -> Option<Duration> {
    let left = |since: Duration| d.limits.fence.checked_sub(since).filter(|left| !left.is_zero());
    let earlier = if o.memory.fence_waived { None } else { left(o.memory.deleting_for.unwrap_or_default()) };
    earlier.max(o.memory.late_write)
}

fn once_no_write_can_land(d: &Desired, o: &Observed) -> Plan {
    let Some(wait) = fence(d, o) else {
        return release();
    };
    let message = format!(
        "The link {} does not exist; the object is let go once no earlier request to Azure can take effect any more.",
        d.link.name()
    );
    Plan::say(Report::new(Reason::Deleting, &message).without_link()).again(Again::After(wait))
}

fn delete(d: &Desired, o: &Observed, links: &Links, link: &Link) -> Plan {
    let endless = never_ends(d, o, link);
    match &link.provisioning {
        Provisioning::Deleting => return Plan::say(endless.unwrap_or_else(|| deleting(d)).with_link(link)),
        Provisioning::InProgress(_) if endless.is_none() => {
            return Plan::say(still_creating(d).with_link(link));
        }
        _ => {}
    }
    if let Some(rest) = lingers(d, o, link) {
        return rest;
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
        && confirmed_or_never_approved(d, Some(link))
        && o.memory.deleting_for.is_some_and(|seen| seen >= d.limits.fence_read)
        && age.is_some_and(|age| age >= d.limits.fence);
    let action = Action::DeleteLink { message: link.message.clone(), waives_fence };
    let report = endless.unwrap_or_else(|| {
        if !overdue(d, o) {
            return deleting(d);
        }
        let limit = duration(d.limits.operation);
        blocked_by(d, &format!("Azure has not deleted the link {} for more than {limit}.", d.link.name()))
    });
    Plan::act(action, report.with_link(link))
}

/// Whether the deletion has been waiting for longer than any operation of Azure's may take.
fn overdue(d: &Desired, o: &Observed) -> bool {
    o.memory.deleting_for.is_some_and(|waited| waited >= d.limits.operation)
}

/// What is said of a link that is still there although Azure has ended its deletion, well or not.
/// It rests before it is deleted once more: an operation each pass would only keep SignalR busy.
pub(super) fn lingers(d: &Desired, o: &Observed, link: &Link) -> Option<Plan> {
    let left = d.limits.failed_rest.checked_sub(o.memory.deleted_for?).filter(|left| !left.is_zero())?;
    let name = d.link.name();
    let failed = match &o.operation {
        Reading::Known(Operation::Failed(words)) => Some(sentence(words)),
        _ => None,
    };
    let report = match failed {
        Some(words) if d.deleting => blocked_by(d, &format!("Azure could not delete the link {name}. {words}")),
        Some(words) => Report::new(
            Reason::OperationFailed,
            &format!("Azure could not delete the link {name}. {words} The operator tries again at a slow pace."),
        ),
        None => {
            let message = format!(
                "Azure has ended the deletion of the link {name}, and the link is still there; it is deleted once more if it stays."
            );
            if d.deleting && overdue(d, o) { blocked_by(d, &message) } else { Report::new(Reason::Deleting, &message) }
        }
    };
    Some(Plan::say(report.with_link(link)).again(Again::After(left.min(d.limits.second_look))))
}

/// Why the deletion does not go on, and the way out. Being busy is no obstacle, unless it has lasted
/// for too long.
pub(super) fn blocked(d: &Desired, error: &ArmError, too_long: bool) -> Plan {
    let words = sentence(&error.to_string());
    let message = match error.failure {
        Failure::Busy if !too_long => {
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
        Failure::SubscriptionDisabled => format!(
            "The link cannot be deleted: the subscription {} takes no changes. {words} Enable it again; if it should be another one, check the operator's cloud and tenant.",
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
    Plan::say(blocked_by(d, &message)).again(again)
}

/// Whether an approval of ours stands cannot be read.
fn blocked_by_vault(d: &Desired, error: &ArmError) -> Plan {
    let needs = if error.failure == Failure::Forbidden {
        format!(" The operator's identity needs the action {} at the scope {}.", error.action, error.scope)
    } else {
        String::new()
    };
    let message = format!(
        "Whether a connection that the operator approved on {} still waits for SignalR cannot be read: {}{needs}",
        d.vault.name(),
        sentence(&error.to_string())
    );
    let again = match error.failure {
        Failure::Throttled(Some(after)) => Again::After(after),
        _ => Again::AsReason,
    };
    Plan::say(blocked_by(d, &message)).again(again)
}

/// What blocks the deletion, and the way out.
pub(super) fn blocked_by(d: &Desired, message: &str) -> Report {
    let message = format!(
        "{message} The deletion is tried again. To let the object go and leave Azure as it is, set the annotation privatelink.signalr-operator.io/force-finalize: {:?}.",
        d.object.uid
    );
    Report::new(Reason::DeletionBlocked, &message)
}

//! The end of an object: its link is deleted if it is our own, and the finalizer is removed once no
//! write can land any more (R7).

use std::time::Duration;

use super::{Again, Needs, Plan, doubted, in_progress, is_operation_running, unconfirmed, unproven_absence};
use crate::action::Action;
use crate::annotation::FORCE_FINALIZE_ANNOTATION;
use crate::approval::{SeenLink, Unconfirmed};
use crate::azure::{ConnectionState, Link, Links, OperationKind, Provisioning};
use crate::desired::{DeletionPolicy, Desired, ManagementPolicy};
use crate::failure::{ArmError, Failure, Level};
use crate::limits::Limits;
use crate::message::{duration, sentence};
use crate::observed::{Observed, Read, Reading};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::Report;

pub(super) fn plan(d: &Desired, o: &Observed) -> Needs<Plan> {
    if !d.finalizer {
        return Ok(Plan { action: None, report: None, again: Again::Never, alarm: None });
    }
    if d.force_finalize || d.deletion == DeletionPolicy::Detach || d.management == ManagementPolicy::ObserveOnly {
        return leave(d, o);
    }
    let links = match links(d, o)? {
        Ok(links) => links,
        Err(stop) => return Ok(stop.told(d, o)),
    };
    let link = links.and_then(|links| links.named(&d.link));
    let own = link.filter(|link| link.marker_of(&d.object.uid).is_some());
    if let Some(told) = by_operation(d, o, own)? {
        return Ok(told);
    }
    match find_unconfirmed_approval(d, o, link)? {
        OwnApproval::None => {}
        OwnApproval::Overdue(overdue) if overdue.then == Some(OnUnconfirmed::Revoke) => {
            return Ok(take_back(d, &overdue));
        }
        OwnApproval::Overdue(overdue) if own.is_none() => {
            return Ok(once_no_write_can_land(d, o, Some(unconfirmed::left_approved(d, &overdue))));
        }
        OwnApproval::Overdue(_) => {}
        OwnApproval::Unreadable(stop) => return Ok(stop.told_of_vault(d, o)),
    }
    Ok(match (links, own) {
        (Some(links), Some(link)) => delete(d, o, links, link),
        _ => once_no_write_can_land(d, o, None),
    })
}

/// What is said as long as an operation runs that the link does not show.
fn by_operation(d: &Desired, o: &Observed, own: Option<&Link>) -> Needs<Option<Plan>> {
    let report = match own {
        None if is_operation_running(o, OperationKind::Put)? => still_creating(d),
        Some(link) if !link.provisioning.is_running() && is_operation_running(o, OperationKind::Delete)? => {
            deleting(d).with_link(link)
        }
        _ => return Ok(None),
    };
    Ok(Some(Plan::say(report)))
}

/// Why a deletion cannot go on yet.
#[derive(Clone, Copy)]
enum Stop<'a> {
    /// A call failed.
    Failed(&'a ArmError),
    /// ARM says that a parent is not there, and has to say it once more (R11).
    Unproven(&'a ArmError, Duration),
}

impl Stop<'_> {
    fn told(self, d: &Desired, o: &Observed) -> Plan {
        match self {
            Self::Failed(error) => blocked(d, error, overdue(o)),
            Self::Unproven(error, left) => {
                doubted(o, error, left).map_report(|report| Report::new(Reason::Deleting, &report.message))
            }
        }
    }

    /// The same where it is the vault that could not be read.
    fn told_of_vault(self, d: &Desired, o: &Observed) -> Plan {
        match self {
            Self::Failed(error) => blocked_by_vault(d, error, overdue(o)),
            Self::Unproven(..) => self.told(d, o),
        }
    }
}

/// What is said of an operation of Azure's that has been running for too long, and so holds up the
/// deletion.
fn never_ends(d: &Desired, o: &Observed, link: &Link) -> Option<Report> {
    let message = format!(
        "Azure has reported {} for the link {} for more than {}. If it stays so, open a support case with Microsoft for {}.",
        link.provisioning.as_str(),
        d.link.name(),
        duration(o.memory.limits.operation),
        d.link
    );
    (link.provisioning.is_running() && o.memory.running_for >= o.memory.limits.operation)
        .then(|| blocked_by(d, &message))
}

/// The links; `None` when the SignalR or its resource group is gone.
fn links<'a>(d: &Desired, o: &'a Observed) -> Needs<Result<Option<&'a Links>, Stop<'a>>> {
    Ok(match o.links.or_read(Read::Links)? {
        Ok(links) => Ok(Some(links)),
        Err(error) if error.failure.proves_absence() => match unproven_absence(d, o, o.memory.signalr_absent_for) {
            Some(left) => Err(Stop::Unproven(error, left)),
            None => Ok(None),
        },
        Err(error) => Err(Stop::Failed(error)),
    })
}

/// What is known of an approval of ours that SignalR has not confirmed (M7).
enum OwnApproval<'a> {
    /// There is none.
    None,
    /// There is one.
    Overdue(Unconfirmed<'a>),
    /// There may be one, and it cannot be read.
    Unreadable(Stop<'a>),
}

/// Looks for an approval of ours before the link, or the object, goes. Not being able to look
/// matters only where the operator may have approved something.
fn find_unconfirmed_approval<'a>(d: &Desired, o: &'a Observed, link: Option<&Link>) -> Needs<OwnApproval<'a>> {
    let seen = SeenLink::listed(link, &d.object.uid);
    if seen.present().is_some_and(|link| link.connection == ConnectionState::Approved) {
        return Ok(OwnApproval::None);
    }
    let unreadable = |stop| if d.may_have_approved() { OwnApproval::Unreadable(stop) } else { OwnApproval::None };
    let vault = match o.connections.or_read(Read::Connections)? {
        Ok(vault) => vault,
        Err(error) if error.failure.proves_absence() => {
            let left = unproven_absence(d, o, o.memory.vault_absent_for);
            return Ok(left.map_or(OwnApproval::None, |left| unreadable(Stop::Unproven(error, left))));
        }
        Err(error) => return Ok(unreadable(Stop::Failed(error))),
    };
    Ok(match unconfirmed::overdue(d, o, seen, vault)? {
        None => OwnApproval::None,
        Some(overdue) if overdue.then.is_none() => match &o.permissions {
            // What is to be done takes a policy, and none can be read.
            Reading::Failed(error) => OwnApproval::Unreadable(Stop::Failed(error)),
            _ => OwnApproval::Overdue(overdue),
        },
        Some(overdue) => OwnApproval::Overdue(overdue),
    })
}

fn take_back(d: &Desired, overdue: &Unconfirmed<'_>) -> Plan {
    let why = unconfirmed::explain(d, &overdue.why);
    let report = Report::new(Reason::Deleting, &format!("{why} The operator takes its approval back first."));
    Plan::act(unconfirmed::take_back(overdue, why), report).again(Again::Now)
}

/// Detach, ObserveOnly and force-finalize leave the link alone; an approval that SignalR has not
/// confirmed is taken back all the same. A forced end tries that once.
fn leave(d: &Desired, o: &Observed) -> Needs<Plan> {
    let unknown = |stop: Stop<'_>| {
        let (Stop::Failed(error) | Stop::Unproven(error, _)) = stop;
        format!(
            "The finalizer was removed by force before SignalR was seen to confirm a connection that the operator may have approved on {}. {} Check the vault's private endpoint connections.",
            d.vault.name(),
            sentence(&error.to_string())
        )
    };
    let links = match links(d, o)? {
        Ok(links) => links,
        Err(_) if !d.may_have_approved() => return Ok(release(None)),
        Err(stop) if d.force_finalize => return Ok(release(Some(unknown(stop)))),
        Err(stop) => return Ok(stop.told(d, o)),
    };
    let link = links.and_then(|links| links.named(&d.link));
    Ok(match find_unconfirmed_approval(d, o, link)? {
        OwnApproval::Overdue(overdue) if overdue.then != Some(OnUnconfirmed::Revoke) => {
            release(Some(unconfirmed::left_approved(d, &overdue)))
        }
        OwnApproval::Overdue(overdue) if d.force_finalize && o.memory.forced_revocation_tried => {
            release(Some(unconfirmed::left_approved(d, &overdue)))
        }
        OwnApproval::Overdue(overdue) => take_back(d, &overdue),
        OwnApproval::Unreadable(stop) if d.force_finalize => release(Some(unknown(stop))),
        OwnApproval::Unreadable(stop) => stop.told_of_vault(d, o),
        OwnApproval::None if d.force_finalize => release(None),
        OwnApproval::None if confirmed_or_never_approved(d, link) && o.late_write.is_none() => release(None),
        OwnApproval::None => match fence(o) {
            None => release(None),
            Some(wait) => {
                let message = "The link is left alone; the finalizer is removed once no earlier request of the operator's can take effect any more.";
                Plan::say(Report::new(Reason::Deleting, message)).again(Again::After(wait))
            }
        },
    })
}

/// Whether no approval of ours can be on its way: R7 holds for approvals too.
fn confirmed_or_never_approved(d: &Desired, link: Option<&Link>) -> bool {
    let seen = SeenLink::listed(link, &d.object.uid).present();
    !d.may_have_approved() || seen.is_some_and(|link| link.connection == ConnectionState::Approved)
}

/// The end of an object whose link is left alone; `alarm` tells what somebody has to look at.
fn release(alarm: Option<String>) -> Plan {
    Plan { alarm, ..Plan::step(Action::RemoveFinalizer { proven_by_get: false }, Again::Never) }
}

fn deleting(d: &Desired) -> Report {
    in_progress(d, OperationKind::Delete)
}

fn still_creating(d: &Desired) -> Report {
    let message =
        format!("Azure is still creating the link {}; it is deleted as soon as that has ended.", d.link.name());
    Report::new(Reason::Deleting, &message)
}

/// R7: how long to wait although nothing of ours is there. A PUT or an approval that was decided
/// before the deletion was seen may still land; so may a write whose outcome is not known.
fn fence(o: &Observed) -> Option<Duration> {
    let since_seen = o.memory.deleting_for.unwrap_or_default();
    let earlier = if o.memory.fence_waived { None } else { Limits::left(o.memory.limits.fence, since_seen) };
    let late = o.late_write.map(|late| late.left);
    [earlier, late].into_iter().flatten().max()
}

/// The end of an object that has no link any more; a single GET has to say so too (R11).
fn once_no_write_can_land(d: &Desired, o: &Observed, alarm: Option<String>) -> Plan {
    let Some(wait) = fence(o) else {
        return Plan { alarm, ..Plan::step(Action::RemoveFinalizer { proven_by_get: true }, Again::Never) };
    };
    let message = format!(
        "The link {} does not exist; the finalizer is removed once no earlier request to Azure can take effect any more.",
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
    if o.signalr_busy {
        let message = format!("Another change to {} is under way; the deletion follows.", d.link.signalr_name());
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
        && o.memory.deleting_for.is_some_and(|seen| seen >= o.memory.limits.fence_read)
        && age.is_some_and(|age| age >= o.memory.limits.fence);
    let action = Action::DeleteLink { message: link.message.clone(), waives_fence };
    let report = endless.unwrap_or_else(|| {
        if !overdue(o) {
            return deleting(d);
        }
        let limit = duration(o.memory.limits.operation);
        blocked_by(d, &format!("Azure has not deleted the link {} for more than {limit}.", d.link.name()))
    });
    Plan::act(action, report.with_link(link))
}

/// Whether the deletion has been waiting for longer than any operation of Azure's may take.
fn overdue(o: &Observed) -> bool {
    o.memory.deleting_for.is_some_and(|waited| waited >= o.memory.limits.operation)
}

/// What is said of a link that is still there although Azure has ended its deletion, well or not.
/// It rests before it is deleted once more: an operation each pass would only keep SignalR busy.
pub(super) fn lingers(d: &Desired, o: &Observed, link: &Link) -> Option<Plan> {
    let left = Limits::left(o.memory.limits.failed_rest, o.memory.deleted_for?)?;
    let name = d.link.name();
    let failure = o.memory.failed_operation.as_ref().filter(|failure| failure.kind == OperationKind::Delete);
    let failed = failure.map(|failure| sentence(&failure.words));
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
            if d.deleting && overdue(o) { blocked_by(d, &message) } else { Report::new(Reason::Deleting, &message) }
        }
    };
    Some(Plan::say(report.with_link(link)).again(Again::After(left.min(o.memory.limits.second_look))))
}

/// Why the deletion does not go on, and the way out. What goes by is no obstacle, unless it has lasted for
/// too long.
pub(super) fn blocked(d: &Desired, error: &ArmError, too_long: bool) -> Plan {
    let arm_says = sentence(&error.to_string());
    let again = Again::failed(error.failure);
    let message = match error.failure {
        Failure::Busy(_) if !too_long => {
            let message = format!(
                "{} is busy with another change; the deletion will be retried. {arm_says}",
                d.link.signalr_name()
            );
            return Plan::say(Report::new(Reason::Deleting, &message)).again(again);
        }
        failure if (failure.is_passing() || failure.proves_absence()) && !too_long => {
            let message = format!("The link could not be deleted just now; the deletion will be retried. {arm_says}");
            return Plan::say(Report::new(Reason::Deleting, &message)).again(again);
        }
        Failure::Forbidden => {
            format!("The link cannot be deleted: {arm_says} The operator's identity needs {}.", error.missing_right())
        }
        Failure::Locked => {
            format!("The link cannot be deleted: a management lock forbids it. {arm_says} Remove the lock.")
        }
        Failure::NotFound(Level::Subscription) => format!(
            "The subscription {} is not found, which is more likely a wrong cloud or tenant in the operator's own settings than a fact. {arm_says}",
            d.link.subscription()
        ),
        Failure::SubscriptionDisabled => format!(
            "The link cannot be deleted: the subscription {} is disabled. {arm_says} Re-enable it; if this is the wrong subscription, check the operator's cloud and tenant.",
            d.link.subscription()
        ),
        Failure::UnsupportedVersion => format!(
            "The link cannot be deleted: this cloud does not serve the API version that the operator asks for. {arm_says} Start the operator with --signalr-api-version set to one of those that ARM names."
        ),
        Failure::CredentialUnavailable | Failure::Unauthorized => {
            format!("The link cannot be deleted: no usable token for ARM. {arm_says}")
        }
        _ => format!("The link cannot be deleted at the moment. {arm_says}"),
    };
    Plan::say(blocked_by(d, &message)).again(again)
}

/// Whether an approval of ours stands cannot be read.
fn blocked_by_vault(d: &Desired, error: &ArmError, too_long: bool) -> Plan {
    let needs = if error.failure == Failure::Forbidden {
        format!(" The operator's identity needs {}.", error.missing_right())
    } else {
        String::new()
    };
    let message = format!(
        "Whether a connection that the operator approved on {} still waits for SignalR cannot be read: {}{needs}",
        d.vault.name(),
        sentence(&error.to_string())
    );
    let report = if error.failure.is_passing() && !too_long {
        Report::new(Reason::Deleting, &format!("{message} The deletion will be retried."))
    } else {
        blocked_by(d, &message)
    };
    Plan::say(report).again(Again::failed(error.failure))
}

/// What blocks the deletion, and the way out.
pub(super) fn blocked_by(d: &Desired, message: &str) -> Report {
    let message = format!(
        "{message} The deletion will be retried. To remove the finalizer and leave Azure as it is, set the annotation {FORCE_FINALIZE_ANNOTATION}: {:?}.",
        d.object.uid
    );
    Report::new(Reason::DeletionBlocked, &message)
}

//! The life of an object that is not being deleted, up to the point where the vault matters.

use jiff::Timestamp;

use super::absent::{absent, unless_told};
use super::approved::approved;
use super::failed::{Service, failed};
use super::recreate::{busy, recreate, rests, stuck_beside};
use super::{
    Again, Needs, OwnLink, Plan, decided, doubted, in_progress, is_operation_running, pending, unconfirmed,
    unproven_absence,
};
use crate::action::Action;
use crate::annotation::RECREATE_ANNOTATION;
use crate::approval::SeenLink;
use crate::azure::{ConnectionState, Link, Links, OperationKind, Provisioning};
use crate::desired::{AdoptionPolicy, Desired, ManagementPolicy};
use crate::failure::ArmError;
use crate::marker::Marker;
use crate::message::{duration, sentence};
use crate::observed::{Observed, Read, Rival};
use crate::reason::Reason;
use crate::report::{Ready, Report, Truth};

pub(super) fn plan(d: &Desired, o: &Observed, now: Timestamp) -> Needs<Plan> {
    let links = match o.links.or_read(Read::Links)? {
        Ok(links) => links,
        Err(error) => return unreadable(d, o, error),
    };
    match links.named(&d.link) {
        None => absent(d, o, links, now),
        Some(link) => present(d, o, links, link, now),
    }
}

/// The links cannot be read: the SignalR may be gone. What the operator approved is watched all the same.
fn unreadable(d: &Desired, o: &Observed, error: &ArmError) -> Needs<Plan> {
    let gone = error.failure.proves_absence();
    if gone && let Some(left) = unproven_absence(d, o, o.memory.signalr_absent_for) {
        return unconfirmed::watched(d, o, SeenLink::Unknown, || Ok(doubted(o, error, left)));
    }
    let link = if gone { SeenLink::Absent } else { SeenLink::Unknown };
    unconfirmed::watched(d, o, link, || {
        let plan = failed(d, error, Service::SignalR);
        Ok(if gone { plan.map_report(Report::without_link) } else { plan })
    })
}

pub(super) fn present(d: &Desired, o: &Observed, links: &Links, link: &Link, now: Timestamp) -> Needs<Plan> {
    let seen = SeenLink::listed(Some(link), &d.object.uid);
    let life = || by_owner(d, o, links, link, now);
    if link.connection == ConnectionState::Approved && seen != SeenLink::Absent {
        return life();
    }
    unconfirmed::watched(d, o, seen, life)
}

/// The link is there; whose is it?
fn by_owner(d: &Desired, o: &Observed, links: &Links, link: &Link, now: Timestamp) -> Needs<Plan> {
    let marker = Marker::parse(&link.message);
    let own = marker.as_ref().filter(|m| m.uid == d.object.uid);
    let as_wanted = link.targets(&d.vault) && d.same_group(&link.group_id);
    if d.management == ManagementPolicy::ObserveOnly {
        return Ok(Plan::say(observe_only(d, link, as_wanted)));
    }
    let Some(own) = own else {
        // One that an object of this cluster owns is not to be had; one whose object is gone (a
        // backup that was restored has a new uid) or lives in another cluster is taken as it is.
        if d.adoption == AdoptionPolicy::Adopt && as_wanted && owner(o, marker.as_ref()).is_none() {
            return by_state(&OwnLink { d, o, links, link, own: None, now });
        }
        return Ok(Plan::say(foreign(d, o, marker.as_ref(), as_wanted)));
    };
    if !d.finalizer {
        return Ok(Plan::step(Action::AddFinalizer, Again::Now));
    }
    if !as_wanted {
        let message = format!(
            "The link {} was changed from outside: it now leads to {} (group {}) instead of {} (group {}). Change it back, or delete it in Azure and the operator creates it again.",
            d.link.name(),
            link.target,
            link.group_id,
            d.vault,
            d.group_id
        );
        let report = Report::new(Reason::AlreadyExists, &message);
        return Ok(Plan::say(report.with_other_link("The link in Azure leads elsewhere.")));
    }
    by_state(&OwnLink { d, o, links, link, own: Some(own), now })
}

/// A link that carries this object's marker (`own`), or that was adopted.
fn by_state(case: &OwnLink<'_>) -> Needs<Plan> {
    let OwnLink { d, o, link, .. } = *case;
    match &link.provisioning {
        Provisioning::Deleting | Provisioning::InProgress(_) => {
            if o.memory.running_for < o.memory.limits.operation {
                return Ok(Plan::say(working(d, link).with_link(link)));
            }
            let message = format!(
                "ARM has reported {} for more than {}; the operator goes on watching. If it stays so, open a support case with Microsoft for {}.",
                link.provisioning.as_str(),
                duration(o.memory.limits.operation),
                d.link
            );
            Ok(Plan::say(Report::new(Reason::OperationTimedOut, &message).with_link(link)))
        }
        _ if is_operation_running(o, OperationKind::Delete)? => {
            Ok(Plan::say(in_progress(d, OperationKind::Delete).with_link(link)))
        }
        // That somebody turned it down is no failure to be repaired.
        Provisioning::Failed | Provisioning::Canceled if link.connection.is_turned_down() => decided::refused(case),
        Provisioning::Failed | Provisioning::Canceled if is_operation_running(o, OperationKind::Put)? => {
            Ok(Plan::say(in_progress(d, OperationKind::Put).with_link(link)))
        }
        Provisioning::Failed | Provisioning::Canceled => Ok(operation_failed(case)),
        Provisioning::Succeeded => match link.connection {
            ConnectionState::Approved => approved(case),
            ConnectionState::Pending | ConnectionState::Unknown => pending::pending(case),
            ConnectionState::Rejected | ConnectionState::Disconnected | ConnectionState::Timeout => {
                decided::refused(case)
            }
        },
    }
}

/// Azure is at work on the link: on its creation, its deletion, or a change of its own.
fn working(d: &Desired, link: &Link) -> Report {
    if link.provisioning == Provisioning::Deleting {
        return in_progress(d, OperationKind::Delete);
    }
    if link.connection != ConnectionState::Approved {
        return in_progress(d, OperationKind::Put);
    }
    let message = format!("Azure is changing the link {} on {}.", d.link.name(), d.link.signalr_name());
    Report::new(Reason::Creating, &message)
}

fn operation_failed(case: &OwnLink<'_>) -> Plan {
    let OwnLink { d, o, links, link, own, .. } = *case;
    let state = link.provisioning.as_str();
    if let Some(recreate) = recreate(case) {
        return recreate;
    }
    if link.connection == ConnectionState::Approved {
        // R12: the state of the last operation says nothing about traffic, and a change could break it.
        let message = format!(
            "SignalR reports {state} and Approved: the link's last operation ended badly, and traffic may flow all the same. The operator changes nothing about it; the annotation {RECREATE_ANNOTATION} deletes and creates the link, which needs a new approval."
        );
        return Plan::say(Report::new(Reason::OperationFailed, &message).with_link(link));
    }
    let failure = o.memory.failed_operation.as_ref();
    let arm_says = failure.map(|failure| sentence(&failure.words)).unwrap_or_default();
    let message = format!(
        "Azure could not create the link ({state}). {arm_says} The operator tries again at a slow pace; the annotation {RECREATE_ANNOTATION} deletes and creates it at once."
    );
    let report = Report::new(Reason::OperationFailed, &message).with_link(link);
    let Some(own) = own else {
        return Plan::say(report);
    };
    if let Some(again) = rests(&o.memory.limits, failure.map_or(1, |failure| failure.count), o.memory.failed_for) {
        return Plan::say(report).again(again);
    }
    if let Some(late) = o.late_write {
        return unless_told(d, o, Plan::say(report)).again(Again::After(late.left));
    }
    if let Some(busy) = busy(d, o, links) {
        return busy.map_report(|report| report.with_link(link));
    }
    let put = Action::PutLink { replaces: Some(own.clone()), beside: stuck_beside(d, o, links) };
    Plan::act(put, in_progress(d, OperationKind::Put).with_link(link))
}

/// The object of this cluster that the marker names.
fn owner<'a>(o: &'a Observed, marker: Option<&Marker>) -> Option<&'a Rival> {
    marker.and_then(|marker| o.rivals.iter().find(|rival| rival.object.uid == marker.uid))
}

fn foreign(d: &Desired, o: &Observed, marker: Option<&Marker>, as_wanted: bool) -> Report {
    const ELSEWHERE: &str = "The link in Azure is not this object's.";
    if let Some(rival) = owner(o, marker) {
        let message = format!(
            "The link {} belongs to the object {}. Delete one of the two, or give this one another spec.azureName.",
            d.link.name(),
            rival.object.path()
        );
        return Report::new(Reason::OwnershipConflict, &message).with_other_link(ELSEWHERE);
    }
    let owner = marker.map_or_else(
        || "it carries no marker of an operator".to_owned(),
        |m| {
            format!(
                "its marker names the object with uid {}, which this operator does not see (it may live in a namespace that is not watched or in another cluster, or have been restored from a backup with a new uid)",
                m.uid
            )
        },
    );
    let way_out = if as_wanted {
        "Set spec.adoptionPolicy to Adopt to take it as it is, give this object another spec.azureName, or delete the link in Azure."
    } else {
        "It leads to another target or group, so it cannot be adopted: give this object another spec.azureName, or delete the link in Azure."
    };
    let message = format!(
        "A link {} exists on {} already and is not this object's: {owner}. It is left alone. {way_out}",
        d.link.name(),
        d.link.signalr_name()
    );
    Report::new(Reason::AlreadyExists, &message).with_other_link(ELSEWHERE)
}

fn observe_only(d: &Desired, link: &Link, as_wanted: bool) -> Report {
    let functional =
        as_wanted && link.provisioning == Provisioning::Succeeded && link.connection == ConnectionState::Approved;
    let what = if as_wanted { "" } else { " It leads to another target or group than the spec." };
    let message = format!(
        "Observed only: SignalR reports {} and {} for the link {}.{what}",
        link.provisioning.as_str(),
        link.connection.as_str(),
        d.link.name()
    );
    let report = Report::new(Reason::ObserveOnly, &message);
    let mut report =
        if as_wanted { report.with_link(link) } else { report.with_other_link("The link in Azure leads elsewhere.") };
    report.ready = Ready::Is(if functional { Truth::True } else { Truth::False });
    report
}

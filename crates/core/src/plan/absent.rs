//! There is no link of this name on the SignalR: who creates it, and when.

use jiff::Timestamp;

use super::failed::{Service, failed};
use super::live::present;
use super::recreate::{busy, rests, stuck_beside};
use super::{Again, Needs, Plan, doubted, in_progress, is_operation_running, unconfirmed, unproven_absence};
use crate::action::Action;
use crate::approval::SeenLink;
use crate::azure::{Links, OperationKind};
use crate::desired::{Desired, ManagementPolicy, ObjectIdentity};
use crate::limits::Limits;
use crate::message::sentence;
use crate::observed::{Observed, Read, Rival};
use crate::reason::Reason;
use crate::report::Report;

/// A list without the link may lag. What status tells of its connection and its approval is not thrown away
/// on the strength of that: a single GET has to say so too (R11).
pub(super) fn absent(d: &Desired, o: &Observed, links: &Links, now: Timestamp) -> Needs<Plan> {
    if d.remembered.tells_of_connection() {
        match o.link.or_read(Read::Link)? {
            Ok(Some(link)) => return present(d, o, links, link, now),
            Ok(None) => {}
            Err(error) if error.failure.proves_absence() => {}
            Err(error) => return Ok(failed(d, error, Service::SignalR)),
        }
    }
    unconfirmed::watched(d, o, SeenLink::Absent, || create(d, o, links))
}

fn create(d: &Desired, o: &Observed, links: &Links) -> Needs<Plan> {
    if d.management == ManagementPolicy::ObserveOnly {
        let message = format!(
            "There is no link {} on {}, and managementPolicy ObserveOnly creates none.",
            d.link.name(),
            d.link.signalr_name()
        );
        return Ok(Plan::say(Report::new(Reason::ObserveOnly, &message).without_link()));
    }
    if let Some(elder) = elder(d, &o.rivals) {
        let message = format!(
            "The object {} claims the same link and is older; it creates the link. Delete one of the two, or give this one another spec.azureName.",
            elder.object.path()
        );
        return Ok(Plan::say(Report::new(Reason::OwnershipConflict, &message).without_link()));
    }
    if is_operation_running(o, OperationKind::Put)? {
        return Ok(Plan::say(in_progress(d, OperationKind::Put).without_link()));
    }
    if let Some(plan) = not_visible_yet(d, o) {
        return Ok(plan);
    }
    if let Some(busy) = busy(d, o, links) {
        return Ok(busy.map_report(Report::without_link));
    }
    // A link to a vault that does not exist would help nobody. Not being allowed to read the
    // vault is no reason to wait: creating the link needs no rights on it.
    if let Err(error) = o.connections.or_read(Read::Connections)?
        && error.failure.proves_absence()
    {
        let plan = match unproven_absence(d, o, o.memory.vault_absent_for) {
            Some(left) => doubted(o, error, left),
            None => failed(d, error, Service::KeyVault),
        };
        return Ok(plan.map_report(|report| report.without_link().not_ready()));
    }
    match o.permissions.or_read(Read::Permissions)? {
        Err(error) => {
            let plan = failed(d, error, Service::SignalR);
            return Ok(plan.map_report(|report| report.without_link().not_ready()));
        }
        Ok(permissions) if permissions.terminating => {
            let message =
                format!("The namespace {} is being terminated: nothing new is created in it.", d.object.namespace);
            return Ok(Plan::say(Report::new(Reason::Deleting, &message).without_link()));
        }
        Ok(_) => {}
    }
    if let Some(late) = o.late_write {
        // A second PUT beside one that lands late would leave a link and a request with two nonces.
        let message = format!(
            "There is no link {} on {} yet, and an earlier request to Azure may still take effect; the link is created once none can.",
            d.link.name(),
            d.link.signalr_name()
        );
        let report = Report::new(Reason::Creating, &message).without_link();
        let again = Again::After(late.left.min(o.memory.limits.second_look));
        return Ok(unless_told(d, o, Plan::say(report)).again(again));
    }
    if !d.finalizer {
        return Ok(Plan::step(Action::AddFinalizer, Again::Now));
    }
    let report = in_progress(d, OperationKind::Put).without_link();
    if d.remembered.connection.is_some() {
        // What status says of a connection belongs to the link that was there before; the next one's
        // would be taken for a copy beside it (M5).
        return Ok(Plan::say(report).again(Again::Now));
    }
    Ok(Plan::act(Action::PutLink { replaces: None, beside: stuck_beside(d, o, links) }, report))
}

/// A creation that failed and left nothing rests before the next one, and what Azure accepted is waited
/// for: a second PUT would carry another nonce than the first, which may become visible late.
fn not_visible_yet(d: &Desired, o: &Observed) -> Option<Plan> {
    let name = d.link.name();
    if let Some(failure) = o.memory.failed_operation.as_ref().filter(|failure| failure.kind == OperationKind::Put) {
        let again = rests(&o.memory.limits, failure.count, failure.ago)?;
        let message = format!(
            "Azure could not create the link {name}, and left nothing of it. {} The operator tries again at a slow pace.",
            sentence(&failure.words)
        );
        return Some(Plan::say(Report::new(Reason::OperationFailed, &message).without_link()).again(again));
    }
    let left = Limits::left(o.memory.limits.fence, o.memory.accepted_for?)?;
    let message = format!("Azure has accepted the link {name} and does not show it on {} yet.", d.link.signalr_name());
    let report = Report::new(Reason::Creating, &message).without_link();
    Some(Plan::say(report).again(Again::After(left.min(o.memory.limits.second_look))))
}

/// That the outcome of this process's own write is not known was told when it was, and stays the
/// news; unless `status` does not say so, for then telling it failed.
pub(super) fn unless_told(d: &Desired, o: &Observed, plan: Plan) -> Plan {
    let told = o.late_write.is_some_and(|late| late.told) && d.remembered.ready == Some(false);
    if told { Plan { report: None, ..plan } } else { plan }
}

/// The oldest of the objects that claim this link, if it is older than this one
/// (creation time, then uid).
fn elder<'a>(d: &Desired, rivals: &'a [Rival]) -> Option<&'a Rival> {
    let age = |o: &ObjectIdentity| (o.created, o.uid.clone());
    rivals
        .iter()
        .filter(|rival| rival.manages)
        .min_by_key(|rival| age(&rival.object))
        .filter(|rival| age(&rival.object) < age(&d.object))
}

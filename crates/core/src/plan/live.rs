//! The life of an object that is not being deleted, up to the point where the vault matters.

use std::time::Duration;

use jiff::Timestamp;

use super::{Again, Case, Plan, Side, confirming, decided, deletion, failed, pending};
use crate::action::Action;
use crate::approval::{self, Match};
use crate::desired::{AdoptionPolicy, ApprovalFacts, Approver, Desired, ManagementPolicy};
use crate::failure::Failure;
use crate::marker::Marker;
use crate::message::{duration, sentence};
use crate::observed::{ConnectionState, Link, Links, Observed, Operation, OperationKind, Provisioning, Read, Rival};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::{Ready, Report, Truth};

pub(super) fn plan(d: &Desired, o: &Observed, now: Timestamp) -> Result<Plan, Read> {
    if let Some(kind) = o.operation_held
        && let Ok(Operation::Running) = o.operation.or_read(Read::Operation)?
        && o.memory.in_progress_for < d.limits.operation
    {
        return Ok(Plan::say(in_progress(d, kind)));
    }
    let links = match o.links.or_read(Read::Links)? {
        Ok(links) => links,
        Err(error) => return Ok(failed(d, error, Side::SignalR)),
    };
    match links.links.iter().find(|l| l.name.eq_ignore_ascii_case(d.link.name())) {
        None => absent(d, o, links),
        Some(link) => present(d, o, links, link, now),
    }
}

fn in_progress(d: &Desired, kind: OperationKind) -> Report {
    let signalr = d.link.signalr();
    match kind {
        OperationKind::Put => Report::new(
            Reason::Creating,
            &format!("Azure is creating the link {} on {}.", d.link.name(), signalr.name()),
        ),
        OperationKind::Delete => Report::new(
            Reason::Deleting,
            &format!("Azure is deleting the link {} on {}.", d.link.name(), signalr.name()),
        ),
    }
}

/// Whether another write to this SignalR is under way: Azure takes one at a time.
fn busy(d: &Desired, o: &Observed, links: &Links) -> Option<Plan> {
    let other = links.links.iter().any(|l| {
        !l.name.eq_ignore_ascii_case(d.link.name())
            && matches!(l.provisioning, Provisioning::InProgress(_) | Provisioning::Deleting)
    });
    (other || o.memory.signalr_busy).then(|| {
        let name = d.link.signalr().name().to_owned();
        Plan::say(Report::new(
            Reason::WaitingForSignalR,
            &format!("Another change to {name} is under way; a SignalR takes one at a time."),
        ))
    })
}

fn absent(d: &Desired, o: &Observed, links: &Links) -> Result<Plan, Read> {
    if d.management == ManagementPolicy::ObserveOnly {
        if let Some(alarm) = confirming::watch(d, o, None)? {
            return Ok(alarm);
        }
        let message = format!(
            "There is no link {} on {}, and managementPolicy ObserveOnly creates none.",
            d.link.name(),
            d.link.signalr().name()
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
    if let Some(busy) = busy(d, o, links) {
        return Ok(busy);
    }
    // A link to a vault that does not exist would help nobody. Not being allowed to read the
    // vault is no reason to wait: creating the link needs no rights on it.
    if let Err(error) = o.connections.or_read(Read::Connections)?
        && matches!(error.failure, Failure::NotFound(_))
    {
        let mut plan = failed(d, error, Side::Vault);
        plan.report = plan.report.map(Report::without_link);
        return Ok(plan);
    }
    match o.permissions.or_read(Read::Permissions)? {
        Err(error) => return Ok(failed(d, error, Side::SignalR)),
        Ok(permissions) if permissions.terminating => {
            let message =
                format!("The namespace {} is being terminated: nothing new is created in it.", d.object.namespace);
            return Ok(Plan::say(Report::new(Reason::Deleting, &message).without_link()));
        }
        Ok(_) => {}
    }
    if let Some(left) = o.memory.late_write {
        // A second PUT beside one that lands late would leave a link and a request with two nonces.
        let message = format!(
            "There is no link {} on {} yet, and an earlier request to Azure may still take effect; the link is created once none can.",
            d.link.name(),
            d.link.signalr().name()
        );
        let report = Report::new(Reason::Creating, &message).without_link();
        return Ok(unless_told(d, o, Plan::say(report)).again(Again::After(left.min(d.limits.second_look))));
    }
    if !d.finalizer {
        return Ok(Plan::step(Action::AddFinalizer, Again::Now));
    }
    let report = in_progress(d, OperationKind::Put).without_link();
    Ok(Plan::act(Action::PutLink { replaces: None }, report))
}

/// That the outcome of this process's own write is not known was told when it was, and stays the
/// news; unless `status` does not say so, for then telling it failed.
fn unless_told(d: &Desired, o: &Observed, plan: Plan) -> Plan {
    let told = o.memory.late_write_told && d.remembered.ready == Some(false);
    if told { Plan { report: None, ..plan } } else { plan }
}

/// The oldest of the other objects that claim this link, if it is older than this one
/// (creation time, then uid).
fn elder<'a>(d: &Desired, rivals: &'a [Rival]) -> Option<&'a Rival> {
    let age = |o: &crate::desired::ObjectIdentity| (o.created, o.uid.clone());
    rivals
        .iter()
        .filter(|rival| rival.manages && rival.object.uid != d.object.uid)
        .min_by_key(|rival| age(&rival.object))
        .filter(|rival| age(&rival.object) < age(&d.object))
}

fn present(d: &Desired, o: &Observed, links: &Links, link: &Link, now: Timestamp) -> Result<Plan, Read> {
    let marker = Marker::parse(&link.message);
    let own = marker.as_ref().filter(|m| m.uid == d.object.uid);
    let as_wanted = link.targets(&d.vault) && d.same_group(&link.group_id);
    let at_work = matches!(link.provisioning, Provisioning::InProgress(_) | Provisioning::Deleting);
    if !at_work
        && link.connection != ConnectionState::Approved
        && let Some(alarm) = confirming::watch(d, o, Some(link))?
    {
        return Ok(alarm);
    }
    if d.management == ManagementPolicy::ObserveOnly {
        return Ok(Plan::say(observe_only(d, link, as_wanted)));
    }
    let Some(own) = own else {
        // One that an object of this cluster owns is not to be had; one whose object is gone (a
        // backup that was restored has a new uid) or lives in another cluster is taken as it is.
        if d.adoption == AdoptionPolicy::Adopt && as_wanted && owner(o, marker.as_ref()).is_none() {
            return by_state(&Case { d, o, links, link, own: None, now });
        }
        return Ok(Plan::say(foreign(d, o, link, marker.as_ref(), as_wanted)));
    };
    if !d.finalizer {
        return Ok(Plan::step(Action::AddFinalizer, Again::Now));
    }
    if !as_wanted {
        let message = format!(
            "The link {} was changed from outside: it now leads to {} (group {}) instead of {} (group {}). Change it back, or delete it in Azure and the operator creates it anew.",
            d.link.name(),
            link.target,
            link.group_id,
            d.vault,
            d.group_id
        );
        return Ok(Plan::say(Report::new(Reason::AlreadyExists, &message).with_link(link)));
    }
    by_state(&Case { d, o, links, link, own: Some(own), now })
}

/// A link that carries this object's marker (`own`), or that was adopted.
fn by_state(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, links, link, .. } = *case;
    match &link.provisioning {
        Provisioning::Deleting => Ok(Plan::say(in_progress(d, OperationKind::Delete).with_link(link))),
        Provisioning::InProgress(word) => {
            let running = age(link, links).unwrap_or(o.memory.in_progress_for);
            if running < d.limits.operation {
                return Ok(Plan::say(in_progress(d, OperationKind::Put).with_link(link)));
            }
            if let Some(alarm) = confirming::watch(d, o, Some(link))? {
                return Ok(alarm);
            }
            let message = format!(
                "ARM has reported {word} for more than {}; the operator goes on watching. If it stays so, open a support case with Microsoft for {}.",
                duration(d.limits.operation),
                d.link
            );
            Ok(Plan::say(Report::new(Reason::OperationTimedOut, &message).with_link(link)))
        }
        Provisioning::Failed | Provisioning::Canceled => operation_failed(case),
        Provisioning::Succeeded => match link.connection {
            ConnectionState::Approved => approved(case),
            ConnectionState::Pending | ConnectionState::Unknown => pending::pending(case),
            ConnectionState::Rejected | ConnectionState::Disconnected | ConnectionState::Timeout => {
                decided::refused(case)
            }
        },
    }
}

/// How long ago the link was last written, by ARM's own dates.
fn age(link: &Link, links: &Links) -> Option<Duration> {
    let (date, modified) = (links.date?, link.modified_at?);
    Duration::try_from(date.duration_since(modified)).ok()
}

fn operation_failed(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, links, link, own, .. } = *case;
    let words = match o.operation_held {
        Some(_) => match o.operation.or_read(Read::Operation)? {
            Ok(Operation::Failed(words)) => sentence(words),
            _ => String::new(),
        },
        None => String::new(),
    };
    let message = format!(
        "Azure could not create the link ({}). {words} The operator tries again at a slow pace; the annotation privatelink.signalr-operator.io/recreate-requested-at deletes and creates it at once.",
        link.provisioning.as_str()
    );
    let report = Report::new(Reason::OperationFailed, &message).with_link(link);
    let Some(own) = own else {
        return Ok(Plan::say(report));
    };
    if let Some(recreate) = recreate(case) {
        return Ok(recreate);
    }
    let rested = age(link, links).unwrap_or(o.memory.failed_for);
    if rested < d.limits.failed_rest {
        return Ok(Plan::say(report).again(Again::After(d.limits.failed_rest - rested)));
    }
    if let Some(left) = o.memory.late_write {
        return Ok(unless_told(d, o, Plan::say(report)).again(Again::After(left)));
    }
    if let Some(busy) = busy(d, o, links) {
        return Ok(busy);
    }
    let put = Action::PutLink { replaces: Some(own.clone()) };
    Ok(Plan::act(put, in_progress(d, OperationKind::Put)))
}

/// `recreate-requested-at`: the link is deleted when the annotation's hash is not the tag that
/// the link was created with. The next pass finds it absent and creates it with the new tag.
pub(super) fn recreate(case: &Case<'_>) -> Option<Plan> {
    let Case { d, o, links, link, own, .. } = *case;
    if d.recreate.is_none() || own?.tag == d.tag() {
        return None;
    }
    if let Some(rest) = deletion::lingers(d, o, link) {
        return Some(rest);
    }
    if let Some(busy) = busy(d, o, links) {
        return Some(busy);
    }
    let delete = Action::DeleteLink { message: link.message.clone(), waives_fence: false };
    let message = format!(
        "The link {} is deleted and created once more, as the recreate-requested-at annotation asks.",
        d.link.name()
    );
    Some(Plan::act(delete, Report::new(Reason::Deleting, &message).with_link(link)))
}

/// The object of this cluster that the marker names.
fn owner<'a>(o: &'a Observed, marker: Option<&Marker>) -> Option<&'a Rival> {
    marker.and_then(|marker| o.rivals.iter().find(|rival| rival.object.uid == marker.uid))
}

fn foreign(d: &Desired, o: &Observed, link: &Link, marker: Option<&Marker>, as_wanted: bool) -> Report {
    if let Some(rival) = owner(o, marker) {
        let message = format!(
            "The link {} belongs to the object {}. Delete one of the two, or give this one another spec.azureName.",
            d.link.name(),
            rival.object.path()
        );
        return Report::new(Reason::OwnershipConflict, &message).with_link(link);
    }
    let owner = marker.map_or_else(
        || "it carries no marker of an operator".to_owned(),
        |m| {
            format!(
                "its marker names the object with uid {}, which does not exist in this cluster (it may live in another one, or have been restored from a backup with a new uid)",
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
        d.link.signalr().name()
    );
    Report::new(Reason::AlreadyExists, &message).with_link(link)
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
    let mut report = Report::new(Reason::ObserveOnly, &message).with_link(link);
    report.ready = Ready::Is(if functional { Truth::True } else { Truth::False });
    report
}

/// SignalR's own word decides. The vault is read once when the link becomes Ready, and until status
/// tells who approved and in which end state the connection is.
fn approved(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, link, own, now, .. } = *case;
    let mut approval = ApprovalFacts { revoked_at: None, ..d.remembered.approval.clone() };
    let known = d.remembered.ready == Some(true)
        && approval.approved_by.is_some()
        && (d.remembered.connection.is_none() || d.remembered.connection_settled);
    let mut endpoint = d.remembered.connection.as_ref().map(|(_, endpoint)| endpoint.clone());
    let (mut seen, mut copied, mut stale) = (None, false, None);
    if !known && let Ok(vault) = o.connections.or_read(Read::Connections)? {
        match approval::find(d, link, own, vault) {
            Match::Ours(connection, record) => {
                approval.approved_by = Some(Approver::Operator);
                approval.approved_at = Some(record.at);
                seen = Some(connection);
                // Both cannot be SignalR's; which one is, SignalR's own word does not tell.
                copied = vault
                    .connections
                    .iter()
                    .any(|c| c.id != connection.id && Marker::parse(&c.description).is_some_and(|m| record.is_of(&m)));
            }
            Match::Decided(connection) => seen = Some(connection),
            _ => {}
        }
        approval.approved_by.get_or_insert(Approver::External);
        approval.approved_at.get_or_insert(now);
        endpoint = seen.and_then(|c| c.endpoint.clone()).or(endpoint);
        stale = confirming::overdue(d, o, Some(link), vault)?.unwrap_or_default();
    }
    let mut message = format!(
        "The link is functional: SignalR reports Succeeded and Approved, and {} reaches {} over it.",
        d.link.signalr().name(),
        d.vault.name()
    );
    if let (ApprovalFacts { approved_by: Some(Approver::External), .. }, Some(endpoint)) = (&approval, endpoint) {
        message.push_str(&format!(
            " Its private endpoint lives in subscription {}: that id goes into endpointSubscriptions of an ApprovalPolicy.",
            endpoint.subscription()
        ));
    }
    let alarm = copied.then(|| {
        format!(
            "SignalR says Approved, and beside the connection that the operator approved another one on {} carries this link's message: compare both endpoints on the vault's side, and reject the one that is not SignalR's.",
            d.vault.name()
        )
    });
    let mut report = Report::new(Reason::Approved, &message).with_link(link).with_approval(approval);
    if let Some(connection) = seen {
        report = report.with_connection(connection);
    }
    let plan = match stale {
        // Of an earlier incarnation: the link that is there now works, and that is what is said.
        Some(stale) if stale.then == OnUnconfirmed::Revoke => {
            Plan::act(confirming::take_back(&stale, confirming::words(d, &stale.why)), report).again(Again::Now)
        }
        _ => Plan::say(report),
    };
    Ok(Plan { alarm, ..plan })
}

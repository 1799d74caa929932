//! The link waits for its approval: the request is found on the vault, and a person is asked, or
//! the operator approves.

use jiff::Timestamp;

use super::decided::{self, decided};
use super::failed::{Service, failed};
use super::recreate::recreate;
use super::{Again, Needs, OwnLink, Plan, doubted, unconfirmed, unproven_absence};
use crate::action::Action;
use crate::annotation::RECREATE_ANNOTATION;
use crate::approval::{self, Denial, Match, SeenLink};
use crate::azure::{Connection, ConnectionState, Connections, Link};
use crate::desired::{ApprovalFacts, ApprovalMode, Desired};
use crate::failure::{ArmError, CONNECTION_APPROVER, Failure};
use crate::marker::Marker;
use crate::message::{duration, shell};
use crate::observed::{Observed, Read};
use crate::reason::Reason;
use crate::report::{ConnectionFacts, Report};
use crate::resource_id::ConnectionId;

/// SignalR says Succeeded, and Pending or nothing that is known.
pub(super) fn pending(case: &OwnLink<'_>) -> Needs<Plan> {
    let OwnLink { d, o, link, own, .. } = *case;
    let vault = match o.connections.or_read(Read::Connections)? {
        Ok(vault) => vault,
        Err(error) => return Ok(unreadable(case, error)),
    };
    match approval::find(d, link, own, vault, &o.memory) {
        Match::Revoked(connection, record) => Ok(decided::revoked(case, Some((connection, &record)))),
        Match::Ours(connection, record) => {
            // One that must not stand and is held may be left behind for another request.
            let held = unconfirmed::overdue(d, o, SeenLink::Present(link), vault)?.and_then(|_| recreate(case));
            Ok(held.unwrap_or_else(|| decided::approved_by_us(case, connection, &record)))
        }
        Match::Decided(connection) => Ok(decided(case, connection)),
        Match::None => Ok(not_shown(case, vault)),
        _ if unconfirmed::was_revoked(d, link) => Ok(decided::revoked(case, None)),
        Match::Several(requests) => Ok(ambiguous_again(case, several(d, o, &requests))),
        Match::Replaced { pending, before } => {
            let why = format!(
                "The connection {} on {} carried this link's message, and is gone or says something else now; what is pending with that message, {}, may be a copy.",
                before.name(),
                d.vault.name(),
                pending.id.name()
            );
            Ok(ambiguous_again(case, ambiguous(d, &why)))
        }
        Match::One(connection) => single_request(case, &Request { connection, vault }),
    }
}

/// The only pending request that carries our message, and the list it was found in.
struct Request<'a> {
    connection: &'a Connection,
    vault: &'a Connections,
}

impl Request<'_> {
    /// Pending requests that are not ours.
    fn others(&self) -> usize {
        let pending = self.vault.connections.iter().filter(|c| c.state == ConnectionState::Pending);
        pending.count().saturating_sub(1)
    }

    /// What the vault's owner runs, and what to compare before.
    fn instruction(&self) -> String {
        let id = shell(self.connection.id.path());
        let compare = match &self.connection.endpoint {
            Some(endpoint) => format!(
                "its private endpoint is in subscription {}, resource group {}",
                endpoint.subscription(),
                endpoint.resource_group()
            ),
            // Microsoft's own sample of this list shows none.
            None => format!(
                "the vault shows no private endpoint for it; approve only if its description is exactly {:?}",
                self.connection.description
            ),
        };
        format!(
            "Its owner approves it with: az network private-endpoint-connection approve --id {id} (or in the portal: {} > Networking > Private endpoint connections > {}). Compare first: {compare}; 1 request matches, other pending requests on this vault: {}.",
            self.connection.id.vault().name(),
            self.connection.id.name(),
            self.others()
        )
    }
}

fn single_request(case: &OwnLink<'_>, request: &Request<'_>) -> Needs<Plan> {
    let OwnLink { d, o, link, own, .. } = *case;
    let sighting = o.memory.sighting.as_ref();
    let twice = approval::m5_seen_twice(&o.memory.limits, link, request.connection, sighting);
    let Some(own) = own else {
        return Ok(Plan::say(adopted(case)));
    };
    if !Marker::follows(&link.message, &d.request_text) {
        return Ok(Plan::say(ambiguous(d, "The link's message was changed from outside.").with_link(link)));
    }
    if d.mode == ApprovalMode::Manual {
        return Ok(if twice { ask_a_person(case, request, request_is_shown(d)) } else { look_twice(d, o, link) });
    }
    let permissions = match o.permissions.or_read(Read::Permissions)? {
        Ok(permissions) => permissions,
        Err(error) => return Ok(not_ready(failed(d, error, Service::SignalR), link)),
    };
    let policy = match approval::permitting_policy(d, request.connection.endpoint.as_ref(), permissions) {
        Ok(policy) => policy,
        Err(denial) => return Ok(denied(case, request, twice, &denial)),
    };
    if !twice {
        return Ok(look_twice(d, o, link));
    }
    // The ids of what is approved are in status before the approval overwrites the request.
    let matched = Report::new(
        Reason::Approving,
        &format!(
            "One request on {} carries this link's message in two readings; policy {} permits its approval.",
            d.vault.name(),
            policy.name
        ),
    )
    .with_link(link)
    .with_connection(request.connection)
    .with_approval(requested(d, o, request, Some(policy.reference())));
    if !is_recorded(d, request) {
        return Ok(Plan::say(matched).again(Again::Now));
    }
    match o.replicas.or_read(Read::Replicas)? {
        Ok(0) => {}
        Ok(replicas) => return Ok(Plan::say(ambiguous(
            d,
            &format!("{} has {replicas} replica(s), and SignalR opens one request for each: which belongs to which cannot be known.", d.link.signalr_name()),
        ).with_link(link))),
        Err(error) if error.failure == Failure::Forbidden => return Ok(Plan::say(ambiguous(
            d,
            &format!("Whether {} has replicas may not be read (it needs the action {} at the scope {}).", d.link.signalr_name(), error.action, error.scope),
        ).with_link(link))),
        Err(error) => return Ok(not_ready(failed(d, error, Service::SignalR), link)),
    }
    if !approval::m1_link_is_ours(d, link, own) {
        let why = format!(
            "SignalR reports a state of the connection that this operator does not know ({}), and only a Pending one is approved automatically. {}",
            link.connection.as_str(),
            request_is_shown(d)
        );
        return Ok(ask_a_person(case, request, why));
    }
    let decision = approval::approve(own, request.connection, policy);
    Ok(Plan::act(Action::Decide(Box::new(decision)), matched))
}

fn request_is_shown(d: &Desired) -> String {
    format!("The key vault {} has one pending request that carries this link's message.", d.vault.name())
}

/// Whether status names this very connection and endpoint.
fn is_recorded(d: &Desired, request: &Request<'_>) -> bool {
    let (seen, recorded) = (ConnectionFacts::of(request.connection), &d.remembered.connection);
    seen.zip(recorded.as_ref()).is_some_and(|(seen, recorded)| seen.names_the_same_as(recorded))
}

/// What is known of the approval as soon as the request is matched.
fn requested(d: &Desired, o: &Observed, request: &Request<'_>, policy: Option<String>) -> ApprovalFacts {
    let before = d.remembered.approval.requested_at.filter(|_| is_recorded(d, request));
    let requested_at = before.or_else(|| o.memory.sighting.as_ref().map(|s| s.at));
    ApprovalFacts { requested_at, policy, ..ApprovalFacts::default() }
}

/// Nothing on the vault is ours yet, or not yet in two lists. The sentence is the same for both,
/// so that a request that appears costs no write.
fn waiting(d: &Desired, link: &Link) -> Report {
    let message = format!("SignalR has sent the request; waiting until {} shows it in two readings.", d.vault.name());
    Report::new(Reason::WaitingForConnection, &message).with_link(link)
}

fn look_twice(d: &Desired, o: &Observed, link: &Link) -> Plan {
    Plan::say(waiting(d, link)).again(Again::After(o.memory.limits.second_look))
}

fn not_shown(case: &OwnLink<'_>, vault: &Connections) -> Plan {
    let OwnLink { d, o, link, .. } = *case;
    if !case.has_lasted(d.remembered.provisioned_since, o.memory.limits.connection_missing) {
        return Plan::say(waiting(d, link));
    }
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let count = vault.connections.len();
    let message = format!(
        "{} after SignalR reported Succeeded, on {} none of the {count} connection(s) carries this link's message; its owner may have removed the request. To send it once more, set the annotation {RECREATE_ANNOTATION} to a new value, or delete the link in Azure.",
        duration(o.memory.limits.connection_missing),
        d.vault.name()
    );
    // What status tells of the connection stays: if another one carries our message later, it is a copy (M5).
    Plan::say(Report::new(Reason::ConnectionNotFound, &message).with_link(link))
}

fn ask_a_person(case: &OwnLink<'_>, request: &Request<'_>, why: String) -> Plan {
    let OwnLink { d, o, link, .. } = *case;
    let approval = requested(d, o, request, None);
    let (reason, lead) = pending_or_timed_out(case, approval.requested_at, why);
    let report = Report::new(reason, &format!("{lead} {}", request.instruction()))
        .with_link(link)
        .with_connection(request.connection)
        .with_approval(approval);
    Plan::say(report)
}

/// What is said while a person has to approve: `otherwise`, as long as `approval.timeout` has not
/// passed since the request was there.
fn pending_or_timed_out(case: &OwnLink<'_>, since: Option<Timestamp>, otherwise: String) -> (Reason, String) {
    let OwnLink { d, .. } = *case;
    if !case.has_waited_since(since) {
        return (Reason::PendingApproval, otherwise);
    }
    let lead = format!(
        "Nobody approved the request on {} within {} (approval.timeout); waiting goes on.",
        d.vault.name(),
        duration(d.approval_timeout)
    );
    (Reason::ApprovalTimedOut, lead)
}

fn adopted(case: &OwnLink<'_>) -> Report {
    let OwnLink { d, link, .. } = *case;
    let waits = "An adopted link waits for its approval, which stays manual.".to_owned();
    let (reason, lead) = pending_or_timed_out(case, d.remembered.provisioned_since, waits);
    let message = format!(
        "{lead} In the portal: {} > Networking > Private endpoint connections; look for the request with the message {:?}, and make sure that it is SignalR's own.",
        d.vault.name(),
        link.message
    );
    Report::new(reason, &message).with_link(link)
}

fn denied(case: &OwnLink<'_>, request: &Request<'_>, twice: bool, denial: &Denial) -> Plan {
    let OwnLink { d, o, link, .. } = *case;
    let why = match denial {
        Denial::NoPolicy => format!(
            "No ApprovalPolicy permits automatic approval for namespace {}, this SignalR and this key vault together.",
            d.object.namespace
        ),
        Denial::NoEndpoint => {
            "The request shows no private endpoint that can be read, so no ApprovalPolicy can permit its approval."
                .to_owned()
        }
        Denial::EndpointElsewhere { policies } => format!(
            "The request's private endpoint is in a subscription that no permitting ApprovalPolicy ({}) lists in endpointSubscriptions.",
            policies.join(", ")
        ),
    };
    let how = if twice { format!(" {}", request.instruction()) } else { String::new() };
    let mut report = Report::new(
        Reason::ApprovalDenied,
        &format!("{why} An administrator can add a policy, or the vault's owner approves.{how}"),
    )
    .with_link(link);
    if twice {
        report = report.with_connection(request.connection).with_approval(requested(d, o, request, None));
        return Plan::say(report);
    }
    Plan::say(report).again(Again::After(o.memory.limits.second_look))
}

/// The most copies that are named, so that the message stays within its limit.
const MAX_COPIES_NAMED: usize = 4;

fn several(d: &Desired, o: &Observed, requests: &[&Connection]) -> Report {
    let seen = |id: &ConnectionId| o.memory.appeared.iter().find(|(seen, _)| seen == id).map(|(_, at)| *at);
    let mut requests: Vec<_> = requests.iter().map(|c| (seen(&c.id), *c)).collect();
    // Not in the list's order, which may change by itself.
    requests.sort_by(|(first, a), (second, b)| first.cmp(second).then_with(|| a.id.key().cmp(b.id.key())));
    let name = |(at, connection): &(Option<Timestamp>, &Connection)| {
        let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| at.strftime("%FT%TZ").to_string());
        format!("{} ({}, first seen {at})", connection.id.name(), connection.state.as_str())
    };
    let named: Vec<String> = requests.iter().take(MAX_COPIES_NAMED).map(name).collect();
    let more = if requests.len() > MAX_COPIES_NAMED { ", and more" } else { "" };
    ambiguous(
        d,
        &format!(
            "{} connections on {} carry this link's marker: somebody copied it, or the SignalR has replicas. They are {}{more}.",
            requests.len(),
            d.vault.name(),
            named.join(", ")
        ),
    )
}

fn ambiguous(d: &Desired, why: &str) -> Report {
    let message = format!(
        "{why} The operator does not guess. The vault's owner tells them apart by the time at which each appeared and by the endpoint's subscription (portal > {} > Networking > Private endpoint connections), and approves the right one by hand or removes the copy; rejecting it is not enough while it carries the marker. Or set the annotation {RECREATE_ANNOTATION} to a new value: another request is sent.",
        d.vault.name()
    );
    Report::new(Reason::ApprovalAmbiguous, &message)
}

/// An ambiguous match is told; the way on is the owner's, or another request.
fn ambiguous_again(case: &OwnLink<'_>, report: Report) -> Plan {
    recreate(case).unwrap_or_else(|| Plan::say(report.with_link(case.link)))
}

/// The vault cannot be read while the link waits for its approval.
fn unreadable(case: &OwnLink<'_>, error: &ArmError) -> Plan {
    let OwnLink { d, link, .. } = *case;
    if error.failure.proves_absence()
        && let Some(left) = unproven_absence(d, case.o, case.o.memory.vault_absent_for)
    {
        return not_ready(doubted(case.o, error, left), link);
    }
    let not_for_us =
        matches!(error.failure, Failure::Forbidden | Failure::Denied | Failure::Unauthorized | Failure::NotRegistered);
    if not_for_us && d.mode == ApprovalMode::Manual {
        let why = match error.failure {
            Failure::Forbidden => "the operator may not read the vault and cannot name it",
            Failure::NotRegistered => {
                "its subscription is not registered for Microsoft.KeyVault, so the operator cannot name it"
            }
            _ => "the operator cannot read the vault, which may be in another tenant, and cannot name it",
        };
        let cannot = format!("A person must approve the request on {}; {why}.", d.vault.name());
        let (reason, lead) = pending_or_timed_out(case, d.remembered.provisioned_since, cannot);
        let named_here = if error.failure == Failure::Forbidden {
            format!(" To have it named here, grant {}: {}", error.action, error.remedy(CONNECTION_APPROVER))
        } else {
            String::new()
        };
        let message = format!(
            "{lead} In the portal: {} > Networking > Private endpoint connections; look for the request with exactly this message: {} (two with the same message mean that somebody copied it: approve neither before you know which is SignalR's).{named_here}",
            d.vault.name(),
            link.message,
        );
        return Plan::say(Report::new(reason, &message).with_link(link));
    }
    not_ready(failed(d, error, Service::KeyVault), link)
}

/// A failure after SignalR itself has said that the link is not functional.
fn not_ready(plan: Plan, link: &Link) -> Plan {
    plan.map_report(|report| report.with_link(link).not_ready())
}

//! The link waits for its approval: the request is found on the vault, and a person is asked, or
//! the operator approves.

use jiff::Timestamp;

use super::decided::decided;
use super::live::recreate;
use super::{Again, Case, Plan, Side, confirming, failed};
use crate::action::Action;
use crate::approval::{self, Denial, Match};
use crate::desired::{ApprovalFacts, ApprovalMode, Desired};
use crate::failure::{ArmError, CONNECTION_APPROVER, Failure};
use crate::marker::Marker;
use crate::message::{duration, shell};
use crate::observed::{Connection, ConnectionState, Connections, Link, Observed, Read};
use crate::reason::Reason;
use crate::report::{Fact, Ready, Report, Truth};
use crate::resource_id::EndpointId;

/// SignalR says Succeeded, and Pending or nothing that is known.
pub(super) fn pending(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, link, own, .. } = *case;
    let vault = match o.connections.or_read(Read::Connections)? {
        Ok(vault) => vault,
        Err(error) => return Ok(unreadable(case, error)),
    };
    match approval::find(d, link, own, vault) {
        Match::Revoked(connection, record) => Ok(confirming::revoked(case, Some((connection, &record)))),
        Match::Ours(connection, record) => Ok(confirming::unconfirmed(case, connection, &record)),
        Match::Decided(connection) => Ok(decided(case, connection)),
        Match::One(..) | Match::Several(_) if confirming::was_revoked(d, link) => Ok(confirming::revoked(case, None)),
        Match::None => Ok(not_shown(case, vault, false)),
        Match::WithoutEndpoint => Ok(not_shown(case, vault, true)),
        Match::Several(requests) => Ok(Plan::say(several(d, o, &requests).with_link(link))),
        Match::One(connection, endpoint) => one(case, &Request { connection, endpoint, vault }),
    }
}

/// The only pending request that carries our message, and the list it was found in.
struct Request<'a> {
    connection: &'a Connection,
    endpoint: &'a EndpointId,
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
        format!(
            "Its owner approves it with: az network private-endpoint-connection approve --id {id} (or in the portal: {} > Networking > Private endpoint connections > {}). Compare first: its private endpoint is in subscription {}, resource group {}; 1 request matches, other pending requests on this vault: {}.",
            self.connection.id.vault().name(),
            self.connection.id.name(),
            self.endpoint.subscription(),
            self.endpoint.resource_group(),
            self.others()
        )
    }
}

fn one(case: &Case<'_>, request: &Request<'_>) -> Result<Plan, Read> {
    let Case { d, o, link, own, .. } = *case;
    let sighting = o.memory.sighting.as_ref();
    let twice = approval::m5_seen_twice(d, link, request.connection, request.endpoint, sighting);
    let Some(own) = own else {
        return Ok(Plan::say(adopted(case)));
    };
    if !Marker::follows(&link.message, &d.words) {
        return Ok(Plan::say(ambiguous(d, "The link's message was changed from outside.").with_link(link)));
    }
    if d.mode == ApprovalMode::Manual {
        return Ok(if twice { ask_a_person(case, request) } else { look_twice(d, link) });
    }
    let permissions = match o.permissions.or_read(Read::Permissions)? {
        Ok(permissions) => permissions,
        Err(error) => return Ok(not_ready(failed(d, error, Side::SignalR), link)),
    };
    let policy = match approval::permitting_policy(d, request.endpoint, permissions) {
        Ok(policy) => policy,
        Err(denial) => return Ok(denied(case, request, twice, &denial)),
    };
    if !twice {
        return Ok(look_twice(d, link));
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
    let recorded = d
        .remembered
        .connection
        .as_ref()
        .is_some_and(|(id, endpoint)| *id == request.connection.id && endpoint == request.endpoint);
    if !recorded {
        return Ok(Plan::say(matched).again(Again::Now));
    }
    match o.replicas.or_read(Read::Replicas)? {
        Ok(0) => {}
        Ok(replicas) => return Ok(Plan::say(ambiguous(
            d,
            &format!("{} has {replicas} replica(s), and SignalR opens one request for each: which belongs to which cannot be known.", d.link.signalr().name()),
        ).with_link(link))),
        Err(error) if error.failure == Failure::Forbidden => return Ok(Plan::say(ambiguous(
            d,
            &format!("Whether {} has replicas may not be read (it needs the action {} at the scope {}).", d.link.signalr().name(), error.action, error.scope),
        ).with_link(link))),
        Err(error) => return Ok(not_ready(failed(d, error, Side::SignalR), link)),
    }
    if !approval::m1_link_is_ours(d, link, own) {
        // Not Pending: a state that is missing or not known.
        return Ok(Plan::say(waiting(d, link)));
    }
    let decision = approval::approve(own, request.connection, request.endpoint, policy);
    Ok(Plan::act(Action::Decide(Box::new(decision)), matched))
}

/// What is known of the approval as soon as the request is matched.
fn requested(d: &Desired, o: &Observed, request: &Request<'_>, policy: Option<String>) -> ApprovalFacts {
    let remembered = d.remembered.connection.as_ref();
    let before = remembered
        .filter(|(id, endpoint)| *id == request.connection.id && endpoint == request.endpoint)
        .and(d.remembered.approval.requested_at);
    let requested_at = before.or_else(|| o.memory.sighting.as_ref().map(|s| s.at));
    ApprovalFacts { requested_at, policy, ..ApprovalFacts::default() }
}

/// Nothing on the vault is ours yet, or not yet in two lists. The sentence is the same for both,
/// so that a request that appears costs no write.
fn waiting(d: &Desired, link: &Link) -> Report {
    let message = format!("SignalR has sent the request; waiting until {} shows it in two readings.", d.vault.name());
    Report::new(Reason::WaitingForConnection, &message).with_link(link)
}

fn look_twice(d: &Desired, link: &Link) -> Plan {
    Plan::say(waiting(d, link)).again(Again::After(d.limits.second_look))
}

fn not_shown(case: &Case<'_>, vault: &Connections, without_endpoint: bool) -> Plan {
    let Case { d, link, now, .. } = *case;
    let since = d.remembered.provisioned_since;
    let missing = since
        .and_then(|since| std::time::Duration::try_from(now.duration_since(since)).ok())
        .is_some_and(|waited| waited >= d.limits.connection_missing);
    if !missing {
        return Plan::say(waiting(d, link));
    }
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let what = if without_endpoint {
        "the only request with this link's message names no private endpoint that can be read".to_owned()
    } else {
        let count = vault.connections.len();
        format!("none of the {count} connection(s) carries this link's message; its owner may have removed the request")
    };
    let message = format!(
        "{} after SignalR reported Succeeded, on {} {what}. To send it once more, set the annotation privatelink.signalr-operator.io/recreate-requested-at to a new value, or delete the link in Azure.",
        duration(d.limits.connection_missing),
        d.vault.name()
    );
    let mut report = Report::new(Reason::ConnectionNotFound, &message).with_link(link);
    report.connection = Fact::Set(None);
    Plan::say(report)
}

fn ask_a_person(case: &Case<'_>, request: &Request<'_>) -> Plan {
    let Case { d, o, link, .. } = *case;
    let approval = requested(d, o, request, None);
    let shown = format!("The key vault {} has one pending request that carries this link's message.", d.vault.name());
    let (reason, lead) = patience(case, approval.requested_at, shown);
    let report = Report::new(reason, &format!("{lead} {}", request.instruction()))
        .with_link(link)
        .with_connection(request.connection)
        .with_approval(approval);
    Plan::say(report)
}

/// What is said while a person has to approve: `otherwise`, as long as `approval.timeout` has not
/// passed since the request was there.
fn patience(case: &Case<'_>, since: Option<Timestamp>, otherwise: String) -> (Reason, String) {
    let Case { d, now, .. } = *case;
    let waited = since.and_then(|at| std::time::Duration::try_from(now.duration_since(at)).ok()).unwrap_or_default();
    if waited < d.approval_timeout.mul_f64(d.limits.pace) {
        return (Reason::PendingApproval, otherwise);
    }
    let lead = format!(
        "Nobody approved the request on {} within {} (approval.timeout); waiting goes on.",
        d.vault.name(),
        duration(d.approval_timeout)
    );
    (Reason::ApprovalTimedOut, lead)
}

fn adopted(case: &Case<'_>) -> Report {
    let Case { d, link, .. } = *case;
    let waits = "An adopted link waits for its approval, which stays manual.".to_owned();
    let (reason, lead) = patience(case, d.remembered.provisioned_since, waits);
    let message = format!(
        "{lead} In the portal: {} > Networking > Private endpoint connections; look for the request with the message {:?}, and make sure that it is SignalR's own.",
        d.vault.name(),
        link.message
    );
    Report::new(reason, &message).with_link(link)
}

fn denied(case: &Case<'_>, request: &Request<'_>, twice: bool, denial: &Denial) -> Plan {
    let Case { d, o, link, .. } = *case;
    let why = match denial {
        Denial::NoPolicy => format!(
            "No ApprovalPolicy permits automatic approval for namespace {}, this SignalR and this key vault together.",
            d.object.namespace
        ),
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
    Plan::say(report).again(Again::After(d.limits.second_look))
}

/// How many copies are named, so that the message stays within its limit.
const NAMED: usize = 4;

fn several(d: &Desired, o: &Observed, requests: &[&Connection]) -> Report {
    let appeared = |request: &&&Connection| {
        let at = o.memory.appeared.iter().find(|(id, _)| *id == request.id).map(|(_, at)| at.strftime("%FT%TZ"));
        let at = at.map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string());
        format!("{} (first seen {at})", request.id.name())
    };
    let named: Vec<String> = requests.iter().take(NAMED).map(|request| appeared(&request)).collect();
    let more = if requests.len() > NAMED { ", and more" } else { "" };
    ambiguous(
        d,
        &format!(
            "{} pending requests on {} carry this link's message: somebody copied it, or the SignalR has replicas. They are {}{more}.",
            requests.len(),
            d.vault.name(),
            named.join(", ")
        ),
    )
}

fn ambiguous(d: &Desired, why: &str) -> Report {
    let message = format!(
        "{why} The operator does not guess. The vault's owner tells them apart by the time at which each appeared and by the endpoint's subscription: portal > {} > Networking > Private endpoint connections.",
        d.vault.name()
    );
    Report::new(Reason::ApprovalAmbiguous, &message)
}

/// The vault cannot be read while the link waits for its approval.
fn unreadable(case: &Case<'_>, error: &ArmError) -> Plan {
    let Case { d, link, .. } = *case;
    if error.failure == Failure::Forbidden && d.mode == ApprovalMode::Manual {
        let cannot = format!(
            "A person must approve the request on {}; the operator may not read the vault and cannot name it.",
            d.vault.name()
        );
        let (reason, lead) = patience(case, d.remembered.provisioned_since, cannot);
        let message = format!(
            "{lead} In the portal: {} > Networking > Private endpoint connections; look for the request with exactly this message: {} (two with the same message mean that somebody copied it: approve neither before you know which is SignalR's). To have it named here, grant {}: {}",
            d.vault.name(),
            link.message,
            error.action,
            error.remedy(CONNECTION_APPROVER)
        );
        return Plan::say(Report::new(reason, &message).with_link(link));
    }
    not_ready(failed(d, error, Side::Vault), link)
}

/// A failure after SignalR itself has said that the link is not functional.
fn not_ready(plan: Plan, link: &Link) -> Plan {
    plan.map_report(|mut report| {
        report.ready = Ready::Is(Truth::False);
        report.with_link(link)
    })
}

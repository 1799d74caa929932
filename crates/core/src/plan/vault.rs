//! The phases in which the vault matters: finding the request, approval, confirmation.

use jiff::Timestamp;

use super::live::recreate;
use super::{Again, Case, Plan, Side, failed};
use crate::action::Action;
use crate::approval::{self, Denial, Match, Unconfirmed};
use crate::desired::{ApprovalFacts, ApprovalMode, Approver, Desired};
use crate::failure::{ArmError, Failure};
use crate::marker::ApprovalRecord;
use crate::message::duration;
use crate::observed::{Connection, ConnectionState, Connections, Link, Observed, Provisioning, Read};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::{Ready, Report, Truth};
use crate::resource_id::EndpointId;

/// SignalR says Succeeded, and Pending or nothing that is known.
pub(super) fn pending(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, link, own, now, .. } = *case;
    let vault = match o.connections.or_read(Read::Connections)? {
        Ok(vault) => vault,
        Err(error) => return Ok(unreadable(d, link, error)),
    };
    match approval::find(d, link, own, vault) {
        Match::None => Ok(Plan::say(not_shown(d, link, vault, now))),
        Match::Several(requests) => Ok(Plan::say(several(d, requests.len()).with_link(link))),
        Match::Revoked(connection, record) => Ok(revoked(case, connection, &record)),
        Match::Ours(connection, record) => unconfirmed(case, connection, &record, vault),
        Match::Decided(connection) => Ok(decided(case, connection)),
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
        let id = self.connection.id.path();
        // Parentheses are legal in the name of a resource group and mean something to a shell.
        let id = if id.contains(['(', ')']) { format!("'{id}'") } else { id.to_owned() };
        format!(
            "Its owner approves it with: az network private-endpoint-connection approve --id {id} (compare first: its private endpoint is in subscription {}, resource group {}; 1 request matches, other pending requests on this vault: {}).",
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
        return Ok(Plan::say(adopted(d, link)));
    };
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
        return Ok(Plan::say(ambiguous(d, "The link's message or state was changed from outside.").with_link(link)));
    }
    let decision = approval::approve(link, own, request.connection, request.endpoint, policy);
    Ok(Plan::act(Action::Decide(Box::new(decision)), matched))
}

/// What is known of the approval as soon as the request is matched.
fn requested(d: &Desired, o: &Observed, request: &Request<'_>, policy: Option<String>) -> ApprovalFacts {
    let remembered = d.remembered.connection.as_ref();
    let before = remembered
        .filter(|(id, endpoint)| *id == request.connection.id && endpoint == request.endpoint)
        .and(d.remembered.approval.requested_at);
    let requested_at = before.or_else(|| o.memory.sighting.as_ref().map(|s| s.at));
    ApprovalFacts { requested_at, approved_at: None, approved_by: None, policy }
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

fn not_shown(d: &Desired, link: &Link, vault: &Connections, now: Timestamp) -> Report {
    let since = d.remembered.provisioned_since;
    let missing = since
        .and_then(|since| std::time::Duration::try_from(now.duration_since(since)).ok())
        .is_some_and(|waited| waited >= d.limits.connection_missing);
    if !missing {
        return waiting(d, link);
    }
    let message = format!(
        "{} after SignalR reported Succeeded, none of the {} connection(s) on {} carries this link's message. Its owner may have removed the request. To send it once more, set the annotation privatelink.signalr-operator.io/recreate-requested-at to a new value, or delete the link in Azure.",
        duration(d.limits.connection_missing),
        vault.connections.len(),
        d.vault.name()
    );
    let mut report = Report::new(Reason::ConnectionNotFound, &message).with_link(link);
    report.connection = crate::report::Fact::Set(None);
    report
}

fn ask_a_person(case: &Case<'_>, request: &Request<'_>) -> Plan {
    let Case { d, o, link, now, .. } = *case;
    let approval = requested(d, o, request, None);
    let timeout = d.approval_timeout;
    let waited = approval
        .requested_at
        .and_then(|at| std::time::Duration::try_from(now.duration_since(at)).ok())
        .unwrap_or_default();
    let (reason, lead) = if waited >= timeout.mul_f64(d.limits.pace) {
        (
            Reason::ApprovalTimedOut,
            format!(
                "Nobody approved the request on {} within {} (approval.timeout); waiting goes on.",
                d.vault.name(),
                duration(timeout)
            ),
        )
    } else {
        (
            Reason::PendingApproval,
            format!("The key vault {} has one pending request that carries this link's message.", d.vault.name()),
        )
    };
    let report = Report::new(reason, &format!("{lead} {}", request.instruction()))
        .with_link(link)
        .with_connection(request.connection)
        .with_approval(approval);
    Plan::say(report)
}

fn adopted(d: &Desired, link: &Link) -> Report {
    let message = format!(
        "An adopted link waits for its approval, which stays manual. In the portal: {} > Networking > Private endpoint connections; look for the request with the message {:?}, and make sure that it is SignalR's own.",
        d.vault.name(),
        link.message
    );
    Report::new(Reason::PendingApproval, &message).with_link(link)
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

fn several(d: &Desired, count: usize) -> Report {
    ambiguous(
        d,
        &format!(
            "{count} pending requests on {} carry this link's message: either the SignalR has replicas, or somebody copied the message.",
            d.vault.name()
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

/// Approved by the operator, not yet confirmed by SignalR.
fn unconfirmed(
    case: &Case<'_>,
    connection: &Connection,
    record: &ApprovalRecord,
    vault: &Connections,
) -> Result<Plan, Read> {
    let Case { d, o, link, own, .. } = *case;
    let approval = ApprovalFacts {
        requested_at: d.remembered.approval.requested_at,
        approved_at: Some(record.at),
        approved_by: Some(Approver::Operator),
        policy: d.remembered.approval.policy.clone(),
    };
    let alarm = match o.permissions.or_read(Read::Permissions)? {
        Ok(permissions) => approval::m7_unconfirmed(d, link, connection, record, vault, permissions),
        Err(_) => None,
    };
    if let Some((why, on_unconfirmed)) = alarm {
        let why = alarm_text(d, &why);
        let report = |done: &str| {
            Report::new(Reason::ApprovalUnconfirmed, &format!("{why} {done}"))
                .with_link(link)
                .with_connection(connection)
                .with_approval(approval.clone())
        };
        return Ok(match (on_unconfirmed, own, &connection.endpoint) {
            (OnUnconfirmed::Revoke, Some(own), Some(endpoint)) => Plan::act(
                Action::Decide(Box::new(approval::revoke(link, own, connection, endpoint, why.clone()))),
                report(WAY_BACK),
            ),
            _ => {
                Plan::say(report("The policy says Hold: the connection stays approved. Check it on the vault's side."))
            }
        });
    }
    let report = if connection.provisioning == Provisioning::Succeeded {
        Report::new(Reason::WaitingForPropagation, &propagation(d))
    } else {
        Report::new(
            Reason::Approving,
            &format!("The operator approved the connection; {} is working on it.", d.vault.name()),
        )
    };
    Ok(Plan::say(report.with_link(link).with_connection(connection).with_approval(approval)))
}

const WAY_BACK: &str = "The operator took its approval back: the connection is Rejected, and nothing is approved automatically for this request again. To send a new one, set the annotation privatelink.signalr-operator.io/recreate-requested-at to a new value.";

fn alarm_text(d: &Desired, why: &Unconfirmed) -> String {
    match why {
        Unconfirmed::EndpointChanged => {
            format!("The connection on {} that the operator approved has another private endpoint now.", d.vault.name())
        }
        Unconfirmed::SecondRequest => {
            format!("After the approval a second request with this link's message appeared on {}.", d.vault.name())
        }
        Unconfirmed::TooLong(limit) => format!(
            "{} after the approval SignalR still reports Pending: what was approved may not be this link's request.",
            duration(*limit)
        ),
    }
}

fn propagation(d: &Desired) -> String {
    format!(
        "Approved on {}; waiting until {} says so too, which takes a few minutes.",
        d.vault.name(),
        d.link.signalr().name()
    )
}

fn revoked(case: &Case<'_>, connection: &Connection, record: &ApprovalRecord) -> Plan {
    let Case { d, link, .. } = *case;
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let message = format!("SignalR did not confirm the operator's approval. {WAY_BACK}");
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::Operator);
    approval.approved_at.get_or_insert(record.at);
    Plan::say(
        Report::new(Reason::ApprovalUnconfirmed, &message)
            .with_link(link)
            .with_connection(connection)
            .with_approval(approval),
    )
}

/// Somebody else decided on the vault; SignalR does not know yet.
fn decided(case: &Case<'_>, connection: &Connection) -> Plan {
    let Case { d, link, now, .. } = *case;
    if connection.state != ConnectionState::Approved {
        return turned_down(case, connection.state).map_report(|r| r.with_connection(connection));
    }
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::External);
    approval.approved_at.get_or_insert(now);
    Plan::say(
        Report::new(Reason::WaitingForPropagation, &propagation(d))
            .with_link(link)
            .with_connection(connection)
            .with_approval(approval),
    )
}

/// SignalR says Rejected, Disconnected or Timeout.
pub(super) fn refused(case: &Case<'_>) -> Result<Plan, Read> {
    let Case { d, o, link, own, .. } = *case;
    if own.is_some()
        && let Ok(vault) = o.connections.or_read(Read::Connections)?
    {
        match approval::find(d, link, own, vault) {
            Match::Revoked(connection, record) => {
                return Ok(revoked(case, connection, &record));
            }
            Match::Decided(connection) => {
                return Ok(turned_down(case, link.connection).map_report(|r| r.with_connection(connection)));
            }
            _ => {}
        }
    }
    Ok(turned_down(case, link.connection))
}

fn turned_down(case: &Case<'_>, state: ConnectionState) -> Plan {
    let Case { d, link, .. } = *case;
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let vault = d.vault.name();
    let (reason, what) = match state {
        ConnectionState::Rejected => (Reason::Rejected, format!("The owner of {vault} rejected the connection.")),
        ConnectionState::Disconnected => {
            (Reason::Disconnected, format!("The connection was removed on the side of {vault}."))
        }
        _ => (Reason::ConnectionTimedOut, "SignalR reports the connection as timed out.".to_owned()),
    };
    let message = format!(
        "{what} That is a decision the operator does not override. Once it is settled with the vault's owner, set the annotation privatelink.signalr-operator.io/recreate-requested-at to a new value: the link is deleted, created once more, and needs a new approval."
    );
    Plan::say(Report::new(reason, &message).with_link(link))
}

/// The vault cannot be read while the link waits for its approval.
fn unreadable(d: &Desired, link: &Link, error: &ArmError) -> Plan {
    if error.failure == Failure::Forbidden && d.mode == ApprovalMode::Manual {
        let message = format!(
            "A person must approve the request on {}; the operator may not read the vault and cannot name it. In the portal: {} > Networking > Private endpoint connections; look for the request with exactly this message: {} (to have it named here, grant {} at {}).",
            d.vault.name(),
            d.vault.name(),
            link.message,
            error.action,
            error.scope
        );
        return Plan::say(Report::new(Reason::PendingApproval, &message).with_link(link));
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

impl Plan {
    fn map_report(mut self, change: impl FnOnce(Report) -> Report) -> Self {
        self.report = self.report.map(change);
        self
    }
}

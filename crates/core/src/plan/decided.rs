//! What was decided about the connection, on the vault or as SignalR reports it.

use super::recreate::recreate;
use super::unconfirmed;
use super::{Needs, OwnLink, Plan};
use crate::annotation::RECREATE_ANNOTATION;
use crate::approval::{self, Match};
use crate::azure::{Connection, ConnectionState, Provisioning};
use crate::desired::{Approver, Desired};
use crate::marker::ApprovalRecord;
use crate::message::duration;
use crate::observed::Read;
use crate::reason::Reason;
use crate::report::Report;

/// Approved by the operator, not yet confirmed by SignalR, and nothing wrong with it so far.
pub(super) fn approved_by_us(case: &OwnLink<'_>, connection: &Connection, record: &ApprovalRecord) -> Plan {
    let OwnLink { d, link, .. } = *case;
    let report = if connection.provisioning == Provisioning::Succeeded {
        Report::new(Reason::WaitingForPropagation, &propagation(d))
    } else {
        let message = format!("The operator approved the connection; {} is working on it.", d.vault.name());
        Report::new(Reason::Approving, &message)
    };
    Plan::say(report.with_link(link).with_connection(connection).with_approval(unconfirmed::facts(d, record)))
}

fn propagation(d: &Desired) -> String {
    format!(
        "Approved on {}; waiting until {} says so too, which takes a few minutes.",
        d.vault.name(),
        d.link.signalr_name()
    )
}

/// The operator took its approval back: that stays so under this nonce.
pub(super) fn revoked(case: &OwnLink<'_>, record: Option<(&Connection, &ApprovalRecord)>) -> Plan {
    let OwnLink { d, link, .. } = *case;
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::Operator);
    if let Some((_, record)) = record {
        approval.revoked_at = Some(record.at);
    }
    let message = format!(
        "SignalR did not confirm the operator's approval, and the operator took it back: the connection is Rejected. {}",
        unconfirmed::way_back()
    );
    let report = Report::new(Reason::ApprovalUnconfirmed, &message).with_link(link).with_approval(approval);
    Plan::say(match record {
        Some((connection, _)) => report.with_connection(connection),
        None => report,
    })
}

/// Somebody else decided on the vault; SignalR does not know yet.
pub(super) fn decided(case: &OwnLink<'_>, connection: &Connection) -> Plan {
    let OwnLink { d, link, now, .. } = *case;
    if connection.state != ConnectionState::Approved {
        return turned_down(case, connection.state).map_report(|r| r.with_connection(connection));
    }
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::External);
    let since = *approval.approved_at.get_or_insert(now);
    let report = if case.has_waited_since(Some(since)) {
        let message = format!(
            "{} after somebody approved the connection {} on {}, SignalR still reports {}: what was approved may not be this link's request. Compare its private endpoint with SignalR's, and approve the request that is SignalR's own.",
            duration(d.approval_timeout),
            connection.id.name(),
            d.vault.name(),
            link.connection.as_str()
        );
        Report::new(Reason::ApprovalTimedOut, &message)
    } else {
        Report::new(Reason::WaitingForPropagation, &propagation(d))
    };
    Plan::say(report.with_link(link).with_connection(connection).with_approval(approval))
}

/// SignalR says Rejected, Disconnected or Timeout.
pub(super) fn refused(case: &OwnLink<'_>) -> Needs<Plan> {
    let OwnLink { d, o, link, own, .. } = *case;
    if own.is_some()
        && let Ok(vault) = o.connections.or_read(Read::Connections)?
    {
        match approval::find(d, link, own, vault, &o.memory) {
            Match::Revoked(connection, record) => {
                return Ok(revoked(case, Some((connection, &record))));
            }
            Match::Decided(connection) => {
                return Ok(turned_down(case, link.connection).map_report(|r| r.with_connection(connection)));
            }
            _ if unconfirmed::was_revoked(d, link) => return Ok(revoked(case, None)),
            _ => {}
        }
    }
    Ok(turned_down(case, link.connection))
}

fn turned_down(case: &OwnLink<'_>, state: ConnectionState) -> Plan {
    let OwnLink { d, link, .. } = *case;
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
        "{what} That is a decision the operator does not override. Once it is settled with the vault's owner, set the annotation {RECREATE_ANNOTATION} to a new value: the link is deleted, created once more, and needs a new approval."
    );
    Plan::say(Report::new(reason, &message).with_link(link))
}

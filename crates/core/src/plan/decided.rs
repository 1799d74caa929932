//! What somebody decided about the connection, on the vault or as SignalR reports it.

use super::live::recreate;
use super::{Case, Plan, confirming};
use crate::approval::{self, Match};
use crate::desired::Approver;
use crate::observed::{Connection, ConnectionState, Read};
use crate::reason::Reason;
use crate::report::Report;

/// Somebody else decided on the vault; SignalR does not know yet.
pub(super) fn decided(case: &Case<'_>, connection: &Connection) -> Plan {
    let Case { d, link, now, .. } = *case;
    if connection.state != ConnectionState::Approved {
        return turned_down(case, connection.state).map_report(|r| r.with_connection(connection));
    }
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::External);
    approval.approved_at.get_or_insert(now);
    Plan::say(
        Report::new(Reason::WaitingForPropagation, &confirming::propagation(d))
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
                return Ok(confirming::revoked(case, Some((connection, &record))));
            }
            Match::Decided(connection) => {
                return Ok(turned_down(case, link.connection).map_report(|r| r.with_connection(connection)));
            }
            _ if confirming::was_revoked(d, link) => return Ok(confirming::revoked(case, None)),
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

//! M4 and M6: what authorises a decision, read once more by single reads just before the write
//! (R6). Lists select; they never authorise.

use crate::action::Decision;
use crate::azure::{Connection, ConnectionState, Link};
use crate::desired::{ApprovalMode, Desired, ManagementPolicy};
use crate::marker::{Marker, Verdict};
use crate::observed::Permissions;

use super::{confirms, m1_link_is_ours, permitting_policy};

/// The single reads, all begun inside the vault's lane.
#[derive(Debug, Clone, Copy)]
pub struct LastLook<'a> {
    /// The object.
    pub object: &'a Desired,
    /// The link; `None` when it does not exist.
    pub link: Option<&'a Link>,
    /// The namespace and the policies.
    pub permissions: &'a Permissions,
    /// The connection; `None` when it does not exist.
    pub connection: Option<&'a Connection>,
}

/// Whether the decision may be carried out on what was read last.
///
/// # Errors
/// What is not as it was when the decision was made; then nothing is written.
pub fn still_authorised(decided_on: &Desired, decision: &Decision, last: &LastLook<'_>) -> Result<(), &'static str> {
    if !decided_on.still_asks_the_same_as(last.object) {
        return Err("the object changed");
    }
    match decision.verdict {
        Verdict::Approved => may_approve(decision, last)?,
        Verdict::Revoked => may_revoke(decision, last)?,
    }
    let expected = match decision.verdict {
        Verdict::Approved => ConnectionState::Pending,
        Verdict::Revoked => ConnectionState::Approved,
    };
    let connection = last.connection.ok_or("the connection is gone")?;
    let same = connection.id == decision.connection
        && connection.endpoint == decision.endpoint
        && connection.description == decision.description;
    if !same {
        Err("the connection is not the one that was decided on")
    } else if connection.state != expected {
        Err("somebody else decided on the connection")
    } else {
        Ok(())
    }
}

/// S5, R12: whether a link may be put where a single GET has just found this. One is put again only where it is our own,
/// failed, does not work all the same, and was not turned down.
///
/// # Errors
/// What is not as it was when that was decided; then nothing is written.
pub fn may_put(found: Option<&Link>, replaces: Option<&Marker>) -> Result<(), &'static str> {
    let is_failed = |link: &Link, own: &Marker| {
        Marker::parse(&link.message).as_ref() == Some(own)
            && link.provisioning.has_failed()
            && link.connection != ConnectionState::Approved
            && !link.connection.is_turned_down()
    };
    match (found, replaces) {
        (None, None) => Ok(()),
        (Some(link), Some(own)) if is_failed(link, own) => Ok(()),
        _ => Err("the link is not what was decided on"),
    }
}

fn may_approve(decision: &Decision, last: &LastLook<'_>) -> Result<(), &'static str> {
    let object = last.object;
    if object.deleting || object.management == ManagementPolicy::ObserveOnly || object.mode == ApprovalMode::Manual {
        return Err("the object does not ask for an automatic approval");
    }
    // M6: the policy permits it now, not only when it was decided.
    if permitting_policy(object, decision.endpoint.as_ref(), last.permissions).ok() != decision.policy.as_ref() {
        return Err("the policy changed");
    }
    // M4: the link is still this incarnation, with this nonce, and still pending.
    let link = last.link.ok_or("the link is gone")?;
    let own = link.marker_of(&decision.uid).filter(|marker| marker.nonce == decision.nonce);
    match own {
        Some(own) if m1_link_is_ours(object, link, &own) && link.message == decision.description => Ok(()),
        _ => Err("the link is not the one that was decided on"),
    }
}

/// M7 never takes back what SignalR has confirmed meanwhile, nor the approval of a link that a list older than the
/// link did not show.
fn may_revoke(decision: &Decision, last: &LastLook<'_>) -> Result<(), &'static str> {
    let Some(link) = last.link else { return Ok(()) };
    let is_of_this_link = link.marker_of(&decision.uid).is_some_and(|marker| marker.nonce == decision.nonce);
    if confirms(link, &decision.uid, &decision.nonce) {
        Err("SignalR confirmed the approval")
    } else if decision.presumes_link_gone && is_of_this_link {
        Err("the link is the one that the approval is for")
    } else {
        Ok(())
    }
}

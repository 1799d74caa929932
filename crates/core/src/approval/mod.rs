//! Which connection on the vault is ours, and whether it may be approved: the rules M1 to M7.
//!
//! A pending connection can be opened by anyone who knows the vault's id, from any tenant, with
//! any message and any name. What cannot be known beforehand is the nonce in our own message.
//! Names never decide.
//!
//! | Rule | Says | Enforced in |
//! |------|------|-------------|
//! | M1 | the link is ours, as the spec wants it, Succeeded and Pending | [`m1_link_is_ours`] |
//! | M2 | the request is pending and says exactly what our link says | `m2_carries_our_message` |
//! | M3 | its endpoint lives in a subscription that the policy lists | [`permitting_policy`] |
//! | M4 | the link, read once more before the write, is still the same | [`still_authorised`] |
//! | M5 | it has no twin, in two complete lists; no replicas | [`find`], [`m5_seen_twice`] |
//! | M6 | object and policy, read once more, still ask and permit | [`still_authorised`] |
//! | M7 | an approval that SignalR does not confirm is taken back | [`m7_overdue`] |
//!
//! What would make M7 take an approval back at once stops it beforehand: both ask the same `twin`, any
//! other connection with our marker or our record, in whatever state and wherever its endpoint lives.
//! Everything here is pure; `docs/security.md` names the test behind each rule.

mod confirm;
mod last_look;
mod twin;

use crate::action::Decision;
use crate::azure::{Connection, ConnectionState, Connections, Link, Provisioning};
use crate::desired::Desired;
use crate::limits::Limits;
use crate::marker::{ApprovalRecord, Marker, Verdict};
use crate::observed::{Memory, Permissions, Sighting};
use crate::policy::Policy;
use crate::resource_id::{ConnectionId, EndpointId};

pub use confirm::{RevocationCause, SeenLink, Unconfirmed, approved_by_us, confirms, m7_overdue, may_be_overdue};
pub use last_look::{LastLook, may_put, still_authorised};
pub use twin::is_bearer;

/// What the vault shows of our request.
#[derive(Debug, Clone, PartialEq)]
pub enum Match<'a> {
    /// Nothing.
    None,
    /// Exactly one pending request carries our message, and it has no twin. It may show no endpoint: then
    /// it fails M3 whatever the policy says.
    One(&'a Connection),
    /// One does, and others carry our marker, in whatever state: somebody copied it, or the SignalR has
    /// replicas.
    Several(Vec<&'a Connection>),
    /// One does, and it is not the connection that was seen with our marker before: that one is gone, or
    /// says something else by now.
    Replaced {
        /// The one that is pending.
        pending: &'a Connection,
        /// The one that was seen before.
        before: ConnectionId,
    },
    /// The operator approved it; SignalR has not confirmed that yet.
    Ours(&'a Connection, ApprovalRecord),
    /// The operator took its approval back.
    Revoked(&'a Connection, ApprovalRecord),
    /// Somebody else decided.
    Decided(&'a Connection),
}

/// M1: the link is one whose request may be approved. `own` is the marker with our uid.
#[must_use]
pub fn m1_link_is_ours(desired: &Desired, link: &Link, own: &Marker) -> bool {
    own.uid == desired.object.uid
        && link.provisioning == Provisioning::Succeeded
        && link.connection == ConnectionState::Pending
        && link.targets(&desired.vault)
        && desired.same_group(&link.group_id)
        && Marker::follows(&link.message, &desired.request_text)
}

/// M2: the connection is pending and its description equals the whole message. Equal, not
/// contains: a copy with other white space or letter case is somebody else's.
fn m2_carries_our_message(connection: &Connection, link: &Link) -> bool {
    connection.state == ConnectionState::Pending && connection.description == link.message && !link.message.is_empty()
}

/// Finds our request among all connections of the vault.
#[must_use]
pub fn find<'a>(
    desired: &Desired,
    link: &Link,
    own: Option<&Marker>,
    vault: &'a Connections,
    memory: &Memory,
) -> Match<'a> {
    if let Some(found) = own.and_then(|own| decided_by_us(own, vault)) {
        return found;
    }
    let before = own.and_then(|own| twin::seen_before(desired, own, memory));
    // The owner has decided on ours: whatever is pending with our message now is not it.
    if let Some(decided) = before.as_ref().and_then(|before| decided(before, vault)) {
        return Match::Decided(decided);
    }
    let Some(pending) = vault.connections.iter().find(|c| m2_carries_our_message(c, link)) else {
        return decided_by_somebody(link, vault).map_or(Match::None, Match::Decided);
    };
    let twins: Vec<&Connection> = match own {
        Some(own) => twin::beside(&pending.id, &own.uid, &own.nonce, vault).collect(),
        // An adopted link has no marker of ours.
        None => vault.connections.iter().filter(|c| c.id != pending.id && m2_carries_our_message(c, link)).collect(),
    };
    if !twins.is_empty() {
        return Match::Several(std::iter::once(pending).chain(twins).collect());
    }
    match before.filter(|before| *before != pending.id) {
        Some(before) => Match::Replaced { pending, before },
        None => Match::One(pending),
    }
}

/// The connection that is matched, or was approved by the operator, if there is one.
#[must_use]
pub fn matched<'a>(found: &Match<'a>) -> Option<&'a Connection> {
    match found {
        Match::One(connection)
        | Match::Ours(connection, _)
        | Match::Revoked(connection, _)
        | Match::Decided(connection) => Some(connection),
        Match::None | Match::Several(_) | Match::Replaced { .. } => None,
    }
}

/// The connection that carries our own record of a decision about this very request.
fn decided_by_us<'a>(own: &Marker, vault: &'a Connections) -> Option<Match<'a>> {
    let records = || {
        // A pending connection with such a text is a copy: our own writes leave none pending.
        let decided = vault.connections.iter().filter(|c| c.state != ConnectionState::Pending);
        decided.filter_map(|c| Some((c, c.record_of(&own.uid).filter(|r| r.is_of(own))?)))
    };
    let standing = records().find(|(c, r)| r.verdict == Verdict::Approved && c.state == ConnectionState::Approved);
    if let Some((connection, record)) = standing {
        return Some(Match::Ours(connection, record));
    }
    let (connection, record) = records().next()?;
    Some(match (record.verdict, connection.state) {
        // The owner approved by hand what the operator had taken back.
        (Verdict::Revoked, ConnectionState::Approved) => Match::Decided(connection),
        (Verdict::Revoked, _) => Match::Revoked(connection, record),
        // The owner decided otherwise after our approval, and left our text.
        (Verdict::Approved, _) => Match::Decided(connection),
    })
}

/// Whether somebody decided on a connection.
fn is_decided(connection: &Connection) -> bool {
    matches!(connection.state, ConnectionState::Approved | ConnectionState::Rejected | ConnectionState::Disconnected)
}

/// The connection of this id, if somebody decided on it, whatever its description says now.
fn decided<'a>(id: &ConnectionId, vault: &'a Connections) -> Option<&'a Connection> {
    vault.connections.iter().find(|c| c.id == *id && is_decided(c))
}

/// The only connection that was decided on and still carries our message.
fn decided_by_somebody<'a>(link: &Link, vault: &'a Connections) -> Option<&'a Connection> {
    let carries = |c: &&Connection| is_decided(c) && !link.message.is_empty() && c.description == link.message;
    let mut same = vault.connections.iter().filter(carries);
    same.next().filter(|_| same.next().is_none())
}

/// M5, first half: whether this only match was the only match in a list at least
/// [`second_look`](crate::Limits::second_look) ago.
#[must_use]
pub fn m5_seen_twice(limits: &Limits, link: &Link, connection: &Connection, sighting: Option<&Sighting>) -> bool {
    sighting.is_some_and(|first| {
        first.connection == connection.id
            && first.endpoint == connection.endpoint
            && first.message == link.message
            && first.age >= limits.second_look
    })
}

/// Why an automatic approval does not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The request shows no endpoint that can be read, so nobody can tell where it lives (M3).
    NoEndpoint,
    /// No policy permits namespace, SignalR and vault together.
    NoPolicy,
    /// Policies permit the link, but none lists the endpoint's subscription (M3).
    EndpointElsewhere {
        /// The policies that would permit it otherwise.
        policies: Vec<String>,
    },
}

/// M3 and M6: the policy that permits approving this endpoint for this object.
///
/// # Errors
/// Why there is none.
pub fn permitting_policy<'p>(
    desired: &Desired,
    endpoint: Option<&EndpointId>,
    permissions: &'p Permissions,
) -> Result<&'p Policy, Denial> {
    let permitting: Vec<&Policy> =
        permissions.policies.iter().filter(|p| p.permits(desired, &permissions.labels)).collect();
    if permitting.is_empty() {
        return Err(Denial::NoPolicy);
    }
    let endpoint = endpoint.ok_or(Denial::NoEndpoint)?;
    permitting
        .iter()
        .find(|p| p.lists_subscription_of(endpoint))
        .copied()
        .ok_or_else(|| Denial::EndpointElsewhere { policies: permitting.iter().map(|p| p.name.clone()).collect() })
}

/// The approval of a connection that passed every rule.
#[must_use]
pub fn approve(own: &Marker, request: &Connection, policy: &Policy) -> Decision {
    Decision {
        verdict: Verdict::Approved,
        connection: request.id.clone(),
        endpoint: request.endpoint.clone(),
        description: request.description.clone(),
        uid: own.uid.clone(),
        nonce: own.nonce.clone(),
        presumes_link_gone: false,
        policy: Some(policy.clone()),
        because: format!(
            "it is the only pending request that carries this link's message, and policy {} permits it",
            policy.reference()
        ),
    }
}

/// The revocation of an approval of ours, by rule M7.
#[must_use]
pub fn revoke(overdue: &Unconfirmed<'_>, because: String) -> Decision {
    Decision {
        verdict: Verdict::Revoked,
        connection: overdue.connection.id.clone(),
        endpoint: overdue.connection.endpoint.clone(),
        description: overdue.connection.description.clone(),
        uid: overdue.record.uid.clone(),
        nonce: overdue.record.nonce.clone(),
        presumes_link_gone: overdue.why.presumes_link_gone(),
        policy: overdue.policy.cloned(),
        because,
    }
}

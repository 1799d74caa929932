//! Which connection on the vault is ours, and whether it may be approved: the rules M1 to M7.
//!
//! A pending connection can be opened by anyone who knows the vault's id, from any tenant, with
//! any message and any name. What cannot be known beforehand is the nonce in our own message.
//! Names never decide. This module only reads; M4 (the link read once more just before the write)
//! and the rest of R6 are enforced where the write is made, on what a [`Decision`] demands.

use std::time::Duration;

use jiff::Timestamp;

use crate::action::Decision;
use crate::desired::Desired;
use crate::marker::{ApprovalRecord, Marker, Verdict, endpoint_hash};
use crate::observed::{Connection, ConnectionState, Connections, Link, Permissions, Provisioning, Sighting};
use crate::policy::{OnUnconfirmed, Policy};
use crate::resource_id::EndpointId;

/// `confirmWithin` of a policy that vanished since it permitted an approval.
const CONFIRM_WITHIN_WITHOUT_POLICY: Duration = Duration::from_secs(60 * 60);

/// What the vault shows of our request.
#[derive(Debug, Clone, PartialEq)]
pub enum Match<'a> {
    /// Nothing.
    None,
    /// Exactly one pending request carries our message.
    One(&'a Connection, &'a EndpointId),
    /// More than one does: somebody copied it, or the SignalR has replicas.
    Several(Vec<&'a Connection>),
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
        && Marker::follows(&link.message, &desired.words)
}

/// M2: the connection is pending and its description equals the whole message. Equal, not
/// contains: a copy with other white space or letter case is somebody else's.
fn m2_carries_our_message(connection: &Connection, link: &Link) -> bool {
    connection.state == ConnectionState::Pending && connection.description == link.message && !link.message.is_empty()
}

/// Finds our request among all connections of the vault.
#[must_use]
pub fn find<'a>(desired: &Desired, link: &Link, own: Option<&Marker>, vault: &'a Connections) -> Match<'a> {
    if let Some(own) = own {
        // A pending connection with such a text is a copy: our own writes leave none pending.
        let record = vault.connections.iter().filter(|c| c.state != ConnectionState::Pending).find_map(|c| {
            let record = ApprovalRecord::parse(&c.description).filter(|r| r.is_of(own))?;
            Some((c, record))
        });
        match record {
            Some((connection, record)) if record.verdict == Verdict::Revoked => {
                return Match::Revoked(connection, record);
            }
            Some((connection, record)) if connection.state == ConnectionState::Approved => {
                return Match::Ours(connection, record);
            }
            // The owner decided otherwise after our approval, and left our text.
            Some((connection, _)) => return Match::Decided(connection),
            None => {}
        }
    }
    let pending: Vec<&Connection> = vault.connections.iter().filter(|c| m2_carries_our_message(c, link)).collect();
    match pending.as_slice() {
        [] => decided_by_somebody(desired, link, vault).map_or(Match::None, Match::Decided),
        // A connection without a readable endpoint fails M3 whatever the policy says.
        [one] => match &one.endpoint {
            Some(endpoint) => Match::One(one, endpoint),
            None => Match::None,
        },
        _ => Match::Several(pending),
    }
}

/// A connection that somebody decided on: the one matched earlier with its endpoint, whatever its
/// description says now; or one that still carries our message.
fn decided_by_somebody<'a>(desired: &Desired, link: &Link, vault: &'a Connections) -> Option<&'a Connection> {
    let decided = |c: &&Connection| {
        matches!(c.state, ConnectionState::Approved | ConnectionState::Rejected | ConnectionState::Disconnected)
    };
    let remembered = desired.remembered.connection.as_ref();
    vault
        .connections
        .iter()
        .filter(decided)
        .find(|c| remembered.is_some_and(|(id, endpoint)| c.id == *id && c.endpoint.as_ref() == Some(endpoint)))
        .or_else(|| {
            let mut same = vault
                .connections
                .iter()
                .filter(decided)
                .filter(|c| !link.message.is_empty() && c.description == link.message);
            let first = same.next();
            first.filter(|_| same.next().is_none())
        })
}

/// M5, first half: whether this only match was the only match in a list at least
/// [`second_look`](crate::desired::Limits::second_look) ago.
#[must_use]
pub fn m5_seen_twice(
    desired: &Desired,
    link: &Link,
    connection: &Connection,
    endpoint: &EndpointId,
    sighting: Option<&Sighting>,
) -> bool {
    sighting.is_some_and(|first| {
        first.connection == connection.id
            && first.endpoint == *endpoint
            && first.message == link.message
            && first.age >= desired.limits.second_look
    })
}

/// Why an automatic approval does not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
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
    endpoint: &EndpointId,
    permissions: &'p Permissions,
) -> Result<&'p Policy, Denial> {
    let permitting: Vec<&Policy> =
        permissions.policies.iter().filter(|p| p.permits(desired, &permissions.labels)).collect();
    if permitting.is_empty() {
        return Err(Denial::NoPolicy);
    }
    permitting
        .iter()
        .find(|p| p.lists_subscription_of(endpoint))
        .copied()
        .ok_or_else(|| Denial::EndpointElsewhere { policies: permitting.iter().map(|p| p.name.clone()).collect() })
}

/// The approval of a connection that passed every rule.
#[must_use]
pub fn approve(link: &Link, own: &Marker, connection: &Connection, endpoint: &EndpointId, policy: &Policy) -> Decision {
    Decision {
        verdict: Verdict::Approved,
        connection: connection.id.clone(),
        endpoint: endpoint.clone(),
        description: connection.description.clone(),
        message: link.message.clone(),
        marker: own.clone(),
        policy: Some(policy.clone()),
        because: format!(
            "it is the only pending request that carries this link's message, and policy {} permits it",
            policy.reference()
        ),
    }
}

/// M7: what is wrong with an approval of ours that SignalR has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unconfirmed {
    /// Another endpoint is under the connection than the one that was approved.
    EndpointChanged,
    /// A second connection carries our message.
    SecondRequest,
    /// Too much time has passed, by ARM's own dates.
    TooLong(Duration),
}

/// M7: whether an approval of ours must be taken back. The time is measured between two dates of
/// ARM's, so neither a restart nor a wrong clock shortens or lengthens it.
#[must_use]
pub fn m7_unconfirmed(
    desired: &Desired,
    link: &Link,
    connection: &Connection,
    record: &ApprovalRecord,
    vault: &Connections,
    permissions: &Permissions,
) -> Option<(Unconfirmed, OnUnconfirmed)> {
    // A policy that vanished since counts as the defaults.
    let policy = permissions
        .policies
        .iter()
        .filter(|p| p.permits(desired, &permissions.labels))
        .find(|p| connection.endpoint.as_ref().is_some_and(|e| p.lists_subscription_of(e)));
    let on_unconfirmed = policy.map_or(OnUnconfirmed::Revoke, |p| p.on_unconfirmed);
    let limit = desired.limits.confirm_within(policy.map_or(CONFIRM_WITHIN_WITHOUT_POLICY, |p| p.confirm_within));
    let waited = vault.date.and_then(|date| elapsed(record.at, date));
    let why = if connection.endpoint.as_ref().map(endpoint_hash).as_ref() != Some(&record.endpoint_hash) {
        Unconfirmed::EndpointChanged
    } else if vault.connections.iter().any(|c| m2_carries_our_message(c, link)) {
        Unconfirmed::SecondRequest
    } else if link.provisioning == Provisioning::Succeeded
        && link.connection == ConnectionState::Pending
        && waited.is_some_and(|w| w >= limit)
    {
        Unconfirmed::TooLong(limit)
    } else {
        return None;
    };
    Some((why, on_unconfirmed))
}

/// The time from one date to a later one; `None` when it is not later.
fn elapsed(from: Timestamp, to: Timestamp) -> Option<Duration> {
    Duration::try_from(to.duration_since(from)).ok()
}

/// The revocation of an approval of ours.
#[must_use]
pub fn revoke(link: &Link, own: &Marker, connection: &Connection, endpoint: &EndpointId, because: String) -> Decision {
    Decision {
        verdict: Verdict::Revoked,
        connection: connection.id.clone(),
        endpoint: endpoint.clone(),
        description: connection.description.clone(),
        message: link.message.clone(),
        marker: own.clone(),
        policy: None,
        because,
    }
}

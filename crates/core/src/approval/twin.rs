//! M5 and M7: what proves that our request was copied.
//!
//! SignalR opens exactly one request for each incarnation of a link (replicas are told apart before), so a
//! second connection that carries our marker is a copy of it, or it is the copy's: which of them is which,
//! nobody can tell from the vault.

use crate::azure::{Connection, Connections};
use crate::desired::Desired;
use crate::marker::{Marker, Nonce};
use crate::observed::Memory;
use crate::resource_id::ConnectionId;

/// Whether a connection carries the marker of this request, or the operator's record of a decision on
/// it, in whatever state.
#[must_use]
pub fn is_bearer(connection: &Connection, uid: &str, nonce: &Nonce) -> bool {
    let asks = connection.marker_of(uid).is_some_and(|marker| marker.nonce == *nonce);
    asks || connection.record_of(uid).is_some_and(|record| record.nonce == *nonce)
}

/// The twins of a connection in a complete list.
pub(super) fn beside<'a>(
    of: &ConnectionId,
    uid: &str,
    nonce: &Nonce,
    vault: &'a Connections,
) -> impl Iterator<Item = &'a Connection> {
    vault.connections.iter().filter(move |c| c.id != *of && is_bearer(c, uid, nonce))
}

/// The connection that was seen alone with our message under this nonce before: by this process, else by
/// one before it, which wrote it to `status`. (An operator that creates a link empties that field first.)
pub(super) fn seen_before(desired: &Desired, own: &Marker, memory: &Memory) -> Option<ConnectionId> {
    seen_by_this_process(&own.nonce, memory)
        .cloned()
        .or_else(|| desired.remembered.connection_id().filter(|id| id.vault() == desired.vault))
}

/// The connection that this process saw alone with our message under this nonce.
pub(super) fn seen_by_this_process<'a>(nonce: &Nonce, memory: &'a Memory) -> Option<&'a ConnectionId> {
    memory.candidate.as_ref().filter(|(seen, _)| seen == nonce).map(|(_, id)| id)
}

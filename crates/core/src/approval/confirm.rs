//! M7: an approval of ours stands only as long as SignalR may still be about to confirm it.
//!
//! What the operator approved is read back from the vault alone: the description it wrote names
//! the time, the endpoint, the object and the nonce. So neither a restart, nor a wiped or forged
//! `status`, nor a clock that jumps makes it revoke early or forget to.

use std::time::Duration;

use jiff::Timestamp;

use crate::desired::{Desired, ManagementPolicy};
use crate::marker::{ApprovalRecord, Marker, Nonce, Verdict, endpoint_hash};
use crate::observed::{Connection, ConnectionState, Connections, Link, Memory, Permissions, Provisioning};
use crate::policy::{OnUnconfirmed, Policy};

/// `confirmWithin` of a policy that vanished since it permitted an approval.
const CONFIRM_WITHIN_WITHOUT_POLICY: Duration = Duration::from_secs(60 * 60);

/// Why an approval cannot be left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Another endpoint is under the connection than the one that was approved.
    EndpointChanged,
    /// A second connection carries our message.
    SecondRequest,
    /// The link is another incarnation, with another nonce: it can never confirm.
    LinkReplaced,
    /// There is no such link any more, and the operator creates none.
    LinkGone,
    /// The object is being deleted, and nobody would watch the approval any longer.
    Leaving,
    /// Too much time has passed, by ARM's own dates.
    TooLong(Duration),
    /// SignalR says that its own request was turned down.
    Refused,
}

/// An approval of ours that must not stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Unconfirmed<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// What the operator wrote when it approved.
    pub record: ApprovalRecord,
    /// What is wrong.
    pub why: Why,
    /// What the policy wants done about it.
    pub then: OnUnconfirmed,
    /// The policy that permits the approval now, if one still does.
    pub policy: Option<&'a Policy>,
}

/// The connections that the operator approved for an object, as the vault shows them.
pub fn approved_by_us<'a>(uid: &str, vault: &'a Connections) -> impl Iterator<Item = (&'a Connection, ApprovalRecord)> {
    let approved = vault.connections.iter().filter(|c| c.state == ConnectionState::Approved);
    approved.filter_map(move |connection| {
        let record = ApprovalRecord::parse(&connection.description)?;
        (record.verdict == Verdict::Approved && record.uid == uid).then_some((connection, record))
    })
}

/// Whether the link, as it reads now, confirms an approval under this object's uid and nonce.
///
/// A link that carries no marker of this object's is not ours to judge: somebody may have edited
/// the message of a link that works, so its own Approved is taken as a confirmation.
#[must_use]
pub fn confirms(link: &Link, uid: &str, nonce: &Nonce) -> bool {
    let same = Marker::parse(&link.message).is_none_or(|m| m.uid != uid || m.nonce == *nonce);
    same && link.connection == ConnectionState::Approved
}

/// M7: the first approval of ours that must not stand; one that is to be revoked goes before one
/// that is only told about.
///
/// `link` is the link as a complete list of this pass shows it, `None` where it does not; a link
/// that could not be read is no evidence, and then nobody asks. An approval under a nonce under
/// which this process has seen the link Approved (`memory.confirmed`) is never taken back.
#[must_use]
pub fn m7_overdue<'a>(
    desired: &Desired,
    link: Option<&Link>,
    vault: &'a Connections,
    permissions: &'a Permissions,
    memory: &Memory,
) -> Option<Unconfirmed<'a>> {
    let overdue = approved_by_us(&desired.object.uid, vault).filter_map(|(connection, record)| {
        let known = memory.confirmed.as_ref() == Some(&record.nonce);
        if known || link.is_some_and(|link| confirms(link, &record.uid, &record.nonce)) {
            return None;
        }
        let policy = policy_of(desired, connection, permissions);
        let within = policy.map_or(CONFIRM_WITHIN_WITHOUT_POLICY, |p| p.confirm_within);
        let limit = desired.limits.confirm_within(within);
        let case = Case { desired, link, vault, limit, refused_for: memory.refused_for };
        let why = case.why(connection, &record)?;
        let then = policy.map_or(OnUnconfirmed::Revoke, |p| p.on_unconfirmed);
        Some(Unconfirmed { connection, record, why, then, policy })
    });
    // The first of those to revoke, else the first.
    overdue.min_by_key(|one| one.then == OnUnconfirmed::Hold)
}

/// The policy that permits this approval now; a vanished one counts as the defaults.
fn policy_of<'p>(desired: &Desired, connection: &Connection, permissions: &'p Permissions) -> Option<&'p Policy> {
    let endpoint = connection.endpoint.as_ref()?;
    permissions
        .policies
        .iter()
        .filter(|p| p.permits(desired, &permissions.labels))
        .find(|p| p.lists_subscription_of(endpoint))
}

/// What an approval is judged by.
struct Case<'a> {
    desired: &'a Desired,
    link: Option<&'a Link>,
    vault: &'a Connections,
    limit: Duration,
    refused_for: Option<Duration>,
}

impl Case<'_> {
    fn why(&self, connection: &Connection, record: &ApprovalRecord) -> Option<Why> {
        let endpoint = connection.endpoint.as_ref().map(endpoint_hash);
        let incarnation = self.link.and_then(|link| Marker::parse(&link.message)).filter(|m| m.uid == record.uid);
        if endpoint.is_some_and(|hash| hash != record.endpoint_hash) {
            Some(Why::EndpointChanged)
        } else if self.second_request(connection, record) {
            Some(Why::SecondRequest)
        } else if incarnation.is_some_and(|marker| marker.nonce != record.nonce) {
            Some(Why::LinkReplaced)
        } else if self.desired.deleting {
            Some(Why::Leaving)
        } else if self.link.is_none() && self.desired.management == ManagementPolicy::ObserveOnly {
            Some(Why::LinkGone)
        } else if self.still_pending(record) {
            Some(Why::TooLong(self.limit))
        } else if self.still_refused() {
            Some(Why::Refused)
        } else {
            None
        }
    }

    /// One that the vault's owner has turned down is no danger any more.
    fn second_request(&self, approved: &Connection, record: &ApprovalRecord) -> bool {
        let ours = |c: &Connection| {
            let turned_down = matches!(c.state, ConnectionState::Rejected | ConnectionState::Disconnected);
            !turned_down && Marker::parse(&c.description).is_some_and(|marker| record.is_of(&marker))
        };
        self.vault.connections.iter().any(|c| c.id != approved.id && ours(c))
    }

    /// A read that says so, and not the lack of one: silence is no evidence.
    fn still_pending(&self, record: &ApprovalRecord) -> bool {
        let pending = |l: &Link| l.provisioning == Provisioning::Succeeded && l.connection == ConnectionState::Pending;
        let waited = self.vault.date.and_then(|date| elapsed(record.at, date));
        self.link.is_some_and(pending) && waited.is_some_and(|waited| waited >= self.limit)
    }

    /// SignalR says that its request was turned down, and goes on saying so although ours stands:
    /// what was approved is somebody else's. It is given the same time, for the vault's owner may
    /// have changed their mind, and SignalR hears of that late.
    fn still_refused(&self) -> bool {
        let refused = |l: &Link| {
            use ConnectionState::{Disconnected, Rejected, Timeout};
            l.provisioning == Provisioning::Succeeded && matches!(l.connection, Rejected | Disconnected | Timeout)
        };
        self.link.is_some_and(refused) && self.refused_for.is_some_and(|time| time >= self.limit)
    }
}

/// The time from one of ARM's dates to a later one; `None` when it is not later.
fn elapsed(from: Timestamp, to: Timestamp) -> Option<Duration> {
    Duration::try_from(to.duration_since(from)).ok()
}

//! M7: an approval of ours stands only as long as SignalR may still be about to confirm it.
//!
//! What the operator approved is read back from the vault alone: the description it wrote names
//! the time, the endpoint, the object and the nonce. So neither a restart, nor a wiped or forged
//! `status`, nor a clock that jumps makes it revoke early or forget to.

use std::time::Duration;

use jiff::Timestamp;

use super::twin;
use crate::azure::{Connection, ConnectionState, Connections, Link, Provisioning};
use crate::desired::Desired;
use crate::marker::{ApprovalRecord, Marker, Nonce, Verdict, endpoint_hash};
use crate::observed::{Memory, Permissions};
use crate::policy::{OnUnconfirmed, Policy};

/// `confirmWithin` of a policy that vanished since it permitted an approval.
const CONFIRM_WITHIN_WITHOUT_POLICY: Duration = Duration::from_secs(60 * 60);

/// The shortest `confirmWithin` that the definition of a policy takes.
const LEAST_CONFIRM_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Why an approval cannot be left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationCause {
    /// Another endpoint is under the connection than the one that was approved.
    EndpointChanged,
    /// The connection has a twin: another one with our marker.
    Twin,
    /// The link is another incarnation, with another nonce: it can never confirm.
    LinkReplaced,
    /// There is no such link any more, and none that could confirm has come in time.
    LinkGone(Duration),
    /// The object is being deleted, and nobody would watch the approval any longer.
    ObjectDeleted,
    /// Too much time has passed, by ARM's own dates.
    TimedOut(Duration),
    /// SignalR says that its own request was turned down.
    TurnedDown,
}

impl RevocationCause {
    /// Whether it is plain from what was read, whatever a policy says of waiting.
    #[must_use]
    pub fn needs_no_policy(&self) -> bool {
        matches!(self, Self::EndpointChanged | Self::Twin | Self::LinkReplaced)
    }

    /// Whether it rests on the link not being the one that the approval is for, as a list showed it.
    #[must_use]
    pub fn presumes_link_gone(&self) -> bool {
        matches!(self, Self::LinkReplaced | Self::LinkGone(_))
    }
}

/// What a pass has read of the link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SeenLink<'a> {
    /// It was not read, or could not be: that is no evidence of anything.
    Unknown,
    /// A complete list does not show it, or its SignalR is gone.
    Absent,
    /// It reads like this.
    Present(&'a Link),
}

impl<'a> SeenLink<'a> {
    /// The link, where there is one.
    #[must_use]
    pub fn present(self) -> Option<&'a Link> {
        match self {
            Self::Present(link) => Some(link),
            Self::Unknown | Self::Absent => None,
        }
    }
}

impl<'a> SeenLink<'a> {
    /// What a complete list shows. One that carries another object's marker stands where ours was.
    #[must_use]
    pub fn listed(link: Option<&'a Link>, uid: &str) -> Self {
        let ours = |link: &&Link| Marker::parse(&link.message).is_none_or(|marker| marker.uid == uid);
        link.filter(ours).map_or(Self::Absent, Self::Present)
    }
}

/// An approval of ours that must not stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Unconfirmed<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// What the operator wrote when it approved.
    pub record: ApprovalRecord,
    /// What is wrong.
    pub why: RevocationCause,
    /// What the policy wants done about it; `None` where policies or namespace cannot be read, and it
    /// takes one to tell.
    pub then: Option<OnUnconfirmed>,
    /// The policy that permits the approval now, if one still does.
    pub policy: Option<&'a Policy>,
}

/// The connections that the operator approved for an object, as the vault shows them.
pub fn approved_by_us<'a>(uid: &str, vault: &'a Connections) -> impl Iterator<Item = (&'a Connection, ApprovalRecord)> {
    let approved = vault.connections.iter().filter(|c| c.state == ConnectionState::Approved);
    approved.filter_map(move |connection| {
        let record = connection.record_of(uid)?;
        (record.verdict == Verdict::Approved).then_some((connection, record))
    })
}

/// Whether the link, as it reads now, confirms an approval under this object's uid and nonce.
///
/// A link without a marker is not ours to judge: somebody may have edited the message of a link that
/// works, so its own Approved is taken as a confirmation. One with another object's marker says nothing.
#[must_use]
pub fn confirms(link: &Link, uid: &str, nonce: &Nonce) -> bool {
    let same = Marker::parse(&link.message).is_none_or(|m| m.uid == uid && m.nonce == *nonce);
    same && link.connection == ConnectionState::Approved
}

/// Whether some policy could make an approval of ours one that must not stand: the shortest `confirmWithin` counts.
#[must_use]
pub fn may_be_overdue(desired: &Desired, link: SeenLink<'_>, vault: &Connections, memory: &Memory) -> bool {
    let limit = memory.limits.confirm_within(LEAST_CONFIRM_WITHIN);
    let watched = Watched { desired, link, vault, limit, memory };
    approved_by_us(&desired.object.uid, vault).any(|(connection, record)| watched.why(connection, &record).is_some())
}

/// M7: the first approval of ours that must not stand; one that is to be revoked goes before one
/// that is only told about.
///
/// An approval under a nonce under which this process has seen the link Approved (`memory.confirmed`) is
/// never taken back. Without `permissions` the usual time counts.
#[must_use]
pub fn m7_overdue<'a>(
    desired: &Desired,
    link: SeenLink<'_>,
    vault: &'a Connections,
    permissions: Option<&'a Permissions>,
    memory: &Memory,
) -> Option<Unconfirmed<'a>> {
    let overdue = approved_by_us(&desired.object.uid, vault).filter_map(|(connection, record)| {
        let known = memory.confirmed.contains(&record.nonce);
        if known || link.present().is_some_and(|link| confirms(link, &record.uid, &record.nonce)) {
            return None;
        }
        let policy = permissions.and_then(|permissions| policy_of(desired, connection, permissions));
        let within = policy.map_or(CONFIRM_WITHIN_WITHOUT_POLICY, |p| p.confirm_within);
        let limit = memory.limits.confirm_within(within);
        let watched = Watched { desired, link, vault, limit, memory };
        let why = watched.why(connection, &record)?;
        let revoke = permissions.is_some() || why.needs_no_policy();
        let then = policy.map(|p| p.on_unconfirmed).or_else(|| revoke.then_some(OnUnconfirmed::Revoke));
        Some(Unconfirmed { connection, record, why, then, policy })
    });
    // The first of those to revoke, else the first.
    let mut overdue: Vec<_> = overdue.collect();
    let first = overdue.iter().position(|one| one.then == Some(OnUnconfirmed::Revoke)).unwrap_or_default();
    (first < overdue.len()).then(|| overdue.swap_remove(first))
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
struct Watched<'a> {
    desired: &'a Desired,
    link: SeenLink<'a>,
    vault: &'a Connections,
    limit: Duration,
    memory: &'a Memory,
}

impl Watched<'_> {
    fn why(&self, connection: &Connection, record: &ApprovalRecord) -> Option<RevocationCause> {
        let endpoint = connection.endpoint.as_ref().map(endpoint_hash);
        let incarnation = self.link.present().and_then(|link| link.marker_of(&record.uid));
        if endpoint.is_some_and(|hash| hash != record.endpoint_hash) {
            Some(RevocationCause::EndpointChanged)
        } else if self.has_twin(connection, record) {
            Some(RevocationCause::Twin)
        } else if incarnation.is_some_and(|marker| marker.nonce != record.nonce) {
            Some(RevocationCause::LinkReplaced)
        } else if self.desired.deleting {
            Some(RevocationCause::ObjectDeleted)
        } else if self.link == SeenLink::Absent && self.has_waited(record) {
            Some(RevocationCause::LinkGone(self.limit))
        } else if self.still_pending() && self.has_waited(record) {
            Some(RevocationCause::TimedOut(self.limit))
        } else if self.still_refused() {
            Some(RevocationCause::TurnedDown)
        } else {
            None
        }
    }

    fn has_twin(&self, approved: &Connection, record: &ApprovalRecord) -> bool {
        let before = twin::seen_by_this_process(&record.nonce, self.memory);
        before.is_some_and(|before| *before != approved.id)
            || twin::beside(&approved.id, &record.uid, &record.nonce, self.vault).next().is_some()
    }

    /// Whether `confirmWithin` has passed since the approval, by ARM's own dates.
    fn has_waited(&self, record: &ApprovalRecord) -> bool {
        let waited = self.vault.date.and_then(|date| elapsed(record.at, date));
        waited.is_some_and(|waited| waited >= self.limit)
    }

    /// A read that says so, and not the lack of one: silence is no evidence.
    fn still_pending(&self) -> bool {
        let pending = |l: &Link| l.provisioning == Provisioning::Succeeded && l.connection == ConnectionState::Pending;
        self.link.present().is_some_and(pending)
    }

    /// SignalR says that its request was turned down, and goes on saying so although ours stands:
    /// what was approved is somebody else's. It is given the same time, for the vault's owner may
    /// have changed their mind, and SignalR hears of that late.
    fn still_refused(&self) -> bool {
        let refused = |l: &Link| l.provisioning == Provisioning::Succeeded && l.connection.is_turned_down();
        self.link.present().is_some_and(refused) && self.memory.refused_for.is_some_and(|time| time >= self.limit)
    }
}

/// The time from one of ARM's dates to a later one; `None` when it is not later.
fn elapsed(from: Timestamp, to: Timestamp) -> Option<Duration> {
    Duration::try_from(to.duration_since(from)).ok()
}

//! What ARM and Kubernetes said in this pass. Nothing here is older than the pass, except what
//! is named a memory of the process; those make waits longer, never shorter.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::failure::ArmError;
use crate::marker::{Marker, Nonce};
use crate::policy::Policy;
use crate::report::ConnectionFacts;
use crate::resource_id::{ConnectionId, EndpointId, LinkId, VaultId};

/// The reads that a plan may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// The operation that the process follows for this link.
    Operation,
    /// All links of the SignalR.
    Links,
    /// The link alone, by a single GET.
    Link,
    /// All connections of the vault.
    Connections,
    /// The replicas of the SignalR.
    Replicas,
    /// The namespace and all approval policies.
    Permissions,
}

/// One reading: not asked for yet, an answer, or a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Reading<T> {
    /// Not asked for in this pass.
    #[default]
    NotRead,
    /// The complete answer.
    Known(T),
    /// No answer.
    Failed(ArmError),
}

impl<T> Reading<T> {
    /// The answer or the failure; asks for the read where it was not made yet.
    ///
    /// # Errors
    /// The `read` that is missing.
    pub fn or_read(&self, read: Read) -> Result<Result<&T, &ArmError>, Read> {
        match self {
            Self::NotRead => Err(read),
            Self::Known(value) => Ok(Ok(value)),
            Self::Failed(error) => Ok(Err(error)),
        }
    }
}

impl<T> From<Result<T, ArmError>> for Reading<T> {
    fn from(result: Result<T, ArmError>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Failed(error),
        }
    }
}

/// `provisioningState` of a link or a connection. The enum is open on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioning {
    /// Done. A missing state counts as this (ARM's asynchronous API reference).
    Succeeded,
    /// The operation failed.
    Failed,
    /// The operation was canceled.
    Canceled,
    /// It is being deleted.
    Deleting,
    /// Anything else is in progress; the word is kept.
    InProgress(String),
}

impl Provisioning {
    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            None | Some("") => Self::Succeeded,
            Some(w) if w.eq_ignore_ascii_case("Succeeded") => Self::Succeeded,
            Some(w) if w.eq_ignore_ascii_case("Failed") => Self::Failed,
            Some(w) if w.eq_ignore_ascii_case("Canceled") => Self::Canceled,
            Some(w) if w.eq_ignore_ascii_case("Deleting") => Self::Deleting,
            Some(w) => Self::InProgress(w.to_owned()),
        }
    }

    /// Whether Azure is at work on it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::InProgress(_) | Self::Deleting)
    }

    /// Whether the last operation on it ended badly.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed | Self::Canceled)
    }

    /// The word for `status`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Deleting => "Deleting",
            Self::InProgress(word) => word,
        }
    }
}

/// The state of a connection, as SignalR or the vault reports it. The enum is open on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nobody decided yet.
    Pending,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Removed on the vault's side.
    Disconnected,
    /// In Azure's enum without a documented meaning.
    Timeout,
    /// Missing, null, or a word that is not known.
    Unknown,
}

impl ConnectionState {
    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        [Self::Pending, Self::Approved, Self::Rejected, Self::Disconnected, Self::Timeout]
            .into_iter()
            .find(|state| word.is_some_and(|w| w.eq_ignore_ascii_case(state.as_str())))
            .unwrap_or(Self::Unknown)
    }

    /// Whether somebody turned it down, or Azure gave it up.
    #[must_use]
    pub const fn is_turned_down(self) -> bool {
        matches!(self, Self::Rejected | Self::Disconnected | Self::Timeout)
    }

    /// The word for `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Disconnected => "Disconnected",
            Self::Timeout => "Timeout",
            Self::Unknown => "Unknown",
        }
    }
}

/// A shared private link as SignalR reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The id of its target, as ARM wrote it.
    pub target: String,
    /// Its group, as ARM wrote it.
    pub group_id: String,
    /// The whole request message.
    pub message: String,
    /// Where the provisioning stands.
    pub provisioning: Provisioning,
    /// Where the approval stands, by SignalR's own word.
    pub connection: ConnectionState,
    /// `systemData.createdAt`.
    pub created_at: Option<Timestamp>,
    /// `systemData.lastModifiedAt`.
    pub modified_at: Option<Timestamp>,
}

impl Link {
    /// Its marker, if that names this object.
    #[must_use]
    pub fn marker_of(&self, uid: &str) -> Option<Marker> {
        Marker::parse(&self.message).filter(|marker| marker.uid == uid)
    }

    /// Whether the target is this vault.
    #[must_use]
    pub fn targets(&self, vault: &VaultId) -> bool {
        VaultId::parse(&self.target).is_ok_and(|target| target == *vault)
    }
}

/// The links of one SignalR, complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Links {
    /// All of them.
    pub links: Vec<Link>,
    /// The `Date` of the last page.
    pub date: Option<Timestamp>,
}

impl Links {
    /// The link of this name. Names are compared without case, as ARM does.
    #[must_use]
    pub fn named(&self, id: &LinkId) -> Option<&Link> {
        self.links.iter().find(|link| link.name.eq_ignore_ascii_case(id.name()))
    }

    /// Another link on which Azure is at work: a SignalR takes one change at a time.
    #[must_use]
    pub fn running_beside(&self, id: &LinkId) -> Option<&Link> {
        self.links.iter().find(|link| !link.name.eq_ignore_ascii_case(id.name()) && link.provisioning.is_running())
    }
}

/// A private endpoint connection as the vault reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The endpoint; `None` when it is missing or cannot be parsed: such a connection is never
    /// approved.
    pub endpoint: Option<EndpointId>,
    /// Its state on the vault.
    pub state: ConnectionState,
    /// The requester's message while pending, the approver's text afterwards.
    pub description: String,
    /// Where the last write stands.
    pub provisioning: Provisioning,
    /// The concurrency token, if it has one yet.
    pub etag: Option<String>,
}

/// The connections of one vault, complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// All of them.
    pub connections: Vec<Connection>,
    /// The `Date` of the last page.
    pub date: Option<Timestamp>,
}

/// What the followed operation said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Not ended.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly, with ARM's own words.
    Failed(String),
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// It creates or updates the link.
    Put,
    /// It deletes the link.
    Delete,
}

/// What Kubernetes permits right now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Permissions {
    /// Whether the namespace is being terminated.
    pub terminating: bool,
    /// The namespace's labels.
    pub labels: Vec<(String, String)>,
    /// All approval policies.
    pub policies: Vec<Policy>,
}

/// A request that was seen as the only match in a complete list (M5). A memory of the process:
/// after a restart it is seen for the first time again, which costs the wait and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The connection.
    pub connection: ConnectionId,
    /// Its endpoint, where it shows one.
    pub endpoint: Option<EndpointId>,
    /// The message that both carried.
    pub message: String,
    /// When the first list showed it.
    pub at: Timestamp,
    /// How long ago that was, by the monotonic clock.
    pub age: Duration,
}

impl Sighting {
    /// Whether both saw the very same request.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        self.connection == other.connection && self.endpoint == other.endpoint && self.message == other.message
    }
}

/// An operation of ours that Azure ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOperation {
    /// What it was to do.
    pub kind: OperationKind,
    /// ARM's own words.
    pub words: String,
    /// How long ago that was seen.
    pub ago: Duration,
    /// How many have failed in a row.
    pub count: u32,
}

/// A write to the link that may still land (R7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateWrite {
    /// For how long yet.
    pub left: Duration,
    /// Whether it is one of this process, which has told of it; else one of the process before.
    pub told: bool,
}

/// Another live object that claims the same link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The object.
    pub object: crate::desired::ObjectIdentity,
    /// Whether it would write: it manages, and is not being deleted.
    pub manages: bool,
}

/// What this process alone knows about the object. A restart empties it, and that only makes
/// waits longer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// How long ago this process first saw the object being deleted.
    pub deleting_for: Option<Duration>,
    /// A DELETE rested on a read that proved the link older than any late write (R7).
    pub fence_waived: bool,
    /// How long nothing may be written yet (R7), if so.
    pub quarantine: Option<Duration>,
    /// How long ago Azure accepted a DELETE of the link that this process sent, as long as the link
    /// has not been seen gone since.
    pub deleted_for: Option<Duration>,
    /// How long ago Azure accepted a PUT of the link that this process sent, as long as the link has not
    /// been seen since.
    pub accepted_for: Option<Duration>,
    /// The first of the two lists of M5.
    pub sighting: Option<Sighting>,
    /// The connection that this process first saw alone with the message of this nonce (M5).
    pub candidate: Option<(Nonce, ConnectionId)>,
    /// How long ago SignalR last told how its links stand, or since the process started.
    pub heard_ago: Duration,
    /// How long ARM has said that the SignalR does not exist.
    pub signalr_absent_for: Option<Duration>,
    /// How long ARM has said that the vault does not exist.
    pub vault_absent_for: Option<Duration>,
    /// How long the link has been in progress, as far as this process saw.
    pub running_for: Duration,
    /// How long the other link of the SignalR that is in progress has been so, as far as this process saw.
    pub others_running_for: Duration,
    /// The last operation of ours, if it failed and the link has not been seen well since.
    pub failed_operation: Option<FailedOperation>,
    /// How long the link has been failed, as far as this process saw.
    pub failed_for: Duration,
    /// How long SignalR has reported the link's request as turned down, as far as this process saw.
    pub refused_for: Option<Duration>,
    /// The nonces under which this process has seen the link Approved: such an approval is never
    /// taken back (M7).
    pub confirmed: Vec<Nonce>,
    /// A forced finalization has already tried to take an approval back.
    pub forced_revocation_tried: bool,
    /// When each connection that carries our message was first seen, for people who have to tell
    /// copies apart.
    pub appeared: Vec<(ConnectionId, Timestamp)>,
    /// What the vault last showed this process of the matched connection.
    pub shown: Option<Option<ConnectionFacts>>,
    /// The operator may not read the vault.
    pub vault_refused: bool,
    /// A complete list has shown that no approval of ours stands, and this process has sent none since:
    /// there is nothing for M7 to watch.
    pub approval_ruled_out: bool,
}

/// Everything observed in this pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The operation that is followed; `NotRead` with `operation_held` asks for it.
    pub operation: Reading<Operation>,
    /// The kind of operation whose URL the process holds for this link, if any.
    pub operation_held: Option<OperationKind>,
    /// The links of the SignalR, which all its objects share.
    pub links: Reading<Arc<Links>>,
    /// The link by a single GET, where that was asked for.
    pub link: Reading<Option<Link>>,
    /// The connections of the vault, which all objects that lead to it share.
    pub connections: Reading<Arc<Connections>>,
    /// How many replicas the SignalR has.
    pub replicas: Reading<usize>,
    /// The namespace and the policies.
    pub permissions: Reading<Permissions>,
    /// Other objects that claim the link.
    pub rivals: Vec<Rival>,
    /// Another write to this SignalR is on its way, or has just ended.
    pub signalr_busy: bool,
    /// An earlier PUT or DELETE of this link that may still land (R7): one of this process whose
    /// outcome is not known, or one of the process before it.
    pub late_write: Option<LateWrite>,
    /// What the process remembers.
    pub memory: Memory,
}

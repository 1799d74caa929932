//! What ARM and Kubernetes said in this pass. Nothing here is older than the pass, except what
//! is named a memory of the process; those make waits longer, never shorter.

use std::time::Duration;

use jiff::Timestamp;

use crate::failure::ArmError;
use crate::marker::Nonce;
use crate::policy::Policy;
use crate::resource_id::{ConnectionId, EndpointId, VaultId};

/// The reads that a plan may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// The operation that the process follows for this link.
    Operation,
    /// All links of the SignalR.
    Links,
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
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// The message that both carried.
    pub message: String,
    /// When the first list showed it.
    pub at: Timestamp,
    /// How long ago that was, by the monotonic clock.
    pub age: Duration,
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
    /// How long an earlier PUT or DELETE of this link may still land (R7): one of this process whose
    /// outcome is not known, or one of the process before it.
    pub late_write: Option<Duration>,
    /// Whether that is a write of this process, which has told of it.
    pub late_write_told: bool,
    /// The first of the two lists of M5.
    pub sighting: Option<Sighting>,
    /// How long ago a read last confirmed `Ready=True`, or since the process started.
    pub unconfirmed_for: Duration,
    /// How long the link has been in progress, as far as this process saw.
    pub in_progress_for: Duration,
    /// How long the link has been failed, as far as this process saw.
    pub failed_for: Duration,
    /// How long SignalR has reported the link's request as turned down, as far as this process saw.
    pub refused_for: Option<Duration>,
    /// Another write to this SignalR is on its way, or has just ended.
    pub signalr_busy: bool,
    /// The nonce under which this process has seen the link Approved: such an approval is never
    /// taken back (M7).
    pub confirmed: Option<Nonce>,
    /// A forced finalization has already tried to take an approval back.
    pub revocation_tried: bool,
    /// When each connection that carries our message was first seen, for people who have to tell
    /// copies apart.
    pub appeared: Vec<(ConnectionId, Timestamp)>,
}

/// Everything observed in this pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The operation that is followed; `NotRead` with `operation_held` asks for it.
    pub operation: Reading<Operation>,
    /// The kind of operation whose URL the process holds for this link, if any.
    pub operation_held: Option<OperationKind>,
    /// The links of the SignalR.
    pub links: Reading<Links>,
    /// The connections of the vault.
    pub connections: Reading<Connections>,
    /// How many replicas the SignalR has.
    pub replicas: Reading<usize>,
    /// The namespace and the policies.
    pub permissions: Reading<Permissions>,
    /// Other objects that claim the link.
    pub rivals: Vec<Rival>,
    /// What the process remembers.
    pub memory: Memory,
}

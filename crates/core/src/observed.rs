//! What ARM and Kubernetes said in this pass. Nothing here is older than the pass, except what
//! is named a memory of the process; those make waits longer, never shorter.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::azure::{Connections, Link, Links, Operation, OperationKind};
use crate::failure::ArmError;
use crate::limits::Limits;
use crate::marker::Nonce;
use crate::policy::Policy;
use crate::report::ConnectionFacts;
use crate::resource_id::{ConnectionId, EndpointId};

/// The reads that a plan may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Read {
    /// The operation that the process began on this link.
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

/// What this process alone knows about the object, and the limits it measures that by. A restart empties
/// it, and that only makes waits longer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// The limits that the times below are measured against.
    pub limits: Limits,
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
    /// How long ago Azure accepted the last PUT or DELETE of the link that this process sent.
    pub begun_ago: Option<Duration>,
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
    /// How the operation stands that the process began on this link.
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

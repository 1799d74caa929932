//! The state of the world, as small as it can be: numbers stand for names, and the texts that the operator reads are
//! made of them when it reads ([`wire`](crate::wire)).

use signalr_private_link_core::Limits;
use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::desired::Approver;
use signalr_private_link_core::marker::Verdict;

use crate::finalizers::{Finalizer, Finalizers};
use crate::rare::Inexact;
use crate::work::{Flight, Process, Worker};

/// A moment: how many times the least wait has passed since the beginning.
pub type Tick = u16;

/// Whether it is an object of the second tenant's.
#[must_use]
pub const fn is_second(uid: u8) -> bool {
    uid > SECOND && uid < FOREIGN
}

/// The marker's uid on a link of another cluster.
pub const FOREIGN: u8 = 9;
/// The uids of the second tenant's objects are greater, and less than [`FOREIGN`].
pub const SECOND: u8 = 4;
/// Who put a link, where it was not a process of the operator's.
pub const OUTSIDER: u8 = 99;

/// Where the provisioning of the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "ARM's words")]
pub enum Provision {
    Creating,
    Succeeded,
    Failed,
    Deleting,
}

/// The link in Azure. There is one of this name at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spl {
    /// Whose marker it carries.
    pub uid: u8,
    /// Which creation it is; stands for the nonce.
    pub nonce: u8,
    /// The `recreate-requested-at` that it was created under.
    pub tag: u8,
    /// Where its provisioning stands.
    pub provision: Provision,
    /// What SignalR says of the connection.
    pub connection: ConnectionState,
    /// When it was created.
    pub created: Tick,
    /// Whether lists show it; a single GET always does.
    pub listed: bool,
    /// Whether SignalR has sent the request to the vault.
    pub requested: bool,
    /// The process that put it.
    pub put_by: u8,
}

impl Spl {
    /// Whether Azure is at work on it.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.provision, Provision::Creating | Provision::Deleting)
    }
}

/// Where a private endpoint lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Subscription {
    Microsoft,
    Elsewhere,
    /// The vault does not show the endpoint.
    Unknown,
}

/// A private endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its number.
    pub name: u8,
    /// Where it lives.
    pub subscription: Subscription,
}

/// What a connection's description says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Text {
    /// A link's whole message.
    Message {
        /// The marker's uid.
        uid: u8,
        /// The marker's nonce.
        nonce: u8,
        /// The marker's tag.
        tag: u8,
    },
    /// The operator's record of a decision.
    Record {
        /// Approved or revoked.
        verdict: Verdict,
        /// ARM's date of it.
        at: Tick,
        /// The endpoint that was decided on.
        endpoint: Endpoint,
        /// For whom.
        uid: u8,
        /// For which creation.
        nonce: u8,
    },
    /// A link's message, but not quite.
    Inexact {
        /// The marker's uid.
        uid: u8,
        /// The marker's nonce.
        nonce: u8,
        /// The marker's tag.
        tag: u8,
        /// In which way.
        how: Inexact,
    },
    /// Words of the vault's owner.
    ByHand,
}

/// Who really opened a connection. The operator cannot read this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opener {
    /// SignalR, for this creation of the link.
    Link(u8),
    /// SignalR, for a replica.
    Replica,
    /// Anybody.
    Stranger,
}

/// Who decided last. The operator cannot read this either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum DecidedBy {
    Nobody,
    Operator,
    Owner,
}

/// A private endpoint connection of the vault, with the truth about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pec {
    /// Its number.
    pub name: u8,
    /// Its endpoint.
    pub endpoint: Endpoint,
    /// Its state.
    pub state: ConnectionState,
    /// Its description.
    pub text: Text,
    /// Who opened it.
    pub opener: Opener,
    /// Who decided last.
    pub decided: DecidedBy,
}

/// What `status` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status {
    /// `Ready`.
    pub ready: Option<bool>,
    /// Whether it names a provisioning state.
    pub seen: bool,
    /// The matched connection.
    pub connection: Option<(u8, Endpoint, ConnectionState)>,
    /// `approval.requestedAt`.
    pub requested: Option<Tick>,
    /// `approval.approvedAt`.
    pub approved: Option<Tick>,
    /// `approval.revokedAt`.
    pub revoked: Option<Tick>,
    /// `approval.approvedBy`: whether it is the operator.
    pub by_operator: Option<bool>,
    /// Whether `approval.policy` names one.
    pub policy: bool,
    /// Since when `Provisioned` is True.
    pub provisioned: Option<Tick>,
}

impl Status {
    /// The value for [`Status::by_operator`].
    #[must_use]
    pub fn approver(by: Option<Approver>) -> Option<bool> {
        by.map(|by| by == Approver::Operator)
    }
}

/// The object in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    /// Its uid.
    pub uid: u8,
    /// When it was created.
    pub created: Tick,
    /// Its generation.
    pub generation: u8,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its finalizers.
    pub finalizers: Finalizers,
    /// `force-finalize` with its own uid.
    pub force: bool,
    /// `approval.mode: Automatic`.
    pub automatic: bool,
    /// `managementPolicy: ObserveOnly`.
    pub observe: bool,
    /// `deletionPolicy: Detach`.
    pub detach: bool,
    /// The value of `recreate-requested-at`; 0 without one.
    pub recreate: u8,
    /// Its status.
    pub status: Status,
}

impl Object {
    /// Whether it carries the operator's finalizer.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        self.finalizers.has(Finalizer::Ours)
    }

    /// Whether the operator is done with it: somebody else's finalizer alone holds it.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.deleting && !self.has_finalizer()
    }
}

/// Which approval policies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policies {
    /// None.
    Absent,
    /// One that permits.
    Revoke,
    /// One that permits, with `onUnconfirmed: Hold`.
    Hold,
    /// The one that permits, of a later generation.
    Later,
}

/// What only the judge remembers: sets of creations, or of uids, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ghost {
    /// Creations that SignalR has called Approved.
    pub confirmed: u32,
    /// Creations whose approval was taken back.
    pub revoked: u32,
    /// Those of them that status was wiped of since.
    pub wiped: u32,
    /// Creations whose own request the vault's owner approved.
    pub owner_approved: u32,
    /// Objects whose link may be left behind.
    pub released: u32,
    /// Objects that somebody took out of the operator's hands by force.
    pub forced: u32,
    /// Somebody was told to look at an approval that stands.
    pub alarmed: bool,
}

/// What must not happen, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Violation {
    /// The invariant's name in `docs/reliability.md`.
    pub name: &'static str,
    /// What happened.
    pub what: &'static str,
}

/// Everything.
#[derive(Debug, Clone)]
pub struct World {
    /// The time.
    pub now: Tick,
    /// The objects; the second one only where two claim the link, or a second tenant has one.
    pub objects: [Option<Object>; 2],
    /// The link.
    pub link: Option<Spl>,
    /// The second tenant's link, on the same SignalR.
    pub beside: Option<Spl>,
    /// The SignalR is gone.
    pub signalr_gone: bool,
    /// The vault's connections.
    pub vault: Vec<Pec>,
    /// The policies.
    pub policies: Policies,
    /// The SignalR has a replica.
    pub replica: bool,
    /// The operator's processes.
    pub processes: [Process; 2],
    /// What they work on.
    pub workers: [Worker; 2],
    /// What is under way to Azure.
    pub flights: Vec<Flight>,
    /// How many more disturbances there may be.
    pub budget: u8,
    /// How many more passes the second replica may begin.
    pub visits: Option<u8>,
    /// The last uid.
    pub uids: u8,
    /// The last creation.
    pub nonces: u8,
    /// The last connection or endpoint.
    pub names: u8,
    /// What the judge remembers.
    pub ghost: Ghost,
    /// What must not happen, and did.
    pub broken: Option<Violation>,
}

/// The limits of the model, in ticks of 30 s: the order of the real ones, nearer together.
pub const SECONDS: u64 = 30;

const fn ticks(count: u64) -> std::time::Duration {
    std::time::Duration::from_secs(count * SECONDS)
}

/// R7's fence, and how long after its sender's last look a write may land.
pub const FENCE: Tick = 3;

/// See [`Limits`].
pub const LIMITS: Limits = Limits {
    pace: 0.2,
    second_look: ticks(1),
    connection_missing: ticks(5),
    fence: ticks(FENCE as u64),
    fence_read: ticks(1),
    quarantine: ticks(1),
    failed_rest: ticks(4),
    operation: ticks(8),
    ready_grace: ticks(5),
    absence: ticks(2),
    right_grace: ticks(4),
};

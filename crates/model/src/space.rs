//! What is explored: who takes part, which disturbances there are and how many, and which rule is switched off.

use std::sync::atomic::{AtomicU64, Ordering};

use signalr_private_link_core::action::ActionKind;
use signalr_private_link_core::resource_id::InvalidId;
use signalr_private_link_core::{Failure, Reason};

use crate::state::{Object, Tick, Violation, World};
use crate::wire::Wire;

/// A rule that is switched off, around the shipped functions: they are handed what they would see if it held, or a look
/// that it asks for is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A pass begins with a live read: off, with what the watch showed last.
    R3,
    /// Kubernetes writes test uid and version.
    R4,
    /// What is unknown is observed, and not repeated.
    R5,
    /// What authorises a write is read just before it.
    R6,
    /// Late writes are waited for.
    R7,
    /// One mutation at a time to one SignalR.
    R8,
    /// Absence needs proof.
    R11,
    /// What works is not touched.
    R12,
    /// As long as ARM has asked to wait nothing is sent.
    R13,
    /// The link is ours.
    M1,
    /// The message is equal.
    M2,
    /// The endpoint lives where the policy says.
    M3,
    /// The link is the same just before the approval.
    M4,
    /// It has no twin.
    M5Twin,
    /// In two lists.
    M5Lists,
    /// Without replicas.
    M5Replicas,
    /// Object and policy still ask and permit.
    M6,
    /// An unconfirmed approval is taken back.
    M7,
    /// Nobody knows the nonce beforehand.
    Nonce,
    /// Of the objects that claim a link the elder puts it: off, none sees the other.
    Elder,
    /// Known bug: a DELETE does not look whose link it is.
    DeletesAnyMarker,
    /// Known bug: M5 counts pending twins only.
    PendingTwinsOnly,
    /// Known bug: that our own request was turned down is forgotten.
    RejectionForgotten,
    /// Known bug: M7 sleeps while the link is absent, or its SignalR gone.
    Asleep,
    /// Known bug: a link that is Failed and Approved is put again, with a new nonce.
    FailedRenewed,
    /// Known bug: a finalizer goes upon one 404.
    OneFalse404,
    /// Known bug: an approval is taken back upon a list of links that is older than the link.
    OlderList,
}

/// A kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Group {
    Reads,
    False404,
    Refusals,
    LostAnswers,
    Crashes,
    BadEnds,
    OutsideDeletion,
    ForeignLink,
    LaggingList,
    SignalR,
    Mode,
    Observe,
    Detach,
    Recreate,
    Delete,
    Force,
    Create,
    Strip,
    Wipe,
    Owner,
    Remove,
    Copy,
    CopyElsewhere,
    Guess,
    Swap,
    Policy,
    Replica,
    /// SignalR says that its connection has timed out.
    TimesOut,
    /// The owner approves with words of their own.
    OwnerWords,
    /// A process ends in good order, its calls answered, and is started at some time.
    Restarts,
    /// Somebody else's finalizer, in front of ours.
    ForeignFinalizer,
    /// What the second tenant does.
    Neighbour,
    /// What only random walks have ([`rare`](crate::rare)).
    Rare,
}

impl Group {
    /// All of them, but the second tenant's, who takes part in one layout only, and what only random walks have.
    pub const ALL: &[Self] = &[
        Self::Reads,
        Self::False404,
        Self::Refusals,
        Self::LostAnswers,
        Self::Crashes,
        Self::BadEnds,
        Self::OutsideDeletion,
        Self::ForeignLink,
        Self::LaggingList,
        Self::SignalR,
        Self::Mode,
        Self::Observe,
        Self::Detach,
        Self::Recreate,
        Self::Delete,
        Self::Force,
        Self::Create,
        Self::Strip,
        Self::Wipe,
        Self::Owner,
        Self::Remove,
        Self::Copy,
        Self::CopyElsewhere,
        Self::Guess,
        Self::Swap,
        Self::Policy,
        Self::Replica,
        Self::TimesOut,
        Self::OwnerWords,
        Self::Restarts,
        Self::ForeignFinalizer,
    ];
}

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One object, one process.
    Alone,
    /// One object, two processes that both believe to lead.
    Replicas,
    /// Two objects that claim one link, one process.
    Rivals,
    /// One object and one process; and a second tenant, in another namespace and under another policy, who may create an
    /// object of another link on the same SignalR, to the same vault.
    Tenants,
}

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The object was just created.
    Created,
    /// The same, with approval by hand.
    Manual,
    /// Azure has created the link, and SignalR has not sent its request to the vault yet.
    Unrequested,
    /// The link works, and all is at rest.
    Settled,
    /// The same; then the object was deleted, and the second replica's DELETE of the link is on its way, its answer lost.
    LateDelete,
    /// SignalR is still to send the link's request, and the approval of a stranger's copy, alone in both lists, is on its way.
    Approving,
    /// The second of two rivals was created before the first one, whose uid comes first; else both in the same second.
    SecondIsElder,
}

/// One exploration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub name: &'static str,
    /// Who takes part.
    pub layout: Layout,
    /// Where it begins.
    pub begin: Begin,
    /// Which disturbances there are.
    pub groups: Vec<Group>,
    /// How many of them, in any order and at any moment.
    pub budget: u8,
    /// How many passes may be begun in the second replica, or for the second tenant; `None` for any number.
    pub visits: Option<u8>,
    /// Which failures calls meet.
    pub failures: Vec<Failure>,
    /// Whether the vault enforces the etag.
    pub etag: bool,
    /// Whether lists are read in two pages, between which anything can happen; else at once.
    pub pages: bool,
    /// How far each process's clock is ahead of ARM's, in ticks.
    pub clocks: [i16; 2],
    /// Whether a late write of another process that hits the next object's link is a violation; else it is counted.
    pub strict: bool,
    /// Whether `approval.timeout` is ever reached: what people wait for, and nothing else, depends on it.
    pub impatient: bool,
    /// The rule that is off.
    pub off: Option<Rule>,
    /// After so many states it ends.
    pub states: usize,
    /// One state in so many is run to rest without disturbances; 0 for none.
    pub rest_one_in: u64,
}

/// What was reached.
#[derive(Debug, Default)]
pub struct Reached {
    reasons: AtomicU64,
    actions: [AtomicU64; 6],
    refusals: AtomicU64,
    exceptions: AtomicU64,
    overtaken: AtomicU64,
}

impl Reached {
    /// A reason was told.
    pub fn reason(&self, reason: Reason) {
        self.reasons.fetch_or(1 << (reason as u64), Ordering::Relaxed);
    }

    /// An action was begun; `done` when it was carried out.
    pub fn action(&self, kind: ActionKind, done: bool) {
        match self.actions.get(kind as usize).filter(|_| done) {
            Some(count) => count.fetch_add(1, Ordering::Relaxed),
            None => self.refusals.fetch_or(1 << (kind as u64), Ordering::Relaxed),
        };
    }

    /// A copy was approved that was alone in both lists.
    pub fn exception(&self) {
        self.exceptions.fetch_add(1, Ordering::Relaxed);
    }

    /// A write of one process landed on what another process, or somebody else, had put meanwhile (A1, A2).
    pub fn overtaken(&self) {
        self.overtaken.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a copy was approved that was alone in both lists, and how often a write was overtaken.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [&self.exceptions, &self.overtaken].map(|count| count.load(Ordering::Relaxed))
    }

    /// The reasons that were told, as bits.
    #[must_use]
    pub fn reasons(&self) -> u64 {
        self.reasons.load(Ordering::Relaxed)
    }

    /// How often an action was carried out.
    #[must_use]
    pub fn count(&self, kind: ActionKind) -> u64 {
        self.actions.get(kind as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The actions that were stopped by the last look, as bits.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

/// A configuration with what it needs.
#[derive(Debug)]
pub struct Space {
    /// The configuration.
    pub config: Config,
    /// Names and ids.
    pub wire: Wire,
    /// What was reached.
    pub reached: Reached,
}

impl Space {
    /// The space of a configuration.
    ///
    /// # Errors
    /// When an id of the model cannot be parsed.
    pub fn new(config: Config) -> Result<Self, InvalidId> {
        let wire = Wire::new(config.impatient)?;
        Ok(Self { config, wire, reached: Reached::default() })
    }

    /// Whether this rule is off.
    #[must_use]
    pub fn is_off(&self, rule: Rule) -> bool {
        self.config.off == Some(rule)
    }

    /// Whether there are such disturbances.
    #[must_use]
    pub fn has(&self, group: Group) -> bool {
        self.config.groups.contains(&group)
    }

    /// Which process a worker belongs to, and which object it is for.
    #[must_use]
    pub fn place(&self, worker: u8) -> (u8, u8) {
        match self.config.layout {
            Layout::Alone | Layout::Replicas => (worker, 0),
            Layout::Rivals | Layout::Tenants => (0, worker),
        }
    }

    /// The time of day in the process of this worker. ARM's is the world's.
    #[must_use]
    pub fn clock(&self, world: &World, worker: u8) -> Tick {
        let (process, _) = self.place(worker);
        let ahead = self.config.clocks.get(usize::from(process)).copied().unwrap_or_default();
        world.now.saturating_add_signed(ahead)
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> u8 {
        if self.config.layout == Layout::Alone { 1 } else { 2 }
    }

    /// How many processes there are.
    #[must_use]
    pub fn processes(&self) -> u8 {
        if self.config.layout == Layout::Replicas { 2 } else { 1 }
    }
}

impl World {
    /// Notes what must not happen; the first is kept.
    pub fn must_not(&mut self, name: &'static str, what: &'static str) {
        self.broken.get_or_insert(Violation { name, what });
    }

    /// The object in that place.
    #[must_use]
    pub fn object(&self, at: u8) -> Option<&Object> {
        self.objects.get(usize::from(at)).and_then(Option::as_ref)
    }

    /// Whether an object of that uid is there, and the operator is not done with it.
    #[must_use]
    pub fn lives(&self, uid: u8) -> bool {
        self.objects.iter().flatten().any(|object| object.uid == uid && !object.is_let_go())
    }
}

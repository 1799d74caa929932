//! What is explored: who takes part, which disturbances there are and how many, and which rule is switched off.

use std::sync::atomic::{AtomicU64, Ordering};

use signalr_private_link_core::action::ActionKind;
use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::resource_id::InvalidId;
use signalr_private_link_core::{Failure, Reason};

use crate::state::{Flight, Ghost, Object, Policies, Process, Provision, Spl, Status, Violation, Worker, World, Write};
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
    /// What only random walks have ([`rare`](crate::rare)).
    Rare,
}

impl Group {
    /// All of them, but the ones that only random walks have.
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
    /// How many passes the second replica may begin; `None` for any number.
    pub visits: Option<u8>,
    /// Which failures calls meet.
    pub failures: Vec<Failure>,
    /// Whether the vault enforces the etag.
    pub etag: bool,
    /// Whether what only two replicas can do to each other is a violation; else it is counted.
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
    mistaken: AtomicU64,
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

    /// An approval was taken back upon a list of links that was older than the link.
    pub fn mistaken(&self) {
        self.mistaken.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a copy was approved that was alone in both lists, how often a write was overtaken, and how often an
    /// approval was taken back upon a list of links that was older than the link.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        [&self.exceptions, &self.overtaken, &self.mistaken].map(|count| count.load(Ordering::Relaxed))
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
            Layout::Rivals => (0, worker),
        }
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

    /// A new object.
    #[must_use]
    pub fn object(&self, uid: u8, now: u16) -> Object {
        Object {
            uid,
            created: now,
            generation: 1,
            deleting: false,
            finalizer: false,
            force: false,
            automatic: self.config.begin != Begin::Manual,
            observe: false,
            detach: false,
            recreate: 0,
            status: Status::default(),
        }
    }

    fn with_late_delete(&self, mut world: World) -> World {
        let [object, _] = &mut world.objects;
        let (Some(object), Some(link)) = (object, world.link) else { return world };
        object.deleting = true;
        world.flights.push(Flight {
            worker: 1,
            process: 1,
            uid: object.uid,
            write: Write::Delete { nonce: link.nonce, owner: link.uid },
            sent: world.now,
            awaited: false,
        });
        world
    }

    /// Where the run begins.
    #[must_use]
    pub fn begin(&self) -> World {
        let worker = |at| Worker {
            process: self.place(at).0,
            place: self.place(at).1,
            known: None,
            uid: 0,
            held: None,
            sent: false,
            stale: false,
            first_alone: false,
            alone: false,
            twin_shown: false,
            cache: None,
        };
        let process = Process { started: 0, unknown: None, occupant: None };
        let rivals = self.config.layout == Layout::Rivals;
        let world = World {
            now: 0,
            objects: [Some(self.object(1, 0)), rivals.then(|| self.object(2, 0))],
            link: None,
            signalr_gone: false,
            vault: vec![],
            policies: Policies::Revoke,
            replica: false,
            processes: [process, process],
            workers: [worker(0), worker(1)],
            flights: vec![],
            budget: self.config.budget,
            visits: self.config.visits,
            uids: if rivals { 2 } else { 1 },
            nonces: 0,
            names: 0,
            ghost: Ghost::default(),
            broken: None,
        };
        match self.config.begin {
            Begin::Created | Begin::Manual => world,
            Begin::Unrequested => unrequested(world),
            Begin::Settled => self.at_rest(&world),
            Begin::LateDelete => self.with_late_delete(self.at_rest(&world)),
        }
    }
}

fn unrequested(mut world: World) -> World {
    let [object, _] = &mut world.objects;
    if let Some(object) = object {
        object.finalizer = true;
        world.nonces = 1;
        world.link = Some(Spl {
            uid: object.uid,
            nonce: world.nonces,
            tag: object.recreate,
            provision: Provision::Succeeded,
            connection: ConnectionState::Pending,
            created: world.now,
            listed: true,
            requested: false,
            put_by: 0,
        });
    }
    world
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

    /// Whether an object of that uid is there.
    #[must_use]
    pub fn lives(&self, uid: u8) -> bool {
        self.objects.iter().flatten().any(|object| object.uid == uid)
    }
}

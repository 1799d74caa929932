//! What is kept about the calls of a life: how many there were, which of them meet a fault, and what
//! the judge has to remember.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use crate::boundary::Side;
use crate::circumstances::Circumstances;
use crate::classify::{Bucket, Effect};
use crate::fault::Fault;

/// Which calls meet a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strike {
    #[default]
    Never,
    /// The call of this number, and as many after it as are left.
    At { call: usize, times: usize, fault: Fault },
    /// One write in four and one read in sixteen, each time with a fault of any kind.
    Random,
}

/// One side refuses everything, or cannot be reached.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    side: Side,
    until: Instant,
    pub forbidden: bool,
}

/// All calls of a life.
pub struct Calls {
    pub count: usize,
    strike: Strike,
    /// What was struck last, and how often anything was.
    pub struck: Option<String>,
    pub strikes: usize,
    pub log: Vec<String>,
    pub problems: Vec<String>,
    /// Writes to either side.
    pub writes: usize,
    /// Requests that make or count an Event.
    events: usize,
    /// Until when the process may not send what falls into a bucket of ARM's.
    closed: BTreeMap<Bucket, Instant>,
    outage: Option<Outage>,
    /// When somebody tore an object away, by uid.
    pub torn: BTreeMap<String, Instant>,
    /// When somebody else last had a hand in a link or connection, by its id.
    touched: BTreeMap<String, Instant>,
    /// Writes that are on their way, by the SignalR or vault that they are about.
    pub flying: BTreeSet<String>,
    /// Whose marker the last PUT of a link bore.
    pub writers: BTreeMap<String, String>,
    /// Whether a link was Approved when it was last read by itself, by its id.
    pub confirmed: BTreeMap<String, bool>,
    dice: SmallRng,
    /// Requests of this kind that Azure refuses, with status and code, until people relent.
    pub refused: Option<(&'static str, u16, &'static str)>,
}

impl Calls {
    pub fn new(circumstances: Circumstances) -> Self {
        Self {
            count: 0,
            strike: circumstances.strike,
            struck: None,
            strikes: 0,
            log: Vec::new(),
            problems: Vec::new(),
            writes: 0,
            events: 0,
            closed: BTreeMap::new(),
            outage: None,
            torn: BTreeMap::new(),
            touched: BTreeMap::new(),
            flying: BTreeSet::new(),
            writers: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            dice: SmallRng::seed_from_u64(circumstances.seed),
            refused: None,
        }
    }

    /// Whether the fault is yet to come.
    pub fn may_strike(&self) -> bool {
        self.strike != Strike::Never
    }

    /// No fault comes any more.
    pub fn disarm(&mut self) {
        self.strike = Strike::Never;
    }

    /// Whether somebody tore the object away within the last seconds: what was read of it before may
    /// be acted on for a moment (R6).
    pub fn just_torn(&self, uid: &str) -> bool {
        self.torn.get(uid).is_some_and(|at| at.elapsed() <= FRESH)
    }

    /// Somebody else has a hand in a link or connection.
    pub fn touch(&mut self, id: &str) {
        self.touched.insert(id.to_ascii_lowercase(), Instant::now());
    }

    /// Whether somebody else had a hand in a link or connection within this time: what the operator
    /// read before is that much behind.
    pub fn just_touched(&self, id: &str, within: Duration) -> bool {
        self.touched.get(&id.to_ascii_lowercase()).is_some_and(|at| at.elapsed() <= within)
    }

    /// Whether a fault that lasts has not ended.
    pub fn lasts(&self) -> bool {
        self.outage.is_some_and(|outage| outage.until > Instant::now())
    }

    /// What was said so far: writes to either side, and Events.
    pub fn said(&self) -> (usize, usize) {
        (self.writes, self.events)
    }

    /// The fault that the next call meets, and that call's number.
    pub fn next(&mut self, side: Side, effect: Effect) -> (usize, Option<Fault>) {
        let (number, write) = (self.count, effect == Effect::Write);
        self.count += 1;
        self.writes += usize::from(write);
        self.events += usize::from(effect == Effect::Event);
        let fault = match self.strike {
            Strike::Random if self.dice.random_ratio(1, if write { 4 } else { 16 }) => {
                // A panic in a watch of kube's ends the process, which is a crash.
                let fault = Fault::any(&mut self.dice);
                Some(fault).filter(|fault| (side, *fault) != (Side::Kubernetes, Fault::Panic))
            }
            Strike::At { call, times, fault } if call <= number => {
                let again = Strike::At { call: number + 1, times: times - 1, fault };
                self.strike = if times > 1 { again } else { Strike::Never };
                Some(fault)
            }
            _ => None,
        };
        let fault = fault.filter(|fault| fault.strikes(side));
        self.strikes += usize::from(fault.is_some());
        (number, fault)
    }

    /// A number by chance, while faults strike by chance.
    pub fn roll(&mut self, range: Range<usize>) -> Option<usize> {
        (self.strike == Strike::Random).then(|| self.dice.random_range(range))
    }

    /// How long a request or answer takes on its way.
    pub fn travel(&mut self) -> Duration {
        Duration::from_millis(self.dice.random_range(5..800))
    }

    /// From now on a side cannot be reached, or refuses everything.
    pub fn begin_outage(&mut self, side: Side, lasts: Duration, forbidden: bool) {
        self.outage = Some(Outage { side, until: Instant::now() + lasts, forbidden });
    }

    /// Whether this side cannot be reached, or refuses everything.
    pub fn outage(&self, side: Side) -> Option<Outage> {
        self.outage.filter(|outage| outage.side == side && outage.until > Instant::now())
    }

    /// Whether ARM's bucket is closed.
    pub fn is_closed(&self, bucket: Bucket) -> bool {
        self.closed.get(&bucket).is_some_and(|until| *until > Instant::now())
    }

    /// ARM has asked to wait.
    pub fn close(&mut self, bucket: Bucket, wait: Duration) {
        let until = Instant::now() + wait;
        self.closed.entry(bucket).and_modify(|old| *old = until.max(*old)).or_insert(until);
    }

    /// A new process knows nothing of gates.
    pub fn restarted(&mut self) {
        self.closed.clear();
    }
}

/// What authorises a write was read at most this long before (R6).
pub const FRESH: Duration = Duration::from_secs(5);

//! One writer per SignalR and per vault (R8), and a queue: when the operation on a SignalR ends,
//! the object that has waited longest goes next.
//!
//! Azure takes one change to a SignalR at a time, and goes on refusing for a moment after it has
//! reported the last one as ended. So the queue moves on only after a pause.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use signalr_private_link_core::backoff::{self, Range};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::time::Instant;

use super::ObjectKey;
use crate::locked::Locked;
use crate::metrics::Metrics;

/// How long a SignalR rests after an operation at pace 1.
const REST: Duration = Duration::from_secs(5);
/// Azure's own busy tail does not get shorter with our pace.
const LEAST_REST: Duration = Duration::from_millis(500);
/// How long an object that is woken may take to begin its write.
const TURN: Duration = Duration::from_secs(10);
/// An operation that nobody reports as ended does not hold the lane longer than this: the links
/// themselves tell whether the SignalR is busy.
const LONGEST: Duration = Duration::from_secs(120);
/// How long a SignalR rests after it refused a change, or was found busy by whoever was next: it grows.
const REST_AFTER_REFUSAL: Range = Range::seconds(10, 120);

#[derive(Default)]
struct Lane {
    /// Whose operation is under way, and since when.
    occupant: Option<(ObjectKey, Instant)>,
    /// Nothing is written before.
    rest_until: Option<Instant>,
    /// Whose turn it is, until when.
    turn: Option<(ObjectKey, Instant)>,
    waiting: VecDeque<ObjectKey>,
    /// Whose namespace wrote last: another one's object goes next.
    last: Option<String>,
    /// How many refusals came in a row.
    refusals: u32,
}

#[derive(Default)]
struct Signalrs {
    lanes: HashMap<String, Lane>,
    /// The lane in which it is an object's turn.
    turns: HashMap<ObjectKey, String>,
    /// How many objects wait, in all lanes.
    waiting: Gauge,
}

/// The lanes of all SignalRs and vaults.
pub struct Lanes {
    locks: Locked<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    signalrs: Arc<Locked<Signalrs>>,
    wake: mpsc::UnboundedSender<ObjectKey>,
    pace: f64,
}

impl Lanes {
    /// Lanes that wake objects through `wake`; `pace` scales the rest after an operation. `metrics` are told how many
    /// wait.
    #[must_use]
    pub fn new(wake: mpsc::UnboundedSender<ObjectKey>, pace: f64, metrics: &Metrics) -> Self {
        let signalrs = Signalrs { waiting: metrics.links.waiting_for_lane(), ..Signalrs::default() };
        Self { locks: Locked::default(), signalrs: Arc::new(Locked::new(signalrs)), wake, pace }
    }

    /// Holds the lane of a parent for the last reads before a write and the write itself.
    pub async fn enter(&self, parent: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock();
            locks.retain(|key, lock| key == parent || Arc::strong_count(lock) > 1);
            locks.entry(parent.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    fn with<T>(&self, signalr: &str, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut signalrs = self.signalrs.lock();
        let Signalrs { lanes, waiting, .. } = &mut *signalrs;
        let lane = lanes.entry(signalr.to_owned()).or_default();
        let before = lane.waiting.len();
        let result = change(lane);
        waiting.inc_by(lane.waiting.len() as i64 - before as i64);
        result
    }

    /// A question about a lane; one that nobody used yet is free.
    fn look(&self, signalr: &str, question: impl FnOnce(&Lane) -> bool) -> bool {
        self.signalrs.lock().lanes.get(signalr).is_some_and(question)
    }

    /// Whether the object has to wait for others before it writes to the SignalR.
    pub fn busy(&self, signalr: &str, object: &ObjectKey) -> bool {
        let now = Instant::now();
        self.look(signalr, |lane| {
            let occupied = lane
                .occupant
                .as_ref()
                .is_some_and(|(who, since)| who != object && now.duration_since(*since) < LONGEST);
            let resting = lane.rest_until.is_some_and(|until| until > now);
            let other_turn = lane.turn.as_ref().is_some_and(|(who, until)| who != object && *until > now);
            occupied || resting || other_turn
        })
    }

    /// An operation of this object's began.
    pub fn occupy(&self, signalr: &str, object: &ObjectKey) {
        self.with(signalr, |lane| {
            lane.occupant = Some((object.clone(), Instant::now()));
            lane.turn = None;
            lane.refusals = 0;
            lane.waiting.retain(|waiting| waiting != object);
        });
    }

    /// The operation of this object's ended: rest, then the next.
    pub fn rest(&self, signalr: &str, object: &ObjectKey) {
        let until = Instant::now() + REST.mul_f64(self.pace).max(LEAST_REST);
        self.with(signalr, |lane| {
            lane.release(object);
            lane.rest_until = Some(until);
        });
        self.wake_next(signalr.to_owned(), until);
    }

    /// Azure refused a change of this object's, for it is busy (409): rest, the longer the more often.
    pub fn rest_after_refusal(&self, signalr: &str, object: &ObjectKey) {
        let until = self.with(signalr, |lane| {
            lane.release(object);
            lane.turn.take_if(|(who, _)| who == object);
            lane.refuse(self.pace)
        });
        self.wake_next(signalr.to_owned(), until);
    }

    /// Whether an operation of this object's is under way.
    pub fn occupied_by(&self, signalr: &str, object: &ObjectKey) -> bool {
        self.look(signalr, |lane| lane.occupant.as_ref().is_some_and(|(who, _)| who == object))
    }

    /// The object waits for its turn. Returns whether it is woken then: what else the SignalR may be busy with, nobody
    /// tells.
    pub fn queue(&self, signalr: &str, object: &ObjectKey) -> bool {
        let pace = self.pace;
        let (rest, is_woken) = self.with(signalr, |lane| {
            if !lane.waiting.contains(object) {
                lane.waiting.push_back(object.clone());
            }
            if lane.turn.as_ref().is_some_and(|(who, _)| who == object) {
                // It was next, and found the SignalR busy all the same. Whoever comes after it would, too.
                lane.turn = None;
                lane.refuse(pace);
            }
            let rest = lane.rest_until.filter(|until| lane.occupant.is_none() && *until > Instant::now());
            (rest, rest.is_some() || lane.occupant.is_some() || lane.turn.is_some())
        });
        if let Some(until) = rest {
            self.wake_next(signalr.to_owned(), until);
        }
        is_woken
    }

    fn wake_next(&self, signalr: String, at: Instant) {
        let (signalrs, wake) = (self.signalrs.clone(), self.wake.clone());
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            signalrs.lock().wake(&signalr, &wake);
        });
    }

    /// The pass of an object whose turn it was ended: if it did not write, the next one goes.
    pub fn yield_turn(&self, object: &ObjectKey) {
        let mut signalrs = self.signalrs.lock();
        let Some(signalr) = signalrs.turns.remove(object) else { return };
        let lane = signalrs.lanes.get_mut(&signalr);
        if lane.is_some_and(|lane| lane.turn.take_if(|(who, _)| who == object).is_some()) {
            signalrs.wake(&signalr, &self.wake);
        }
    }

    /// An object is gone: it neither waits nor writes.
    pub fn forget(&self, object: &ObjectKey) {
        let mut signalrs = self.signalrs.lock();
        signalrs.turns.remove(object);
        let mut freed = Vec::new();
        let Signalrs { lanes, waiting: gauge, .. } = &mut *signalrs;
        for (signalr, lane) in lanes {
            let before = lane.waiting.len();
            lane.waiting.retain(|waiting| waiting != object);
            gauge.inc_by(lane.waiting.len() as i64 - before as i64);
            let held = lane.release(object) | lane.turn.take_if(|(who, _)| who == object).is_some();
            freed.extend(held.then(|| signalr.clone()));
        }
        freed.iter().for_each(|signalr| signalrs.wake(signalr, &self.wake));
    }
}

impl Signalrs {
    /// Gives the turn to the next object, and forgets a lane that nobody uses.
    fn wake(&mut self, signalr: &str, wake: &mpsc::UnboundedSender<ObjectKey>) {
        let Some(lane) = self.lanes.get_mut(signalr) else { return };
        if let Some(next) = lane.next() {
            self.waiting.dec();
            self.turns.insert(next.clone(), signalr.to_owned());
            // The receiver is gone only when the controller is.
            let _ = wake.send(next);
        }
        if lane.is_idle() {
            self.lanes.remove(signalr);
        }
    }
}

impl Lane {
    /// The operation of this object's is not under way any more; whether it was.
    fn release(&mut self, object: &ObjectKey) -> bool {
        self.occupant.take_if(|(who, _)| who == object).is_some()
    }

    /// The SignalR takes no change: until when it rests.
    fn refuse(&mut self, pace: f64) -> Instant {
        let rest = backoff::delay(REST_AFTER_REFUSAL, self.refusals, 0.0).mul_f64(pace).max(LEAST_REST);
        self.refusals = self.refusals.saturating_add(1);
        let until = Instant::now() + rest;
        *self.rest_until.insert(until)
    }

    /// Whose turn it is now, if nobody holds the lane.
    fn next(&mut self) -> Option<ObjectKey> {
        let now = Instant::now();
        let resting = self.rest_until.is_some_and(|until| until > now);
        let taken = self.turn.as_ref().is_some_and(|(_, until)| *until > now);
        if self.occupant.is_some() || resting || taken {
            return None;
        }
        self.rest_until = None;
        // The one that has waited longest, of another namespace if there is one: a flood by one
        // tenant delays nobody else by more than one write.
        let other = self.waiting.iter().position(|next| Some(&next.namespace) != self.last.as_ref());
        let next = self.waiting.remove(other.unwrap_or_default());
        self.last = next.as_ref().map(|next| next.namespace.clone());
        self.turn = next.clone().map(|next| (next, now + TURN));
        next
    }

    fn is_idle(&self) -> bool {
        self.occupant.is_none() && self.turn.is_none() && self.waiting.is_empty() && self.rest_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "contoso".into(), name: name.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_goes_after_the_other_with_a_rest_between() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let metrics = Metrics::default();
        let lanes = Lanes::new(wake, 0.1, &metrics);
        lanes.occupy("s", &key("a"));
        assert!(!lanes.busy("s", &key("a")));
        for waiting in ["b", "c", "b"] {
            assert!(lanes.busy("s", &key(waiting)));
            lanes.queue("s", &key(waiting));
        }
        assert_eq!(metrics.links.waiting_for_lane().get(), 2);
        lanes.rest("s", &key("a"));
        assert!(lanes.busy("s", &key("b")), "the SignalR rests");
        assert_eq!(woken.recv().await, Some(key("b")));
        assert!(!lanes.busy("s", &key("b")));
        assert!(lanes.busy("s", &key("c")), "it is b's turn");
        lanes.occupy("s", &key("b"));
        lanes.yield_turn(&key("b"));
        assert!(woken.try_recv().is_err(), "b writes");
        lanes.rest("s", &key("b"));
        assert_eq!(metrics.links.waiting_for_lane().get(), 1);
        assert_eq!(woken.recv().await, Some(key("c")));
        assert_eq!(metrics.links.waiting_for_lane().get(), 0);
        assert!(woken.try_recv().is_err());
    }

    /// Whoever is next finds somebody else's change under way.
    #[tokio::test(start_paused = true)]
    async fn whoever_is_next_and_finds_the_signalr_busy_does_not_wake_itself() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let lanes = Lanes::new(wake, 1.0, &Metrics::default());
        lanes.occupy("s", &key("a"));
        lanes.queue("s", &key("b"));
        lanes.queue("s", &key("c"));
        lanes.rest("s", &key("a"));
        assert_eq!(woken.recv().await, Some(key("b")));
        let mut waits = Vec::new();
        for next in ["b", "c", "b", "c", "b", "c", "b", "c"] {
            let begun = Instant::now();
            lanes.queue("s", &key(next));
            lanes.yield_turn(&key(next));
            assert!(woken.try_recv().is_err(), "{next} does not wake itself");
            assert!(woken.recv().await.is_some());
            waits.push(begun.elapsed().as_secs());
        }
        assert_eq!(waits, [10, 15, 22, 33, 50, 75, 113, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_rests_longer_each_time_until_a_write_is_accepted() {
        let (wake, _woken) = mpsc::unbounded_channel();
        let lanes = Lanes::new(wake, 1.0, &Metrics::default());
        let rests = async || {
            let begun = Instant::now();
            lanes.rest_after_refusal("s", &key("a"));
            while lanes.busy("s", &key("a")) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            begun.elapsed().as_secs()
        };
        assert_eq!((rests().await, rests().await), (10, 15));
        lanes.occupy("s", &key("a"));
        assert_eq!(rests().await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let lanes = Lanes::new(wake, 1.0, &Metrics::default());
        let other = ObjectKey { namespace: "fabrikam".into(), name: "d".into() };
        lanes.occupy("s", &key("a"));
        for waiting in [key("b"), key("c"), other.clone(), key("e")] {
            lanes.queue("s", &waiting);
        }
        lanes.rest("s", &key("a"));
        for expected in [key("b"), other, key("c"), key("e")] {
            assert_eq!(woken.recv().await, Some(expected.clone()));
            lanes.yield_turn(&expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_its_turn_gives_it_away() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let lanes = Lanes::new(wake, 1.0, &Metrics::default());
        lanes.occupy("s", &key("a"));
        lanes.queue("s", &key("b"));
        lanes.queue("s", &key("c"));
        lanes.forget(&key("a"));
        assert_eq!(woken.recv().await, Some(key("b")));
        lanes.yield_turn(&key("b"));
        assert_eq!(woken.recv().await, Some(key("c")));
    }
}

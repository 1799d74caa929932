//! One writer per SignalR and per vault (R8). Azure takes one change to a SignalR at a time, and goes on refusing for a
//! moment after it has reported the last one as ended.
//!
//! So the lane of a SignalR is a queue and a time: the first in the queue writes, not before that time, and is woken
//! then. Everybody else's wait follows from that.

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
/// An operation that nobody reports as ended does not hold the lane longer than this: the links
/// themselves tell whether the SignalR is busy.
pub(super) const LONGEST: Duration = Duration::from_secs(120);
/// How long a SignalR rests after it refused a change, or was found busy by whoever was next: it grows.
const REST_AFTER_REFUSAL: Range = Range::seconds(10, 120);

struct Lane {
    /// Nothing is written before.
    next_write_at: Instant,
    /// Who is to write, one after the other.
    queue: VecDeque<ObjectKey>,
    /// Since when the operation of the first is under way.
    writing: Option<Instant>,
    /// How many refusals came in a row.
    refusals: u32,
}

/// The lanes of all SignalRs and vaults.
pub struct Lanes {
    locks: Locked<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    signalrs: Locked<HashMap<String, Lane>>,
    /// How many objects wait, in all lanes.
    waiting: Gauge,
    wake: mpsc::UnboundedSender<ObjectKey>,
    pace: f64,
}

impl Lanes {
    /// Lanes that wake objects through `wake`; `pace` scales the rest after an operation. `metrics` are told how many
    /// wait.
    #[must_use]
    pub fn new(wake: mpsc::UnboundedSender<ObjectKey>, pace: f64, metrics: &Metrics) -> Self {
        let waiting = metrics.links.waiting_for_lane();
        Self { locks: Locked::default(), signalrs: Locked::default(), waiting, wake, pace }
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

    /// Whether the object has to wait for others before it writes to the SignalR.
    pub fn busy(&self, signalr: &str, object: &ObjectKey) -> bool {
        self.signalrs.lock().get(signalr).is_some_and(|lane| lane.is_busy_for(object))
    }

    /// Whether an operation of this object's is under way.
    pub fn occupied_by(&self, signalr: &str, object: &ObjectKey) -> bool {
        self.signalrs.lock().get(signalr).is_some_and(|lane| lane.writing.is_some() && lane.is_first(object))
    }

    /// An operation of this object's began.
    pub fn occupy(&self, signalr: &str, object: &ObjectKey) {
        self.change(signalr, |lane| {
            lane.queue.retain(|waiting| waiting != object);
            lane.queue.push_front(object.clone());
            lane.writing = Some(Instant::now());
            lane.refusals = 0;
        });
    }

    /// The operation of this object's ended: rest, then the next.
    pub fn rest(&self, signalr: &str, object: &ObjectKey) {
        let until = Instant::now() + REST.mul_f64(self.pace).max(LEAST_REST);
        self.change(signalr, |lane| {
            lane.remove(object);
            lane.next_write_at = until;
        });
    }

    /// Azure refused a change of this object's, for it is busy (409): rest, the longer the more often.
    pub fn rest_after_refusal(&self, signalr: &str, object: &ObjectKey) {
        self.change(signalr, |lane| {
            lane.remove(object);
            lane.refuse(self.pace);
        });
    }

    /// The object waits for its turn, and is woken then. `was_busy` says whether its pass was told to wait when it began.
    pub fn queue(&self, signalr: &str, object: &ObjectKey, was_busy: bool) {
        self.change(signalr, |lane| {
            let had_turn = lane.is_first(object);
            // Its turn comes yet, or came while its pass ran, which is why it has been woken.
            if had_turn && was_busy {
                return;
            }
            if had_turn {
                lane.remove(object);
            }
            if !lane.queue.contains(object) {
                lane.queue.push_back(object.clone());
            }
            // It was to write, and found the SignalR busy all the same. Whoever comes after it would, too.
            if had_turn || (!was_busy && lane.is_first(object) && !lane.is_busy_for(object)) {
                lane.refuse(self.pace);
            }
        });
    }

    /// The pass of an object ended in which it did not queue. If it does not write either, it leaves the lane, and the
    /// next one goes; whether it has left.
    pub fn yield_turn(&self, signalr: &str, object: &ObjectKey) -> bool {
        let leaves = !self.occupied_by(signalr, object);
        if leaves {
            self.leave(signalr, object);
        }
        leaves
    }

    /// An object is gone: it neither waits nor writes any more. A pass that was under way then may have queued it
    /// since, so each lane is looked at.
    pub fn forget(&self, object: &ObjectKey) {
        let signalrs = self.signalrs.lock();
        let holding = signalrs.iter().filter(|(_, lane)| lane.queue.contains(object));
        let holding: Vec<String> = holding.map(|(signalr, _)| signalr.clone()).collect();
        drop(signalrs);
        holding.iter().for_each(|signalr| self.leave(signalr, object));
    }

    fn leave(&self, signalr: &str, object: &ObjectKey) {
        self.change(signalr, |lane| lane.remove(object));
    }

    /// Changes a lane. Who is first then, and was not, or not so early, is woken when it may write.
    fn change(&self, signalr: &str, change: impl FnOnce(&mut Lane)) {
        let mut signalrs = self.signalrs.lock();
        let lane = signalrs.entry(signalr.to_owned()).or_insert_with(|| Lane {
            next_write_at: Instant::now(),
            queue: VecDeque::new(),
            writing: None,
            refusals: 0,
        });
        let (turn, waiting) = (lane.turn(), lane.waiting());
        change(lane);
        self.waiting.inc_by(lane.waiting() - waiting);
        if let Some((next, at)) = lane.turn().filter(|next| turn.as_ref() != Some(next)) {
            let wake = self.wake.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                // The receiver is gone only when the controller is.
                let _ = wake.send(next);
            });
        }
        let now = Instant::now();
        signalrs.retain(|_, lane| !lane.queue.is_empty() || lane.next_write_at > now);
    }
}

impl Lane {
    fn is_first(&self, object: &ObjectKey) -> bool {
        self.queue.front() == Some(object)
    }

    fn is_busy_for(&self, object: &ObjectKey) -> bool {
        let is_held = self.writing.is_none_or(|since| since.elapsed() < LONGEST);
        self.next_write_at > Instant::now() || (is_held && !self.queue.is_empty() && !self.is_first(object))
    }

    /// Who is to write next, and from when on; nobody while an operation is under way.
    fn turn(&self) -> Option<(ObjectKey, Instant)> {
        let first = self.queue.front().filter(|_| self.writing.is_none())?;
        Some((first.clone(), self.next_write_at))
    }

    fn waiting(&self) -> i64 {
        self.queue.len() as i64 - i64::from(self.writing.is_some())
    }

    /// Takes an object out. If it was the first, its namespace is served last from then on: a flood by some tenants delays
    /// another one by one write of each.
    fn remove(&mut self, object: &ObjectKey) {
        if !self.is_first(object) {
            self.queue.retain(|waiting| waiting != object);
            return;
        }
        self.queue.pop_front();
        self.writing = None;
        self.queue.make_contiguous().sort_by_key(|next| next.namespace == object.namespace);
    }

    /// The SignalR takes no change for some time.
    fn refuse(&mut self, pace: f64) {
        let rest = backoff::delay(REST_AFTER_REFUSAL, self.refusals, 0.0).mul_f64(pace).max(LEAST_REST);
        self.refusals = self.refusals.saturating_add(1);
        self.next_write_at = Instant::now() + rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "contoso".into(), name: name.into() }
    }

    /// A lane in which a writes, and b and c wait.
    fn lanes_with_two_waiting() -> (Lanes, mpsc::UnboundedReceiver<ObjectKey>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let lanes = Lanes::new(wake, 1.0, &Metrics::default());
        lanes.occupy("s", &key("a"));
        lanes.queue("s", &key("b"), true);
        lanes.queue("s", &key("c"), true);
        (lanes, woken)
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
            lanes.queue("s", &key(waiting), true);
        }
        assert_eq!(metrics.links.waiting_for_lane().get(), 2);
        lanes.rest("s", &key("a"));
        assert!(lanes.busy("s", &key("b")), "the SignalR rests");
        assert_eq!(woken.recv().await, Some(key("b")));
        assert!(!lanes.busy("s", &key("b")));
        assert!(lanes.busy("s", &key("c")), "it is b's turn");
        lanes.occupy("s", &key("b"));
        lanes.yield_turn("s", &key("b"));
        assert!(woken.try_recv().is_err(), "b writes");
        assert_eq!(metrics.links.waiting_for_lane().get(), 1);
        lanes.rest("s", &key("b"));
        assert_eq!(woken.recv().await, Some(key("c")));
        lanes.occupy("s", &key("c"));
        assert_eq!(metrics.links.waiting_for_lane().get(), 0);
        assert!(woken.try_recv().is_err());
    }

    /// Whoever is next finds somebody else's change under way.
    #[tokio::test(start_paused = true)]
    async fn whoever_is_next_and_finds_the_signalr_busy_does_not_wake_itself() {
        let (lanes, mut woken) = lanes_with_two_waiting();
        lanes.rest("s", &key("a"));
        assert_eq!(woken.recv().await, Some(key("b")));
        let mut waits = Vec::new();
        for next in ["b", "c", "b", "c", "b", "c", "b", "c"] {
            let begun = Instant::now();
            lanes.queue("s", &key(next), false);
            assert!(woken.try_recv().is_err(), "{next} does not wake itself");
            assert!(woken.recv().await.is_some());
            waits.push(begun.elapsed().as_secs());
        }
        assert_eq!(waits, [10, 15, 22, 33, 50, 75, 113, 120]);
    }

    /// Somebody asks for a look at it a moment before its turn comes, and its pass ends a moment after.
    #[tokio::test(start_paused = true)]
    async fn a_pass_that_began_before_its_turn_does_not_lose_it() {
        let (lanes, mut woken) = lanes_with_two_waiting();
        lanes.rest("s", &key("a"));
        let was_busy = lanes.busy("s", &key("b"));
        assert_eq!(woken.recv().await, Some(key("b")));
        lanes.queue("s", &key("b"), was_busy);
        assert!(!lanes.busy("s", &key("b")) && lanes.busy("s", &key("c")), "it is still b's turn");
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
        let of = |namespace: &str, name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
        let (d, e, f) = (of("fabrikam", "d"), of("fabrikam", "e"), of("northwind", "f"));
        lanes.occupy("s", &key("a"));
        for waiting in [key("b"), key("c"), d.clone(), e.clone(), f.clone(), key("g")] {
            lanes.queue("s", &waiting, true);
        }
        lanes.rest("s", &key("a"));
        for expected in [d, f, key("b"), e, key("c"), key("g")] {
            assert_eq!(woken.recv().await, Some(expected.clone()));
            lanes.yield_turn("s", &expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_its_turn_gives_it_away() {
        let (lanes, mut woken) = lanes_with_two_waiting();
        lanes.queue("another", &key("a"), false);
        lanes.forget(&key("a"));
        assert_eq!(woken.recv().await, Some(key("b")));
        lanes.yield_turn("s", &key("b"));
        assert_eq!(woken.recv().await, Some(key("c")));
    }
}

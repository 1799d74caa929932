//! Which object is looked at next: those that are due, one pass over each at a time, so many at the same time. The
//! namespaces take turns, and none has more than half of the places, so a flood of objects in one of them delays
//! nobody else. A turn is a few objects long: after a list those of one SignalR follow one another, and one read of its
//! links serves all that are looked at together.
//!
//! (kube's own controller polls all that wait for a place whenever one of them wakes, which costs the square of
//! their number.)

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::locked::Locked;
use crate::reconcile::ObjectKey;

/// A longer wait counts as this: the timer takes none of some years.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The places are enough for so many turns.
const TURNS: usize = 25;

/// Where an object stands.
enum State {
    /// It is looked at when this timer ends.
    Waits(Key),
    /// It waits for a place.
    Due,
    /// A pass is under way; where the object comes if somebody has asked for another one since.
    Runs { again: Option<Place> },
}

/// Where among those of its namespace that are due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Last,
    First,
}

#[derive(Default)]
struct Namespace {
    due: VecDeque<ObjectKey>,
    running: usize,
}

/// When each object is looked at, and which is next.
struct Schedule {
    places: usize,
    running: usize,
    states: HashMap<ObjectKey, State>,
    timers: DelayQueue<ObjectKey>,
    namespaces: HashMap<String, Namespace>,
    /// Namespaces in which something is due, in the order of their turns; each stands here once.
    turns: VecDeque<String>,
    /// How many the namespace whose turn it is has had in a row.
    in_a_row: usize,
    /// How many are due.
    depth: Gauge,
}

impl Schedule {
    fn new(places: usize, depth: Gauge) -> Self {
        Self {
            depth,
            places,
            running: 0,
            states: HashMap::new(),
            timers: DelayQueue::new(),
            namespaces: HashMap::new(),
            turns: VecDeque::new(),
            in_a_row: 0,
        }
    }

    /// Somebody asks for a look at once.
    fn add(&mut self, key: ObjectKey, place: Place) {
        match self.states.get_mut(&key) {
            Some(State::Due) if place == Place::First => {
                if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
                    namespace.due.retain(|due| *due != key);
                    namespace.due.push_front(key);
                }
            }
            Some(State::Due) => {}
            Some(State::Runs { again }) => *again = (*again).max(Some(place)),
            Some(State::Waits(timer)) => {
                self.timers.try_remove(timer);
                self.become_due(key, place);
            }
            None => self.become_due(key, place),
        }
    }

    /// A pass ended; the object is looked at again after `wait`, if at all.
    fn end(&mut self, key: ObjectKey, wait: Option<Duration>) {
        self.running = self.running.saturating_sub(1);
        if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
            namespace.running = namespace.running.saturating_sub(1);
            if namespace.running == 0 && namespace.due.is_empty() {
                self.namespaces.remove(&key.namespace);
            }
        }
        let again = match self.states.remove(&key) {
            Some(State::Runs { again }) => again,
            _ => None,
        };
        match (again, wait) {
            (Some(place), _) => self.become_due(key, place),
            (None, Some(Duration::ZERO)) => self.become_due(key, Place::Last),
            (None, Some(wait)) => {
                let timer = self.timers.insert(key.clone(), wait.min(LONGEST));
                self.states.insert(key, State::Waits(timer));
            }
            (None, None) => {}
        }
    }

    fn become_due(&mut self, key: ObjectKey, place: Place) {
        self.depth.inc();
        let namespace = self.namespaces.entry(key.namespace.clone()).or_default();
        if namespace.due.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        match place {
            Place::Last => namespace.due.push_back(key.clone()),
            Place::First => namespace.due.push_front(key.clone()),
        }
        self.states.insert(key, State::Due);
    }

    /// The object whose pass begins next, if there is a place for one.
    fn begin(&mut self) -> Option<ObjectKey> {
        let most = (self.places / 2).max(1);
        for _ in 0..self.turns.len() {
            if self.running >= self.places {
                return None;
            }
            let turn = self.turns.pop_front()?;
            let Some(namespace) = self.namespaces.get_mut(&turn) else { continue };
            let next = if namespace.running < most { namespace.due.pop_front() } else { None };
            namespace.running += usize::from(next.is_some());
            self.in_a_row += 1;
            let goes_on = next.is_some() && !namespace.due.is_empty() && self.in_a_row < self.places / TURNS;
            if goes_on {
                self.turns.push_front(turn);
            } else {
                self.in_a_row = 0;
                if !namespace.due.is_empty() {
                    self.turns.push_back(turn);
                }
            }
            if let Some(key) = next {
                self.running += 1;
                self.depth.dec();
                self.states.insert(key.clone(), State::Runs { again: None });
                return Some(key);
            }
        }
        None
    }

    /// Makes the next object due whose time has come.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.timers.poll_expired(context) {
            Poll::Ready(Some(expired)) => {
                self.become_due(expired.into_inner(), Place::Last);
                Poll::Ready(())
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The queue, shared by those who make passes.
pub struct Queue {
    schedule: Locked<Schedule>,
    is_closed: AtomicBool,
    /// Told of each object that has become due. Whoever ends a pass looks for the next one without being told.
    due: Notify,
}

impl Queue {
    /// An empty queue with so many places for passes, which tells `depth` how many objects wait for one.
    pub fn new(places: usize, depth: Gauge) -> Self {
        Self {
            schedule: Locked::new(Schedule::new(places, depth)),
            is_closed: AtomicBool::new(false),
            due: Notify::new(),
        }
    }

    /// Somebody asks for a look at once.
    pub fn add(&self, key: ObjectKey) {
        self.schedule.lock().add(key, Place::Last);
        self.due.notify_last();
    }

    /// It is the object's turn to write, which others wait for: it is looked at before all others of its namespace.
    pub fn add_first(&self, key: ObjectKey) {
        self.schedule.lock().add(key, Place::First);
        self.due.notify_last();
    }

    /// Waits for the object that is looked at next; there is none once the queue is closed.
    pub async fn begin(&self) -> Option<ObjectKey> {
        loop {
            let due = self.due.notified();
            if self.is_closed() {
                return None;
            }
            if let Some(key) = self.schedule.lock().begin() {
                return Some(key);
            }
            due.await;
        }
    }

    /// A pass ended; the object is looked at again after `wait`, if at all.
    pub fn end(&self, key: ObjectKey, wait: Option<Duration>) {
        self.schedule.lock().end(key, wait);
    }

    /// Lets each object become due when its time has come, for as long as somebody waits here.
    pub async fn keep_time(&self) -> Infallible {
        std::future::poll_fn(|context: &mut Context<'_>| {
            while self.schedule.lock().poll_timer(context).is_ready() {
                self.due.notify_last();
            }
            Poll::Pending
        })
        .await
    }

    /// No pass begins from now on.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.due.notify_waiters();
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    fn begin(queue: &mut Schedule) -> Vec<String> {
        std::iter::from_fn(|| queue.begin()).map(|key| key.to_string()).collect()
    }

    /// The next time that comes.
    async fn time(queue: &mut Schedule) {
        std::future::poll_fn(|context| queue.poll_timer(context)).await;
    }

    #[tokio::test]
    async fn a_flood_in_one_namespace_leaves_room_for_others() {
        let mut queue = Schedule::new(4, Gauge::default());
        for name in ["1", "2", "3", "4"] {
            queue.add(key("flood", name), Place::Last);
        }
        assert_eq!(begin(&mut queue), ["flood/1", "flood/2"]);
        assert_eq!(queue.depth.get(), 2);
        queue.add(key("quiet", "1"), Place::Last);
        queue.add(key("quiet", "2"), Place::Last);
        queue.add(key("third", "1"), Place::Last);
        assert_eq!(begin(&mut queue), ["quiet/1", "third/1"], "the namespaces take turns");
        queue.end(key("third", "1"), None);
        assert_eq!(begin(&mut queue), ["quiet/2"], "one has no more than half");
        queue.end(key("flood", "1"), None);
        assert_eq!(begin(&mut queue), ["flood/3"], "first come, first served");
        for (namespace, name) in [("flood", "2"), ("flood", "3"), ("quiet", "1"), ("quiet", "2")] {
            queue.end(key(namespace, name), None);
        }
        assert_eq!(begin(&mut queue), ["flood/4"]);
        queue.end(key("flood", "4"), None);
        assert!(queue.states.is_empty() && queue.namespaces.is_empty() && queue.turns.is_empty());
        assert_eq!(queue.depth.get(), 0);
    }

    #[tokio::test]
    async fn whose_turn_it_is_to_write_waits_behind_none_of_its_namespace() {
        let mut queue = Schedule::new(2, Gauge::default());
        for name in ["1", "2", "3"] {
            queue.add(key("a", name), Place::Last);
        }
        queue.add(key("a", "3"), Place::First);
        queue.add(key("a", "4"), Place::First);
        let mut begun = Vec::new();
        while let Some(next) = queue.begin() {
            begun.push(next.name.clone());
            if begun.len() == 1 {
                queue.add(next.clone(), Place::First);
            }
            queue.end(next, None);
        }
        assert_eq!(begun, ["4", "4", "3", "1", "2"], "the first was called once more while its pass ran");
        assert_eq!(queue.depth.get(), 0);
    }

    /// What is due together is looked at together, a few at a time.
    #[tokio::test]
    async fn a_turn_is_a_few_objects_long_where_there_are_many_places() {
        let mut queue = Schedule::new(3 * TURNS, Gauge::default());
        for name in ["1", "2", "3", "4"] {
            queue.add(key("a", name), Place::Last);
            queue.add(key("b", name), Place::Last);
        }
        assert_eq!(begin(&mut queue), ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3", "a/4", "b/4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_pass_over_an_object_at_a_time_and_none_is_lost() {
        let mut queue = Schedule::new(4, Gauge::default());
        for _ in 0..3 {
            queue.add(key("a", "1"), Place::Last);
        }
        assert_eq!(begin(&mut queue), ["a/1"]);
        queue.add(key("a", "1"), Place::Last);
        assert!(begin(&mut queue).is_empty(), "it runs");
        queue.end(key("a", "1"), Some(Duration::from_secs(600)));
        assert_eq!(begin(&mut queue), ["a/1"], "somebody asked while it ran");
        queue.end(key("a", "1"), Some(Duration::from_secs(10)));
        assert!(begin(&mut queue).is_empty() && time(&mut queue).now_or_never().is_none());
        tokio::time::sleep(Duration::from_secs(11)).await;
        time(&mut queue).await;
        assert_eq!(begin(&mut queue), ["a/1"]);
        // A look at once takes the place of a later one.
        queue.end(key("a", "1"), Some(Duration::MAX));
        queue.add(key("a", "1"), Place::Last);
        assert_eq!(begin(&mut queue), ["a/1"]);
        queue.end(key("a", "1"), Some(Duration::ZERO));
        assert_eq!(begin(&mut queue), ["a/1"]);
        assert!(queue.timers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_of_what_is_due_and_of_the_end() {
        let queue = Queue::new(2, Gauge::default());
        let worker = async {
            let mut begun = Vec::new();
            while let Some(key) = queue.begin().await {
                begun.push(key.to_string());
                // The last one is looked at again, and nobody comes to it.
                queue.end(key, (begun.len() < 4).then_some(Duration::from_secs(60)));
            }
            begun
        };
        let others = async {
            queue.add(key("a", "1"));
            queue.add(key("b", "1"));
            tokio::time::sleep(Duration::from_secs(90)).await;
            queue.close();
        };
        let (mut begun, ()) = tokio::select! {
            both = futures::future::join(worker, others) => both,
            never = queue.keep_time() => match never {},
        };
        // What becomes due at the same time comes in any order.
        let mut again = begun.split_off(2);
        again.sort();
        assert_eq!((begun.join(" "), again.join(" ")), ("a/1 b/1".into(), "a/1 b/1".into()));
        assert!(queue.is_closed() && queue.begin().await.is_none());
    }
}

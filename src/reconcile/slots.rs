//! Fairness among namespaces: a flood of objects in one of them takes half of the passes that run
//! at the same time, never all, and delays nobody else.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ObjectKey;

/// How long a slot is reserved for an object that was woken: an object deleted in the meantime never claims its slot.
pub const SLOT_RESERVED_FOR: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Namespace {
    running: usize,
    waiting: VecDeque<ObjectKey>,
    known: HashSet<ObjectKey>,
    /// Whose turn is next, until when their place is kept: nobody who asks later overtakes them.
    kept: HashMap<ObjectKey, Instant>,
}

impl Namespace {
    fn enter(&mut self, object: &ObjectKey, most: usize) -> bool {
        let now = Instant::now();
        self.kept.retain(|_, until| *until > now);
        let own = self.kept.remove(object).is_some();
        if !own && self.running + self.kept.len() >= most {
            if self.known.insert(object.clone()) {
                self.waiting.push_back(object.clone());
            }
            return false;
        }
        if self.known.remove(object) {
            self.waiting.retain(|waiting| waiting != object);
        }
        self.running += 1;
        true
    }

    fn leave(&mut self) -> Option<ObjectKey> {
        self.running = self.running.saturating_sub(1);
        let next = self.waiting.pop_front()?;
        self.known.remove(&next);
        self.kept.insert(next.clone(), Instant::now() + SLOT_RESERVED_FOR);
        Some(next)
    }
}

/// Who may begin a pass.
#[derive(Clone)]
pub struct NamespaceSlots {
    most: usize,
    wake: mpsc::UnboundedSender<ObjectKey>,
    namespaces: Arc<Mutex<HashMap<String, Namespace>>>,
}

/// A pass that runs; its end wakes the next of its namespace.
pub struct Slot {
    slots: NamespaceSlots,
    namespace: String,
}

impl NamespaceSlots {
    /// At most `most` passes of one namespace at the same time; others are woken through `wake`.
    #[must_use]
    pub fn new(wake: mpsc::UnboundedSender<ObjectKey>, most: usize) -> Self {
        Self { most, wake, namespaces: Arc::default() }
    }

    fn with<T>(&self, namespace: &str, change: impl FnOnce(&mut Namespace) -> T) -> T {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = namespaces.entry(namespace.to_owned()).or_default();
        let result = change(entry);
        if entry.running == 0 && entry.waiting.is_empty() && entry.kept.is_empty() {
            namespaces.remove(namespace);
        }
        result
    }

    /// The slot of an object; `None` when its namespace has enough, and then it is woken later, or asks
    /// again after [`SLOT_RESERVED_FOR`] in case that those before it are gone.
    #[must_use]
    pub fn begin(&self, object: &ObjectKey) -> Option<Slot> {
        let entered = self.with(&object.namespace, |namespace| namespace.enter(object, self.most));
        entered.then(|| Slot { slots: self.clone(), namespace: object.namespace.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(next) = self.slots.with(&self.namespace, Namespace::leave) {
            // The receiver is gone only when the controller is.
            let _ = self.slots.wake.send(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn a_flood_in_one_namespace_leaves_room_for_others() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let slots = NamespaceSlots::new(wake, 2);
        let first = slots.begin(&key("flood", "1"));
        let second = slots.begin(&key("flood", "2"));
        assert!(first.is_some() && second.is_some());
        for name in ["3", "4", "3"] {
            assert!(slots.begin(&key("flood", name)).is_none());
        }
        assert!(slots.begin(&key("quiet", "1")).is_some(), "another namespace is not delayed");
        drop(first);
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "3")));
        assert!(slots.begin(&key("flood", "5")).is_none(), "the place is kept for who was woken");
        let third = slots.begin(&key("flood", "3"));
        assert!(third.is_some());
        drop(second);
        drop(third);
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "4")));
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "5")));
        assert!(woken.try_recv().is_err(), "nobody is woken twice");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_kept_for_an_object_that_is_gone_is_given_away() {
        let (wake, mut woken) = mpsc::unbounded_channel();
        let slots = NamespaceSlots::new(wake, 1);
        let first = slots.begin(&key("flood", "1"));
        assert!(slots.begin(&key("flood", "gone")).is_none());
        drop(first);
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "gone")));
        assert!(slots.begin(&key("flood", "2")).is_none());
        tokio::time::sleep(SLOT_RESERVED_FOR).await;
        assert!(slots.begin(&key("flood", "3")).is_some());
    }
}

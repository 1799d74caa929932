//! Fairness among namespaces: a flood of objects in one of them takes half of the passes that run
//! at the same time, never all, and delays nobody else.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::ObjectKey;

#[derive(Default)]
struct Namespace {
    running: usize,
    waiting: VecDeque<ObjectKey>,
    known: HashSet<ObjectKey>,
}

/// Who may begin a pass.
#[derive(Clone)]
pub struct Turns {
    most: usize,
    wake: mpsc::UnboundedSender<ObjectKey>,
    namespaces: Arc<Mutex<HashMap<String, Namespace>>>,
}

/// A pass that runs; its end wakes the next of its namespace.
pub struct Turn {
    turns: Turns,
    namespace: String,
}

impl Turns {
    /// At most `most` passes of one namespace at the same time; others are woken through `wake`.
    #[must_use]
    pub fn new(wake: mpsc::UnboundedSender<ObjectKey>, most: usize) -> Self {
        Self { most, wake, namespaces: Arc::default() }
    }

    fn with<T>(&self, namespace: &str, change: impl FnOnce(&mut Namespace) -> T) -> T {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = namespaces.entry(namespace.to_owned()).or_default();
        let result = change(entry);
        if entry.running == 0 && entry.waiting.is_empty() {
            namespaces.remove(namespace);
        }
        result
    }

    /// The turn of an object; `None` when its namespace has enough, and then it is woken later.
    #[must_use]
    pub fn begin(&self, object: &ObjectKey) -> Option<Turn> {
        self.with(&object.namespace, |namespace| {
            if namespace.running >= self.most {
                if namespace.known.insert(object.clone()) {
                    namespace.waiting.push_back(object.clone());
                }
                return None;
            }
            namespace.running += 1;
            Some(Turn { turns: self.clone(), namespace: object.namespace.clone() })
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.with(&self.namespace, |namespace| {
            namespace.running = namespace.running.saturating_sub(1);
            if let Some(next) = namespace.waiting.pop_front() {
                namespace.known.remove(&next);
                // The receiver is gone only when the controller is.
                let _ = self.turns.wake.send(next);
            }
        });
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
        let turns = Turns::new(wake, 2);
        let first = turns.begin(&key("flood", "1"));
        let second = turns.begin(&key("flood", "2"));
        assert!(first.is_some() && second.is_some());
        for name in ["3", "4", "3"] {
            assert!(turns.begin(&key("flood", name)).is_none());
        }
        assert!(turns.begin(&key("quiet", "1")).is_some(), "another namespace is not delayed");
        drop(first);
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "3")));
        let third = turns.begin(&key("flood", "3"));
        assert!(third.is_some());
        drop(second);
        drop(third);
        assert_eq!(woken.try_recv().ok(), Some(key("flood", "4")));
        assert!(woken.try_recv().is_err(), "nobody is woken twice");
    }
}

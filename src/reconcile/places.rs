//! Who may run a pass: so many at the same time, and of one namespace half of them, so that a flood of objects in
//! one namespace delays nobody else. First come, first served.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::locked::Locked;

/// The places for passes.
pub struct Places {
    all: Arc<Semaphore>,
    of_one_namespace: usize,
    namespaces: Locked<HashMap<String, Arc<Semaphore>>>,
}

/// A pass that runs.
pub struct Place {
    _of_its_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// So many places, of which one namespace has half.
    #[must_use]
    pub fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_one_namespace: (all / 2).max(1), namespaces: Locked::default() }
    }

    /// Waits for a place; `None` when no pass begins any more.
    pub async fn enter(&self, namespace: &str) -> Option<Place> {
        let of_namespace = {
            let mut namespaces = self.namespaces.lock();
            // One that nobody holds or waits for has all its places free.
            namespaces.retain(|name, places| name == namespace || Arc::strong_count(places) > 1);
            let places = || Arc::new(Semaphore::new(self.of_one_namespace));
            namespaces.entry(namespace.to_owned()).or_insert_with(places).clone()
        };
        let _of_its_namespace = of_namespace.acquire_owned().await.ok()?;
        let _of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Place { _of_its_namespace, _of_all })
    }

    /// No pass begins any more; those that run go on.
    pub fn close(&self) {
        self.all.close();
        self.namespaces.lock().values().for_each(|places| places.close());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_flood_in_one_namespace_leaves_room_for_others() {
        let places = Places::new(4);
        let mut flood = Vec::new();
        for _ in 0..2 {
            flood.push(places.enter("flood").await);
        }
        let mut third = Box::pin(places.enter("flood"));
        let mut fourth = Box::pin(places.enter("flood"));
        assert!((&mut third).now_or_never().is_none() && (&mut fourth).now_or_never().is_none());
        let quiet = places.enter("quiet").now_or_never();
        assert!(quiet.is_some(), "another namespace is not delayed");
        flood.pop();
        assert!((&mut fourth).now_or_never().is_none(), "who came first goes first");
        assert!((&mut third).now_or_never().is_some());
        drop((flood, quiet, fourth));
        places.enter("another").await;
        assert_eq!(places.namespaces.lock().len(), 1, "nothing is kept of namespaces without passes");
    }

    #[tokio::test]
    async fn once_closed_nobody_enters_and_nobody_waits() {
        let places = Places::new(2);
        let running = places.enter("a").await;
        let mut waiting = Box::pin(places.enter("a"));
        assert!((&mut waiting).now_or_never().is_none());
        places.close();
        assert!(waiting.await.is_none());
        assert!(places.enter("b").await.is_none());
        assert!(running.is_some());
    }
}

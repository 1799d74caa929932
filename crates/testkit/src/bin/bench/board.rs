//! All links as a watch shows them. A list for each question would keep the API server busier than the operator does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use testkit::scene::condition;
use tokio::task::JoinHandle;

/// What is known of a link.
pub struct Shown {
    pub namespace: String,
    /// Its Ready condition; null where it has none.
    pub ready: Value,
    /// The generation of its spec that the operator has seen.
    pub observed_generation: Option<i64>,
}

type Links = Mutex<HashMap<(String, String), Shown>>;

/// The links, for as long as the value lives.
pub struct Board {
    links: Arc<Links>,
    watching: JoinHandle<()>,
}

impl Board {
    /// Begins to watch.
    pub fn start(api: Api<DynamicObject>) -> Self {
        let links = Arc::new(Links::default());
        let shown = links.clone();
        let watching = tokio::spawn(async move {
            let mut changes = watcher(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(change) = changes.next().await {
                let mut links = shown.lock().unwrap_or_else(PoisonError::into_inner);
                match change {
                    Ok(watcher::Event::Init) => links.clear(),
                    Ok(watcher::Event::InitApply(link) | watcher::Event::Apply(link)) => {
                        links.insert(key(&link), Shown::of(&link));
                    }
                    Ok(watcher::Event::Delete(link)) => drop(links.remove(&key(&link))),
                    Ok(watcher::Event::InitDone) | Err(_) => {}
                }
            }
        });
        Self { links, watching }
    }

    /// How many links there are for which this holds.
    pub fn count(&self, holds: impl Fn(&Shown) -> bool) -> usize {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).values().filter(|link| holds(link)).count()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Shown {
    fn of(link: &DynamicObject) -> Self {
        Self {
            namespace: link.namespace().unwrap_or_default(),
            ready: condition(&link.data, "Ready").unwrap_or_default(),
            observed_generation: link.data.pointer("/status/observedGeneration").and_then(Value::as_i64),
        }
    }
}

fn key(link: &DynamicObject) -> (String, String) {
    (link.namespace().unwrap_or_default(), link.name_any())
}

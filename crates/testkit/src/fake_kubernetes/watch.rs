//! Watches: what happened since a version, and then what happens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::path::{self, Path};
use super::store::{Change, Key};
use super::{FakeKubernetes, status};

/// How long a watch lasts that does not say. The real server takes something between 30 and 60 minutes.
const LONGEST: Duration = Duration::from_secs(1800);

/// A watch that has begun.
pub struct Watch {
    path: Path,
    /// The last version that it was told of.
    version: u64,
    until: Instant,
    expired: bool,
}

impl Path {
    /// Whether a list or watch of this path is about the object.
    pub(super) fn covers(&self, (plural, namespace, _): &Key) -> bool {
        *plural == self.kind.plural && (self.namespace.is_empty() || *namespace == self.namespace)
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut line = json!({"type": kind, "object": object}).to_string();
    line.push('\n');
    Bytes::from(line)
}

impl FakeKubernetes {
    /// The watch that a request asks for, if it asks for one that is served: of one kind, from a version.
    #[must_use]
    pub fn watch(&self, request: &Request<Bytes>) -> Option<Watch> {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        if request.method() != Method::GET || !matches!(parameter("watch"), Some("true" | "1")) {
            return None;
        }
        let path = path::parse(request.uri().path()).filter(|path| path.name.is_none())?;
        let version = parameter("resourceVersion")?.parse().ok()?;
        let seconds = parameter("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        let until = Instant::now() + seconds.map_or(LONGEST, Duration::from_secs);
        let expired = version < self.store().compacted;
        Some(Watch { path, version, until, expired })
    }

    /// The next event of a watch, as a line of its body; `None` when the watch is at its end.
    pub async fn next_event(&self, watch: &mut Watch) -> Option<Bytes> {
        let mut changed = self.changed.subscribe();
        loop {
            if std::mem::take(&mut watch.expired) {
                watch.until = Instant::now();
                return Some(line("ERROR", &status(410, "Expired", "too old resource version")));
            }
            if let Some(event) = self.event_after(watch) {
                return Some(event);
            }
            tokio::time::timeout_at(watch.until, changed.changed()).await.ok()?.ok()?;
        }
    }

    fn event_after(&self, watch: &mut Watch) -> Option<Bytes> {
        let store = self.store();
        let from = store.history.partition_point(|version| version.number <= watch.version);
        let next = store.history.get(from..)?.iter().find(|version| watch.path.covers(&version.key))?;
        watch.version = next.number;
        let kind = match next.change {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        };
        Some(line(kind, &next.object))
    }

    /// What happened until now is forgotten: a watch that begins before gets 410 and has to list.
    pub fn compact(&self) {
        let mut store = self.store();
        store.compacted = store.version;
    }

    /// A watch's whole body.
    pub fn stream(self: &Arc<Self>, watch: Watch) -> impl futures::Stream<Item = Bytes> + Send + use<> {
        futures::stream::unfold((self.clone(), watch), |(fake, mut watch)| async move {
            let event = fake.next_event(&mut watch).await?;
            Some((event, (fake, watch)))
        })
    }
}

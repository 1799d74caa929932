//! What is told of watches.

use std::sync::Arc;

use futures::{Stream, TryStreamExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};

use crate::metrics::{Metrics, WatchKind};

/// A watch that begins anew, later each time, when it fails, and tells so.
pub fn watch<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    kind: WatchKind,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send {
    events.default_backoff().inspect_err(move |error| {
        tracing::warn!(?kind, %error, "watch failed; restarting it");
        metrics.cluster.watch_failed(kind);
    })
}

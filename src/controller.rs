//! The controller: watches trigger passes, lanes and policies wake objects.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher;
use kube::{Api, Client};
use signalr_private_link_core::Limits;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::api::Watched;
use crate::azure::ArmClient;
use crate::health::Readiness;
use crate::kubernetes::{Events, Objects};
use crate::metrics::{Metrics, WatchKind};
use crate::permissions;
use crate::queue::Queue;
use crate::reconcile::{self, Change, Clock, Context, Index, Jitter, Lanes, Memories, ObjectKey, Sequel};
use crate::telemetry;

/// Passes that run at the same time.
const CONCURRENCY: usize = 256;
/// How long the passes that run when a signal ends the controller may go on: less than a pod is given
/// (`terminationGracePeriodSeconds` of the chart), so that the lease is released in time.
const LONGEST_DRAIN: Duration = Duration::from_secs(25);
/// The name of the lease, unless another one is given, and of the reporter of Events.
pub const NAME: &str = "signalr-private-link-operator";

/// What the controller works with.
pub struct Setup {
    /// Kubernetes.
    pub client: Client,
    /// Azure.
    pub arm: ArmClient,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Told when the watch has listed everything once.
    pub readiness: Readiness,
    /// The namespaces that are watched; none given, all.
    pub namespaces: Vec<String>,
    /// Multiplies the operator's waits and limits.
    pub pace: f64,
    /// The time of day.
    pub clock: Clock,
    /// Lengthens waits.
    pub jitter: Jitter,
}

/// Watches and passes until `shutdown`: then running passes end, and no new ones begin.
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()> + Send) {
    let Setup { client, arm, metrics, readiness, namespaces, pace, clock, jitter } = setup;
    readiness.not_ready();
    let (wake, woken) = mpsc::unbounded_channel();
    let (call, called) = mpsc::unbounded_channel();
    let context = Arc::new(Context {
        objects: Objects::new(client.clone()),
        events: Events::new(client.clone(), NAME),
        arm,
        reads: Default::default(),
        namespaces: Default::default(),
        policies: Default::default(),
        limits: Limits::paced(pace),
        clock,
        jitter,
        lanes: Lanes::new(call, pace, &metrics),
        memories: Memories::default(),
        index: Index::new(namespaces.len().max(1)),
        sees_all: namespaces.is_empty(),
        metrics,
        outage: Default::default(),
    });
    let changes = changes(&client, &namespaces, context.clone(), readiness);
    let watching = permissions::watch(client, namespaces, wake, context.clone());
    tokio::select! { () = work(&context, changes, woken, called, shutdown) => {}, () = watching => {} }
}

/// Makes passes until `shutdown`, and waits for those that run then. Policies have `woken` objects; lanes have `called` those
/// whose turn it is.
async fn work(
    context: &Arc<Context>,
    changes: impl Stream<Item = ObjectKey>,
    mut woken: mpsc::UnboundedReceiver<ObjectKey>,
    mut called: mpsc::UnboundedReceiver<ObjectKey>,
    shutdown: impl Future<Output = ()>,
) {
    let (mut changes, mut shutdown) = (std::pin::pin!(changes), std::pin::pin!(shutdown));
    let queue = Arc::new(Queue::new(CONCURRENCY, context.metrics.links.queue_depth()));
    let mut workers: JoinSet<()> = (0..CONCURRENCY).map(|_| make_passes(context.clone(), queue.clone())).collect();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            // A worker that panics outside of a pass would leave its object running for ever: the process ends.
            Some(Err(panicked)) = workers.join_next() => std::panic::resume_unwind(panicked.into_panic()),
            Some(key) = called.recv() => queue.add_first(key),
            Some(key) = woken.recv() => queue.add(key),
            Some(key) = changes.next() => queue.add(key),
            never = queue.keep_time() => match never {},
        }
    }
    queue.close();
    // What is left then ends like that of a process that is killed: the next one reads where it stands (R1).
    let _ = tokio::time::timeout(LONGEST_DRAIN, async { while workers.join_next().await.is_some() {} }).await;
}

/// Makes passes, one after the other, until the queue is closed.
async fn make_passes(context: Arc<Context>, queue: Arc<Queue>) {
    while let Some(key) = queue.begin().await {
        let mut written = None;
        // A pass catches its own panics.
        let wait = loop {
            match reconcile::pass(&context, &key, written).await {
                Sequel::Step(left) if !queue.is_closed() => written = Some(left),
                Sequel::Step(_) => break None,
                Sequel::Look(wait) => break wait,
            }
        };
        queue.end(key, wait);
    }
}

/// The objects that are to be looked at, as one watch for all namespaces shows them, or one for each.
fn changes(
    client: &Client,
    namespaces: &[String],
    context: Arc<Context>,
    readiness: Readiness,
) -> impl Stream<Item = ObjectKey> + Send + use<> {
    let apis: Vec<Api<Watched>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let watches = apis.into_iter().enumerate().map(|(number, api)| {
        let kind = WatchKind::SignalRSharedPrivateLink;
        let events = telemetry::watch(watcher(api, watcher::Config::default()), kind, context.metrics.clone());
        events.map(move |event| (number, event)).boxed()
    });
    futures::stream::select_all(watches).flat_map(move |(watch, event)| {
        let changes = match event {
            Ok(event) => context.index.apply(watch, event),
            Err(error) if is_forbidden(&error) => context.index.refuse(watch),
            Err(_) => Vec::new(),
        };
        if context.index.is_listed() {
            readiness.ready();
        }
        let mut looks = Vec::new();
        for change in changes {
            match change {
                Change::Look(key) => looks.push(key),
                Change::Gone(key, uid) => context.forget(&key, Some(&uid)),
            }
        }
        futures::stream::iter(looks)
    })
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use azure_core::credentials::TokenCredential;
    use bytes::Bytes;
    use reqwest::Url;

    use super::*;
    use crate::azure::{ArmSetup, Lost, TokenSource, Transport};

    struct NoAzure;

    #[async_trait::async_trait]
    impl Transport for NoAzure {
        async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost> {
            Err(Lost { sent: false, why: "no Azure".into() })
        }
    }

    /// A right is missing, and the first list never comes.
    #[tokio::test]
    async fn a_signal_ends_a_controller_that_may_not_list() {
        let forbidden = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}"#;
            let answer =
                http::Response::builder().status(403).body(kube::client::Body::from(status.as_bytes().to_vec()));
            Ok::<_, std::io::Error>(answer.unwrap())
        });
        let make = || -> anyhow::Result<Arc<dyn TokenCredential>> { anyhow::bail!("no credential") };
        let tokens = TokenSource::new(Box::new(make), "None".into(), String::new(), Arc::default(), Arc::default());
        let endpoint = Url::parse("https://azure.test").unwrap();
        let readiness = Readiness::default();
        let setup = Setup {
            client: Client::new(forbidden, "default"),
            arm: ArmClient::new(ArmSetup::new(NoAzure, endpoint, tokens, Arc::default())),
            metrics: Arc::default(),
            readiness,
            namespaces: vec![],
            pace: 1.0,
            clock: jiff::Timestamp::now,
            jitter: || 0.0,
        };
        let begun = Instant::now();
        run(setup, tokio::time::sleep(Duration::from_millis(200))).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

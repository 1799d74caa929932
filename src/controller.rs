//! The controller: watches trigger passes, lanes and policies wake objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher};
use kube::{Api, Client, Resource as _};
use signalr_private_link_core::Limits;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::api::SignalRSharedPrivateLink;
use crate::azure::ArmClient;
use crate::health::Readiness;
use crate::kubernetes::{self, Objects};
use crate::metrics::Metrics;
use crate::permissions::{self, PolicyWatch};
use crate::reconcile::{self, Clock, Jitter, Lanes, Memories, NamespaceSlots, ObjectKey, Orphans, Outage};

/// The watched type: an object that cannot be decoded does not stall the others.
type Watched = DeserializeGuard<SignalRSharedPrivateLink>;

/// Passes that run at the same time.
const CONCURRENCY: u16 = 64;
/// The name of the lease and of the reporter of Events.
pub const NAME: &str = "signalr-private-link-operator";

/// What the controller works with.
pub struct Setup {
    /// Kubernetes.
    pub client: Client,
    /// Azure.
    pub arm: Arc<ArmClient>,
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
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let Setup { client, arm, metrics, readiness, namespaces, pace, clock, jitter } = setup;
    readiness.begin();
    let shutdown = shutdown.shared();
    let (wake, woken) = mpsc::unbounded_channel();
    let link_changed = Arc::new(Notify::new());
    let (store, writer) = reflector::store::<Watched>();
    let seen_store = store.clone();
    let seen: reconcile::Seen = Arc::new(move |visit| seen(&seen_store, visit));
    let watching = permissions::watch(PolicyWatch {
        client: client.clone(),
        links: seen.clone(),
        link_changed: link_changed.clone(),
        wake: wake.clone(),
        pace,
    });
    let context = Arc::new(reconcile::Context {
        objects: Objects::new(client.clone()),
        events: Recorder::new(client.clone(), Reporter { controller: NAME.to_owned(), instance: None }),
        arm,
        links: Default::default(),
        connections: Default::default(),
        limits: Limits::paced(pace),
        clock,
        jitter,
        slots: NamespaceSlots::new(wake.clone(), usize::from(CONCURRENCY / 2)),
        lanes: Lanes::new(wake, pace),
        memories: Memories::default(),
        seen,
        sees_all: namespaces.is_empty(),
        orphans: Orphans::default(),
        metrics,
        outage: Outage::default(),
    });
    let forgotten = context.clone();
    let changes = links(&client, &namespaces)
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(watcher::Event::Delete(gone)) = event {
                forgotten.forget(&key(gone), gone.meta().uid.as_deref());
            }
            link_changed.notify_one();
        })
        .applied_objects()
        .predicate_filter(predicates::generation.combine(predicates::annotations), PredicateConfig::default());
    let woken =
        UnboundedReceiverStream::new(woken).map(|key| ObjectRef::<Watched>::new(&key.name).within(&key.namespace));
    let (listing, has_listed) = (store.clone(), Arc::new(AtomicBool::new(false)));
    let listed = has_listed.clone();
    let notice = async move {
        if listing.wait_until_ready().await.is_ok() {
            listed.store(true, Ordering::Relaxed);
            readiness.ready();
        }
        std::future::pending::<()>().await;
    };
    // kube's controller does not end before its first list is complete, which a missing right may prevent.
    let early_end = {
        let shutdown = shutdown.clone();
        async move {
            shutdown.await;
            if has_listed.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        }
    };
    let controller = Controller::for_stream(changes, store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .graceful_shutdown_on(shutdown)
        .run(reconcile_object, |_, _, _| Action::requeue(Duration::from_secs(60)), context)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller stream error");
            }
        });
    tokio::select! { () = controller => {}, () = watching => {}, () = notice => {}, () = early_end => {} }
}

/// One watch for all namespaces, or one for each.
fn links(
    client: &Client,
    namespaces: &[String],
) -> impl Stream<Item = watcher::Result<watcher::Event<Watched>>> + Send + 'static {
    let apis: Vec<Api<Watched>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let streams = apis.into_iter().map(|api| {
        watcher(api, watcher::Config::default())
            .default_backoff()
            .inspect(|event| {
                if let Err(error) = event {
                    tracing::warn!(%error, "watch failed; restarting it");
                }
            })
            .boxed()
    });
    kubernetes::merge(streams.collect())
}

fn seen(store: &Store<Watched>, visit: &mut dyn FnMut(&SignalRSharedPrivateLink)) {
    store.state().iter().filter_map(|object| object.0.as_ref().ok()).for_each(visit);
}

fn key(object: &Watched) -> ObjectKey {
    let reference = ObjectRef::from_obj(object);
    ObjectKey { namespace: reference.namespace.unwrap_or_default(), name: reference.name }
}

async fn reconcile_object(
    object: Arc<Watched>,
    context: Arc<reconcile::Context>,
) -> Result<Action, std::convert::Infallible> {
    // The pass reads the object itself, also one that this version cannot read whole.
    let key = key(&object);
    let Some(_slot) = context.slots.begin(&key) else {
        return Ok(Action::requeue(reconcile::SLOT_RESERVED_FOR));
    };
    Ok(reconcile::pass(&context, &key).await.map_or_else(Action::await_change, Action::requeue))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use azure_core::credentials::TokenCredential;
    use bytes::Bytes;
    use reqwest::Url;

    use super::*;
    use crate::azure::{Lost, TokenSource, Transport};

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
        let tokens = TokenSource::new(Box::new(make), "None".into(), String::new(), Arc::default());
        let endpoint = Url::parse("https://azure.test").unwrap();
        let readiness = Readiness::default();
        let setup = Setup {
            client: Client::new(forbidden, "default"),
            arm: Arc::new(ArmClient::new(NoAzure, endpoint, tokens, Arc::default())),
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

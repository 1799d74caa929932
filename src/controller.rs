//! The controller: watches trigger passes, lanes and policies wake objects.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use kube::core::{ObjectMeta, PartialObjectMeta, PartialObjectMetaExt as _};
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use signalr_private_link_core::Limits;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::api::SignalRSharedPrivateLink;
use crate::azure::ArmClient;
use crate::health::Readiness;
use crate::kubernetes::Objects;
use crate::metrics::Metrics;
use crate::permissions::{self, PolicyWatch};
use crate::reconcile::{
    self, Change, Clock, Context, Index, Jitter, Lanes, Memories, ObjectKey, Orphans, Outage, Places, Watched,
};

/// What kube's controller keeps of an object: its name.
type Named = PartialObjectMeta<SignalRSharedPrivateLink>;

/// Passes that run at the same time.
const CONCURRENCY: usize = 64;
/// The name of the lease and of the reporter of Events.
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
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
    let Setup { client, arm, metrics, readiness, namespaces, pace, clock, jitter } = setup;
    readiness.begin();
    let shutdown = shutdown.shared();
    let (wake, woken) = mpsc::unbounded_channel();
    let index = Arc::new(Index::new(namespaces.len().max(1)));
    let watching =
        permissions::watch(PolicyWatch { client: client.clone(), index: index.clone(), wake: wake.clone(), pace });
    let context = Arc::new(Context {
        objects: Objects::new(client.clone()),
        events: Recorder::new(client.clone(), Reporter { controller: NAME.to_owned(), instance: None }),
        arm,
        links: Default::default(),
        connections: Default::default(),
        limits: Limits::paced(pace),
        clock,
        jitter,
        places: Places::new(CONCURRENCY),
        lanes: Lanes::new(wake, pace),
        memories: Memories::default(),
        index,
        sees_all: namespaces.is_empty(),
        orphans: Orphans::default(),
        metrics,
        outage: Outage::default(),
    });
    let (store, mut writer) = reflector::store::<Named>();
    // The index tells when there is something to do; kube's own store is complete from the beginning.
    writer.apply_watcher_event(&watcher::Event::Init);
    writer.apply_watcher_event(&watcher::Event::InitDone);
    let changes = changes(links(&client, &namespaces), context.clone(), writer, readiness);
    let woken = UnboundedReceiverStream::new(woken).map(|key| ObjectRef::new(&key.name).within(&key.namespace));
    let closing = context.clone();
    let end = shutdown.clone().map(move |()| closing.places.close());
    let controller = Controller::for_stream(changes, store)
        // The places limit what runs; who waits for one costs little.
        .with_config(Config::default().concurrency(0))
        .reconcile_on(woken)
        .graceful_shutdown_on(shutdown)
        .run(reconcile_object, |_, _, _| Action::requeue(Duration::from_secs(60)), context)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "controller stream error");
            }
        });
    let controller = futures::future::join(controller, end);
    tokio::select! { _ = controller => {}, () = watching => {} }
}

type Watches = dyn Stream<Item = (usize, watcher::Result<watcher::Event<Watched>>)> + Send;

/// One watch for all namespaces, or one for each, with its number.
fn links(client: &Client, namespaces: &[String]) -> Pin<Box<Watches>> {
    let apis: Vec<Api<Watched>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let watches = apis.into_iter().enumerate().map(|(number, api)| {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        events.map(move |event| (number, event)).boxed()
    });
    futures::stream::select_all(watches).boxed()
}

/// The objects that are to be looked at.
fn changes(
    watches: Pin<Box<Watches>>,
    context: Arc<Context>,
    mut writer: Writer<Named>,
    readiness: Readiness,
) -> impl Stream<Item = watcher::Result<Named>> + Send + 'static {
    watches.flat_map(move |(watch, event)| {
        let changes = match event {
            Ok(event) => context.index.apply(watch, event),
            Err(error) => {
                tracing::warn!(%error, "watch failed; restarting it");
                if is_forbidden(&error) { context.index.refuse(watch) } else { Vec::new() }
            }
        };
        if context.index.is_listed() {
            readiness.ready();
        }
        let looks: Vec<_> = changes.into_iter().filter_map(|change| apply(&context, &mut writer, change)).collect();
        futures::stream::iter(looks.into_iter().map(Ok))
    })
}

fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// The object, if it is to be looked at.
fn apply(context: &Context, writer: &mut Writer<Named>, change: Change) -> Option<Named> {
    match change {
        Change::Look(key) => {
            let named = named(key);
            writer.apply_watcher_event(&watcher::Event::Apply(named.clone()));
            Some(named)
        }
        Change::Gone(key, uid) => {
            context.forget(&key, Some(&uid));
            // Another object may have come under its name.
            if !context.index.shows(&key) {
                writer.apply_watcher_event(&watcher::Event::Delete(named(key)));
            }
            None
        }
    }
}

fn named(key: ObjectKey) -> Named {
    let metadata = ObjectMeta { namespace: Some(key.namespace), name: Some(key.name), ..ObjectMeta::default() };
    metadata.into_response_partial()
}

async fn reconcile_object(object: Arc<Named>, context: Arc<Context>) -> Result<Action, Infallible> {
    let key = ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let Some(_place) = context.places.enter(&key.namespace).await else {
        return Ok(Action::await_change());
    };
    // In a box of its own: thousands may wait for a place.
    Ok(Box::pin(reconcile::pass(&context, &key)).await.map_or_else(Action::await_change, Action::requeue))
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
        let tokens = TokenSource::new(Box::new(make), "None".into(), String::new(), Arc::default());
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

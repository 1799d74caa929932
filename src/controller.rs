//! Wiring: watches trigger passes, lanes and policies wake objects, a signal ends it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use k8s_controller::LeaderElection;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher};
use kube::{Api, Client, Resource as _};
use signalr_private_link_core::desired::Limits;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::api::{ApprovalPolicy, SignalRSharedPrivateLink};
use crate::azure::{ArmClient, http_client, token_source};
use crate::config::RunArgs;
use crate::health::{self, Readiness};
use crate::kubernetes::{self, Objects};
use crate::metrics::Metrics;
use crate::permissions::{self, Permissions};
use crate::reconcile::{self, Lanes, Memories, ObjectKey, Orphans, Turns};

/// The watched type: an object that cannot be decoded does not stall the others.
type Watched = DeserializeGuard<SignalRSharedPrivateLink>;

/// Passes that run at the same time.
const CONCURRENCY: u16 = 64;
/// The name of the lease and of the reporter of Events.
const NAME: &str = "signalr-private-link-operator";

/// Runs until a signal ends it.
///
/// # Errors
/// When it cannot start: settings, cluster, definitions, addresses.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let settings = args.cloud_settings().map_err(anyhow::Error::msg)?;
    let metrics = Arc::new(Metrics::default());
    let http = http_client(&settings)?;
    let tokens = token_source(&settings, &http)?;
    let arm = Arc::new(ArmClient::new(http, settings.arm.clone(), tokens, metrics.clone()));
    let client = kubernetes::connect().await?;
    check_definitions(&client).await?;
    let readiness = Readiness::default();
    health::serve_metrics(args.metrics_address, metrics.clone()).await?;
    health::serve_health(args.health_address, readiness.clone()).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), cloud = ?args.cloud, arm = %settings.arm,
        authority = %settings.authority, "the operator starts"
    );
    if !args.leader_elect {
        watch(args, &client, arm, metrics, &readiness).await;
        return Ok(());
    }
    let identity = std::env::var("HOSTNAME").unwrap_or_else(|_| NAME.to_owned());
    let identity = format!("{identity}_{:08x}", rand::random::<u32>());
    let election = LeaderElection::new(client.clone(), client.default_namespace(), NAME, &identity);
    // A replica that waits for the lease is ready to take over.
    readiness.ready();
    let leading = AtomicBool::new(false);
    let lead = async {
        leading.store(true, Ordering::Relaxed);
        watch(args, &client, arm, metrics, &readiness).await;
    };
    tokio::select! {
        held = election.with_lease(lead) => {
            held.context("the lease was lost; the process ends, and a new one joins the election")
        }
        () = ends_while_waiting(&leading) => {
            election.release().await;
            Ok(())
        }
    }
}

/// A signal ends the wait for the lease. While the lease is held the controller listens itself:
/// the running calls end, and then the lease is given back.
async fn ends_while_waiting(leading: &AtomicBool) {
    signal().await;
    if leading.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// The definitions have to be there: without them the watch would fail for ever.
async fn check_definitions(client: &Client) -> anyhow::Result<()> {
    let one = kube::api::ListParams::default().limit(1);
    let links: Api<SignalRSharedPrivateLink> = Api::all(client.clone());
    let policies: Api<ApprovalPolicy> = Api::all(client.clone());
    usable("SignalRSharedPrivateLink", links.list(&one).await.err())?;
    usable("ApprovalPolicy", policies.list(&one).await.err())
}

/// What the answer to a first list means for the start.
fn usable(kind: &str, error: Option<kube::Error>) -> anyhow::Result<()> {
    match error {
        None => Ok(()),
        Some(kube::Error::Api(status)) => match status.code {
            404 => anyhow::bail!(
                "the kind {kind} is not installed in this cluster; run: {NAME} crds | kubectl apply --server-side -f -"
            ),
            401 => anyhow::bail!("the API server does not accept the operator's credentials: {}", status.message),
            // The operator may be limited to some namespaces; the watch will tell.
            403 => Ok(()),
            _ => anyhow::bail!("the API server cannot list {kind}: {}", status.message),
        },
        Some(error) => anyhow::bail!("the API server cannot be reached: {error}"),
    }
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}

async fn watch(args: &RunArgs, client: &Client, arm: Arc<ArmClient>, metrics: Arc<Metrics>, readiness: &Readiness) {
    let (wake, woken) = mpsc::unbounded_channel();
    let link_changed = Arc::new(Notify::new());
    let (store, writer) = reflector::store::<Watched>();
    let seen_store = store.clone();
    let seen: reconcile::Seen = Arc::new(move |visit| seen(&seen_store, visit));
    let watching = permissions::watch(Permissions {
        client: client.clone(),
        links: seen.clone(),
        link_changed: link_changed.clone(),
        wake: wake.clone(),
        pace: args.pace,
    });
    let context = Arc::new(reconcile::Context {
        objects: Objects::new(client.clone()),
        events: Recorder::new(client.clone(), Reporter { controller: NAME.to_owned(), instance: None }),
        arm,
        links: Default::default(),
        connections: Default::default(),
        limits: Limits::paced(args.pace),
        clock: jiff::Timestamp::now,
        jitter: rand::random,
        turns: Turns::new(wake.clone(), usize::from(CONCURRENCY / 2)),
        lanes: Lanes::new(wake, args.pace),
        memories: Memories::default(),
        seen,
        sees_all: args.watch_namespaces.is_empty(),
        orphans: Orphans::default(),
        metrics,
    });
    let forgotten = context.clone();
    let changes = links(client, &args.watch_namespaces)
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
    let ready = readiness.clone();
    let listed = store.clone();
    tokio::spawn(async move {
        if listed.wait_until_ready().await.is_ok() {
            ready.ready();
        }
    });
    let controller = Controller::for_stream(changes, store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(woken)
        .graceful_shutdown_on(signal())
        .run(one, |_, _, _| Action::requeue(Duration::from_secs(60)), context)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "the watch");
            }
        });
    tokio::select! { () = controller => {}, () = watching => {} }
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
                    tracing::warn!(%error, "the watch failed; it is begun anew");
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

async fn one(object: Arc<Watched>, context: Arc<reconcile::Context>) -> Result<Action, std::convert::Infallible> {
    // The pass reads the object itself, also one that this version cannot read whole.
    let key = key(&object);
    let Some(_turn) = context.turns.begin(&key) else {
        return Ok(Action::requeue(reconcile::KEPT));
    };
    Ok(reconcile::pass(&context, &key).await.map_or_else(Action::await_change, Action::requeue))
}

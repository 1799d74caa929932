//! From arguments to a running operator: settings, definitions, servers, leadership, the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use crate::api::{ApprovalPolicy, SignalRSharedPrivateLink};
use crate::azure::{ArmClient, ArmSetup, http_client, token_source};
use crate::config::RunArgs;
use crate::controller::{self, NAME, Setup};
use crate::health::{self, Readiness};
use crate::kubernetes;
use crate::metrics::Metrics;

/// How often a replica that waits makes sure that it may read the lease.
const LOOK_AT_LEASE: Duration = Duration::from_secs(10);

/// A replica that ends while it waits for the lease takes itself out of the election for at most so long.
const LONGEST_RELEASE: Duration = Duration::from_secs(5);

/// Runs until a signal ends it.
///
/// # Errors
/// When it cannot start: settings, cluster, definitions, addresses.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    // From here on no signal is lost: to a process with the id 1 Linux sends none that it does not handle.
    let shutdown = signal()?.shared();
    let settings = args.cloud_settings().map_err(anyhow::Error::msg)?;
    let metrics = Arc::new(Metrics::default());
    let http = http_client(&settings)?;
    let tokens = token_source(&settings, &http, &metrics)?;
    let arm = ArmClient::new(ArmSetup {
        versions: args.api_versions(),
        pace: args.pace,
        propagates: args.traces.propagate_to_azure,
        ..ArmSetup::new(http, settings.arm.clone(), tokens, metrics.clone())
    });
    let connecting = async {
        let client = kubernetes::connect(metrics.clone()).await?;
        check_definitions(&client, &args.watch_namespaces).await.map(|()| client)
    };
    let client = tokio::select! {
        client = connecting => client?,
        () = shutdown.clone() => return Ok(()),
    };
    let readiness = Readiness::default();
    health::serve_metrics(args.metrics_address, metrics.clone()).await?;
    health::serve_health(args.health_address, readiness.clone()).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), cloud = ?args.cloud, arm = %settings.arm,
        authority = %settings.authority, "the operator starts"
    );
    let setup = || Setup {
        client: client.clone(),
        arm: arm.clone(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        namespaces: args.watch_namespaces.clone(),
        pace: args.pace,
        clock: jiff::Timestamp::now,
        jitter: rand::random,
    };
    if !args.leader_elect {
        metrics.cluster.lead(true);
        controller::run(setup(), shutdown.clone()).await;
        return Ok(());
    }
    let identity = std::env::var("HOSTNAME").unwrap_or_else(|_| NAME.to_owned());
    let identity = format!("{identity}_{:08x}", rand::random::<u32>());
    let election = args.lease_times.election(&client, &args.lease_name, &identity);
    let leading = AtomicBool::new(false);
    let lead = async {
        leading.store(true, Ordering::Relaxed);
        tracing::info!(lease = args.lease_name, holder = identity, "this replica leads");
        metrics.cluster.lead(true);
        controller::run(setup(), shutdown.clone()).await;
        metrics.cluster.lead(false);
    };
    tokio::select! {
        held = election.with_lease(lead) => {
            held.context("the lease was lost; the process ends, and a new one joins the election")
        }
        never = stand_by(&client, &args.lease_name, &readiness, &leading) => match never {},
        () = ends_while_waiting(shutdown.clone(), &leading) => {
            // Whoever waits holds nothing that others could not take.
            let _ = tokio::time::timeout(LONGEST_RELEASE, election.release()).await;
            Ok(())
        }
    }
}

/// A replica that waits for the lease is ready to take over, once it can read it.
async fn stand_by(client: &Client, lease: &str, readiness: &Readiness, leading: &AtomicBool) -> Infallible {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    loop {
        let read = leases.get_metadata_opt(lease).await;
        // From then on the controller says whether it is ready.
        if leading.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        match read {
            Ok(_) => readiness.ready(),
            Err(error) => {
                readiness.not_ready();
                tracing::error!(lease, %error, "the lease cannot be read, so this replica could not take over");
            }
        }
        tokio::time::sleep(LOOK_AT_LEASE).await;
    }
}

/// A signal ends the wait for the lease. While the lease is held the controller listens itself:
/// the running calls end, and then the lease is given back.
async fn ends_while_waiting(shutdown: impl Future<Output = ()>, leading: &AtomicBool) {
    shutdown.await;
    if leading.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// The definitions have to be there: without them the watch would fail for ever.
async fn check_definitions(client: &Client, namespaces: &[String]) -> anyhow::Result<()> {
    let one = kube::api::ListParams::default().limit(1);
    let links: Api<SignalRSharedPrivateLink> = match namespaces {
        [] => Api::all(client.clone()),
        [first, ..] => Api::namespaced(client.clone(), first),
    };
    let policies: Api<ApprovalPolicy> = Api::all(client.clone());
    // Their metadata only: an object that this version cannot read keeps nobody from starting.
    usable("SignalRSharedPrivateLink", links.list_metadata(&one).await.err())?;
    usable("ApprovalPolicy", policies.list_metadata(&one).await.err())
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

/// A signal to end, from now on.
fn signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    })
}

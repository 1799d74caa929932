//! End to end: the operator's process against a real API server and the simulator.
//!
//! One cluster and one simulator serve all tests; each test has its own namespace, SignalR and
//! vault, and its own names in faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod approval;
mod deletion;
mod doctor;
mod fairness;
mod faults;
mod identity;
mod image;
mod input;
mod killed;
mod kubernetes;
mod leadership;
mod lifecycle;
mod policy;
mod release;
mod rights;
mod schema;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use testkit::operator::Settings;
use testkit::{Operator, Scene};
use tokio::runtime::Runtime;

use crate::release::Release;

/// The operator's waits are this much shorter than in real life.
const PACE: &str = "0.02";
/// Longer than any honest wait at that pace.
const LIMIT: Duration = Duration::from_secs(60);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_signalr-private-link-operator"))
}

/// All tests run in one runtime, for the simulator lives in it.
fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(test)
}

/// The simulator of the tests.
fn config() -> azure_sim::Config {
    let mut config = testkit::azure::quick();
    config.quirks.uppercase_groups = true;
    config
}

/// Where the release is whose rights the operators have.
const HOME: &str = "operator-home";

/// A cluster with the chart's roles, and a simulator.
async fn start() -> Scene {
    let scene = Scene::start(binary(), config()).await.unwrap();
    Release::install(&scene, HOME, &[]);
    scene.cluster.service_account_kubeconfig(HOME, Release::account()).unwrap();
    scene
}

/// The cluster and the simulator of all tests.
async fn scene() -> &'static Scene {
    static SCENE: tokio::sync::OnceCell<Scene> = tokio::sync::OnceCell::const_new();
    SCENE.get_or_init(start).await
}

/// An operator that sees this namespace only.
fn operator(scene: &Scene, namespace: &str) -> Operator {
    Operator::start(&settings(scene, namespace)).unwrap()
}

/// Settings of an operator with the chart's rights that sees this namespace only.
fn settings(scene: &Scene, namespace: &str) -> Settings<'static> {
    settings_for(scene, &scene.azure, namespace)
}

/// Settings of an operator with the chart's rights that sees all namespaces, of a cluster of its own.
fn settings_for_all(scene: &Scene) -> Settings<'static> {
    let mut settings = settings(scene, "all");
    let watch = settings.flags.iter().position(|flag| flag == "--watch-namespaces").unwrap();
    settings.flags.drain(watch..watch + 2);
    settings
}

/// Takes the secret away: the operator exchanges the token in this file instead.
fn federate(settings: &mut Settings<'_>, token_file: &Path) {
    settings.environment.retain(|(name, _)| name != "AZURE_CLIENT_SECRET");
    settings.environment.push(("AZURE_FEDERATED_TOKEN_FILE".into(), token_file.to_string_lossy().into_owned()));
}

/// A token of a service account, for whom the chart projects one into the pod.
fn federated_token(scene: &Scene, namespace: &str, account: &str) -> String {
    let create = ["create", "token", account, "-n", namespace, "--audience", "api://AzureADTokenExchange"];
    scene.cluster.kubectl_ok(&create).unwrap().trim().to_owned()
}

/// Long enough for something to happen in the middle of a creation.
const SLOW_MS: i64 = 4_000;

/// An Azure of its own whose creations take this long.
async fn azure_creating_in(scene: &Scene, create_ms: i64) -> testkit::Azure {
    let mut config = config();
    config.timings.create_ms = create_ms;
    testkit::Azure::start(config, scene.cluster.directory()).await.unwrap()
}

/// Settings for an operator that reaches this Azure.
fn settings_for(scene: &Scene, azure: &testkit::Azure, namespace: &str) -> Settings<'static> {
    let mut settings = Settings::new(binary(), &scene.cluster, azure, PACE);
    settings.flags.extend(
        [
            "--watch-namespaces",
            namespace,
            "--log-level",
            "debug,azure=debug,typespec=debug,hyper=info,h2=info,tower=info,kube=info,rustls=info",
        ]
        .map(str::to_owned),
    );
    settings.kubeconfig = scene.cluster.kubeconfig_of(HOME, Release::account());
    settings.log = scene.cluster.directory().join(format!("operator-{namespace}.log"));
    settings
}

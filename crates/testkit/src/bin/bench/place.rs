//! One arrangement: a fresh cluster, a fresh simulator, and an operator that can be started anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use azure_sim::Config;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::metrics::Scrape;
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, azure, eventually, free_port};

use super::board::{Board, Shown};
use super::fleet::Size;
use super::progress;

/// How many objects are created at the same time.
const CREATORS: usize = 16;

/// An operator that runs.
pub struct Running {
    pub process: Operator,
    metrics: String,
}

impl Running {
    pub async fn scrape(&self) -> anyhow::Result<Scrape> {
        Scrape::read(&self.metrics).await
    }

    /// The processor time that it has used, and the passes that it has made.
    pub async fn used(&self) -> anyhow::Result<(Duration, u64)> {
        let passes = self.scrape().await?.sum("signalr_private_link_reconcile_total", "");
        Ok((self.process.processor_time().unwrap_or_default(), passes))
    }
}

pub struct Place {
    pub scene: Scene,
    binary: PathBuf,
    operator: Option<Running>,
    board: Board,
    /// Over how many subscriptions the SignalRs and vaults are spread.
    pub subscriptions: usize,
}

/// How long things take in Azure, in milliseconds.
pub fn timings(create: i64, busy: i64) -> Config {
    let mut config = Config::preset();
    config.timings.create_ms = create;
    config.timings.busy_ms = busy;
    config.timings.delete_ms = 100;
    config.timings.appear_ms = 0;
    config.timings.approve_ms = 50;
    config.timings.propagation_ms = 100;
    config
}

/// The subscription of this number; the first one is that of the examples.
fn subscription(number: usize) -> String {
    format!("00000000-0000-0000-0000-{number:012}")
}

pub fn namespace(number: usize) -> String {
    format!("bench-{number}")
}

impl Place {
    pub async fn start(binary: &Path, config: Config, namespaces: usize) -> anyhow::Result<Self> {
        let scene = Scene::start(binary, config).await?;
        for number in 0..namespaces {
            scene.namespace(&namespace(number))?;
        }
        let board = Board::start(links(scene.cluster.client().await?, None));
        Ok(Self { scene, binary: binary.to_owned(), operator: None, board, subscriptions: 1 })
    }

    pub async fn start_operator(&mut self, pace: &str) -> anyhow::Result<()> {
        self.operator = Some(self.launch(&self.binary, pace).await?);
        Ok(())
    }

    /// Starts an operator, and waits until it serves metrics.
    pub async fn launch(&self, binary: &Path, pace: &str) -> anyhow::Result<Running> {
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let mut settings = Settings::new(binary, &self.scene.cluster, &self.scene.azure, pace);
        settings.flags =
            ["--pace", pace, "--metrics-address", &metrics, "--health-address", "0", "--log-level", "warn"]
                .map(str::to_owned)
                .to_vec();
        let running = Running { process: Operator::start(&settings)?, metrics };
        eventually("the metrics", Duration::from_secs(20), || async {
            Ok(running.scrape().await.map(drop).map_err(|e| e.to_string()))
        })
        .await?;
        Ok(running)
    }

    /// Ends the operator as Kubernetes does; how long that took.
    pub fn stop_operator(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.operator.take().context("no operator runs")?.process.terminate()?;
        Ok(begun.elapsed())
    }

    pub fn operator(&self) -> anyhow::Result<&Operator> {
        self.running().map(|running| &running.process)
    }

    pub async fn scrape(&self) -> anyhow::Result<Scrape> {
        self.running()?.scrape().await
    }

    pub fn running(&self) -> anyhow::Result<&Running> {
        self.operator.as_ref().context("no operator runs")
    }

    /// A policy that permits everything in these namespaces.
    pub fn permit_all(&self, namespaces: usize) -> anyhow::Result<()> {
        let names: Vec<String> = (0..namespaces).map(namespace).collect();
        let everything: Vec<String> =
            (0..self.subscriptions).map(|n| format!("/subscriptions/{}/*", subscription(n))).collect();
        let policy = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": {"name": "bench"},
            "spec": {
                "namespaces": {"names": names}, "signalR": everything, "keyVaults": everything,
                "endpointSubscriptions": [azure::MICROSOFT],
            },
        });
        self.scene.cluster.apply(&policy.to_string()).map(drop).map_err(anyhow::Error::msg)
    }

    /// Adds SignalRs and as many vaults.
    pub async fn add_parents(&self, parents: usize) -> anyhow::Result<()> {
        for parent in 0..parents {
            let (signalr, vault) = self.ids(&parent.to_string());
            self.scene.azure.add_ids(&signalr, &vault).await?;
        }
        Ok(())
    }

    /// The ids of the SignalR and the vault of this number, or of a name that is none.
    fn ids(&self, parent: &str) -> (String, String) {
        let subscription = subscription(parent.parse::<usize>().unwrap_or_default() % self.subscriptions);
        let signalr = azure::signalr_in(&subscription, &format!("signalr-{parent}"));
        (signalr, azure::vault_in(&subscription, &format!("vault-{parent}")))
    }

    /// Creates links over the parents and namespaces of this size.
    pub async fn create(&self, size: Size, spec: &Value) -> anyhow::Result<()> {
        let items = (0..size.links).map(|link| {
            let parent = link % size.parents;
            (namespace(link % size.namespaces), format!("link-{link}"), format!("{parent}"))
        });
        self.create_each(items.collect(), spec).await
    }

    /// Creates links by namespace, name and the number of their parents.
    pub async fn create_each(&self, items: Vec<(String, String, String)>, spec: &Value) -> anyhow::Result<()> {
        let options = LinkOptions { spec: spec.clone(), annotations: Value::Null };
        let client = self.scene.cluster.client().await?;
        futures::stream::iter(items)
            .map(|(namespace, name, parent)| {
                let api = links(client.clone(), Some(&namespace));
                let (signalr, vault) = self.ids(&parent);
                let manifest = Scene::manifest_of_ids(&namespace, &name, &signalr, &vault, &options);
                async move {
                    let object: DynamicObject = serde_json::from_value(manifest)?;
                    api.create(&Default::default(), &object).await.map(drop).map_err(anyhow::Error::from)
                }
            })
            .buffer_unordered(CREATORS)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Sets a field of the spec of all links, or clears it with null, and waits until the operator has seen each.
    pub async fn change_all(&self, size: Size, spec: &Value, limit: Duration) -> anyhow::Result<()> {
        let client = self.scene.cluster.client().await?;
        let patch = Patch::Merge(json!({"spec": spec}));
        futures::stream::iter(0..size.links)
            .map(|link| {
                let (api, patch) = (links(client.clone(), Some(&namespace(link % size.namespaces))), &patch);
                async move { api.patch(&format!("link-{link}"), &PatchParams::default(), patch).await.map(drop) }
            })
            .buffer_unordered(CREATORS)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        self.wait("links of the second generation", size.links, limit, |link| link.observed_generation == Some(2)).await
    }

    /// Deletes all links, and waits until none is there.
    pub async fn delete_all(&self, namespaces: usize, limit: Duration) -> anyhow::Result<()> {
        let client = self.scene.cluster.client().await?;
        for number in 0..namespaces {
            let links = links(client.clone(), Some(&namespace(number)));
            links.delete_collection(&Default::default(), &ListParams::default()).await?;
        }
        eventually("no links", limit, || async {
            let left = self.board.count(|_| true);
            Ok(if left == 0 { Ok(()) } else { Err(format!("{left} left")) })
        })
        .await
    }

    /// Waits until this many links have this value of Ready's `field`.
    pub async fn until(&self, links: usize, field: &str, value: &str, limit: Duration) -> anyhow::Result<()> {
        self.until_in(None, links, field, value, limit).await
    }

    pub async fn until_in(
        &self,
        namespace: Option<&str>,
        links: usize,
        field: &str,
        value: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let is_here = |link: &Shown| namespace.is_none_or(|namespace| link.namespace == namespace);
        let says = |link: &Shown| is_here(link) && link.ready.get(field).and_then(Value::as_str) == Some(value);
        self.wait(&format!("links with {field} {value}"), links, limit, says).await
    }

    /// Waits until so many links are as wanted, and tells every ten seconds how many are.
    async fn wait(
        &self,
        wanted: &str,
        links: usize,
        limit: Duration,
        holds: impl Fn(&Shown) -> bool,
    ) -> anyhow::Result<()> {
        let (begun, mut told) = (Instant::now(), 0);
        eventually(&format!("{links} {wanted}"), limit, || {
            let (there, passed) = (self.board.count(&holds), begun.elapsed().as_secs());
            let is_reached = there >= links;
            if !is_reached && passed / 10 > told {
                told = passed / 10;
                progress(&format!("{there} of {links} {wanted} after {passed} s"));
            }
            std::future::ready(Ok(if is_reached { Ok(()) } else { Err(format!("{there}")) }))
        })
        .await
    }
}

/// The links as stored, of all namespaces or of one.
fn links(client: Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("privatelink.signalr-operator.io", "v1alpha1", "SignalRSharedPrivateLink");
    let resource = ApiResource::from_gvk_with_plural(&kind, "signalrsharedprivatelinks");
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}

/// Requests to the simulator of this kind.
pub fn count(counts: &Value, kind: &str) -> u64 {
    counts.get("byKind").and_then(|all| all.get(kind)).and_then(Value::as_u64).unwrap_or_default()
}

//! One arrangement: a fresh cluster, a fresh simulator, and an operator that can be started anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use azure_sim::Config;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::metrics::Scrape;
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene, condition};
use testkit::{Operator, azure, eventually, free_port};

use super::fleet::Size;
use super::progress;

/// How many objects are created at the same time.
const CREATORS: usize = 16;

pub struct Place {
    pub scene: Scene,
    binary: PathBuf,
    operator: Option<Operator>,
    metrics: String,
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

pub fn namespace(number: usize) -> String {
    format!("bench-{number}")
}

impl Place {
    pub async fn start(binary: &Path, config: Config, namespaces: usize) -> anyhow::Result<Self> {
        let scene = Scene::start(binary, config).await?;
        for number in 0..namespaces {
            scene.namespace(&namespace(number))?;
        }
        Ok(Self { scene, binary: binary.to_owned(), operator: None, metrics: String::new() })
    }

    pub async fn start_operator(&mut self, pace: &str) -> anyhow::Result<()> {
        self.metrics = format!("127.0.0.1:{}", free_port()?);
        let mut settings = Settings::new(&self.binary, &self.scene.cluster, &self.scene.azure, pace);
        settings.flags =
            ["--pace", pace, "--metrics-address", &self.metrics, "--health-address", "0", "--log-level", "warn"]
                .map(str::to_owned)
                .to_vec();
        self.operator = Some(Operator::start(&settings)?);
        eventually("the metrics", Duration::from_secs(20), || async {
            Ok(self.scrape().await.map(drop).map_err(|e| e.to_string()))
        })
        .await
    }

    /// Ends the operator as Kubernetes does; how long that took.
    pub fn stop_operator(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.operator.take().context("no operator runs")?.terminate()?;
        Ok(begun.elapsed())
    }

    pub fn operator(&self) -> anyhow::Result<&Operator> {
        self.operator.as_ref().context("no operator runs")
    }

    pub async fn scrape(&self) -> anyhow::Result<Scrape> {
        Scrape::read(&self.metrics).await
    }

    /// A policy that permits everything in these namespaces.
    pub fn permit_all(&self, namespaces: usize) -> anyhow::Result<()> {
        let names: Vec<String> = (0..namespaces).map(namespace).collect();
        let everything = format!("/subscriptions/{}/*", azure::SUBSCRIPTION);
        let policy = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": {"name": "bench"},
            "spec": {
                "namespaces": {"names": names}, "signalR": [everything], "keyVaults": [everything],
                "endpointSubscriptions": [azure::MICROSOFT],
            },
        });
        self.scene.cluster.apply(&policy.to_string()).map(drop).map_err(anyhow::Error::msg)
    }

    /// Adds SignalRs and as many vaults.
    pub async fn add_parents(&self, parents: usize) -> anyhow::Result<()> {
        for parent in 0..parents {
            self.scene.azure.add(&format!("signalr-{parent}"), &format!("vault-{parent}")).await?;
        }
        Ok(())
    }

    async fn links(&self, namespace: Option<&str>) -> anyhow::Result<Api<DynamicObject>> {
        Ok(links(self.scene.cluster.client().await?, namespace))
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
                let (signalr, vault) = (format!("signalr-{parent}"), format!("vault-{parent}"));
                let manifest = Scene::manifest(&namespace, &name, &signalr, &vault, &options);
                async move {
                    let object: DynamicObject = serde_json::from_value(manifest)?;
                    api.create(&Default::default(), &object).await.map(drop).map_err(anyhow::Error::from)
                }
            })
            .buffer_unordered(CREATORS)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Deletes all links, and waits until none is there.
    pub async fn delete_all(&self, namespaces: usize, limit: Duration) -> anyhow::Result<()> {
        for number in 0..namespaces {
            self.links(Some(&namespace(number)))
                .await?
                .delete_collection(&Default::default(), &ListParams::default())
                .await?;
        }
        eventually("no links", limit, || async {
            let left = self.count(None, |_| true).await?;
            pause(left).await;
            Ok(if left == 0 { Ok(()) } else { Err(format!("{left} left")) })
        })
        .await
    }

    /// How many links there are for which this holds.
    async fn count(&self, namespace: Option<&str>, holds: impl Fn(&Value) -> bool) -> anyhow::Result<usize> {
        let links = self.links(namespace).await?;
        let (mut parameters, mut found) = (ListParams::default().limit(500), 0);
        loop {
            let page = links.list(&parameters).await?;
            found += page.items.iter().filter(|link| holds(&link.data)).count();
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
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
        let says = |link: &Value| condition(link, "Ready").is_some_and(|ready| ready.get(field) == Some(&json!(value)));
        let begun = Instant::now();
        eventually(&format!("{links} links with {field} {value}"), limit, || async {
            let there = self.count(namespace, says).await?;
            if links > 1 {
                progress(&format!(
                    "{there} of {links} with {field} {value} after {:.0} s",
                    begun.elapsed().as_secs_f64()
                ));
            }
            pause(links.saturating_sub(there)).await;
            Ok(if there >= links { Ok(()) } else { Err(format!("{there}")) })
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

/// Looking costs the machine much, so the more is missing the longer is waited.
async fn pause(missing: usize) {
    let wait = Duration::from_millis(missing as u64 * 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
    tokio::time::sleep(wait).await;
}

/// Requests to the simulator of this kind.
pub fn count(counts: &Value, kind: &str) -> u64 {
    counts.get("byKind").and_then(|all| all.get(kind)).and_then(Value::as_u64).unwrap_or_default()
}

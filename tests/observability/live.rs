//! The real operator, scraped by a real Prometheus, in good days and in bad ones that are brought about.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use signalr_private_link_core::marker::{Marker, NONCE_LENGTH, Nonce};
use testkit::metrics::Scrape;
use testkit::operator::Settings;
use testkit::prometheus::Target;
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, Prometheus, azure, eventually, free_port};

use crate::{alerts, name, picture, queries, rendered_rules, without_variables};

/// The operator's waits are this much shorter than in real life.
const PACE: &str = "0.02";
/// Longer than any honest wait at that pace.
const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "observed";
const SIGNALR: &str = "observed-signalr";
const VAULT: &str = "observed-kv";

/// The rules of the chart, without their patience: nobody waits for days in a test.
fn rules() -> String {
    let mut overrides = Map::new();
    for alert in alerts() {
        // Prometheus has scraped nothing at first.
        let wait = if name(&alert) == "SignalRPrivateLinkOperatorDown" { "20s" } else { "0s" };
        overrides.insert(name(&alert).to_owned(), json!({"for": wait}));
    }
    for (alert, threshold) in [("PendingApprovalOld", 1.0), ("ArmErrors", 0.01), ("TokenFailing", 0.0)] {
        overrides[&format!("SignalRPrivateLink{alert}")]["threshold"] = json!(threshold);
    }
    rendered_rules(&Value::Object(overrides)).to_string()
}

/// How long the good days last: `HEALTHY_SECONDS`, or a moment.
fn healthy_time() -> Duration {
    let seconds = std::env::var("HEALTHY_SECONDS").map_or(8, |seconds| seconds.parse().expect("HEALTHY_SECONDS"));
    Duration::from_secs(seconds)
}

struct Stage {
    scene: Scene,
    address: String,
    prometheus: Prometheus,
    begun: Timestamp,
}

impl Stage {
    fn settings(scene: &Scene, address: &str) -> Settings<'static> {
        let binary = Path::new(env!("CARGO_BIN_EXE_signalr-private-link-operator"));
        let mut settings = Settings::new(binary, &scene.cluster, &scene.azure, PACE);
        let flags = ["--pace", PACE, "--metrics-address", address, "--health-address", "0"];
        settings.flags = flags.map(str::to_owned).to_vec();
        settings
    }

    /// A cluster, a simulator that throttles as ARM does, an operator that works for all namespaces, and Prometheus.
    async fn start() -> (Self, Operator) {
        let mut config = azure::quick();
        config.quirks.throttle_rate = 50;
        let scene = Scene::start(Path::new(env!("CARGO_BIN_EXE_signalr-private-link-operator")), config).await.unwrap();
        scene.namespace(NAMESPACE).unwrap();
        scene.azure.add(SIGNALR, VAULT).await.unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let operator = Operator::start(&Self::settings(&scene, &address)).unwrap();
        eventually("the metrics", LIMIT, || async {
            Ok(Scrape::read(&address).await.map(drop).map_err(|error| error.to_string()))
        })
        .await
        .unwrap();
        let rules = rules();
        let job = "test-signalr-private-link-operator-metrics";
        let target = Target { address: &address, job, namespace: "operators", rules: &rules };
        let prometheus = Prometheus::start(&target).await.unwrap();
        (Self { scene, address, prometheus, begun: Timestamp::now() }, operator)
    }

    fn restart(&self, flags: &[&str]) -> Operator {
        let mut settings = Self::settings(&self.scene, &self.address);
        settings.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Operator::start(&settings).unwrap()
    }

    fn apply(&self, link: &str, signalr: &str, mode: &str) {
        let options = LinkOptions { spec: json!({"approval": {"mode": mode}}), ..LinkOptions::default() };
        let manifest = Scene::manifest(NAMESPACE, link, signalr, VAULT, &options);
        self.scene.cluster.apply(&manifest.to_string()).unwrap();
    }

    async fn until(&self, link: &str, reason: &str) {
        self.scene.until_reason(NAMESPACE, link, reason, LIMIT).await.unwrap();
    }

    async fn fault(&self, fault: &Value) {
        self.scene.azure.control("POST", "/faults", fault).await.unwrap();
    }

    async fn no_more_faults(&self) {
        self.scene.azure.control("DELETE", "/faults", &Value::Null).await.unwrap();
    }

    async fn firing(&self) -> anyhow::Result<BTreeSet<String>> {
        let alerts = self.prometheus.alerts().await?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        Ok(firing.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
    }

    /// Waits until an alert fires.
    async fn until_fires(&self, alert: &str) {
        let alert = format!("SignalRPrivateLink{alert}");
        eventually(&format!("{alert} to fire"), LIMIT, || async {
            let firing = self.firing().await?;
            Ok(if firing.contains(&alert) { Ok(()) } else { Err(format!("{firing:?}")) })
        })
        .await
        .unwrap();
    }

    /// Links become Ready and go for as long as [`healthy_time`] says, and none of the alerts fires.
    async fn all_is_well(&self) {
        let policy = Scene::policy(NAMESPACE, NAMESPACE, SIGNALR, VAULT, &json!({}));
        self.scene.cluster.apply(&policy.to_string()).unwrap();
        self.apply("well", SIGNALR, "Automatic");
        self.until("well", "Approved").await;
        let begun = Instant::now();
        for number in 1.. {
            tokio::time::sleep(Duration::from_secs(8)).await;
            if begun.elapsed() >= healthy_time() {
                break;
            }
            let link = format!("comes-and-goes-{number}");
            self.apply(&link, SIGNALR, "Automatic");
            self.until(&link, "Approved").await;
            self.scene.cluster.kubectl_ok(&["delete", "spl", &link, "-n", NAMESPACE, "--wait=false"]).unwrap();
            self.scene.until_gone(NAMESPACE, &link, LIMIT).await.unwrap();
        }
        let ready = self.prometheus.query("sum(signalr_private_link_links{reason=\"Approved\"})").await.unwrap();
        assert_eq!(ready[0]["value"][1], "1", "{ready:?}");
        // Nearly all of them fire at once here.
        let alerts = self.prometheus.query("max_over_time(ALERTS{alertstate=\"firing\"}[1h])").await.unwrap();
        assert!(alerts.is_empty(), "in a healthy run: {alerts:?}");
    }

    /// Every query of the dashboard finds something.
    async fn the_dashboard_shows_something(&self) {
        let mut empty = Vec::new();
        for (title, query) in queries() {
            let found = self
                .prometheus
                .query(&without_variables(&query))
                .await
                .unwrap_or_else(|error| panic!("{title}: {error:#}"));
            if found.is_empty() {
                empty.push((title, query));
            }
        }
        assert!(empty.is_empty(), "these panels show nothing: {empty:#?}");
    }

    /// Somebody else's cluster, or an object whose finalizer was removed by hand.
    async fn plant_an_orphan(&self) {
        let nonce = Nonce::from_random([1; NONCE_LENGTH]);
        let marker = Marker { uid: "ffffffff-4a52-4a0e-9a3f-1c2b3a4d5e6f".into(), nonce, tag: "000000".into() };
        let id = format!("{}/sharedPrivateLinkResources/left", azure::signalr(SIGNALR));
        let properties =
            json!({"requestMessage": marker.message("left"), "privateLinkResourceId": azure::vault(VAULT)});
        self.scene.azure.control("POST", "/links", &json!({"id": id, "properties": properties})).await.unwrap();
    }

    /// A lease that somebody holds who is not there.
    fn take_the_lease(&self, lease: &str) {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": lease, "namespace": "default"},
            "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now},
        });
        self.scene.cluster.apply(&lease.to_string()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_fire_in_bad_days_only_and_the_dashboard_shows_them() {
    let (stage, operator) = Stage::start().await;
    stage.all_is_well().await;

    stage.apply("waits", SIGNALR, "Manual");
    stage.until("waits", "PendingApproval").await;
    stage.until_fires("PendingApprovalOld").await;

    stage.apply("stalled", "nowhere", "Manual");
    stage.until("stalled", "SignalRNotFound").await;
    stage.until_fires("LinksStalled").await;

    stage.plant_an_orphan().await;
    stage.until_fires("OrphanedLinks").await;
    stage.the_dashboard_shows_something().await;

    let every_read = json!({"method": "GET", "path": "/providers/", "count": 0, "kind": "status"});
    let with = |more: Value| {
        let mut fault = every_read.clone();
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fault
    };
    stage.fault(&with(json!({"status": 429, "retryAfter": "1"}))).await;
    stage.until_fires("ArmThrottled").await;
    stage.no_more_faults().await;

    stage.fault(&with(json!({"status": 500, "code": "InternalServerError"}))).await;
    stage.until_fires("ArmErrors").await;
    stage.no_more_faults().await;
    if std::env::var_os("UPDATE").is_some() {
        picture::write_dashboard(&stage.prometheus, stage.begun).await;
    }

    drop(operator);
    stage.until_fires("OperatorDown").await;

    let refused = json!({"path": "/oauth2/", "count": 0, "kind": "status", "status": 401, "code": "invalid_client"});
    stage.fault(&refused).await;
    let operator = stage.restart(&[]);
    stage.until_fires("TokenFailing").await;
    drop(operator);

    stage.take_the_lease("taken");
    let _waits = stage.restart(&["--leader-elect", "--lease-name", "taken"]);
    stage.until_fires("NoLeader").await;
}

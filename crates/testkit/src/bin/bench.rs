//! `make bench`: calls, writes, memory and time, printed as tables. Counts are exact; seconds
//! depend on the machine and are there for the order of magnitude. Arguments choose among `one`, `thousand` and
//! `contention`; without any, all run.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use azure_sim::Config;
use serde_json::{Value, json};
use testkit::metrics::Scrape;
use testkit::operator::{Settings, binary};
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, azure, eventually, free_port};

const NS: &str = "bench";

/// One arrangement: a fresh cluster, a fresh simulator, a fresh operator.
struct Bench {
    scene: Scene,
    operator: Operator,
    metrics: String,
}

fn print(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn timings(create: i64, busy: i64) -> Config {
    let mut config = Config::preset();
    config.timings.create_ms = create;
    config.timings.busy_ms = busy;
    config.timings.delete_ms = 100;
    config.timings.appear_ms = 0;
    config.timings.approve_ms = 50;
    config.timings.propagation_ms = 100;
    config
}

impl Bench {
    async fn start(binary: &Path, config: Config, pace: &str) -> anyhow::Result<Self> {
        let scene = Scene::start(binary, config).await?;
        scene.namespace(NS)?;
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let mut settings = Settings::new(binary, &scene.cluster, &scene.azure, pace);
        settings.flags =
            ["--pace", pace, "--metrics-address", &metrics, "--health-address", "0", "--log-level", "warn"]
                .map(str::to_owned)
                .to_vec();
        let operator = Operator::start(&settings)?;
        let bench = Self { scene, operator, metrics };
        eventually("the metrics", Duration::from_secs(20), || async {
            Ok(Scrape::read(&bench.metrics).await.map(drop).map_err(|e| e.to_string()))
        })
        .await?;
        Ok(bench)
    }

    async fn scrape(&self) -> anyhow::Result<Scrape> {
        Scrape::read(&self.metrics).await
    }

    fn permit_all(&self) -> anyhow::Result<()> {
        let everything = format!("/subscriptions/{}/*", azure::SUBSCRIPTION);
        let policy = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": {"name": "bench"},
            "spec": {
                "namespaces": {"names": [NS]}, "signalR": [everything], "keyVaults": [everything],
                "endpointSubscriptions": ["4d1c0ffe-0000-4000-8000-00000000cafe"],
            },
        });
        self.scene.cluster.apply(&policy.to_string()).map(drop).map_err(anyhow::Error::msg)
    }

    /// Creates `links` links over `parents` SignalRs and as many vaults.
    async fn create(&self, links: usize, parents: usize, spec: Value) -> anyhow::Result<()> {
        for parent in 0..parents {
            self.scene.azure.add(&format!("signalr-{parent}"), &format!("vault-{parent}")).await?;
        }
        let options = LinkOptions { spec, annotations: Value::Null };
        let items: Vec<Value> = (0..links)
            .map(|link| {
                let parent = link % parents;
                let (signalr, vault) = (format!("signalr-{parent}"), format!("vault-{parent}"));
                Scene::manifest(NS, &format!("link-{link}"), &signalr, &vault, &options)
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.scene
            .cluster
            .with_manifest(&["create", "-f", "-"], &list.to_string())
            .map(drop)
            .map_err(anyhow::Error::msg)
    }

    /// Waits until this many links have this value of Ready's `field`.
    async fn until(&self, links: usize, field: &str, value: &str, limit: Duration) -> anyhow::Result<()> {
        let path = format!(r#"{{range .items[*]}}{{.status.conditions[?(@.type=="Ready")].{field}}}{{"\n"}}{{end}}"#);
        let path = format!("jsonpath={path}");
        eventually(&format!("{links} links with {field} {value}"), limit, || async {
            let text = self.scene.cluster.kubectl_ok(&["get", "spl", "-n", NS, "-o", &path])?;
            let there = text.lines().filter(|line| *line == value).count();
            tokio::time::sleep(Duration::from_millis(if links > 1 { 2000 } else { 100 })).await;
            Ok(if there >= links { Ok(()) } else { Err(format!("{there}")) })
        })
        .await
    }
}

fn count(counts: &Value, kind: &str) -> u64 {
    counts.get("byKind").and_then(|all| all.get(kind)).and_then(Value::as_u64).unwrap_or_default()
}

async fn one_link(binary: &Path) -> anyhow::Result<()> {
    print("\n## One link, from kubectl apply to Ready\n")?;
    print("An operation of 30 s of Azure's time, scaled by the pace like the operator's waits.\n")?;
    print("| mode | ARM calls | of these writes | operation polls | Kubernetes writes | idle memory |")?;
    print("|---|---|---|---|---|---|")?;
    for mode in ["Manual", "Automatic"] {
        let mut config = timings(1500, 0);
        config.timings.propagation_ms = 1000;
        config.timings.approve_ms = 1000;
        let bench = Bench::start(binary, config, "0.05").await?;
        let memory = bench.operator.memory().unwrap_or_default() / 1024;
        bench.permit_all()?;
        bench.create(1, 1, json!({"approval": {"mode": mode}})).await?;
        if mode == "Manual" {
            bench.until(1, "reason", "PendingApproval", Duration::from_secs(60)).await?;
            bench.scene.azure.owner_approves("vault-0", "please approve").await?;
        }
        bench.until(1, "status", "True", Duration::from_secs(60)).await?;
        let (scrape, counts) = (bench.scrape().await?, bench.scene.azure.counts().await?);
        let writes = count(&counts, "PUT link") + count(&counts, "PUT connection");
        print(&format!(
            "| {mode} | {} | {writes} | {} | {} | {memory} MiB |",
            scrape.arm_calls(),
            count(&counts, "GET operation"),
            scrape.kubernetes_writes()
        ))?;
    }
    Ok(())
}

async fn thousand(binary: &Path) -> anyhow::Result<()> {
    const LINKS: usize = 1000;
    const PARENTS: usize = 100;
    print("\n## 1,000 links over 100 SignalRs and 100 vaults, automatic approval\n")?;
    let bench = Bench::start(binary, timings(100, 0), "0.02").await?;
    bench.permit_all()?;
    let begun = Instant::now();
    bench.create(LINKS, PARENTS, json!({"approval": {"mode": "Automatic"}})).await?;
    let created = begun.elapsed();
    bench.until(LINKS, "status", "True", Duration::from_secs(600)).await?;
    let (ready, scrape) = (begun.elapsed(), bench.scrape().await?);
    let per_link = |n: u64| format!("{:.1}", n as f64 / LINKS as f64);
    let counts = bench.scene.azure.counts().await?;
    print("| what | value |\n|---|---|")?;
    print(&format!("| kubectl create of all | {:.0} s |", created.as_secs_f64()))?;
    print(&format!("| until all are Ready | {:.0} s |", ready.as_secs_f64()))?;
    print(&format!("| ARM calls per link | {} |", per_link(scrape.arm_calls())))?;
    print(&format!("| Kubernetes writes per link | {} |", per_link(scrape.kubernetes_writes())))?;
    print(&format!("| conflicts (409) | {} |", counts.get("conflicts").cloned().unwrap_or_default()))?;
    print(&format!("| memory | {} MiB |", bench.operator.memory().unwrap_or_default() / 1024))?;

    print("\n### The same at rest\n")?;
    let period = Duration::from_secs(600).mul_f64(0.02);
    tokio::time::sleep(period * 2).await;
    let (before, writes) = (bench.scrape().await?, bench.scene.azure.writes().await?.len());
    bench.scene.azure.control("DELETE", "/requests", &Value::Null).await?;
    const PERIODS: u32 = 5;
    tokio::time::sleep(period * PERIODS).await;
    let (after, counts) = (bench.scrape().await?, bench.scene.azure.counts().await?);
    let reads = count(&counts, "GET links");
    let total = counts.get("total").and_then(Value::as_u64).unwrap_or_default();
    let written = bench.scene.azure.writes().await?.len() - writes;
    print("| what | value |\n|---|---|")?;
    print(&format!(
        "| reads of links per SignalR and period | {:.2} |",
        reads as f64 / PARENTS as f64 / f64::from(PERIODS)
    ))?;
    print(&format!("| other requests to Azure | {} |", total - reads))?;
    print(&format!("| writes to Azure | {written} |"))?;
    print(&format!("| Kubernetes writes | {} |", after.kubernetes_writes() - before.kubernetes_writes()))?;
    print(&format!("| memory | {} MiB |", bench.operator.memory().unwrap_or_default() / 1024))
}

async fn contention(binary: &Path) -> anyhow::Result<()> {
    print("\n## 100 links, 5 on each of 20 SignalRs; an operation takes 3 s, and 0.3 s more are answered with 409\n")?;
    let bench = Bench::start(binary, timings(3000, 300), "0.02").await?;
    let begun = Instant::now();
    bench.create(100, 20, json!({})).await?;
    let state = || async { bench.scene.azure.state().await };
    let created = eventually("100 links in Azure", Duration::from_secs(300), || async {
        let state = state().await?;
        let signalrs = state.get("signalrs").and_then(Value::as_object).context("no SignalRs")?;
        let links = signalrs.values().filter_map(|s| s.get("links")?.as_object());
        let done =
            links.flat_map(|l| l.values()).filter(|l| l.get("provisioning") == Some(&json!("Succeeded"))).count();
        Ok(if done == 100 { Ok(begun.elapsed()) } else { Err(format!("{done}")) })
    })
    .await?;
    let (scrape, counts) = (bench.scrape().await?, bench.scene.azure.counts().await?);
    print("| what | value |\n|---|---|")?;
    print(&format!("| until all 100 are created (the limit is 16.2 s) | {:.1} s |", created.as_secs_f64()))?;
    print(&format!("| conflicts of its own making | {} |", counts.get("conflicts").cloned().unwrap_or_default()))?;
    print(&format!("| ARM calls per link so far | {:.1} |", scrape.arm_calls() as f64 / 100.0))?;
    print(&format!("| memory | {} MiB |", bench.operator.memory().unwrap_or_default() / 1024))
}

async fn all() -> anyhow::Result<()> {
    let binary = binary()?;
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    if wanted("one") {
        one_link(&binary).await?;
    }
    if wanted("thousand") {
        thousand(&binary).await?;
    }
    if wanted("contention") {
        contention(&binary).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match all().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the benchmark failed: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

//! A few links: the calls of one, and a hundred that contend.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use testkit::eventually;

use super::fleet::Size;
use super::place::{Place, count, timings};
use super::print;

pub async fn one_link(binary: &Path) -> anyhow::Result<()> {
    print("\n## One link, from kubectl apply to Ready\n")?;
    print("An operation of 30 s of Azure's time, scaled by the pace like the operator's waits.\n")?;
    let size = std::fs::metadata(binary)?.len() as f64 / 1024.0 / 1024.0;
    let mut ready = None;
    print("| mode | ARM calls | of these writes | Kubernetes writes | idle memory |")?;
    print("|---|---|---|---|---|")?;
    for mode in ["Manual", "Automatic"] {
        let mut config = timings(1500, 0);
        config.timings.propagation_ms = 1000;
        config.timings.approve_ms = 1000;
        let mut place = Place::start(binary, config, 1).await?;
        place.add_parents(1).await?;
        let started = Instant::now();
        place.start_operator("0.05").await?;
        ready.get_or_insert(started.elapsed());
        let memory = place.operator()?.memory().unwrap_or_default() / 1024;
        place.permit_all(1)?;
        place.create(Size { links: 1, parents: 1, namespaces: 1 }, &json!({"approval": {"mode": mode}})).await?;
        if mode == "Manual" {
            place.until(1, "reason", "PendingApproval", Duration::from_secs(60)).await?;
            place.scene.azure.owner_approves("vault-0", "please approve").await?;
        }
        place.until(1, "status", "True", Duration::from_secs(60)).await?;
        let (scrape, counts) = (place.scrape().await?, place.scene.azure.counts().await?);
        let writes = count(&counts, "PUT link") + count(&counts, "PUT connection");
        print(&format!(
            "| {mode} | {} | {writes} | {} | {memory} MiB |",
            scrape.arm_calls(),
            scrape.kubernetes_writes()
        ))?;
    }
    let ready = ready.unwrap_or_default().as_secs_f64();
    print(&format!("\nThe binary has {size:.1} MiB; from its start until it serves metrics {ready:.2} s pass."))
}

pub async fn contention(binary: &Path) -> anyhow::Result<()> {
    print("\n## 100 links, 5 on each of 20 SignalRs; an operation takes 3 s, and 0.3 s more are answered with 409\n")?;
    let mut place = Place::start(binary, timings(3000, 300), 1).await?;
    place.add_parents(20).await?;
    place.start_operator("0.02").await?;
    let begun = Instant::now();
    place.create(Size { links: 100, parents: 20, namespaces: 1 }, &json!({})).await?;
    let state = || async { place.scene.azure.state().await };
    let created = eventually("100 links in Azure", Duration::from_secs(300), || async {
        let state = state().await?;
        let signalrs = state.get("signalrs").and_then(Value::as_object).context("no SignalRs")?;
        let links = signalrs.values().filter_map(|s| s.get("links")?.as_object());
        let done =
            links.flat_map(|l| l.values()).filter(|l| l.get("provisioning") == Some(&json!("Succeeded"))).count();
        Ok(if done == 100 { Ok(begun.elapsed()) } else { Err(format!("{done}")) })
    })
    .await?;
    let (scrape, counts) = (place.scrape().await?, place.scene.azure.counts().await?);
    print("| what | value |\n|---|---|")?;
    print(&format!("| until all 100 are created (the limit is 16.2 s) | {:.1} s |", created.as_secs_f64()))?;
    print(&format!("| conflicts of its own making | {} |", counts.get("conflicts").cloned().unwrap_or_default()))?;
    print(&format!("| ARM calls per link so far | {:.1} |", scrape.arm_calls() as f64 / 100.0))?;
    print(&format!("| memory | {} MiB |", place.operator()?.memory().unwrap_or_default() / 1024))
}

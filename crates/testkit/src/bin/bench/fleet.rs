//! Large fleets: what grows with the number of links, and what must not.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::eventually;

use super::place::{Place, count, namespace, timings};
use super::{print, progress};

/// Waits and periods are shortened to 1/50.
pub const PACE: &str = "0.02";
/// Nothing is ready after that.
pub const LIMIT: Duration = Duration::from_secs(1_800);
/// How long a fleet at rest is looked at.
pub const REST: Duration = Duration::from_secs(60);
/// After a start the last passes end by then.
const SETTLING: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
pub struct Size {
    pub links: usize,
    /// SignalRs, and as many vaults.
    pub parents: usize,
    pub namespaces: usize,
}

/// What was measured of one fleet, in the order of the table.
type Figures = Vec<(&'static str, f64, &'static str)>;

/// Adds to what was measured, and tells it at once.
fn tell(figures: &mut Figures, more: Figures) {
    more.iter().for_each(|(what, value, unit)| progress(&format!("{what}: {value:.2} {unit}")));
    figures.extend(more);
}

fn mib(kib: Option<u64>) -> f64 {
    kib.unwrap_or_default() as f64 / 1024.0
}

/// The same fleet in several sizes, side by side.
pub async fn sizes(binary: &Path, sizes: &[Size], subscriptions: usize) -> anyhow::Result<()> {
    let mut columns = Vec::new();
    for size in sizes {
        columns.push(fleet(binary, *size, subscriptions).await?);
    }
    print(&format!("\n## Fleets, automatic approval, SignalRs and vaults in {subscriptions} subscription(s)\n"))?;
    let heads: Vec<String> = sizes
        .iter()
        .map(|s| format!("{} links, {} SignalRs, {} namespaces", s.links, s.parents, s.namespaces))
        .collect();
    print(&format!("| what | {} | ratio |", heads.join(" | ")))?;
    print(&format!("|---|{}---|", "---|".repeat(sizes.len())))?;
    let Some(first) = columns.first() else { return Ok(()) };
    for (row, (what, value, unit)) in first.iter().enumerate() {
        let values: Vec<f64> = columns.iter().filter_map(|column| column.get(row)).map(|figure| figure.1).collect();
        let shown: Vec<String> = values.iter().map(|value| format!("{value:.2} {unit}")).collect();
        let last = values.last().copied().unwrap_or_default();
        let ratio = if *value > 0.0 { format!("{:.2}", last / value) } else { "-".to_owned() };
        print(&format!("| {what} | {} | {ratio} |", shown.join(" | ")))?;
    }
    Ok(())
}

async fn fleet(binary: &Path, size: Size, subscriptions: usize) -> anyhow::Result<Figures> {
    progress(&format!("{} links over {} SignalRs", size.links, size.parents));
    let mut place = Place::start(binary, timings(100, 0), size.namespaces).await?;
    place.subscriptions = subscriptions;
    place.permit_all(size.namespaces)?;
    place.add_parents(size.parents).await?;
    place.start_operator(PACE).await?;
    let idle = mib(place.operator()?.memory());
    let (begun, served) = (Instant::now(), place.scene.cluster.processor_time());
    // Nobody looks at a link that is Ready as often as the pace would make it, which would be measured instead.
    let spec = json!({"approval": {"mode": "Automatic"}, "syncPeriod": "24h"});
    place.create(size, &spec).await?;
    let created = begun.elapsed();
    place.until(size.links, "status", "True", LIMIT).await?;
    let ready = begun.elapsed();
    let used = place.operator()?.processor_time().unwrap_or_default();
    let served = place.scene.cluster.processor_time().saturating_sub(served);
    let scrape = place.scrape().await?;
    let links = size.links as f64;
    let per_link = |time: Duration| time.as_secs_f64() * 1000.0 / links;
    let mut figures = Figures::new();
    let bring_up = vec![
        ("created by the API server within", created.as_secs_f64(), "s"),
        ("all Ready after", ready.as_secs_f64(), "s"),
        ("links a second", links / ready.as_secs_f64(), ""),
        ("operator's processor time per link", per_link(used), "ms"),
        ("processor time of API server and etcd per link", per_link(served), "ms"),
        ("ARM calls per link", scrape.arm_calls() as f64 / links, ""),
        ("passes per link", scrape.sum("signalr_private_link_reconcile_total", "") as f64 / links, ""),
        ("requests to the API server per link", scrape.kubernetes_requests() as f64 / links, ""),
        ("Kubernetes writes per link", scrape.kubernetes_writes() as f64 / links, ""),
        ("memory when idle, without links", idle, "MiB"),
        ("memory when all are Ready", mib(place.operator()?.memory()), "MiB"),
        ("peak memory until then", mib(place.operator()?.peak_memory()), "MiB"),
    ];
    tell(&mut figures, bring_up);
    tell(&mut figures, change(&place, size).await?);
    tell(&mut figures, restart(&mut place, size).await?);
    tell(&mut figures, rest(&mut place, size).await?);
    tell(&mut figures, vec![("SIGTERM to exit", place.stop_operator()?.as_secs_f64(), "s")]);
    tell(&mut figures, silence(&mut place, size).await?);
    Ok(figures)
}

/// Every link is changed at once, as a commit in a GitOps repository does; `syncPeriod` is the usual one from then on.
async fn change(place: &Place, size: Size) -> anyhow::Result<Figures> {
    progress("a change of all links");
    let begun = Instant::now();
    place.change_all(size, &json!({"syncPeriod": null}), LIMIT).await?;
    Ok(vec![("all links changed: seen by the operator after", begun.elapsed().as_secs_f64(), "s")])
}

/// Azure takes every call and answers none. What was said of Ready is not confirmed any more, and has to be taken back at
/// the first look after two `syncPeriod`s, so before the third has passed.
async fn silence(place: &mut Place, size: Size) -> anyhow::Result<Figures> {
    const PACE: &str = "0.1";
    const SYNC_PERIOD: f64 = 60.0;
    progress("an Azure that does not answer");
    look_at_all(place, size, PACE).await?;
    place.until(size.links, "status", "True", LIMIT).await?;
    place.scene.azure.control("POST", "/faults", &json!({"kind": "hang", "count": 1_000_000})).await?;
    let (begun, before) = (Instant::now(), place.scrape().await?);
    place.until(size.links, "status", "Unknown", LIMIT).await?;
    let (took, after) = (begun.elapsed(), place.scrape().await?);
    let calls = after.arm_calls() - before.arm_calls();
    place.stop_operator()?;
    Ok(vec![
        ("Azure does not answer: no link is Ready after so many syncPeriods", took.as_secs_f64() / SYNC_PERIOD, ""),
        ("Azure does not answer: calls until then, with those that were not sent", calls as f64, ""),
    ])
}

/// Starts the operator anew at `pace`; how long until every object was looked at, and what that cost.
async fn look_at_all(place: &mut Place, size: Size, pace: &str) -> anyhow::Result<(Duration, Duration, Value)> {
    place.scene.azure.control("DELETE", "/requests", &Value::Null).await?;
    place.start_operator(pace).await?;
    let begun = Instant::now();
    eventually("all objects looked at", LIMIT, || async {
        let scrape = place.scrape().await?;
        // An object may be looked at twice before another one is.
        let known = scrape.sum("signalr_private_link_links{", "");
        let looked = scrape.sum("signalr_private_link_reconcile_total", "").min(known);
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(if looked >= size.links as u64 { Ok(()) } else { Err(format!("{looked}")) })
    })
    .await?;
    let used = place.operator()?.processor_time().unwrap_or_default();
    Ok((begun.elapsed(), used, place.scene.azure.counts().await?))
}

async fn restart(place: &mut Place, size: Size) -> anyhow::Result<Figures> {
    progress("restart");
    place.stop_operator()?;
    let writes = place.scene.azure.writes().await?.len();
    // At the real pace: its own looks at rest do not come in between.
    let (looked, used, counts) = look_at_all(place, size, "1").await?;
    let lists = |kind| count(&counts, kind) as f64 / size.parents as f64;
    let written = place.scene.azure.writes().await?.len() - writes;
    let scrape = place.scrape().await?;
    Ok(vec![
        ("restart: all looked at after", looked.as_secs_f64(), "s"),
        ("restart: processor time", used.as_secs_f64(), "s"),
        ("restart: lists of links per SignalR", lists("GET links"), ""),
        ("restart: lists of connections per vault", lists("GET connections"), ""),
        ("restart: writes to Azure and Kubernetes", written as f64 + scrape.kubernetes_writes() as f64, ""),
        ("restart: peak memory", mib(place.operator()?.peak_memory()), "MiB"),
    ])
}

/// The operator that was just started anew goes on at the real pace.
async fn rest(place: &mut Place, size: Size) -> anyhow::Result<Figures> {
    progress("rest");
    tokio::time::sleep(SETTLING).await;
    let operator = place.operator()?;
    let (used, before) = (operator.processor_time().unwrap_or_default(), place.scrape().await?);
    place.scene.azure.control("DELETE", "/requests", &Value::Null).await?;
    tokio::time::sleep(REST).await;
    let (after, counts) = (place.scrape().await?, place.scene.azure.counts().await?);
    let spent = operator.processor_time().unwrap_or_default().saturating_sub(used);
    let total = counts.get("total").and_then(Value::as_u64).unwrap_or_default();
    let periods = REST.as_secs_f64() / 600.0;
    Ok(vec![
        ("rest: processor time over 60 s", spent.as_secs_f64(), "s"),
        ("rest: requests to Azure per SignalR and syncPeriod", total as f64 / size.parents as f64 / periods, ""),
        ("rest: Kubernetes writes", (after.kubernetes_writes() - before.kubernetes_writes()) as f64, ""),
    ])
}

/// Links that wait for a person, at rest.
pub async fn pending(binary: &Path, size: Size) -> anyhow::Result<()> {
    progress(&format!("{} links that wait for a person", size.links));
    let mut place = Place::start(binary, timings(100, 0), size.namespaces).await?;
    place.add_parents(size.parents).await?;
    place.start_operator(PACE).await?;
    place.create(size, &json!({})).await?;
    place.until(size.links, "reason", "PendingApproval", LIMIT).await?;
    // Waits grow to their longest: 5 minutes, shortened like all.
    tokio::time::sleep(Duration::from_secs(40)).await;
    place.scene.azure.control("DELETE", "/requests", &Value::Null).await?;
    tokio::time::sleep(REST).await;
    let counts = place.scene.azure.counts().await?;
    let periods = REST.as_secs_f64() / (300.0 * 0.02);
    print(&format!("\n## {} links that wait for a person, at rest\n\n| what | value |\n|---|---|", size.links))?;
    for (what, kind) in [("lists of links", "GET links"), ("lists of connections", "GET connections")] {
        let each = count(&counts, kind) as f64 / size.parents as f64 / periods;
        print(&format!("| {what} per parent and 5 minutes | {each:.2} |"))?;
    }
    print("\n### Deletion of all\n\n| what | value |\n|---|---|")?;
    let begun = Instant::now();
    place.delete_all(size.namespaces, LIMIT).await?;
    print(&format!("| until all are gone | {:.0} s |", begun.elapsed().as_secs_f64()))?;
    print(&format!("| memory afterwards | {:.0} MiB |", mib(place.operator()?.memory())))
}

/// A tenant with 100 links, alone and beside another one whose links name SignalRs that do not exist.
pub async fn flood(binary: &Path, links: usize) -> anyhow::Result<()> {
    const QUIET: Size = Size { links: 100, parents: 10, namespaces: 1 };
    print(&format!(
        "\n## 100 links on 10 SignalRs, beside {links} links of one tenant on SignalRs that do not exist\n"
    ))?;
    print(
        "The simulator enforces ARM's documented limits, at the operator's pace.\n\n| what | until the 100 are Ready | refused with 429 |\n|---|---|---|",
    )?;
    for flooded in [0, links] {
        progress(&format!("100 links beside {flooded}"));
        let mut config = timings(100, 0);
        // ARM's own limits, at the operator's pace.
        config.quirks.throttle_rate = 50;
        let mut place = Place::start(binary, config, 2).await?;
        place.permit_all(2)?;
        place.add_parents(QUIET.parents).await?;
        place.start_operator(PACE).await?;
        let items = (0..flooded).map(|link| (namespace(1), format!("flood-{link}"), format!("nowhere-{link}")));
        place.create_each(items.collect(), &json!({"approval": {"mode": "Automatic"}})).await?;
        let begun = Instant::now();
        place.create(QUIET, &json!({"approval": {"mode": "Automatic"}})).await?;
        let quiet = namespace(0);
        place.until_in(Some(&quiet), QUIET.links, "status", "True", LIMIT).await?;
        let throttled = place.scrape().await?.sum("signalr_private_link_arm_requests_total", "throttled");
        print(&format!("| beside {flooded} | {:.1} s | {throttled} |", begun.elapsed().as_secs_f64()))?;
    }
    Ok(())
}

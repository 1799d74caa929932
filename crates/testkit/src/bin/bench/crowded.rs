//! What is crowded: a vault with many connections of strangers, and many objects that claim one link.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::azure;

use super::fleet::{LIMIT, PACE};
use super::place::{Place, count, namespace, timings};
use super::{print, progress};

/// Connections that others have opened on the one vault.
const STRANGERS: usize = 1_000;
/// Links that wait for their approval on it.
const WAITING: usize = 500;
/// SignalRs over which these are spread.
const SIGNALRS: usize = 50;
/// For how long the links that wait are looked at.
const WATCHED: Duration = Duration::from_secs(30);
/// Objects that claim one link.
const RIVALS: usize = 1_000;

/// Links that wait at a vault on which many others wait, too.
pub async fn vault(binary: &Path) -> anyhow::Result<()> {
    progress(&format!("{WAITING} links that wait on one vault with {STRANGERS} more connections"));
    let mut place = Place::start(binary, timings(100, 0), 1).await?;
    place.add_parents(SIGNALRS).await?;
    let vault = azure::vault("vault-0");
    let strangers = json!({"vault": vault, "message": "please approve", "count": STRANGERS});
    place.scene.azure.control("POST", "/strangers", &strangers).await?;
    place.start_operator(PACE).await?;
    let items = (0..WAITING).map(|link| (namespace(0), format!("link-{link}"), format!("{}", link % SIGNALRS)));
    place.create_each(items.collect(), &json!({"keyVault": {"resourceId": vault}})).await?;
    place.until(WAITING, "reason", "PendingApproval", LIMIT).await?;
    place.scene.azure.control("DELETE", "/requests", &Value::Null).await?;
    let (used, before) = place.running()?.used().await?;
    tokio::time::sleep(WATCHED).await;
    let (used_then, after) = place.running()?.used().await?;
    let (spent, looks) = (used_then.saturating_sub(used), after - before);
    let lists = count(&place.scene.azure.counts().await?, "GET connections");
    print(&format!(
        "\n## {WAITING} links that wait on one vault with {STRANGERS} more connections\n\n| what | value |\n|---|---|"
    ))?;
    print(&format!("| looks at a link, in {} s | {looks} |", WATCHED.as_secs()))?;
    print(&format!("| requests for pages of the vault's list of {} connections | {lists} |", STRANGERS + WAITING))?;
    print(&format!("| processor time for a look | {:.2} ms |", spent.as_secs_f64() * 1000.0 / looks.max(1) as f64))?;
    print(&format!("| memory | {} MiB |", place.operator()?.memory().unwrap_or_default() / 1024))
}

/// Objects of one name that all claim one link, each in a namespace of its own.
pub async fn rivals(binary: &Path) -> anyhow::Result<()> {
    progress(&format!("{RIVALS} objects of one name that claim one link"));
    let mut place = Place::start(binary, timings(100, 0), RIVALS).await?;
    place.add_parents(1).await?;
    place.start_operator(PACE).await?;
    let items = (0..RIVALS).map(|link| (namespace(link), "link".to_owned(), "0".to_owned()));
    let begun = Instant::now();
    place.create_each(items.collect(), &json!({"azureName": "shared"})).await?;
    place.until(1, "reason", "PendingApproval", LIMIT).await?;
    place.until(RIVALS - 1, "reason", "OwnershipConflict", LIMIT).await?;
    let counts = place.scene.azure.counts().await?;
    print(&format!("\n## {RIVALS} objects of one name that claim one link\n\n| what | value |\n|---|---|"))?;
    print(&format!("| until one has it and the others are told | {:.1} s |", begun.elapsed().as_secs_f64()))?;
    print(&format!("| creations | {} |", count(&counts, "PUT link")))?;
    let used = place.operator()?.processor_time().unwrap_or_default();
    print(&format!("| processor time for an object | {:.2} ms |", used.as_secs_f64() * 1000.0 / RIVALS as f64))?;
    print(&format!("| memory | {} MiB |", place.operator()?.memory().unwrap_or_default() / 1024))
}

//! What a look at a link at rest costs, for several builds of the operator. They run at the same time and look at the same
//! links, so that a slow minute is one for all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::fleet::{self, Size};
use super::place::{Place, Running, timings};
use super::{print, progress};

/// A link is looked at every 30 s, twice in all.
const PACE: &str = "0.05";
/// After a start the links are looked at in their phases by then.
const SETTLING: Duration = Duration::from_secs(25);
/// Several builds, side by side; the `first` one brings up what they look at.
pub async fn looks(first: &Path, binaries: &[PathBuf], size: Size) -> anyhow::Result<()> {
    progress(&format!("{} links at rest, looked at by {} operator(s)", size.links, binaries.len()));
    let mut place = Place::start(first, timings(100, 0), size.namespaces).await?;
    place.permit_all(size.namespaces)?;
    place.add_parents(size.parents).await?;
    place.start_operator(fleet::PACE).await?;
    place.create(size, &json!({"approval": {"mode": "Automatic"}})).await?;
    place.until(size.links, "status", "True", fleet::LIMIT).await?;
    place.stop_operator()?;
    let mut running = Vec::new();
    for binary in binaries {
        running.push(place.launch(binary, PACE).await?);
    }
    tokio::time::sleep(SETTLING).await;
    let before = futures::future::try_join_all(running.iter().map(Running::used)).await?;
    tokio::time::sleep(fleet::REST).await;
    let after = futures::future::try_join_all(running.iter().map(Running::used)).await?;
    print(&format!("\n## {} links at rest\n\n| operator | looks | processor time for a look | memory |", size.links))?;
    print("|---|---|---|---|")?;
    for (((binary, running), before), after) in binaries.iter().zip(&running).zip(before).zip(after) {
        let looks = after.1 - before.1;
        let each = (after.0.saturating_sub(before.0)).as_secs_f64() * 1000.0 / looks as f64;
        let memory = running.process.memory().unwrap_or_default() / 1024;
        print(&format!("| {} | {looks} | {each:.3} ms | {memory} MiB |", binary.display()))?;
    }
    Ok(())
}

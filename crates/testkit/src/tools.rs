//! Where etcd, kube-apiserver, kubectl and helm are: built once by `tools/build.sh`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context as _;

/// The top of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The directory that holds the binaries; they are built first where they are missing.
///
/// # Errors
/// When they cannot be built; the script tells why.
pub fn directory() -> anyhow::Result<&'static Path> {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(directory) = DIRECTORY.get() {
        return Ok(directory);
    }
    let script = root().join("tools/build.sh");
    let built = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be run", script.display()))?;
    anyhow::ensure!(built.status.success(), "tools/build.sh failed; its words are above");
    let text = String::from_utf8(built.stdout).context("tools/build.sh printed no path")?;
    Ok(DIRECTORY.get_or_init(|| PathBuf::from(text.trim())))
}

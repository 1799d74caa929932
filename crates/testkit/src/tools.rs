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

/// The directory that holds etcd, kube-apiserver and kubectl; they are built first where they are missing.
///
/// # Errors
/// When they cannot be built; the script tells why.
pub fn directory() -> anyhow::Result<&'static Path> {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    built(&DIRECTORY, &[])
}

/// Helm, built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn helm() -> anyhow::Result<PathBuf> {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&DIRECTORY, &["--with-helm"])?.join("helm"))
}

fn built(directory: &'static OnceLock<PathBuf>, arguments: &[&str]) -> anyhow::Result<&'static Path> {
    if let Some(directory) = directory.get() {
        return Ok(directory);
    }
    let script = root().join("tools/build.sh");
    let built = Command::new(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be run", script.display()))?;
    anyhow::ensure!(built.status.success(), "tools/build.sh failed; its words are above");
    let text = String::from_utf8(built.stdout).context("tools/build.sh printed no path")?;
    Ok(directory.get_or_init(|| PathBuf::from(text.trim())))
}

//! Where etcd, kube-apiserver, kubectl, helm, Prometheus and the definitions of other projects are: built once by the
//! scripts in `tools`.

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
    built(&DIRECTORY, "build.sh", &[])
}

/// Helm, built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn helm() -> anyhow::Result<PathBuf> {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&DIRECTORY, "build.sh", &["--with-helm"])?.join("helm"))
}

/// Helm 3, which Argo CD and many people still run, built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn helm3() -> anyhow::Result<PathBuf> {
    static HELM: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&HELM, "helm3.sh", &[])?.to_owned())
}

/// What GitOps controllers make of an object (`tools/gitops`), built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn gitops() -> anyhow::Result<PathBuf> {
    static GITOPS: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&GITOPS, "go-tool.sh", &["tools/gitops", "gitops", "."])?.to_owned())
}

/// What reads a dashboard by Grafana's own types (`tools/dashboard`), built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn dashboard() -> anyhow::Result<PathBuf> {
    static DASHBOARD: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&DASHBOARD, "go-tool.sh", &["tools/dashboard", "dashboard", "."])?.to_owned())
}

/// The directory with the definitions of the Prometheus operator, Argo CD and Flux, which are written first where they
/// are missing.
///
/// # Errors
/// When they cannot be written; the script tells why.
pub fn definitions() -> anyhow::Result<PathBuf> {
    static DEFINITIONS: OnceLock<PathBuf> = OnceLock::new();
    Ok(built(&DEFINITIONS, "definitions.sh", &[])?.to_owned())
}

/// Prometheus, built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn prometheus() -> anyhow::Result<PathBuf> {
    static PROMETHEUS: OnceLock<PathBuf> = OnceLock::new();
    let package = "github.com/prometheus/prometheus/cmd/prometheus";
    Ok(built(&PROMETHEUS, "go-tool.sh", &["tools/prometheus", "prometheus", package])?.to_owned())
}

/// Its tool that checks rules and runs their tests, built first where it is missing.
///
/// # Errors
/// When it cannot be built; the script tells why.
pub fn promtool() -> anyhow::Result<PathBuf> {
    static PROMTOOL: OnceLock<PathBuf> = OnceLock::new();
    let package = "github.com/prometheus/prometheus/cmd/promtool";
    Ok(built(&PROMTOOL, "go-tool.sh", &["tools/prometheus", "promtool", package])?.to_owned())
}

/// What a script of `tools` built, by the path that it prints.
fn built(place: &'static OnceLock<PathBuf>, script: &str, arguments: &[&str]) -> anyhow::Result<&'static Path> {
    if let Some(place) = place.get() {
        return Ok(place);
    }
    let built = Command::new(root().join("tools").join(script))
        .args(arguments)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("tools/{script} cannot be run"))?;
    anyhow::ensure!(built.status.success(), "tools/{script} failed; its words are above");
    let text = String::from_utf8(built.stdout).with_context(|| format!("tools/{script} printed no path"))?;
    Ok(place.get_or_init(|| PathBuf::from(text.trim())))
}

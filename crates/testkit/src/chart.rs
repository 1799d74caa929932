//! The operator's chart, as Helm renders it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use crate::tools;

/// The chart's directory.
#[must_use]
pub fn directory() -> PathBuf {
    tools::root().join("charts/signalr-private-link-operator")
}

/// This Helm without the settings of whoever runs it.
#[must_use]
pub fn command(helm: &Path) -> Command {
    let mut command = Command::new(helm);
    command.env_clear().env("HOME", std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// What Helm prints of the chart with these values, or its words where it refuses them.
///
/// # Errors
/// When Helm cannot be run.
pub fn template(helm: &Path, release: &str, namespace: &str, values: &Value) -> anyhow::Result<Result<String, String>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), values.to_string())?;
    let mut command = command(helm);
    command.args(["template", release, "--namespace", namespace, "--values"]).arg(file.path());
    let output = command.arg(directory()).output().with_context(|| format!("{} cannot be run", helm.display()))?;
    let words = |bytes| String::from_utf8(bytes);
    Ok(if output.status.success() { Ok(words(output.stdout)?) } else { Err(words(output.stderr)?) })
}

/// The objects of a YAML text; empty documents are left out.
///
/// # Errors
/// When it is none.
pub fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).with_context(|| text.to_owned())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The chart's objects with these values, by the pinned Helm.
///
/// # Errors
/// When Helm refuses the values, or cannot be run.
pub fn render(release: &str, namespace: &str, values: &Value) -> anyhow::Result<Vec<Value>> {
    let rendered = template(&tools::helm()?, release, namespace, values)?;
    objects(&rendered.map_err(anyhow::Error::msg)?)
}

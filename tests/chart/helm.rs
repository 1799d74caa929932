//! Helm as its users run it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::tools;

/// The chart's directory.
pub fn chart() -> PathBuf {
    tools::root().join("charts/signalr-private-link-operator")
}

/// A file of the chart's.
pub fn read(file: &str) -> Value {
    parse(&std::fs::read_to_string(chart().join(file)).unwrap()).remove(0)
}

/// The documents of a YAML file; empty ones are left out.
pub fn parse(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Helm without the settings of whoever runs the test.
pub fn command() -> Command {
    alone(tools::helm().unwrap())
}

fn alone(helm: PathBuf) -> Command {
    let mut command = Command::new(helm);
    command.env_clear().env("HOME", std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// Runs a command: what it printed, or what it said against it.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(words(output.stdout)) } else { Err(words(output.stderr)) }
}

/// The chart rendered with these values, as the release `test` in the namespace `operators`.
pub fn render(values: &Value) -> Result<String, String> {
    render_by(command(), values)
}

/// The same by Helm 3.
pub fn render_by_3(values: &Value) -> Result<String, String> {
    render_by(alone(tools::helm3().unwrap()), values)
}

fn render_by(mut helm: Command, values: &Value) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let arguments = ["template", "test", "--namespace", "operators", "--values"];
    output(helm.args(arguments).arg(file.path()).arg(chart()))
}

//! Helm as its users run it.

use std::process::Command;

use serde_json::Value;
use testkit::{chart, tools};

/// A file of the chart's.
pub fn read(file: &str) -> Value {
    parse(&std::fs::read_to_string(chart::directory().join(file)).unwrap()).remove(0)
}

/// The documents of a YAML file; empty ones are left out.
pub fn parse(text: &str) -> Vec<Value> {
    chart::objects(text).unwrap()
}

/// Helm without the settings of whoever runs the test.
pub fn command() -> Command {
    chart::command(&tools::helm().unwrap())
}

/// Runs a command: what it printed, or what it said against it.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let words = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(words(output.stdout)) } else { Err(words(output.stderr)) }
}

/// The chart rendered with these values, as the release `test` in the namespace `operators`.
pub fn render(values: &Value) -> Result<String, String> {
    chart::template(&tools::helm().unwrap(), "test", "operators", values).unwrap()
}

/// The same by Helm 3.
pub fn render_by_3(values: &Value) -> Result<String, String> {
    chart::template(&tools::helm3().unwrap(), "test", "operators", values).unwrap()
}

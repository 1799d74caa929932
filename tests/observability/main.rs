//! What people on call rely on: rules and their tests, names of metrics wherever they stand, and the real operator
//! scraped by a real Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod live;
mod logs;
mod names;
mod rules;
mod tables;
#[cfg(feature = "otlp")]
mod traces;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::tools;

/// The chart's directory.
fn chart() -> PathBuf {
    tools::root().join("charts/signalr-private-link-operator")
}

/// The dashboard.
fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(chart().join("files/dashboard.json")).unwrap()).unwrap()
}

/// The queries of the dashboard, with the title of their panel.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    queries
}

/// The groups of rules that the chart makes, as the release `test` in the namespace `operators`.
fn rendered_rules(overrides: &Value) -> Value {
    let values = tempfile::NamedTempFile::new().unwrap();
    let rule = json!({"enabled": true, "overrides": overrides});
    std::fs::write(values.path(), json!({"metrics": {"prometheusRule": rule}}).to_string()).unwrap();
    let mut helm = Command::new(tools::helm().unwrap());
    helm.args(["template", "test", "--namespace", "operators", "--show-only", "templates/prometheusrule.yaml"]);
    let output = helm.arg("--values").arg(values.path()).arg(chart()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rules: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    rules.iter().find(|rule| rule["kind"] == "PrometheusRule").unwrap()["spec"].clone()
}

/// The alerts of the chart, in their order.
fn alerts() -> Vec<Value> {
    rendered_rules(&json!({}))["groups"][0]["rules"].as_array().unwrap().clone()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

//! What people on call rely on: rules and their tests, names of metrics wherever they stand, and the real operator
//! scraped by a real Prometheus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod live;
mod logs;
mod names;
mod picture;
mod rules;
mod tables;
#[cfg(feature = "otlp")]
mod traces;

use serde_json::{Value, json};
use testkit::chart;

/// The dashboard.
fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(chart::directory().join("files/dashboard.json")).unwrap()).unwrap()
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

/// A query of the dashboard as Grafana asks it, for all namespaces and jobs.
fn without_variables(query: &str) -> String {
    let asked =
        query.replace("$__rate_interval", "1m").replace("\"$namespace\"", "\".*\"").replace("\"$job\"", "\".*\"");
    assert!(!asked.contains('$'), "{query}");
    asked
}

/// The groups of rules that the chart makes, as the release `test` in the namespace `operators`.
fn rendered_rules(overrides: &Value) -> Value {
    let rule = json!({"enabled": true, "overrides": overrides});
    let values = json!({"metrics": {"prometheusRule": rule}});
    let rules = chart::render("test", "operators", &values).unwrap();
    rules.iter().find(|rule| rule["kind"] == "PrometheusRule").unwrap()["spec"].clone()
}

/// The alerts of the chart, in their order.
fn alerts() -> Vec<Value> {
    rendered_rules(&json!({}))["groups"][0]["rules"].as_array().unwrap().clone()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

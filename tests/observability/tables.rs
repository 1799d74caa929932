//! The table of metrics in docs/metrics.md, made of what the operator shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use testkit::tools;

use crate::names::exposed;

/// A metric: its kind, what it is, the values of its labels, and how many series it has.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
    series: usize,
}

fn metrics() -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut current = String::new();
    for line in exposed().lines() {
        let told = |prefix: &str| line.strip_prefix(prefix).and_then(|rest| rest.split_once(' '));
        if let Some((name, help)) = told("# HELP ") {
            metrics.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = told("# TYPE ") {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
            name.clone_into(&mut current);
        } else {
            let metric = metrics.get_mut(&current).unwrap();
            metric.series += 1;
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').unwrap();
                metric.labels.entry(name.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    metrics
}

fn table() -> String {
    let metrics = metrics();
    let mut table = String::from("| Metric | Type | Labels | Series | What it is |\n|---|---|---|---|---|\n");
    for (name, Metric { kind, help, labels, series }) in &metrics {
        let labels: Vec<String> = labels.keys().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}` | {kind} | {} | {series} | {help} |", labels.join(", ")).unwrap();
    }
    let all: usize = metrics.values().map(|metric| metric.series).sum();
    writeln!(table, "\n{all} series for each replica, whatever the number of links.\n").unwrap();
    table += "| Metric | Label | Values |\n|---|---|---|\n";
    for (name, Metric { labels, .. }) in &metrics {
        // Version and revision are others with each build, and `le` is how a histogram is stored.
        let is_told = |label: &str| !["version", "revision", "le"].contains(&label);
        for (label, values) in labels.iter().filter(|(label, _)| is_told(label)) {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            writeln!(table, "| `{name}` | `{label}` | {} |", values.join(", ")).unwrap();
        }
    }
    table
}

/// `UPDATE=1 cargo test --test observability tables` writes the tables.
#[test]
fn the_documentation_lists_the_metrics() {
    let file = tools::root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("| Metric | Type |").expect("docs/metrics.md has a table of metrics");
    let made = format!("{head}{}", table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, made).unwrap();
    } else {
        assert!(text == made, "docs/metrics.md is not what the operator shows: UPDATE=1 writes it");
    }
}

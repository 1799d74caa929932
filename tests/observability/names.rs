//! No name of a metric stands anywhere that the operator does not have.

use std::collections::BTreeSet;

use signalr_private_link_operator::metrics::{Format, Metrics};
use testkit::tools;

use crate::chart;

/// What the operator shows, in the format that most ask for.
pub fn exposed() -> String {
    Metrics::default().encode(Format::Text).unwrap()
}

/// The names of samples, and of the families of histograms.
fn known() -> BTreeSet<String> {
    let text = exposed();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(['{', ' ']).next().unwrap());
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    samples.chain(families).map(str::to_owned).collect()
}

/// The names of metrics of ours in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_name = |word: &&str| {
        let ours = word.strip_prefix("signalr_private_link_").or_else(|| word.strip_prefix("process_"));
        // The other one is the crate, in filters of the log.
        ours.is_some_and(|rest| !rest.is_empty() && rest != "operator")
    };
    words.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_named_exists() {
    let known = known();
    let docs = tools::root().join("docs");
    let mut files = vec![
        chart::directory().join("files/alerts.yaml"),
        chart::directory().join("files/dashboard.json"),
        tools::root().join("tests/observability/alerts_test.yaml"),
        tools::root().join("README.md"),
    ];
    for directory in [docs.clone(), docs.join("runbooks")] {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    let mut found = 0;
    for file in files {
        let named = named(&std::fs::read_to_string(&file).unwrap());
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{}: the operator has no {unknown:?}", file.display());
        found += named.len();
    }
    assert!(found > 60, "{found} names");
}

/// A metric that nobody is told how to use is none.
#[test]
fn every_alert_and_panel_can_be_traced_to_the_metrics() {
    let used = named(&std::fs::read_to_string(chart::directory().join("files/dashboard.json")).unwrap());
    let used: BTreeSet<_> = used
        .union(&named(&std::fs::read_to_string(chart::directory().join("files/alerts.yaml")).unwrap()))
        .cloned()
        .collect();
    for name in known().iter().filter(|name| name.starts_with("signalr_private_link_")) {
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .fold(name.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name));
        let shown = used.iter().any(|used| used.starts_with(family));
        // What a rise of is no news.
        let quiet = ["signalr_private_link_status_writes_total"];
        assert!(shown || quiet.contains(&name.as_str()), "{name} is in no alert and no panel");
    }
}

//! The alerts by themselves: Prometheus takes them, their unit tests pass, and each has all that it needs. And the
//! dashboard, which Grafana takes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use signalr_private_link_core::Reason;
use signalr_private_link_core::reason::Progress;
use testkit::tools;

use crate::{alerts, chart, name};

fn run(tool: &Path, arguments: &[&str], file: &Path) {
    let output = Command::new(tool).args(arguments).arg(file).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&words));
}

#[test]
fn prometheus_takes_the_rules_and_their_tests_pass() {
    let promtool = tools::promtool().unwrap();
    run(&promtool, &["check", "rules"], &chart::directory().join("files/alerts.yaml"));
    run(&promtool, &["test", "rules"], &tools::root().join("tests/observability/alerts_test.yaml"));
}

/// By its own types, which name the fields of each panel.
#[test]
fn grafana_takes_the_dashboard() {
    run(&tools::dashboard().unwrap(), &[], &chart::directory().join("files/dashboard.json"));
}

#[test]
fn every_alert_has_words_a_runbook_and_a_unit_test() {
    let directory = tools::root().join("docs/runbooks");
    let tests = std::fs::read_to_string(tools::root().join("tests/observability/alerts_test.yaml")).unwrap();
    let table = std::fs::read_to_string(tools::root().join("docs/observability.md")).unwrap();
    let mut expected = BTreeSet::new();
    for alert in alerts() {
        let name = name(&alert);
        for place in ["/labels/severity", "/annotations/summary", "/annotations/description"] {
            assert!(alert.pointer(place).is_some_and(|text| !text.as_str().unwrap().is_empty()), "{name}: {place}");
        }
        let file = format!("{name}.md");
        assert!(alert["annotations"]["runbook_url"].as_str().unwrap().ends_with(&format!("/{file}")), "{name}");
        let runbook = std::fs::read_to_string(directory.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for heading in ["# ", "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"] {
            assert!(runbook.lines().any(|line| line.starts_with(heading)), "{file}: {heading}");
        }
        assert!(runbook.starts_with(&format!("# {name}\n")), "{file}");
        assert!(tests.contains(&format!("alertname: {name}\n    exp_alerts:")), "{name} fires in no unit test");
        assert!(table.contains(&format!("[{name}](runbooks/{file})")), "docs/observability.md does not list {name}");
        expected.insert(file);
    }
    let entries = std::fs::read_dir(directory).unwrap();
    let found: BTreeSet<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(expected, found, "runbooks and alerts");
}

/// The reasons for which somebody has to do something stand in the alert and in the dashboard, all of them.
#[test]
fn a_link_is_stalled_for_the_reasons_that_the_core_says() {
    let is_stalled =
        |reason: &&Reason| matches!(reason.progress(), Progress::Failed) || **reason == Reason::DeletionBlocked;
    let stalled: Vec<&str> = Reason::ALL.iter().filter(is_stalled).map(|reason| reason.as_str()).collect();
    let pattern = format!("reason=~\"{}\"", stalled.join("|"));
    for file in ["files/alerts.yaml", "files/dashboard.json"] {
        let text = std::fs::read_to_string(chart::directory().join(file)).unwrap().replace("\\\"", "\"");
        assert!(text.contains(&pattern), "{file} lacks {pattern}");
    }
}

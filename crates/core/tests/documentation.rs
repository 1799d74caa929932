//! The documentation of the reasons is complete, in the order of the list, and tells the waits that
//! are kept; the tests that the pages on security and reliability name exist.

#![allow(clippy::unwrap_used, clippy::panic)]

use signalr_private_link_core::reason::{Progress, Wait};
use signalr_private_link_core::report::{Ready, Truth};
use signalr_private_link_core::{Reason, Report};

/// A wait as the table has it: `5 m`, `5–30 s`, `10 s–2 m`.
fn wait(wait: Wait) -> String {
    let Wait::Within(range) = wait else { return "`syncPeriod`".to_owned() };
    let amount = |seconds: u64| if seconds < 60 { (seconds, "s") } else { (seconds / 60, "m") };
    let ((from, unit), (to, last)) = (amount(range.from.as_secs()), amount(range.to.as_secs()));
    match (from == to, unit == last) {
        (true, true) => format!("{to} {last}"),
        (_, true) => format!("{from}–{to} {last}"),
        _ => format!("{from} {unit}–{to} {last}"),
    }
}

#[test]
fn the_table_of_reasons_is_true() {
    let text = page("reasons.md");
    let rows = text.lines().filter(|line| line.starts_with("| [`"));
    let told: Vec<Vec<String>> = rows.map(|row| row.split(" | ").map(str::to_owned).collect()).collect();
    assert_eq!(told.len(), Reason::ALL.len());
    for (reason, row) in Reason::ALL.iter().zip(told) {
        let [name, ready, progress, again] = row.as_slice() else { panic!("{row:?}") };
        assert!(name.starts_with(&format!("| [`{}`]", reason.as_str())), "{name} stands where {reason} should");
        let again = again.trim_end_matches(" |");
        // ARM says itself how long.
        if *reason != Reason::Throttled {
            assert_eq!(again, wait(reason.wait()), "{reason}");
        }
        let expected = match reason.progress() {
            _ if reason.has_grace() => "InProgress for 10 min, then Failed",
            Progress::Current => "Current",
            Progress::InProgress => "InProgress",
            Progress::Failed => "Failed",
            Progress::Terminating => "Terminating",
        };
        let observed = *reason == Reason::ObserveOnly;
        assert!(
            if observed { progress == "as observed" } else { progress.starts_with(expected) },
            "{reason}: {progress}"
        );
        let expected = match Report::new(*reason, "").ready {
            _ if observed => "as observed",
            Ready::Is(Truth::True) => "True",
            Ready::Is(Truth::False) => "False",
            Ready::Is(Truth::Unknown) => "Unknown",
            Ready::Unchanged => "unchanged, then Unknown",
        };
        assert_eq!(ready, expected, "{reason}");
    }
}

#[test]
fn every_reason_has_a_section() {
    let text = page("reasons.md");
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')).collect();
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(sections, reasons);
}

/// All Rust sources below a directory, as one text.
fn sources(directory: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Tests that a page names in backticks, by a rule that tells them from other words.
fn named(text: &str, is_test: impl Fn(&str) -> bool) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|word| is_test(word)).collect()
}

/// Holds a page against the sources: every test that it names exists.
fn all_exist(page: &str, tests: &[&str]) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = String::new();
    for directory in ["src", "tests", "crates"] {
        sources(&root.join(directory), &mut all);
    }
    for test in tests {
        // Rows of the sweep are named before a colon.
        let exists = all.contains(&format!("fn {test}(")) || all.contains(&format!("\n    {test}: "));
        assert!(exists, "docs/{page} names {test}, which does not exist");
    }
}

fn page(page: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join("docs").join(page)).unwrap()
}

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let text = page("security.md");
    let tests = named(&text, |word| word.matches('_').count() >= 3 && !word.starts_with("signalr_"));
    assert!(tests.len() > 30, "{tests:?}");
    all_exist("security.md", &tests);
}

#[test]
fn every_test_that_the_page_on_reliability_names_exists() {
    let text = page("reliability.md");
    let rows: String =
        text.lines().filter(|line| line.starts_with("| ")).filter_map(|l| l.rsplit('|').nth(1)).collect();
    let tests = named(&rows, |word| word.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_')));
    assert!(tests.len() > 80, "{tests:?}");
    all_exist("reliability.md", &tests);
}

/// The ids of rules, invariants, threats and assumptions in a text: `R7`, `M5`, `S13`, `T3`, `A1`. A range names
/// its two ends.
fn ids(text: &str) -> std::collections::BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_word(c));
    let is_id = |word: &&str| {
        let (letter, number) = word.split_at_checked(1).unwrap_or_default();
        "RSMTA".contains(letter)
            && !letter.is_empty()
            && (1..=2).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(is_id).map(str::to_owned).collect()
}

/// The ids that a page explains: those that stand first in a row of a table, or in bold.
fn explained(text: &str) -> std::collections::BTreeSet<String> {
    let first_cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |").map(|(cell, _)| cell));
    let bold = text.split("**").skip(1).step_by(2);
    first_cells.chain(bold).flat_map(ids).collect()
}

#[test]
fn every_rule_that_the_code_cites_is_explained_in_the_documentation() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = String::new();
    for directory in ["src", "tests", "crates"] {
        sources(&root.join(directory), &mut all);
    }
    let comments: String = all.lines().filter_map(|line| line.split_once("//")).map(|(_, said)| said).collect();
    let cited = ids(&comments);
    assert!(cited.len() > 20, "{cited:?}");
    let pages: Vec<_> = ["architecture.md", "security.md", "reliability.md"].into_iter().map(page).collect();
    let explained: std::collections::BTreeSet<String> = pages.iter().flat_map(|text| explained(text)).collect();
    let missing: Vec<_> = cited.difference(&explained).collect();
    assert!(missing.is_empty(), "no page explains {missing:?}");
    // And nothing points at a page that a reader does not have.
    for absent in ["faults", "product", "approval", "facts"].map(|page| format!("{page}.md")) {
        assert!(!comments.contains(&absent), "{absent} is no page of this project");
    }
}

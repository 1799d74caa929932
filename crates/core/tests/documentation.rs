//! The documentation of the reasons is complete, and in the order of the list; the tests that the
//! page on security names exist.

#![allow(clippy::unwrap_used)]

use signalr_private_link_core::Reason;

#[test]
fn every_reason_has_a_section() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reasons.md");
    let text = std::fs::read_to_string(path).unwrap();
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

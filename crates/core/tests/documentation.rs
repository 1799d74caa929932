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

#[test]
fn every_test_that_the_page_on_security_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut all = String::new();
    for directory in ["src", "tests", "crates"] {
        sources(&root.join(directory), &mut all);
    }
    let words = text.split('`').skip(1).step_by(2);
    let named: Vec<&str> = words.filter(|w| w.matches('_').count() >= 3 && !w.starts_with("signalr_")).collect();
    assert!(named.len() > 30, "{named:?}");
    for test in named {
        assert!(all.contains(&format!("fn {test}(")), "docs/security.md names {test}, which does not exist");
    }
}

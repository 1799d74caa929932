//! The documentation of the reasons is complete, and in the order of the list.

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

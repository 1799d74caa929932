//! The chart: what it renders for the sets of values in `cases`, and how a release of it lives in a real cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cases;
mod helm;
mod overlays;
mod readme;
mod release;

#[test]
fn the_versions_of_crate_chart_and_image_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = helm::read("Chart.yaml");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
    let root = testkit::tools::root();
    let image = format!("signalr-private-link-operator:{version}");
    assert!(std::fs::read_to_string(root.join("deploy/base/operator.yaml")).unwrap().contains(&image));
    let changelog = std::fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    assert!(changelog.contains(&format!("[{version}]")) || changelog.contains("Unreleased"), "CHANGELOG.md");
}

/// The kubelet cannot tell that a name is not root's, and then starts nothing.
#[test]
fn the_user_of_the_image_is_a_number() {
    let text = std::fs::read_to_string(testkit::tools::root().join("Dockerfile")).unwrap();
    let user = text.lines().filter_map(|line| line.strip_prefix("USER ")).next_back().unwrap();
    assert!(user.split(':').all(|part| part.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
}

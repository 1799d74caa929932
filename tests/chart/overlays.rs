//! The manifests for kubectl: each overlay is taken by the API server, and does what its name says.

use testkit::{Cluster, eventually, tools};

/// An administrator's approval policy, as the examples have it.
fn policy() -> String {
    std::fs::read_to_string(tools::root().join("examples/approval-policy.yaml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_overlay_is_taken_and_the_one_without_approver_takes_no_policy() {
    let cluster = Cluster::start().await.unwrap();
    let overlays = tools::root().join("deploy/overlays");
    let mut names: Vec<_> = std::fs::read_dir(&overlays).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    for overlay in &names {
        let apply = ["apply", "--server-side", "--force-conflicts", "-k", overlay.to_str().unwrap()];
        cluster.kubectl_ok(&apply).unwrap();
    }
    cluster.until_defined().unwrap();
    // An admission policy is in force some moments after it was made.
    let refused = eventually("the policy to be refused", std::time::Duration::from_secs(30), || async {
        Ok(match cluster.with_manifest(&["apply", "--dry-run=server", "-f", "-"], &policy()) {
            Ok(said) => Err(said),
            Err(refusal) => Ok(refusal),
        })
    });
    let refused = refused.await.unwrap();
    assert!(refused.contains("approvals stay with people in this cluster"), "{refused}");
    let link = std::fs::read_to_string(tools::root().join("examples/link.yaml")).unwrap();
    cluster.kubectl_ok(&["create", "namespace", "contoso"]).unwrap();
    cluster.apply(&link).expect("links are taken all the same");
}

//! The examples in `integrations`, and what kustomize makes of ours.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use signalr_private_link_operator::api::{self, SignalRSharedPrivateLink};
use testkit::{Cluster, tools};

use crate::{documents, integrations};

/// By the definitions of Argo CD and Flux every field is known, and every value allowed.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_the_examples() {
    let cluster = Cluster::start().await.unwrap();
    for kind in [
        "argoproj.io_applications",
        "helm.toolkit.fluxcd.io_helmreleases",
        "kustomize.toolkit.fluxcd.io_kustomizations",
        "source.toolkit.fluxcd.io_gitrepositories",
    ] {
        cluster.define(kind).unwrap();
    }
    for namespace in ["argocd", "flux-system"] {
        cluster.kubectl_ok(&["create", "namespace", namespace]).unwrap();
    }
    for file in [
        "argocd/argocd-cm.yaml",
        "argocd/examples/operator.yaml",
        "argocd/examples/links.yaml",
        "flux/operator.yaml",
        "flux/links.yaml",
    ] {
        let file = integrations(file);
        let apply =
            ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-f", file.to_str().unwrap()];
        cluster.kubectl_ok(&apply).unwrap();
    }
}

#[test]
fn the_example_for_flux_has_the_health_checks_that_are_tested() {
    let list = documents(&integrations("flux/health-checks.yaml")).remove(0);
    let example = documents(&integrations("flux/links.yaml")).remove(0);
    assert_eq!(example["spec"]["healthCheckExprs"], list);
    assert_eq!(list.as_array().map(Vec::len), Some(2));
}

/// The chart that both examples name is there.
#[test]
fn the_examples_name_the_chart() {
    let flux = documents(&integrations("flux/operator.yaml")).remove(1);
    let argo = documents(&integrations("argocd/examples/operator.yaml")).remove(0);
    assert_eq!(argo["kind"], "Application");
    let charts = [&flux["spec"]["chart"]["spec"]["chart"], &argo["spec"]["source"]["path"]];
    for chart in charts {
        assert!(tools::root().join(chart.as_str().unwrap()).join("Chart.yaml").exists(), "{chart}");
    }
    let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
    let source = &documents(&integrations("flux/operator.yaml"))[0];
    assert_eq!((&source["spec"]["ref"]["tag"], &argo["spec"]["source"]["targetRevision"]), (&json!(tag), &json!(tag)));
}

/// A link stands in the last wave of its application, and can be used.
#[test]
fn the_example_for_argo_cd_has_its_link_in_the_last_wave() {
    let wave = |object: &Value| {
        let wave = object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"].as_str();
        wave.and_then(|wave| wave.parse::<i64>().ok()).unwrap_or_default()
    };
    let (mut links, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(integrations("argocd/examples/contoso")).unwrap() {
        for object in documents(&entry.unwrap().path()) {
            if object["kind"] == "SignalRSharedPrivateLink" {
                let typed: SignalRSharedPrivateLink = serde_json::from_value(object.clone()).unwrap();
                api::desired(&typed).unwrap();
                links.push(wave(&object));
            } else {
                others.push(wave(&object));
            }
        }
    }
    assert!(!links.is_empty() && !others.is_empty());
    assert!(links.iter().all(|link| others.iter().all(|other| other < link)), "{links:?} {others:?}");
}

/// What kustomize makes of files in a directory.
fn kustomize(directory: &Path, kustomization: &Value) -> Vec<Value> {
    std::fs::write(directory.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let kubectl = tools::directory().unwrap().join("kubectl");
    let output = Command::new(kubectl).arg("kustomize").arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

/// `docs/gitops.md` tells people what follows for the name in Azure and for policies.
#[test]
fn kustomize_changes_names_and_namespaces_in_the_metadata_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut link = documents(&tools::root().join("examples/link.yaml")).remove(0);
    link["spec"]["azureName"] = "kv-pe".into();
    std::fs::write(directory.path().join("link.yaml"), link.to_string()).unwrap();
    let policy = documents(&tools::root().join("examples/approval-policy.yaml")).remove(0);
    std::fs::write(directory.path().join("policy.yaml"), policy.to_string()).unwrap();
    let changes = json!({"namePrefix": "blue-", "namespace": "moved", "resources": ["link.yaml", "policy.yaml"]});
    for made in kustomize(directory.path(), &changes) {
        let was = if made["kind"] == "ApprovalPolicy" { &policy } else { &link };
        assert_eq!(made["spec"], was["spec"]);
        assert_eq!(made["metadata"]["name"], format!("blue-{}", was["metadata"]["name"].as_str().unwrap()));
        // kustomize does not know that policies are cluster-scoped.
        assert_eq!(made["metadata"]["namespace"], "moved");
    }
}

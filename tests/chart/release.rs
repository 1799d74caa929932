//! A release in a real cluster: installed, upgraded, removed, installed again. Links stay what they are.

use serde_json::Value;
use testkit::Cluster;
use testkit::scene::{LinkOptions, Scene};

use crate::helm;

const NAMESPACE: &str = "operators";

struct Place(Cluster);

impl Place {
    async fn new() -> Self {
        let place = Self(Cluster::start().await.unwrap());
        place.0.kubectl_ok(&["create", "namespace", "contoso"]).unwrap();
        place
    }

    fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = helm::command();
        command.env("KUBECONFIG", self.0.kubeconfig()).args(arguments).args(["--namespace", NAMESPACE]);
        helm::output(&mut command)
    }

    fn install(&self, release: &str, more: &[&str]) -> Result<String, String> {
        let chart = testkit::chart::directory();
        let arguments = [&["install", release, chart.to_str().unwrap(), "--create-namespace"], more].concat();
        self.helm(&arguments)
    }

    fn link(&self) -> Value {
        self.0.get("contoso", "spl", "kv-pe").unwrap().expect("the link")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_outlive_upgrades_and_releases() {
    let place = Place::new().await;
    let notes = place.install("first", &["--set", "image.repository=registry.example/operator"]).unwrap();
    assert!(notes.contains("system:serviceaccount:operators:first-signalr-private-link-operator"), "{notes}");
    assert!(!notes.contains("WARNING"), "{notes}");
    let manifest = Scene::manifest("contoso", "kv-pe", "contoso-signalr", "contoso-kv", &LinkOptions::default());
    // The definitions take a moment to be served.
    place.0.until_defined().unwrap();
    place.0.apply(&manifest.to_string()).unwrap();
    let before = place.link();

    let chart = testkit::chart::directory();
    let upgrade = ["upgrade", "first", chart.to_str().unwrap(), "--set", "replicaCount=3,log.level=debug"];
    place.helm(&upgrade).unwrap();
    let replicas = ["get", "deployment", "-n", NAMESPACE, "-o", "jsonpath={.items[*].spec.replicas}"];
    assert_eq!(place.0.kubectl_ok(&replicas).unwrap(), "3");
    assert_eq!(place.link(), before, "an upgrade touches no link");

    place.helm(&["uninstall", "first"]).unwrap();
    assert_eq!(place.link(), before, "the definitions are kept, and so are the links");
    assert_eq!(
        place
            .0
            .kubectl_ok(&[
                "get",
                "deployment,clusterrole",
                "-n",
                NAMESPACE,
                "-l",
                "app.kubernetes.io/instance=first",
                "-o",
                "name"
            ])
            .unwrap(),
        ""
    );

    let refusal = place.install("second", &[]).unwrap_err();
    assert!(refusal.contains("invalid ownership metadata"), "{refusal}");
    place.install("second", &["--take-ownership"]).unwrap();
    place.install("third", &["--set", "crds.enabled=false"]).expect("two releases in one namespace");
    assert_eq!(place.link(), before);
    let leases =
        ["get", "deployment", "-n", NAMESPACE, "-o", "jsonpath={.items[*].spec.template.spec.containers[0].args[2]}"];
    let leases = place.0.kubectl_ok(&leases).unwrap();
    let expected = ["second", "third"].map(|release| format!("--lease-name={release}-signalr-private-link-operator"));
    assert_eq!(leases, expected.join(" "), "each elects a leader of its own");
}

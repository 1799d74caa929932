//! Wrong input of every kind: a sentence names what is wrong and what to do, nothing spins.

use std::process::Output;

use serde_json::{Value, json};
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene, message};
use testkit::{Cluster, Operator, azure};

use crate::{LIMIT, binary, operator, run, scene, settings};

/// Applies a link and waits for a reason; the message.
async fn told(scene: &Scene, ns: &str, signalr: &str, vault: &str, reason: &str) -> String {
    scene.cluster.apply(&Scene::manifest(ns, "kv-pe", signalr, vault, &LinkOptions::default()).to_string()).unwrap();
    message(&scene.until_reason(ns, "kv-pe", reason, LIMIT).await.unwrap())
}

#[test]
fn what_does_not_exist_is_named() {
    run(async {
        let scene = scene().await;
        scene.namespace("missing").unwrap();
        scene.azure.add("missing-signalr", "missing-kv").await.unwrap();
        let _operator = operator(scene, "missing");
        let said = told(scene, "missing", "missing-signalr", "unknown-kv", "KeyVaultNotFound").await;
        assert!(said.contains("unknown-kv does not exist"), "{said}");
        assert_eq!(scene.azure.link("missing-signalr", "kv-pe").await.unwrap(), None, "nothing was created");
        scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", "missing", "--timeout=20s"]).unwrap();
        let said = told(scene, "missing", "unknown-signalr", "missing-kv", "SignalRNotFound").await;
        assert!(said.contains("unknown-signalr does not exist"), "{said}");
        // It is tried again by itself as soon as it is there.
        scene.azure.add("unknown-signalr", "missing-kv").await.unwrap();
        scene.until_reason("missing", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    });
}

#[test]
fn a_free_signalr_takes_no_links() {
    run(async {
        let scene = scene().await;
        scene.namespace("free").unwrap();
        scene.azure.add("free-signalr", "free-kv").await.unwrap();
        let change = json!({"resourceId": azure::signalr("free-signalr"), "sku": "Free_F1"});
        scene.azure.control("PATCH", "/signalr", &change).await.unwrap();
        let _operator = operator(scene, "free");
        let said = told(scene, "free", "free-signalr", "free-kv", "InvalidSpec").await;
        assert!(said.contains("not supported in the Free tier"), "{said}");
    });
}

#[test]
fn a_missing_right_is_named_with_action_and_scope() {
    run(async {
        let scene = scene().await;
        scene.namespace("rights").unwrap();
        scene.azure.add("rights-signalr", "rights-kv").await.unwrap();
        let fault = json!({
            "path": "signalR/rights-signalr", "count": 0, "kind": "status", "status": 403, "code": "AuthorizationFailed",
            "message": "The client does not have authorization.",
        });
        scene.azure.control("POST", "/faults", &fault).await.unwrap();
        let _operator = operator(scene, "rights");
        let said = told(scene, "rights", "rights-signalr", "rights-kv", "AuthorizationFailed").await;
        for part in
            ["Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read", &azure::signalr("rights-signalr")]
        {
            assert!(said.contains(part), "{part:?} is missing in {said}");
        }
    });
}

#[test]
fn a_wrong_secret_a_wrong_ca_and_a_dead_token_endpoint_are_told_in_status() {
    run(async {
        let scene = scene().await;
        scene.azure.add("token-signalr", "token-kv").await.unwrap();
        let dead = format!("https://localhost:{}", testkit::free_port().unwrap());
        let foreign_ca = scene.cluster.directory().join("ca.pem").to_string_lossy().into_owned();
        for (ns, variable, value, reason, words) in [
            ("wrong-secret", "AZURE_CLIENT_SECRET", "wrong", "CredentialUnavailable", "AADSTS7000215"),
            (
                "wrong-tenant",
                "AZURE_TENANT_ID",
                "00000000-0000-4000-8000-00000000dead",
                "CredentialUnavailable",
                "AADSTS90002",
            ),
            ("wrong-ca", "AZURE_CA_FILE", &foreign_ca, "CredentialUnavailable", "certificate"),
            ("dead-endpoint", "AZURE_AUTHORITY_HOST", &dead, "CredentialUnavailable", "refused"),
        ] {
            scene.namespace(ns).unwrap();
            let mut settings = settings(scene, ns);
            settings.environment.push((variable.to_owned(), value.to_owned()));
            let operator = Operator::start(&settings).unwrap();
            let said = told(scene, ns, "token-signalr", "token-kv", reason).await;
            assert!(said.contains(words), "{ns}: {words:?} is missing in {said}");
            assert!(!operator.log().contains("azure-sim-secret"), "{ns}: the secret is in the log");
            assert!(operator.terminate().unwrap().success());
        }
    });
}

/// Runs the operator until it ends by itself.
fn fails(settings: &Settings<'_>) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = settings.command().unwrap().output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_start_that_cannot_succeed_ends_with_a_sentence() {
    run(async {
        let scene = scene().await;
        let usual = || settings(scene, "start");

        let mut unreadable = usual();
        unreadable.kubeconfig = "/nonexistent/kubeconfig".into();
        let (code, said) = fails(&unreadable);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("KUBECONFIG names /nonexistent/kubeconfig, which cannot be read"), "{said}");

        let mut down = usual();
        let port = testkit::free_port().unwrap();
        let text = std::fs::read_to_string(scene.cluster.kubeconfig()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{port}"));
        down.kubeconfig = scene.cluster.directory().join("down.kubeconfig");
        std::fs::write(&down.kubeconfig, config.to_string()).unwrap();
        let (code, said) = fails(&down);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the API server cannot be reached"), "{said}");

        let mut no_secret = usual();
        no_secret.environment.retain(|(name, _)| name != "AZURE_CLIENT_SECRET");
        no_secret.flags.extend(["--credential", "ClientSecret"].map(str::to_owned));
        let (code, said) = fails(&no_secret);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("needs the environment variable AZURE_CLIENT_SECRET"), "{said}");

        let mut no_ca = usual();
        no_ca.environment.push(("AZURE_CA_FILE".into(), "/nonexistent/ca.pem".into()));
        let (code, said) = fails(&no_ca);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("--ca-file /nonexistent/ca.pem cannot be read"), "{said}");

        let mut public = usual();
        public.environment.retain(|(name, _)| !name.starts_with("AZURE_ARM") && name != "AZURE_CLOUD");
        let (code, said) = fails(&public);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("--pace 0.02 is for simulators"), "{said}");
    });
}

#[test]
fn definitions_that_are_not_installed_are_told_with_the_command() {
    run(async {
        let empty = Cluster::start().await.unwrap();
        let scene = scene().await;
        let mut settings = settings(scene, "start");
        settings.binary = binary();
        settings.kubeconfig = empty.kubeconfig();
        let (code, said) = fails(&settings);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("is not installed in this cluster; run: signalr-private-link-operator crds | kubectl apply"),
            "{said}"
        );
    });
}

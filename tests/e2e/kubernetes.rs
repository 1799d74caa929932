//! Kubernetes in a bad mood: away, forgetful, meddled with. None of it is read as a wish to delete
//! links, and the truth comes back from Azure.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};
use testkit::{azure, eventually};

use crate::{LIMIT, binary, operator, run, scene};

/// A scene of its own with one Ready link, for what would disturb other tests.
async fn alone(ns: &str) -> (Scene, testkit::Operator) {
    let scene = crate::start().await;
    scene.namespace(ns).unwrap();
    scene.azure.add("contoso-signalr", "contoso-kv").await.unwrap();
    let operator = operator(&scene, ns);
    ready(&scene, ns).await;
    (scene, operator)
}

async fn ready(scene: &Scene, ns: &str) -> Value {
    scene
        .cluster
        .apply(&Scene::manifest(ns, "kv-pe", "contoso-signalr", "contoso-kv", &LinkOptions::default()).to_string())
        .unwrap();
    scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    scene.azure.owner_approves("contoso-kv", "please approve").await.unwrap();
    scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap()
}

async fn deletions(scene: &Scene) -> usize {
    scene.azure.writes().await.unwrap().iter().filter(|w| w["method"] == "DELETE").count()
}

#[test]
fn an_api_server_that_is_away_and_comes_back_costs_nothing() {
    run(async {
        let (scene, _operator) = alone("away").await;
        scene.cluster.stop_api_server().unwrap();
        tokio::time::sleep(Duration::from_secs(8)).await;
        scene.cluster.start_api_server().await.unwrap();
        // Drift is noticed again.
        let id = format!("{}/sharedPrivateLinkResources/kv-pe", azure::signalr("contoso-signalr"));
        scene.azure.control("POST", "/links/delete", &json!({"id": id})).await.unwrap();
        scene.until_reason("away", "kv-pe", "PendingApproval", Duration::from_secs(90)).await.unwrap();
        assert_eq!(deletions(&scene).await, 0);
    });
}

#[test]
fn the_real_api_server_is_what_the_fake_one_imitates() {
    run(async {
        let client = scene().await.cluster.client().await.unwrap();
        testkit::kubernetes_suite::run(&client, || ()).await.unwrap();
    });
}

#[test]
fn definitions_that_are_deleted_and_installed_again_delete_no_link() {
    run(async {
        let (scene, _operator) = alone("definitions").await;
        // The API server deletes all objects of a definition that is deleted; the operator lets
        // them go, and leaves Azure as it is.
        let crd = "signalrsharedprivatelinks.privatelink.signalr-operator.io";
        scene.cluster.kubectl_ok(&["delete", "crd", crd, "--timeout=60s"]).unwrap();
        assert_eq!(deletions(&scene).await, 0);
        assert!(scene.azure.link("contoso-signalr", "kv-pe").await.unwrap().is_some());

        let printed = std::process::Command::new(binary()).arg("crds").output().unwrap();
        scene.cluster.apply(&String::from_utf8(printed.stdout).unwrap()).unwrap();
        scene.cluster.until_defined().unwrap();
        let options = LinkOptions::default();
        let manifest = |name: &str| Scene::manifest("definitions", name, "contoso-signalr", "contoso-kv", &options);
        for (name, reason) in [("kv-pe", "AlreadyExists"), ("other", "PendingApproval")] {
            let manifest = manifest(name).to_string();
            eventually("objects to be taken again", LIMIT, || async {
                Ok(scene.cluster.apply(&manifest).map_err(|e| e.to_string()))
            })
            .await
            .unwrap();
            scene.until_reason("definitions", name, reason, Duration::from_secs(90)).await.unwrap();
        }
        assert_eq!(deletions(&scene).await, 0);
    });
}

#[test]
fn a_status_that_is_wiped_or_forged_comes_back_from_azure() {
    run(async {
        let scene = scene().await;
        let ns = "forgetful";
        scene.namespace(ns).unwrap();
        scene.azure.add("forgetful-signalr", "forgetful-kv").await.unwrap();
        let _operator = operator(scene, ns);
        let manifest = Scene::manifest(ns, "kv-pe", "forgetful-signalr", "forgetful-kv", &LinkOptions::default());
        scene.cluster.apply(&manifest.to_string()).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        let patch = |status: Value, look: &str| {
            let patch = json!({"status": status}).to_string();
            let arguments =
                ["patch", "spl", "kv-pe", "-n", ns, "--subresource=status", "--type=merge", "-p", patch.as_str()];
            scene.cluster.kubectl_ok(&arguments).unwrap();
            let now = format!("privatelink.signalr-operator.io/reconcile-requested-at={look}");
            scene.cluster.kubectl_ok(&["annotate", "spl", "kv-pe", "-n", ns, "--overwrite", &now]).unwrap();
        };
        let time = "2026-01-01T00:00:00Z";
        let forged = json!({
            "connectionState": "Approved", "provisioningState": "Succeeded",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Approved", "message": "forged",
                "lastTransitionTime": time, "observedGeneration": 1}],
            "approval": {"approvedBy": "Operator", "approvedAt": time},
        });
        patch(forged, "1");
        let truth = scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        assert_eq!(truth.pointer("/status/connectionState").unwrap(), "Pending");
        assert_eq!(truth.pointer("/status/approval/approvedBy"), None, "{truth}");
        patch(Value::Null, "2");
        let truth = scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        assert!(truth.pointer("/status/keyVaultConnection/id").is_some());
    });
}

#[test]
fn a_finalizer_that_is_removed_by_hand_comes_back() {
    run(async {
        let scene = scene().await;
        let ns = "bare";
        scene.namespace(ns).unwrap();
        scene.azure.add("bare-signalr", "bare-kv").await.unwrap();
        let _operator = operator(scene, ns);
        let manifest = Scene::manifest(ns, "kv-pe", "bare-signalr", "bare-kv", &LinkOptions::default());
        scene.cluster.apply(&manifest.to_string()).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        let patch = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
        scene.cluster.kubectl_ok(&["patch", "spl", "kv-pe", "-n", ns, "--type=json", "-p", patch]).unwrap();
        eventually("the finalizer to be back", LIMIT, || async {
            let object = scene.link(ns, "kv-pe")?.unwrap();
            let finalizers = object["metadata"]["finalizers"].clone();
            Ok(if finalizers.is_array() { Ok(()) } else { Err(object.to_string()) })
        })
        .await
        .unwrap();
    });
}

#[test]
fn of_two_objects_one_owns_the_link_and_the_other_takes_over_when_it_is_gone() {
    run(async {
        let scene = scene().await;
        let (first, second) = ("rivals", "rivals-too");
        scene.azure.add("rivals-signalr", "rivals-kv").await.unwrap();
        let link = |ns: &str, signalr: &str| {
            let mut manifest = Scene::manifest(ns, "kv-pe", signalr, "rivals-kv", &LinkOptions::default());
            manifest["spec"]["azureName"] = json!(if ns == first { "shared" } else { "SHARED" });
            scene.cluster.apply(&manifest.to_string()).unwrap();
        };
        for ns in [first, second] {
            scene.namespace(ns).unwrap();
        }
        let mut settings = crate::settings(scene, first);
        let at = settings.flags.iter().position(|flag| flag == first).unwrap();
        settings.flags[at] = format!("{first},{second}");
        let _operator = testkit::Operator::start(&settings).unwrap();
        link(first, "rivals-signalr");
        scene.until_reason(first, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        link(second, "RIVALS-signalr");
        let conflict = scene.until_reason(second, "kv-pe", "OwnershipConflict", LIMIT).await.unwrap();
        assert!(testkit::scene::message(&conflict).contains("rivals/kv-pe"), "{conflict}");
        scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", first, "--timeout=60s"]).unwrap();
        let now = "privatelink.signalr-operator.io/reconcile-requested-at=1";
        scene.cluster.kubectl_ok(&["annotate", "spl", "kv-pe", "-n", second, now]).unwrap();
        scene.until_reason(second, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        let puts = scene.azure.writes().await.unwrap();
        let ours =
            puts.iter().filter(|w| w["method"] == "PUT" && w["id"].as_str().unwrap().contains("/rivals-signalr/"));
        assert_eq!(ours.count(), 2, "one for each owner");
    });
}

#[test]
fn the_same_manifest_in_two_clusters_is_written_by_one_and_told_by_the_other() {
    run(async {
        let scene = scene().await;
        let other = crate::start().await;
        let ns = "twins";
        scene.azure.add("twins-signalr", "twins-kv").await.unwrap();
        let manifest = Scene::manifest(ns, "kv-pe", "twins-signalr", "twins-kv", &LinkOptions::default()).to_string();
        scene.namespace(ns).unwrap();
        other.namespace(ns).unwrap();
        let _first = operator(scene, ns);
        scene.cluster.apply(&manifest).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        // The other cluster's operator reaches the same Azure.
        let settings = crate::settings_for(&other, &scene.azure, ns);
        let _second = testkit::Operator::start(&settings).unwrap();
        other.cluster.apply(&manifest).unwrap();
        let told = other.until_reason(ns, "kv-pe", "AlreadyExists", LIMIT).await.unwrap();
        let said = testkit::scene::message(&told);
        assert!(said.contains("its marker names the object with uid"), "{said}");
        other.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", ns, "--timeout=60s"]).unwrap();
        assert!(scene.azure.link("twins-signalr", "kv-pe").await.unwrap().is_some());
    });
}

#[test]
fn an_object_of_a_newer_definition_is_told_and_harms_nobody() {
    run(async {
        let (scene, operator_before) = alone("newer").await;
        // A newer definition knows more words than this operator.
        let crd = "signalrsharedprivatelinks.privatelink.signalr-operator.io";
        let word = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/managementPolicy/enum/-";
        let newer = json!([{"op": "add", "path": word, "value": "Pause"}]).to_string();
        scene.cluster.kubectl_ok(&["patch", "crd", crd, "--type=json", "-p", &newer]).unwrap();
        let change = |to: &str| {
            let patch = json!({"spec": {"managementPolicy": to}}).to_string();
            scene.cluster.kubectl(&["patch", "spl", "kv-pe", "-n", "newer", "--type=merge", "-p", &patch]).unwrap()
        };
        eventually("the definition to be taken", LIMIT, || async {
            let output = change("Pause");
            Ok(if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr)?) })
        })
        .await
        .unwrap();
        let told = scene.until_reason("newer", "kv-pe", "InvalidSpec", LIMIT).await.unwrap();
        let said = testkit::scene::message(&told);
        assert!(said.contains("spec.managementPolicy: unknown variant `Pause`"), "{said}");
        // Others are not harmed.
        let options = LinkOptions::default();
        let other = Scene::manifest("newer", "other", "contoso-signalr", "contoso-kv", &options);
        scene.cluster.apply(&other.to_string()).unwrap();
        scene.until_reason("newer", "other", "PendingApproval", LIMIT).await.unwrap();
        // Nor at a start that meets it as the first of all.
        operator_before.kill().unwrap();
        let _operator = operator(&scene, "newer");
        let third = Scene::manifest("newer", "third", "contoso-signalr", "contoso-kv", &options);
        scene.cluster.apply(&third.to_string()).unwrap();
        scene.until_reason("newer", "third", "PendingApproval", LIMIT).await.unwrap();
        // It is not let go with its link, and goes once it is corrected.
        scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", "newer", "--wait=false"]).unwrap();
        let blocked = scene.until_reason("newer", "kv-pe", "DeletionBlocked", LIMIT).await.unwrap();
        assert!(testkit::scene::message(&blocked).contains("force-finalize"), "{blocked}");
        assert!(change("Manage").status.success());
        scene.until_gone("newer", "kv-pe", LIMIT).await.unwrap();
        assert_eq!(scene.azure.link("contoso-signalr", "kv-pe").await.unwrap(), None);
    });
}

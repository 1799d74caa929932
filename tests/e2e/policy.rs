//! Approval policies: what each is told it amounts to, and that a change is noticed at once.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene, condition};
use testkit::{Operator, azure, eventually};

use crate::{LIMIT, operator, run, scene, settings_for_all};

/// A link that asks for automatic approval.
pub fn automatic(namespace: &str, name: &str, signalr: &str, vault: &str) -> String {
    let options = LinkOptions { spec: json!({"approval": {"mode": "Automatic"}}), ..LinkOptions::default() };
    Scene::manifest(namespace, name, signalr, vault, &options).to_string()
}

async fn until_policy(scene: &Scene, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, LIMIT, || async {
        let printed = scene.cluster.kubectl_ok(&["get", "splap", name, "-o", "json"])?;
        let policy: Value = serde_json::from_str(&printed)?;
        Ok(if is_so(&policy) { Ok(policy) } else { Err(policy["status"].to_string()) })
    })
    .await
    .unwrap()
}

#[test]
fn a_policy_says_what_it_permits_and_where_it_is_broad() {
    run(async {
        // A cluster of its own: only an operator that sees all namespaces counts links.
        let scene = &crate::start().await;
        let (ns, signalr, vault) = ("told", "told-signalr", "told-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let seeing_all = Operator::start(&settings_for_all(scene)).unwrap();
        scene.cluster.apply(&Scene::policy("told", ns, signalr, vault, &json!({})).to_string()).unwrap();
        let links = |count: i64| move |p: &Value| p["status"]["permittedLinks"] == count;
        let none = until_policy(scene, "told", "no link", links(0)).await;
        assert_eq!(condition(&none, "Ready").unwrap()["status"], "True");
        assert!(none.pointer("/status/warnings").is_none(), "{none}");

        scene.cluster.apply(&automatic(ns, "kv-pe", signalr, vault)).unwrap();
        scene
            .cluster
            .apply(&Scene::manifest(ns, "by-hand", signalr, vault, &LinkOptions::default()).to_string())
            .unwrap();
        until_policy(scene, "told", "one link", links(1)).await;
        scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap();

        let broad = json!({"endpointSubscriptions": ["*"], "keyVaults": [azure::vault(vault),
            "/subscriptions/*/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/told-kv"]});
        scene.cluster.apply(&Scene::policy("told", ns, signalr, vault, &broad).to_string()).unwrap();
        let warned = until_policy(scene, "told", "warnings", |p| p["status"]["observedGeneration"] == 2).await;
        let said = warned["status"]["warnings"].to_string();
        assert!(said.contains("spec.keyVaults permits any subscription"), "{said}");
        assert!(said.contains("spec.endpointSubscriptions permits private endpoints in any subscription"), "{said}");
        let ready = condition(&warned, "Ready").unwrap();
        assert!(ready["message"].as_str().unwrap().contains("any subscription"), "{ready}");

        // Two that see a part each have nothing to disagree about.
        seeing_all.kill().unwrap();
        scene.namespace("other").unwrap();
        let _parts = [operator(scene, ns), operator(scene, "other")];
        for part in [ns, "other"] {
            let name = format!("seen-in-{part}");
            let link = Scene::manifest(part, &name, signalr, vault, &LinkOptions::default());
            scene.cluster.apply(&link.to_string()).unwrap();
            scene.until_reason(part, &name, "PendingApproval", LIMIT).await.unwrap();
        }
        until_policy(scene, "told", "no count", |p| p["status"]["permittedLinks"].is_null()).await;
        let version =
            async || until_policy(scene, "told", "the policy", |_| true).await["metadata"]["resourceVersion"].clone();
        let at_rest = version().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(version().await, at_rest);
    });
}

#[test]
fn a_label_a_policy_and_its_deletion_are_noticed_at_once() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("labelled", "labelled-signalr", "labelled-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let _operator = operator(scene, ns);
        let by_label = json!({"namespaces": {"selector": {"matchLabels": {"approval": "automatic"}}}});
        let manifest = Scene::policy("labelled", ns, signalr, vault, &by_label).to_string();
        scene.cluster.apply(&automatic(ns, "one", signalr, vault)).unwrap();
        scene.until_reason(ns, "one", "ApprovalDenied", LIMIT).await.unwrap();
        // At this pace a denied link looks again after 6 s at the earliest: what comes within less
        // was noticed.
        let soon = Duration::from_secs(5);
        scene.cluster.apply(&manifest).unwrap();
        scene.cluster.kubectl_ok(&["label", "namespace", ns, "approval=automatic"]).unwrap();
        scene.until_reason(ns, "one", "Approved", soon).await.unwrap();

        // Deleted a moment before the next link asks: nothing is approved.
        scene.cluster.kubectl_ok(&["delete", "splap", "labelled"]).unwrap();
        scene.cluster.apply(&automatic(ns, "two", signalr, vault)).unwrap();
        scene.until_reason(ns, "two", "ApprovalDenied", LIMIT).await.unwrap();
        scene.cluster.apply(&manifest).unwrap();
        scene.until_reason(ns, "two", "Approved", soon).await.unwrap();
        let writes = scene.azure.writes().await.unwrap();
        let ours = writes.iter().filter(|w| w["kind"] == "connection" && w["by"] == "arm");
        let ours = ours.filter(|w| w["id"].as_str().unwrap().contains("labelled-"));
        assert_eq!(ours.count(), 2, "one approval for each");
        scene.cluster.kubectl_ok(&["delete", "splap", "labelled"]).unwrap();
    });
}

#[test]
fn a_policy_of_a_newer_definition_is_told_and_harms_nobody() {
    run(async {
        let scene = crate::start().await;
        let ns = "newer-policy";
        scene.namespace(ns).unwrap();
        scene.azure.add("contoso-signalr", "contoso-kv").await.unwrap();
        let before = operator(&scene, ns);
        let good = Scene::policy("good", ns, "contoso-signalr", "contoso-kv", &json!({}));
        scene.cluster.apply(&good.to_string()).unwrap();
        // A newer definition knows more words than this operator.
        let crd = "approvalpolicies.privatelink.signalr-operator.io";
        let word = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/onUnconfirmed/enum/-";
        let newer = json!([{"op": "add", "path": word, "value": "Alert"}]).to_string();
        scene.cluster.kubectl_ok(&["patch", "crd", crd, "--type=json", "-p", &newer]).unwrap();
        // By name it is the first of all.
        let alert = Scene::policy("a-newer", ns, "contoso-signalr", "contoso-kv", &json!({"onUnconfirmed": "Alert"}));
        eventually("the definition to be taken", LIMIT, || async {
            Ok(scene.cluster.apply(&alert.to_string()).map_err(|error| error.to_string()))
        })
        .await
        .unwrap();
        let told = until_policy(&scene, "a-newer", "the problem", |p| p["status"]["permittedLinks"] == 0).await;
        let said = told["status"]["conditions"][0]["message"].as_str().unwrap();
        assert!(said.contains("nknown variant Alert") && said.contains("permits nothing"), "{said}");
        // Others go on: links are created and approved, now and after a start.
        let automatic = LinkOptions { spec: json!({"approval": {"mode": "Automatic"}}), ..LinkOptions::default() };
        let ready = async |name: &str| {
            let link = Scene::manifest(ns, name, "contoso-signalr", "contoso-kv", &automatic);
            scene.cluster.apply(&link.to_string()).unwrap();
            scene.until_reason(ns, name, "Approved", LIMIT).await.unwrap();
        };
        ready("before").await;
        before.kill().unwrap();
        let after = operator(&scene, ns);
        ready("after").await;
        let version = async || {
            let policy = until_policy(&scene, "a-newer", "the problem", |_| true).await;
            policy["metadata"]["resourceVersion"].clone()
        };
        let at_rest = version().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(version().await, at_rest, "{}", after.log());
    });
}

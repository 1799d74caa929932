//! What the API server itself refuses, in the words that a user reads, beside the neighbouring
//! value that it accepts.

use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};
use testkit::{azure, eventually};

use crate::{LIMIT, run, scene};

const NS: &str = "default";

fn link(name: &str, spec: Value) -> Value {
    Scene::manifest(NS, name, "schema-signalr", "schema-kv", &LinkOptions { spec, annotations: Value::Null })
}

fn policy(name: &str, spec: &Value) -> Value {
    let mut whole = json!({
        "namespaces": {"names": ["contoso"]},
        "signalR": [azure::signalr("*")],
        "keyVaults": [azure::vault("contoso-kv")],
        "endpointSubscriptions": ["4d1c0ffe-0000-4000-8000-00000000cafe"],
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "ApprovalPolicy",
        "metadata": {"name": name}, "spec": whole,
    })
}

/// Asks the API server without leaving anything behind.
fn try_out(scene: &Scene, manifest: &Value) -> Result<String, String> {
    scene.cluster.with_manifest(&["create", "--dry-run=server", "-f", "-"], &manifest.to_string())
}

fn refused(scene: &Scene, manifest: &Value, sentences: &[&str]) {
    let error = try_out(scene, manifest).expect_err(&manifest.to_string());
    for sentence in sentences {
        assert!(error.contains(sentence), "{sentence:?} is missing in: {error}");
    }
}

fn accepted(scene: &Scene, manifest: &Value) {
    try_out(scene, manifest).unwrap_or_else(|error| panic!("{manifest}: {error}"));
}

#[test]
fn defaults_stand_in_the_object() {
    run(async {
        let scene = scene().await;
        scene.cluster.apply(&link("defaults", json!({})).to_string()).unwrap();
        let object = scene.link(NS, "defaults").unwrap().unwrap();
        assert_eq!(object["status"]["observedGeneration"], -1);
        let spec = &object["spec"];
        assert_eq!(spec["approval"], json!({"mode": "Manual", "timeout": "24h"}));
        for (field, value) in [
            ("groupId", "vault"),
            ("managementPolicy", "Manage"),
            ("adoptionPolicy", "FailIfExists"),
            ("deletionPolicy", "Delete"),
            ("syncPeriod", "10m"),
        ] {
            assert_eq!(spec[field], value, "{field}");
        }
        // The API server publishes the schema of a new kind a moment later.
        let explained = eventually("kubectl explain", LIMIT, || async {
            let output = scene.cluster.kubectl(&["explain", "spl.spec"])?;
            Ok(if output.status.success() {
                Ok(String::from_utf8(output.stdout)?)
            } else {
                Err(String::from_utf8(output.stderr)?)
            })
        })
        .await
        .unwrap();
        for words in ["keyVault", "The key vault that is reached", "requestMessage", "-required-"] {
            assert!(explained.contains(words), "{words:?} is missing in: {explained}");
        }
    });
}

#[test]
fn wrong_values_are_refused_with_field_value_and_way_out() {
    run(async {
        let scene = scene().await;
        accepted(scene, &link("kv-pe", json!({})));

        let bad_id =
            "/subscriptions/contoso/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
        refused(
            scene,
            &link("kv-pe", json!({"signalR": {"resourceId": bad_id}})),
            &[
                "spec.signalR.resourceId",
                &format!(
                    "spec.signalR.resourceId {bad_id} is not the resource id of a SignalR; expected /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.SignalRService/signalR/<name>"
                ),
            ],
        );
        let vault = azure::vault("contoso-kv");
        refused(
            scene,
            &link("kv-pe", json!({"signalR": {"resourceId": vault}})),
            &["is not the resource id of a SignalR"],
        );
        // Any letter case will do.
        let shouted = json!({"resourceId": azure::signalr("contoso-signalr").to_uppercase()});
        accepted(scene, &link("kv-pe", json!({"signalR": shouted, "keyVault": {"resourceId": vault.to_uppercase()}})));

        let short = azure::vault("kv");
        refused(
            scene,
            &link("kv-pe", json!({"keyVault": {"resourceId": short}})),
            &[
                "spec.keyVault.resourceId",
                &format!(
                    "spec.keyVault.resourceId {short} is not the resource id of a key vault; expected /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.KeyVault/vaults/<name>"
                ),
            ],
        );
        accepted(scene, &link("kv-pe", json!({"keyVault": {"resourceId": azure::vault("kvx")}})));

        refused(
            scene,
            &link("kv.pe", json!({})),
            &[
                "metadata.name kv.pe cannot be the name of the link in Azure (3 to 63 letters, digits and dashes, beginning with a letter, ending with a letter or digit); set spec.azureName",
            ],
        );
        accepted(scene, &link("kv.pe", json!({"azureName": "kv-pe"})));
        refused(scene, &link("kv-pe", json!({"azureName": "kv_pe"})), &["spec.azureName", "kv_pe", "should match"]);

        refused(scene, &link("kv-pe", json!({"requestMessage": "x".repeat(73)})), &["spec.requestMessage", "72"]);
        accepted(scene, &link("kv-pe", json!({"requestMessage": "x".repeat(72)})));
        refused(
            scene,
            &link("kv-pe", json!({"requestMessage": "bitte bestätigen"})),
            &["spec.requestMessage", "should match"],
        );

        refused(scene, &link("kv-pe", json!({"groupId": "sites"})), &["spec.groupId", "sites", "\"vault\""]);
        refused(
            scene,
            &link("kv-pe", json!({"approval": {"mode": "Auto"}})),
            &["spec.approval.mode", "Auto", "\"Manual\"", "\"Automatic\""],
        );
        refused(
            scene,
            &link("kv-pe", json!({"managementPolicy": "Observe"})),
            &["spec.managementPolicy", "\"ObserveOnly\""],
        );
        refused(scene, &link("kv-pe", json!({"deletionPolicy": "Orphan"})), &["spec.deletionPolicy", "\"Detach\""]);
        refused(scene, &link("kv-pe", json!({"adoptionPolicy": "Take"})), &["spec.adoptionPolicy", "\"Adopt\""]);

        refused(
            scene,
            &link("kv-pe", json!({"syncPeriod": "59s"})),
            &["spec.syncPeriod", "spec.syncPeriod 59s is too short; it is at least 1m"],
        );
        accepted(scene, &link("kv-pe", json!({"syncPeriod": "60s"})));
        refused(scene, &link("kv-pe", json!({"syncPeriod": "-10m"})), &["spec.syncPeriod", "should match"]);
        refused(
            scene,
            &link("kv-pe", json!({"approval": {"timeout": "30s"}})),
            &["spec.approval.timeout 30s is too short; it is at least 1m"],
        );
        accepted(scene, &link("kv-pe", json!({"approval": {"timeout": "1m"}})));
        refused(
            scene,
            &link("kv-pe", json!({"approval": {"timeout": "soon"}})),
            &["spec.approval.timeout", "should match"],
        );
    });
}

#[test]
fn what_cannot_change_is_refused_with_what_to_do() {
    run(async {
        let scene = scene().await;
        let with = |more: Value| {
            let mut spec = json!({"azureName": "kv-pe"});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            link("immutable", spec)
        };
        scene.cluster.apply(&with(json!({})).to_string()).unwrap();
        let change = |manifest: &Value| {
            scene.cluster.with_manifest(&["replace", "--dry-run=server", "-f", "-"], &manifest.to_string())
        };
        let other = |field: &str, value: Value| with(json!({ field: value }));
        for (field, manifest, sentence) in [
            (
                "spec.signalR.resourceId",
                other("signalR", json!({"resourceId": azure::signalr("other")})),
                "spec.signalR is immutable; delete this object and create it again for the other SignalR",
            ),
            (
                "spec.keyVault.resourceId",
                other("keyVault", json!({"resourceId": azure::vault("other-kv")})),
                "spec.keyVault is immutable; delete this object and create it again for the other key vault",
            ),
            (
                "spec.azureName",
                other("azureName", json!("other")),
                "spec.azureName is immutable; delete this object and create it again with the other name",
            ),
            (
                "spec.azureName",
                link("immutable", json!({})),
                "spec.azureName is immutable; delete this object and create it again with the other name",
            ),
            (
                "spec.requestMessage",
                other("requestMessage", json!("other")),
                "spec.requestMessage is immutable; delete this object and create it again with the other message",
            ),
            (
                "spec.requestMessage",
                other("requestMessage", Value::Null),
                "spec.requestMessage is immutable; delete this object and create it again with the other message",
            ),
        ] {
            let error = change(&manifest).expect_err(sentence);
            assert!(error.contains(field) && error.contains(sentence), "{sentence}: {error}");
        }
        let free = with(json!({
            "approval": {"mode": "Automatic", "timeout": "2h"}, "managementPolicy": "ObserveOnly",
            "adoptionPolicy": "Adopt", "deletionPolicy": "Detach", "syncPeriod": "5m",
        }));
        change(&free).unwrap();
        // The same resource in another letter case: Terraform and the portal write it so.
        let upper = |id: String| json!({"resourceId": id.replace("signalR/", "SignalR/").replace("/resourceGroups/", "/resourcegroups/")});
        change(&other("signalR", upper(azure::signalr("Schema-SignalR")))).unwrap();
        change(&other("keyVault", json!({"resourceId": azure::vault("SCHEMA-KV")}))).unwrap();
    });
}

#[test]
fn a_careless_policy_is_refused() {
    run(async {
        let scene = scene().await;
        accepted(scene, &policy("contoso", &json!({})));
        let empty = "spec.namespaces permits nothing: give names, or a selector with at least one label or expression";
        refused(scene, &policy("contoso", &json!({"namespaces": {}})), &["spec.namespaces", empty]);
        refused(scene, &policy("contoso", &json!({"namespaces": {"selector": {}}})), &[empty]);
        accepted(scene, &policy("contoso", &json!({"namespaces": {"selector": {"matchLabels": {"team": "contoso"}}}})));
        refused(scene, &policy("contoso", &json!({"signalR": []})), &["spec.signalR", "at least 1"]);
        let (group, vaults) = ("/resourceGroups/contoso", "/providers/Microsoft.KeyVault/vaults");
        let id = |rest: &str| format!("/subscriptions/00000000-0000-0000-0000-000000000000{rest}");
        for permitted in [
            id("/*"),
            id(&format!("{group}/*")),
            id(&format!("/resourceGroups/team-*{vaults}/*-kv")),
            id(&format!("{group}{vaults}/contoso-kv")).to_uppercase(),
            format!("/subscriptions/*{group}{vaults}/contoso-kv"),
            format!("/subscriptions/*/resourceGroups/*{vaults}/contoso-kv"),
        ] {
            accepted(scene, &policy("contoso", &json!({"keyVaults": [permitted]})));
        }
        let never = "can never match a key vault, or matches everything; give /subscriptions/<guid>/*";
        for careless in [
            "*".to_owned(),
            "/subscriptions/*".to_owned(),
            "/subscriptions/*/*".to_owned(),
            "/subscriptions/*/resourceGroups/*".to_owned(),
            "/subscriptions/*/resourceGroups/*/*".to_owned(),
            format!("/subscriptions/*/resourceGroups/*{vaults}/*"),
            "/subscriptions/0000*/resourceGroups/contoso/*".to_owned(),
            "vaults/*".to_owned(),
            id(group),
            id(&format!("{group}/")),
            id("/resourceGroups/../*"),
            id(&format!("{group}/%2f/*")),
            id(&format!("{group}/{vaults}/contoso-kv")),
            id(&format!("{group}{vaults}/contoso-kv/")),
            id(&format!("{group}{vaults}/contoso-kv/*")),
            id(&format!("{group}{vaults}/c\u{043e}ntoso-kv")),
            id(&format!("{group}/providers/Microsoft.SignalRService/signalR/contoso")),
        ] {
            let wrong = policy("contoso", &json!({"keyVaults": [id("/*"), careless]}));
            refused(scene, &wrong, &["spec.keyVaults", &careless, never]);
        }
        refused(
            scene,
            &policy("contoso", &json!({"signalR": ["*"]})),
            &["spec.signalR *", "can never match a SignalR"],
        );
        refused(
            scene,
            &policy("contoso", &json!({"namespaces": {"names": ["team-*"]}})),
            &["spec.namespaces.names team-* is not the name of a namespace, and names are no patterns"],
        );
        refused(
            scene,
            &policy("contoso", &json!({"endpointSubscriptions": ["*", "4d1c0ffe-0000-4000-8000-00000000cafe"]})),
            &["spec.endpointSubscriptions has * beside ids"],
        );
        refused(
            scene,
            &policy("contoso", &json!({"endpointSubscriptions": []})),
            &["spec.endpointSubscriptions", "at least 1"],
        );
        refused(
            scene,
            &policy("contoso", &json!({"endpointSubscriptions": ["mine"]})),
            &["spec.endpointSubscriptions[0]", "mine", "should match"],
        );
        accepted(scene, &policy("contoso", &json!({"endpointSubscriptions": ["*"]})));
        refused(
            scene,
            &policy("contoso", &json!({"confirmWithin": "14m"})),
            &["spec.confirmWithin 14m is too short; SignalR may take minutes to confirm, so it is at least 15m"],
        );
        accepted(scene, &policy("contoso", &json!({"confirmWithin": "15m"})));
        refused(
            scene,
            &policy("contoso", &json!({"onUnconfirmed": "Ignore"})),
            &["spec.onUnconfirmed", "\"Revoke\"", "\"Hold\""],
        );
    });
}

//! The rights that the chart gives: they are enough, and none of them is too many. The operator lives a whole life as the
//! chart's service account, and the API server's audit log tells what it asked for.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};
use testkit::{Operator, eventually};

use crate::release::{Release, audited};
use crate::{LIMIT, run, scene};

/// A grant that no request made use of.
fn unused(granted: &BTreeSet<(String, String, String)>, requests: &[Value]) -> Vec<(String, String, String)> {
    let uses = |request: &Value, (verb, resource, name): &(String, String, String)| {
        let about = &request["objectRef"];
        let word = |key: &str| about[key].as_str().unwrap_or_default();
        let subresource = about["subresource"].as_str().map(|sub| format!("/{sub}")).unwrap_or_default();
        let asked = format!("{}/{}{subresource}", word("apiGroup"), word("resource"));
        request["verb"] == **verb && asked == *resource && (name.is_empty() || word("name") == name)
    };
    granted.iter().filter(|grant| !requests.iter().any(|request| uses(request, grant))).cloned().collect()
}

/// A life in which everything happens that needs a right.
async fn live(scene: &Scene, release: &Release, ns: &str, watch: &[&str]) {
    let (signalr, vault) = (format!("{ns}-signalr"), format!("{ns}-kv"));
    scene.azure.add(&signalr, &vault).await.unwrap();
    let token_file = scene.cluster.directory().join(format!("token-{ns}"));
    std::fs::write(&token_file, crate::federated_token(scene, release.namespace, Release::account())).unwrap();
    let mut settings = crate::settings_for_all(scene);
    if !watch.is_empty() {
        settings.flags.extend(["--watch-namespaces".into(), watch.join(",")]);
    }
    settings.kubeconfig = scene.cluster.service_account_kubeconfig(release.namespace, Release::account()).unwrap();
    crate::federate(&mut settings, &token_file);
    settings.flags.extend(["--leader-elect".into(), format!("--lease-name={}", Release::account())]);
    let operator = Operator::start(&settings).unwrap();

    scene.cluster.apply(&Scene::policy(ns, ns, &signalr, &vault, &json!({})).to_string()).unwrap();
    let automatic = LinkOptions { spec: json!({"approval": {"mode": "Automatic"}}), ..LinkOptions::default() };
    scene.cluster.apply(&Scene::manifest(ns, "kv-pe", &signalr, &vault, &automatic).to_string()).unwrap();
    scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap();
    eventually("the policy to be told what it permits", LIMIT, || async {
        let told = scene.cluster.get("", "splap", ns)?.unwrap();
        let is_told = testkit::scene::condition(&told, "Ready").is_some_and(|ready| ready["status"] == "True");
        let count = told.pointer("/status/permittedLinks").and_then(Value::as_i64);
        // Only an operator that sees all of them counts links.
        let is_right = is_told && count == watch.is_empty().then_some(1);
        Ok(if is_right { Ok(()) } else { Err(told.to_string()) })
    })
    .await
    .unwrap();
    // An Event that repeats itself becomes a series: the same reason for the second time.
    let connection = scene.azure.connections(&vault).await.unwrap().remove(0);
    let name = connection["name"].as_str().unwrap();
    let id = json!({"id": format!("{}/privateEndpointConnections/{name}", testkit::azure::vault(&vault))});
    for (decision, reason) in [("reject", "Rejected"), ("approve", "Approved")] {
        scene.azure.control("POST", &format!("/connections/{decision}"), &id).await.unwrap();
        scene.until_reason(ns, "kv-pe", reason, LIMIT).await.unwrap();
    }
    scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", ns, "--timeout=60s"]).unwrap();
    assert_eq!(scene.azure.link(&signalr, "kv-pe").await.unwrap(), None);
    assert!(operator.terminate().unwrap().success(), "SIGTERM ends it with exit code 0");
}

#[test]
fn the_chart_s_rights_are_enough_and_none_is_never_used() {
    run(async {
        // A cluster of its own: this operator works on every object that there is.
        let scene = crate::start().await;
        let release = Release::install(&scene, "rights-home", &[]);
        scene.namespace("rights").unwrap();
        live(&scene, &release, "rights", &[]).await;
        let (requests, denied) = audited(&scene, release.namespace);
        assert!(denied.is_empty(), "{denied:#?}");
        let unused = unused(&release.granted(), &requests);
        assert!(unused.is_empty(), "{unused:#?}");
    });
}

#[test]
fn in_some_namespaces_no_right_to_others_is_needed() {
    run(async {
        let scene = scene().await;
        let watched = ["rights-one", "rights-two"];
        watched.iter().for_each(|ns| scene.namespace(ns).unwrap());
        let release = Release::install(scene, "rights-small-home", &watched);
        live(scene, &release, "rights-one", &watched).await;
        let (requests, denied) = audited(scene, release.namespace);
        assert!(denied.is_empty(), "{denied:#?}");
        let account = format!("--as=system:serviceaccount:{}:{}", release.namespace, Release::account());
        let may = |verb: &str, what: &str, ns: &str| {
            let output = scene.cluster.kubectl(&["auth", "can-i", verb, what, "-n", ns, &account]).unwrap();
            String::from_utf8(output.stdout).unwrap().trim() == "yes"
        };
        assert!(may("patch", "spl/status", "rights-two") && !may("get", "spl", "default"));
        assert!(!may("get", "namespaces/default", "default") && !may("list", "namespaces", "default"));
        let unused = unused(&release.granted(), &requests);
        // In the second one there was no object.
        assert!(
            unused.iter().all(|(_, resource, name)| resource == "/namespaces" && name == "rights-two"),
            "{unused:#?}"
        );
    });
}

/// All tests' operators have the rights that the chart gives. This one begins when nearly all of them have ended.
#[test]
fn z_no_request_of_any_test_was_denied() {
    run(async {
        let scene = scene().await;
        let (requests, denied) = audited(scene, crate::HOME);
        assert!(denied.is_empty(), "{denied:#?}");
        let all = std::env::args().len() == 1;
        assert!(!all || requests.len() > 1000, "{} requests: who made the others?", requests.len());
    });
}

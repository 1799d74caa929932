//! Azure in a bad mood: lost answers, refusals, garbage, strangers in between.

use serde_json::{Value, json};
use testkit::azure;
use testkit::scene::{LinkOptions, Scene};

use crate::{LIMIT, operator, run, scene};

/// A namespace with a SignalR and a vault of its own, and one fault that strikes its links.
async fn with_faults(scene: &Scene, ns: &str, faults: &[Value]) -> (String, String) {
    let (signalr, vault) = (format!("{ns}-signalr"), format!("{ns}-kv"));
    scene.namespace(ns).unwrap();
    scene.azure.add(&signalr, &vault).await.unwrap();
    for fault in faults {
        let mut fault = fault.clone();
        fault["path"] = json!(format!("/{ns}-"));
        scene.azure.control("POST", "/faults", &fault).await.unwrap();
    }
    scene.cluster.apply(&Scene::manifest(ns, "kv-pe", &signalr, &vault, &LinkOptions::default()).to_string()).unwrap();
    (signalr, vault)
}

async fn writes(scene: &Scene, ns: &str, method: &str) -> usize {
    let of = |w: &&Value| {
        w["method"] == method && w["by"] == "arm" && w["id"].as_str().unwrap().contains(&format!("/{ns}-"))
    };
    scene.azure.writes().await.unwrap().iter().filter(of).count()
}

#[test]
fn a_lost_answer_is_observed_again_and_not_repeated() {
    run(async {
        let scene = scene().await;
        let lost = [
            json!({"method": "PUT", "when": "after", "kind": "reset"}),
            json!({"method": "DELETE", "when": "after", "kind": "status", "status": 504, "code": "GatewayTimeout"}),
        ];
        let (signalr, vault) = with_faults(scene, "lost", &lost).await;
        let _operator = operator(scene, "lost");
        scene.until_reason("lost", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        scene.azure.owner_approves(&vault, "please approve").await.unwrap();
        scene.until_reason("lost", "kv-pe", "Approved", LIMIT).await.unwrap();
        assert_eq!(writes(scene, "lost", "PUT").await, 1);
        scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", "lost", "--timeout=60s"]).unwrap();
        assert_eq!(scene.azure.link(&signalr, "kv-pe").await.unwrap(), None);
        assert_eq!(writes(scene, "lost", "DELETE").await, 1);
    });
}

#[test]
fn refusals_and_garbage_are_outlived() {
    run(async {
        let scene = scene().await;
        let moods = [
            json!({"method": "GET", "kind": "body", "status": 200, "body": "<html>maintenance</html>"}),
            json!({"method": "GET", "kind": "body", "status": 200, "body": "null"}),
            json!({"method": "GET", "kind": "body", "status": 200, "body": ""}),
            json!({"method": "GET", "kind": "status", "status": 429, "retryAfter": "1"}),
            json!({"method": "GET", "kind": "status", "status": 500}),
            json!({"method": "GET", "kind": "reset"}),
            json!({"method": "GET", "kind": "status", "status": 401, "code": "ExpiredAuthenticationToken"}),
            json!({"method": "PUT", "kind": "status", "status": 409, "code": "Conflict"}),
            json!({"method": "PUT", "kind": "status", "status": 503}),
        ];
        with_faults(scene, "moods", &moods).await;
        let operator = operator(scene, "moods");
        scene.until_reason("moods", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        assert_eq!(writes(scene, "moods", "PUT").await, 1);
        assert!(!operator.log().contains("panicked"));
    });
}

#[test]
fn a_link_that_vanishes_is_created_again_and_a_rejected_one_is_not() {
    run(async {
        let scene = scene().await;
        let (signalr, vault) = with_faults(scene, "drift", &[]).await;
        let _operator = operator(scene, "drift");
        scene.until_reason("drift", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        scene.azure.owner_approves(&vault, "please approve").await.unwrap();
        scene.until_reason("drift", "kv-pe", "Approved", LIMIT).await.unwrap();

        let id = format!("{}/sharedPrivateLinkResources/kv-pe", azure::signalr(&signalr));
        scene.azure.control("POST", "/links/delete", &json!({"id": id})).await.unwrap();
        scene.until_reason("drift", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        assert_eq!(writes(scene, "drift", "PUT").await, 2);

        let body = json!({"vault": azure::vault(&vault), "message": "please approve"});
        scene.azure.control("POST", "/connections/reject", &body).await.unwrap();
        scene.until_reason("drift", "kv-pe", "Rejected", LIMIT).await.unwrap();
        assert_eq!(writes(scene, "drift", "PUT").await, 2, "a decision of the owner's is not overridden");

        let annotate =
            ["annotate", "spl", "kv-pe", "-n", "drift", "privatelink.signalr-operator.io/recreate-requested-at=1"];
        scene.cluster.kubectl_ok(&annotate).unwrap();
        scene.until_reason("drift", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        assert_eq!((writes(scene, "drift", "PUT").await, writes(scene, "drift", "DELETE").await), (3, 1));
    });
}

#[test]
fn oversized_body() {
    run(async {
        let scene = scene().await;
        let huge =
            json!({"method": "GET", "kind": "body", "status": 200, "body": "x".repeat(1024), "repeat": 9 * 1024});
        with_faults(scene, "oversized", &[huge]).await;
        let _operator = operator(scene, "oversized");
        let told = testkit::eventually("the body to be refused", LIMIT, || async {
            let events = ["get", "events", "-n", "oversized", "-o", "jsonpath={.items[*].note}{.items[*].message}"];
            let events = scene.cluster.kubectl_ok(&events)?;
            Ok(if events.contains("longer than 8 MiB") { Ok(()) } else { Err(events) })
        });
        told.await.unwrap();
        scene.until_reason("oversized", "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    });
}

#[test]
fn an_absurd_retry_after_is_capped_and_told() {
    run(async {
        let scene = scene().await;
        let absurd = json!({"method": "GET", "kind": "status", "status": 429, "retryAfter": "999999"});
        with_faults(scene, "absurd", &[absurd]).await;
        let _operator = operator(scene, "absurd");
        let object = scene.until_reason("absurd", "kv-pe", "Throttled", LIMIT).await.unwrap();
        let said = testkit::scene::message(&object);
        assert!(said.contains("Retry-After asks for 999999s, which is taken as 10m"), "{said}");
    });
}

/// Microsoft's own words are long: the Event of a missing right has to arrive all the same, cut to what Kubernetes
/// takes; and a right that was given moments ago is waited for.
#[test]
fn the_event_of_a_missing_right_arrives_and_is_no_failure_at_once() {
    run(async {
        let (scene, ns) = (scene().await, "norights");
        let guid = "00000000-0000-0000-0000-000000000000";
        let words = format!(
            "The client '{guid}' with object id '{guid}' does not have authorization to perform action 'Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read' over scope '{}' or the scope is invalid. If access was recently granted, please refresh your credentials. {}",
            azure::signalr("norights-signalr"),
            "é".repeat(300)
        );
        let body = json!({"error": {"code": "AuthorizationFailed", "message": words}}).to_string();
        let denied = json!({"method": "GET", "kind": "body", "status": 403, "body": body, "count": 3});
        with_faults(scene, ns, &[denied]).await;
        let _operator = operator(scene, ns);
        let object = scene.until_reason(ns, "kv-pe", "AuthorizationFailed", LIMIT).await.unwrap();
        assert!(testkit::scene::condition(&object, "Reconciling").is_some(), "{object}");
        assert!(testkit::scene::condition(&object, "Stalled").is_none(), "{object}");
        let said = testkit::scene::message(&object);
        assert!(said.contains("does not have authorization"), "ARM's own words come first: {said}");
        testkit::eventually("the Event", LIMIT, || async {
            let events = scene.cluster.kubectl_ok(&["get", "events", "-n", ns, "-o", "json"])?;
            let events: Value = serde_json::from_str(&events)?;
            let found = events["items"].as_array().unwrap().iter().any(|event| {
                event["reason"] == "AuthorizationFailed"
                    && event["type"] == "Warning"
                    && event["message"].as_str().is_some_and(|m| m.contains("does not have authorization"))
            });
            Ok(if found { Ok(()) } else { Err(events.to_string()) })
        })
        .await
        .unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    });
}

//! Deletion ends well with Azure in any mood, and takes with it nothing that is not ours.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::azure;
use testkit::scene::{LinkOptions, Scene, condition, message};

use crate::{LIMIT, operator, run, scene};

const FORCE: &str = "privatelink.signalr-operator.io/force-finalize";

/// A namespace with a SignalR and a vault of its own.
struct Place {
    scene: &'static Scene,
    ns: &'static str,
    signalr: String,
    vault: String,
}

impl Place {
    async fn new(ns: &'static str) -> Self {
        let scene = scene().await;
        let (signalr, vault) = (format!("{ns}-signalr"), format!("{ns}-kv"));
        scene.namespace(ns).unwrap();
        scene.azure.add(&signalr, &vault).await.unwrap();
        Self { scene, ns, signalr, vault }
    }

    fn apply(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest = Scene::manifest(self.ns, "kv-pe", &self.signalr, &self.vault, &LinkOptions::default());
        change(&mut manifest);
        self.scene.cluster.apply(&manifest.to_string()).unwrap();
    }

    async fn until(&self, reason: &str) -> Value {
        self.scene.until_reason(self.ns, "kv-pe", reason, LIMIT).await.unwrap()
    }

    fn delete(&self) {
        self.kubectl(&["delete", "spl", "kv-pe", "-n", self.ns, "--wait=false"]);
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.scene.cluster.kubectl_ok(arguments).unwrap()
    }

    async fn gone(&self) {
        self.scene.until_gone(self.ns, "kv-pe", LIMIT).await.unwrap();
    }

    async fn link(&self) -> Option<Value> {
        self.scene.azure.link(&self.signalr, "kv-pe").await.unwrap()
    }

    async fn control(&self, method: &str, path: &str, body: Value) {
        self.scene.azure.control(method, path, &body).await.unwrap();
    }

    /// A fault on every request of this kind to this place's resources.
    async fn fault(&self, method: &str, status: u16, code: &str, count: u64) {
        let fault = json!({"method": method, "path": format!("/{}-", self.ns), "count": count, "kind": "status",
            "status": status, "code": code, "message": "in the way"});
        self.control("POST", "/faults", fault).await;
    }
}

#[test]
fn a_lock_blocks_the_deletion_with_reason_and_way_out_until_it_is_removed() {
    run(async {
        let place = Place::new("locked").await;
        let _operator = operator(place.scene, place.ns);
        place.apply(|_| {});
        place.until("PendingApproval").await;
        place.fault("DELETE", 409, "ScopeLocked", 2).await;
        place.delete();
        let blocked = place.until("DeletionBlocked").await;
        let said = message(&blocked);
        let uid = blocked["metadata"]["uid"].as_str().unwrap();
        assert!(said.contains("a management lock forbids it") && said.contains("in the way"), "{said}");
        assert!(said.contains(&format!("{FORCE}: \"{uid}\"")), "{said}");
        assert_eq!(condition(&blocked, "Reconciling").unwrap()["status"], "True");
        place.gone().await;
        assert_eq!(place.link().await, None);
    });
}

#[test]
fn force_finalize_needs_this_objects_own_uid_and_leaves_azure_as_it_is() {
    run(async {
        let place = Place::new("forced").await;
        let _operator = operator(place.scene, place.ns);
        place.apply(|_| {});
        let object = place.until("PendingApproval").await;
        place.fault("GET", 403, "AuthorizationFailed", 100_000).await;
        place.delete();
        place.until("DeletionBlocked").await;
        let annotate = |value: &str| {
            place.kubectl(&["annotate", "spl", "kv-pe", "-n", place.ns, "--overwrite", &format!("{FORCE}={value}")])
        };
        annotate("ffffffff-ffff-ffff-ffff-ffffffffffff");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(place.scene.link(place.ns, "kv-pe").unwrap().is_some(), "another uid lets nothing go");
        annotate(object["metadata"]["uid"].as_str().unwrap());
        place.gone().await;
        assert!(place.link().await.is_some(), "Azure is left as it is");
    });
}

#[test]
fn a_foreign_finalizer_stays_and_ours_goes() {
    run(async {
        let place = Place::new("foreignfinalizer").await;
        let _operator = operator(place.scene, place.ns);
        place.apply(|m| m["metadata"]["finalizers"] = json!(["example.com/theirs"]));
        place.until("PendingApproval").await;
        place.delete();
        let freed = testkit::eventually("our finalizer to go", LIMIT, || async {
            let object = place.scene.link(place.ns, "kv-pe")?.unwrap();
            let finalizers = object["metadata"]["finalizers"].clone();
            Ok(if finalizers == json!(["example.com/theirs"]) { Ok(object) } else { Err(finalizers.to_string()) })
        });
        freed.await.unwrap();
        assert_eq!(place.link().await, None);
        let patch = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
        place.kubectl(&["patch", "spl", "kv-pe", "-n", place.ns, "--type=json", "-p", patch]);
        place.gone().await;
    });
}

#[test]
fn detach_observe_only_and_foreign_links_are_left_alone() {
    run(async {
        for (ns, spec) in [
            ("detach", json!({"deletionPolicy": "Detach"})),
            ("adopted", json!({"adoptionPolicy": "Adopt"})),
            ("foreign", json!({})),
            ("observed", json!({"managementPolicy": "ObserveOnly"})),
        ] {
            let place = Place::new(ns).await;
            let _operator = operator(place.scene, place.ns);
            if ns != "detach" {
                let id = format!("{}/sharedPrivateLinkResources/kv-pe", azure::signalr(&place.signalr));
                let properties = json!({"groupId": "vault", "privateLinkResourceId": azure::vault(&place.vault),
                    "requestMessage": "somebody else's"});
                place.control("POST", "/links", json!({"id": id, "properties": properties})).await;
            }
            place.apply(|m| m["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone()));
            let reason = match ns {
                "foreign" => "AlreadyExists",
                "observed" => "ObserveOnly",
                _ if ns == "adopted" => "WaitingForConnection",
                _ => "PendingApproval",
            };
            place.until(reason).await;
            place.delete();
            place.gone().await;
            assert!(place.link().await.is_some(), "{ns}: the link was not ours to delete");
        }
    });
}

#[test]
fn what_is_gone_is_gone_and_what_was_never_there_holds_nothing() {
    run(async {
        let place = Place::new("parent").await;
        let _operator = operator(place.scene, place.ns);
        place.apply(|_| {});
        place.until("PendingApproval").await;
        place.control("DELETE", "/signalr", json!({"resourceId": azure::signalr(&place.signalr)})).await;
        place.delete();
        place.gone().await;

        // Without its SignalR nothing was ever written, so nothing is waited for.
        place.apply(|_| {});
        let missing = place.until("SignalRNotFound").await;
        assert_eq!(missing["metadata"]["finalizers"], Value::Null);
        place.delete();
        place.scene.until_gone(place.ns, "kv-pe", Duration::from_secs(3)).await.unwrap();
    });
}

#[test]
fn deletion_in_the_middle_of_the_creation_leaves_no_link_behind() {
    run(async {
        let place = Place::new("midway").await;
        let azure = crate::azure_creating_in(place.scene, crate::SLOW_MS).await;
        azure.add(&place.signalr, &place.vault).await.unwrap();
        let _operator = testkit::Operator::start(&crate::settings_for(place.scene, &azure, place.ns)).unwrap();
        place.apply(|_| {});
        place.until("Creating").await;
        place.delete();
        place.gone().await;
        assert_eq!(azure.link(&place.signalr, "kv-pe").await.unwrap(), None);
    });
}

#[test]
fn it_works_in_a_namespace_that_is_being_terminated() {
    run(async {
        let place = Place::new("terminating").await;
        let _operator = operator(place.scene, place.ns);
        place.apply(|_| {});
        place.until("PendingApproval").await;
        place.kubectl(&["delete", "namespace", place.ns, "--wait=false"]);
        place.delete();
        place.gone().await;
        assert_eq!(place.link().await, None);
    });
}

#[test]
fn an_annotation_acts_at_once_also_in_backoff() {
    run(async {
        let place = Place::new("impatient").await;
        // At pace 1 a SignalR that is not found is looked at again after five minutes.
        let mut settings = crate::settings(place.scene, place.ns);
        let pace = settings.flags.iter().position(|flag| flag == "--pace").unwrap();
        settings.flags[pace + 1] = "1".into();
        let _operator = testkit::Operator::start(&settings).unwrap();
        place.control("DELETE", "/signalr", json!({"resourceId": azure::signalr(&place.signalr)})).await;
        place.apply(|_| {});
        place.until("SignalRNotFound").await;
        let body = json!({"resourceId": azure::signalr(&place.signalr)});
        place.scene.azure.control("POST", "/signalr", &body).await.unwrap();
        let soon = Duration::from_secs(10);
        let ask = |annotation: &str| place.kubectl(&["annotate", "spl", "kv-pe", "-n", place.ns, annotation]);
        ask("privatelink.signalr-operator.io/reconcile-requested-at=1");
        let seen = place.scene.until_reason(place.ns, "kv-pe", "Creating", soon).await.unwrap();
        assert_eq!(seen.pointer("/status/lastHandledReconcileAt").unwrap(), "1", "{seen}");
        // Also where what was seen changes nothing of what is said: that the SignalR is gone is not proven yet.
        place.control("DELETE", "/signalr", body).await;
        ask("reconcile.fluxcd.io/requestedAt=2");
        testkit::eventually("the echo", soon, || async {
            let seen = place.scene.link(place.ns, "kv-pe")?.unwrap();
            let echoed = seen.pointer("/status/lastHandledReconcileAt").is_some_and(|at| at == "2");
            Ok(if echoed { Ok(()) } else { Err(seen.to_string()) })
        })
        .await
        .unwrap();
    });
}

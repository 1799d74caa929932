//! Approval end to end: attacks against the operator's own process, and the rights it needs. Each
//! test has a simulator of its own, for its moods and its grants.

use std::collections::BTreeSet;

use azure_sim::Config;
use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene, condition, message};
use testkit::{Azure, Operator, azure, eventually};

use crate::policy::automatic;
use crate::{LIMIT, config, run, scene, settings_for};

/// A simulator of its own, with a namespace, a SignalR, a vault and a policy.
struct Stage {
    scene: &'static Scene,
    azure: Azure,
    ns: &'static str,
    signalr: String,
    vault: String,
}

impl Stage {
    async fn new(ns: &'static str, change: impl FnOnce(&mut Config)) -> Self {
        let scene = scene().await;
        let mut config = config();
        change(&mut config);
        let azure = Azure::start(config, scene.cluster.directory()).await.unwrap();
        let (signalr, vault) = (format!("{ns}-signalr"), format!("{ns}-kv"));
        azure.add(&signalr, &vault).await.unwrap();
        scene.namespace(ns).unwrap();
        let stage = Self { scene, azure, ns, signalr, vault };
        scene.cluster.apply(&Scene::policy(ns, ns, &stage.signalr, &stage.vault, &json!({})).to_string()).unwrap();
        stage
    }

    fn operator(&self) -> Operator {
        Operator::start(&settings_for(self.scene, &self.azure, self.ns)).unwrap()
    }

    fn apply(&self, name: &str) {
        self.scene.cluster.apply(&automatic(self.ns, name, &self.signalr, &self.vault)).unwrap();
    }

    async fn until(&self, name: &str, reason: &str) -> Value {
        self.scene.until_reason(self.ns, name, reason, LIMIT).await.unwrap()
    }

    /// The link's message, as soon as SignalR says Succeeded.
    async fn message_of_link(&self, name: &str) -> String {
        eventually("the link to be Succeeded", LIMIT, || async {
            let link = self.azure.link(&self.signalr, name).await?.unwrap_or_default();
            let text = |field: &str| link[field].as_str().unwrap_or_default().to_owned();
            Ok(if text("provisioning") == "Succeeded" { Ok(text("message")) } else { Err(link.to_string()) })
        })
        .await
        .unwrap()
    }

    async fn stranger(&self, message: &str, subscription: &str, count: usize) {
        let body = json!({"vault": azure::vault(&self.vault), "message": message,
            "endpointSubscription": subscription, "count": count});
        self.azure.control("POST", "/strangers", &body).await.unwrap();
    }

    async fn connections(&self, stranger: bool) -> Vec<Value> {
        let all = self.azure.connections(&self.vault).await.unwrap();
        all.into_iter().filter(|c| (c["openedBy"] == "stranger") == stranger).collect()
    }

    fn events(&self, reason: &str) -> usize {
        let all = ["get", "events", "-n", self.ns, "-o", "jsonpath={.items[*].reason}"];
        let all = self.scene.cluster.kubectl_ok(&all).unwrap();
        all.split_whitespace().filter(|r| *r == reason).count()
    }
}

#[test]
fn a_copy_that_was_alone_in_both_lists_ends_revoked_also_across_a_kill() {
    run(async {
        let stage = Stage::new("exception", |config| config.timings.appear_ms = 6_000).await;
        let operator = stage.operator();
        stage.apply("kv-pe");
        let copied = stage.message_of_link("kv-pe").await;
        stage.stranger(&copied, azure::MICROSOFT, 1).await;
        stage.until("kv-pe", "WaitingForPropagation").await;
        operator.kill().unwrap();
        let _operator = stage.operator();
        let alarmed = stage.until("kv-pe", "ApprovalUnconfirmed").await;
        eventually("the revocation", LIMIT, || async {
            let state = stage.connections(true).await[0]["status"].clone();
            Ok(if state == "Rejected" { Ok(()) } else { Err(state.to_string()) })
        })
        .await
        .unwrap();
        assert_eq!(condition(&alarmed, "Stalled").unwrap()["status"], "True");
        let copy = stage.connections(true).await.remove(0);
        assert!(copy["description"].as_str().unwrap().contains(" revoked for exception/kv-pe "), "{copy}");
        assert_eq!(stage.connections(false).await[0]["status"], "Pending", "ours is not approved after that");
        assert_eq!((stage.events("ConnectionApproved"), stage.events("ApprovalRevoked")), (1, 1));
        let said = eventually("the way back in status", LIMIT, || async {
            let object = stage.scene.link(stage.ns, "kv-pe")?.unwrap();
            let revoked = object.pointer("/status/approval/revokedAt").is_some();
            let said = message(&object);
            Ok(if revoked && said.contains("recreate-requested-at") { Ok(said) } else { Err(object.to_string()) })
        })
        .await
        .unwrap();
        assert!(said.contains("Nothing is approved automatically for this request again"), "{said}");

        // The way on: a new incarnation with a nonce that nobody has copied.
        let annotate = "privatelink.signalr-operator.io/recreate-requested-at=now";
        stage.scene.cluster.kubectl_ok(&["annotate", "spl", "kv-pe", "-n", stage.ns, annotate]).unwrap();
        stage.until("kv-pe", "Approved").await;
        assert_eq!(stage.connections(true).await[0]["status"], "Rejected");
    });
}

#[test]
fn a_copy_beside_our_request_stops_everything_and_no_command_is_printed() {
    run(async {
        let stage = Stage::new("copied", |_| {}).await;
        let manual = Scene::manifest(stage.ns, "manual", &stage.signalr, &stage.vault, &LinkOptions::default());
        let _operator = stage.operator();
        for name in ["automatic", "manual"] {
            if name == "manual" {
                stage.scene.cluster.apply(&manual.to_string()).unwrap();
            } else {
                stage.apply(name);
            }
            let copied = stage.message_of_link(name).await;
            stage.stranger(&copied, azure::MICROSOFT, 1).await;
            let stopped = stage.until(name, "ApprovalAmbiguous").await;
            let said = message(&stopped);
            assert!(said.contains("somebody copied it") && said.contains("first seen 20"), "{said}");
            assert!(!said.contains("approve --id"), "{said}");
        }
        assert!(stage.connections(true).await.iter().all(|c| c["status"] == "Pending"));
    });
}

#[test]
fn our_request_is_found_among_ten_thousand_in_pages_and_no_page_leads_elsewhere() {
    run(async {
        let stage = Stage::new("crowd", |config| config.quirks.page_size = 1_000).await;
        stage.stranger("please approve", azure::MICROSOFT, 10_000).await;
        let _operator = stage.operator();
        stage.apply("kv-pe");
        let ready = stage.until("kv-pe", "Approved").await;
        assert_eq!(ready.pointer("/status/approval/approvedBy").unwrap(), "Operator");
        assert!(stage.connections(true).await.iter().all(|c| c["status"] == "Pending"));

        stage.azure.control("PATCH", "/quirks", &json!({"nextLinkHost": "https://attacker.example"})).await.unwrap();
        stage.apply("another");
        let waiting = stage.until("another", "TransientError").await;
        let said = message(&waiting);
        assert!(said.contains("attacker.example is not the configured"), "{said}");
    });
}

/// The actions of a shipped role, granted at a scope.
pub fn role(file: &str, scope: &str) -> (Value, Vec<String>) {
    let path = testkit::tools::root().join("deploy/azure/roles").join(file);
    let role: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let actions: Vec<String> = serde_json::from_value(role["Actions"].clone()).unwrap();
    let expected = if file.starts_with("link") {
        signalr_private_link_core::failure::LINK_MANAGER
    } else {
        signalr_private_link_core::failure::CONNECTION_APPROVER
    };
    assert_eq!(role["Name"], expected, "the messages name the role as it is shipped");
    (json!({"actions": actions, "scope": scope}), actions)
}

#[test]
fn the_shipped_roles_grant_what_is_needed_and_nothing_else() {
    run(async {
        let stage = Stage::new("roles", |_| {}).await;
        let (vault, group) =
            (azure::vault(&stage.vault), format!("/subscriptions/{}/resourceGroups/contoso", azure::SUBSCRIPTION));
        let (manager, manages) = role("link-manager.json", &group);
        let (approver, approves) = role("connection-approver.json", &vault);
        let grant = |grants: Vec<Value>| {
            let grants = Value::Array(grants);
            let azure = &stage.azure;
            async move { azure.control("PUT", "/permissions", &grants).await.unwrap() }
        };
        // Nothing granted: the message holds the command that helps.
        grant(vec![]).await;
        let operator = stage.operator();
        stage.apply("kv-pe");
        let identity = Config::preset().client_id;
        let said = message(&stage.until("kv-pe", "AuthorizationFailed").await);
        let command = format!(
            "az role assignment create --assignee-object-id {identity} --assignee-principal-type ServicePrincipal --role \"SignalR Shared Private Link Manager\" --scope {}",
            azure::signalr(&stage.signalr)
        );
        assert!(said.contains(&command) && said.contains("sharedPrivateLinkResources/read"), "{said}");

        // The link needs no rights on the vault; the approval does.
        grant(vec![manager.clone()]).await;
        let denied = stage.until("kv-pe", "ApprovalNotAuthorized").await;
        let said = message(&denied);
        let command = format!(
            "az role assignment create --assignee-object-id {identity} --assignee-principal-type ServicePrincipal --role \"Key Vault Private Endpoint Connection Approver\" --scope {vault}"
        );
        assert!(said.contains(&command), "{said}");
        assert!(said.contains("Microsoft.KeyVault/vaults/privateEndpointConnections/read"), "{said}");
        assert_eq!(denied.pointer("/status/provisioningState").unwrap(), "Succeeded");
        stage
            .scene
            .cluster
            .apply(
                &Scene::manifest(stage.ns, "manual", &stage.signalr, &stage.vault, &LinkOptions::default()).to_string(),
            )
            .unwrap();
        let said = message(&stage.until("manual", "PendingApproval").await);
        assert!(said.contains("Networking > Private endpoint connections") && said.contains("[k8s:"), "{said}");

        // Reading alone is not deciding.
        let read_only = json!({"actions": ["Microsoft.KeyVault/vaults/privateEndpointConnections/*"], "scope": vault});
        grant(vec![manager.clone(), read_only]).await;
        let said = eventually("the missing consent to be named", LIMIT, || async {
            let said = message(&stage.scene.link(stage.ns, "kv-pe")?.unwrap());
            Ok(if said.contains("PrivateEndpointConnectionsApproval/action") { Ok(said) } else { Err(said) })
        })
        .await
        .unwrap();
        assert!(said.to_lowercase().contains(&command.to_lowercase()), "{said}");

        // Both roles: a whole life, in which every granted action is used, and none is refused.
        grant(vec![manager, approver]).await;
        stage.azure.control("DELETE", "/requests", &Value::Null).await.unwrap();
        stage.until("kv-pe", "Approved").await;
        stage.apply("second");
        stage.until("second", "Approved").await;
        // Only of an operation that failed ARM is asked for the words.
        let failing = format!("{}/sharedPrivateLinkResources/failing", azure::signalr(&stage.signalr));
        let outcome = json!({"id": failing, "outcome": "Failed", "code": "InternalError", "message": "a bad day"});
        stage.azure.control("POST", "/outcomes", &outcome).await.unwrap();
        stage.apply("failing");
        let said = message(&stage.until("failing", "OperationFailed").await);
        assert!(said.contains("InternalError: a bad day"), "{said}");
        for name in ["kv-pe", "second", "manual", "failing"] {
            stage.scene.cluster.kubectl_ok(&["delete", "spl", name, "-n", stage.ns, "--timeout=60s"]).unwrap();
        }
        let log = stage.azure.control("GET", "/requests", &Value::Null).await.unwrap();
        let log = log.as_array().unwrap();
        let refused: Vec<&Value> = log.iter().filter(|r| r["status"] == 403).collect();
        assert!(refused.is_empty(), "needed but not granted: {refused:#?}");
        let of = |r: &Value| -> Vec<String> { serde_json::from_value(r["actions"].clone()).unwrap() };
        let used: BTreeSet<String> = log.iter().flat_map(of).map(|a| a.to_lowercase()).collect();
        let granted: BTreeSet<String> = manages.iter().chain(&approves).map(|a| a.to_lowercase()).collect();
        assert_eq!(granted.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "granted but never used");
        assert_eq!(used.difference(&granted).collect::<Vec<_>>(), Vec::<&String>::new(), "used but not granted");
        no_secret_is_in_any_output(&stage, &operator);
    });
}

/// Everything that the operator wrote or had written: the log at its most talkative, objects with
/// their status, Events.
fn no_secret_is_in_any_output(stage: &Stage, operator: &Operator) {
    let everything = ["get", "spl,splap,events", "-A", "-o", "yaml"];
    let written = stage.scene.cluster.kubectl_ok(&everything).unwrap() + &operator.log();
    assert!(written.contains("sharedPrivateLinkResources"), "there is something to look at");
    let secret = Config::preset().client_secret;
    // Every token of the simulator's, as of Entra's, begins like this: {" in base64.
    for hidden in [secret.as_str(), "eyJ", "Bearer "] {
        assert!(!written.contains(hidden), "{hidden} is in the operator's output");
    }
}

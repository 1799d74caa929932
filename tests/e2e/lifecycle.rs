//! From a manifest to a working link and back.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::metrics::Scrape;
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene, condition, message};
use testkit::{azure, eventually};

use crate::{LIMIT, operator, run, scene};

fn policy(name: &str, namespace: &str, signalr: &str, vault: &str) -> Value {
    Scene::policy(name, namespace, signalr, vault, &json!({}))
}

#[test]
fn manual_approval_reaches_ready_and_deletion_ends() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("manual", "manual-signalr", "manual-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let _operator = operator(scene, ns);
        let manifest = Scene::manifest(ns, "kv-pe", signalr, vault, &LinkOptions::default());
        scene.cluster.apply(&manifest.to_string()).unwrap();

        let pending = scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        let connection = pending.pointer("/status/keyVaultConnection/id").unwrap().as_str().unwrap();
        let said = message(&pending);
        assert!(said.contains(&format!("az network private-endpoint-connection approve --id {connection}")), "{said}");
        assert!(said.contains("4d1c0ffe-0000-4000-8000-00000000cafe"), "{said}");
        assert_eq!(condition(&pending, "Reconciling").unwrap()["status"], "True");

        scene.azure.owner_approves(vault, "please approve").await.unwrap();
        let ready = scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap();
        assert_eq!(condition(&ready, "Ready").unwrap()["status"], "True");
        assert_eq!(ready.pointer("/status/approval/approvedBy").unwrap(), "External");
        assert_eq!(ready.pointer("/status/provisioningState").unwrap(), "Succeeded");
        assert_eq!(ready.pointer("/status/connectionState").unwrap(), "Approved");
        assert!(condition(&ready, "Reconciling").is_none());
        let resource_version: u64 =
            ready.pointer("/metadata/resourceVersion").unwrap().as_str().unwrap().parse().unwrap();
        assert!(resource_version > 0);

        scene.cluster.kubectl_ok(&["delete", "spl", "kv-pe", "-n", ns, "--wait=false"]).unwrap();
        scene.until_gone(ns, "kv-pe", LIMIT).await.unwrap();
        assert_eq!(scene.azure.link(signalr, "kv-pe").await.unwrap(), None);
        assert!(scene.azure.connections(vault).await.unwrap().is_empty());
    });
}

#[test]
fn automatic_approval_needs_a_policy_and_leaves_strangers_alone() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("automatic", "automatic-signalr", "automatic-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let stranger = json!({"vault": azure::vault(vault), "message": "please approve"});
        scene.azure.control("POST", "/strangers", &stranger).await.unwrap();
        let _operator = operator(scene, ns);
        let options = LinkOptions { spec: json!({"approval": {"mode": "Automatic"}}), ..LinkOptions::default() };
        let manifest = Scene::manifest(ns, "kv-pe", signalr, vault, &options);
        scene.cluster.apply(&manifest.to_string()).unwrap();

        let denied = scene.until_reason(ns, "kv-pe", "ApprovalDenied", LIMIT).await.unwrap();
        assert_eq!(condition(&denied, "Stalled").unwrap()["status"], "True");

        scene.cluster.apply(&policy("automatic", ns, signalr, vault).to_string()).unwrap();
        let ready = scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap();
        assert_eq!(ready.pointer("/status/approval/approvedBy").unwrap(), "Operator");
        assert_eq!(ready.pointer("/status/approval/policy").unwrap(), "automatic@1");

        let connections = scene.azure.connections(vault).await.unwrap();
        let state = |stranger: bool| {
            let of = |c: &&Value| (c["openedBy"] == "stranger") == stranger;
            connections.iter().filter(of).map(|c| c["status"].as_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((state(true), state(false)), (vec!["Pending"], vec!["Approved"]));
        let approved = connections.iter().find(|c| c["status"] == "Approved").unwrap();
        let description = approved["description"].as_str().unwrap();
        assert!(description.contains(" approved for automatic/kv-pe "), "{description}");

        let events =
            scene.cluster.kubectl_ok(&["get", "events", "-n", ns, "-o", "jsonpath={.items[*].reason}"]).unwrap();
        assert_eq!(events.matches("ConnectionApproved").count(), 1, "{events}");
    });
}

#[test]
fn a_settled_link_causes_no_write_of_any_kind_over_100_passes() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("idle", "idle-signalr", "idle-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let mut settings = crate::settings(scene, ns);
        // A minute of the operator's is 60 ms: a hundred looks take some seconds.
        settings.flags.extend(["--pace", "0.001"].map(str::to_owned));
        settings.flags.drain(0..2);
        let _operator = testkit::Operator::start(&settings).unwrap();
        let options = LinkOptions { spec: json!({"syncPeriod": "1m"}), ..LinkOptions::default() };
        scene.cluster.apply(&Scene::manifest(ns, "kv-pe", signalr, vault, &options).to_string()).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        scene.azure.owner_approves(vault, "please approve").await.unwrap();
        let before = scene.until_reason(ns, "kv-pe", "Approved", LIMIT).await.unwrap();
        let reads = || async {
            let all = scene.azure.control("GET", "/requests", &Value::Null).await?;
            let ours = |r: &&Value| r["path"].as_str().unwrap_or_default().to_lowercase().contains("idle-");
            let ours: Vec<Value> = all.as_array().unwrap().iter().filter(ours).cloned().collect();
            anyhow::Ok(ours)
        };
        let first = reads().await.unwrap().len();
        let later = eventually("100 passes", LIMIT, || async {
            let now = reads().await?;
            Ok(if now.len() >= first + 100 { Ok(now) } else { Err(format!("{} reads", now.len() - first)) })
        })
        .await
        .unwrap();
        assert!(later[first..].iter().all(|r| r["method"] == "GET"), "only reads");
        let after = scene.link(ns, "kv-pe").unwrap().unwrap();
        assert_eq!(before.pointer("/metadata/resourceVersion"), after.pointer("/metadata/resourceVersion"));
    });
}

#[test]
fn the_metrics_count_writes_and_calls() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("counted", "counted-signalr", "counted-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        scene.cluster.apply(&policy("counted", ns, signalr, vault).to_string()).unwrap();
        let metrics = format!("127.0.0.1:{}", testkit::free_port().unwrap());
        let mut settings = crate::settings(scene, ns);
        settings.environment.push(("METRICS_ADDRESS".into(), metrics.clone()));
        settings.flags.retain(|flag| flag != "--metrics-address");
        settings.flags.remove(settings.flags.iter().position(|flag| flag == "0").unwrap());
        let _operator = testkit::Operator::start(&settings).unwrap();
        for (name, mode) in [("manual", "Manual"), ("automatic", "Automatic")] {
            let before = Scrape::read(&metrics).await.unwrap_or_default();
            let options = LinkOptions { spec: json!({"approval": {"mode": mode}}), ..LinkOptions::default() };
            scene.cluster.apply(&Scene::manifest(ns, name, signalr, vault, &options).to_string()).unwrap();
            if mode == "Manual" {
                scene.until_reason(ns, name, "PendingApproval", LIMIT).await.unwrap();
                scene.azure.owner_approves(vault, "please approve").await.unwrap();
            }
            scene.until_reason(ns, name, "Approved", LIMIT).await.unwrap();
            let after = Scrape::read(&metrics).await.unwrap();
            let writes = after.kubernetes_writes() - before.kubernetes_writes();
            let calls = after.arm_calls() - before.arm_calls();
            // The sweep holds the exact numbers: here they depend on how busy the machine is.
            assert!((4..20).contains(&writes) && calls >= 10, "{mode}: {writes} Kubernetes writes, {calls} ARM calls");
        }
    });
}

#[test]
fn sigterm_in_the_middle_of_an_lro() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("midterm", "midterm-signalr", "midterm-kv");
        scene.namespace(ns).unwrap();
        let options = LinkOptions::default();
        let azure = crate::azure_creating_in(scene, crate::SLOW_MS).await;
        azure.add(signalr, vault).await.unwrap();
        let settings = crate::settings_for(scene, &azure, ns);
        let first = testkit::Operator::start(&settings).unwrap();
        scene.cluster.apply(&Scene::manifest(ns, "kv-pe", signalr, vault, &options).to_string()).unwrap();
        scene.until_reason(ns, "kv-pe", "Creating", LIMIT).await.unwrap();
        assert!(first.terminate().unwrap().success());
        let _second = testkit::Operator::start(&settings).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        let puts = azure.writes().await.unwrap();
        let ours = puts.iter().filter(|w| w["method"] == "PUT" && w["id"].as_str().unwrap().contains(signalr));
        assert_eq!(ours.count(), 1);
    });
}

/// An API server takes the connection, and says nothing.
#[test]
fn sigterm_ends_a_start_that_waits_for_the_api_server() {
    run(async {
        let scene = scene().await;
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut settings = crate::settings(scene, "silent");
        let kubeconfig = std::fs::read_to_string(&settings.kubeconfig).unwrap();
        let server = kubeconfig.split('"').find(|word| word.starts_with("https://")).unwrap();
        settings.kubeconfig = scene.cluster.directory().join("silent.kubeconfig");
        let elsewhere = kubeconfig.replace(server, &format!("https://{}", silent.local_addr().unwrap()));
        std::fs::write(&settings.kubeconfig, elsewhere).unwrap();
        let operator = testkit::Operator::start(&settings).unwrap();
        let _connection = tokio::time::timeout(LIMIT, silent.accept()).await.unwrap().unwrap();
        let begun = Instant::now();
        assert!(operator.terminate().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    });
}

#[test]
fn the_same_manifest_again_and_again_changes_nothing() {
    run(async {
        let scene = scene().await;
        let (ns, signalr, vault) = ("gitops", "gitops-signalr", "gitops-kv");
        scene.namespace(ns).unwrap();
        scene.azure.add(signalr, vault).await.unwrap();
        let _operator = operator(scene, ns);
        let manifest = Scene::manifest(ns, "kv-pe", signalr, vault, &LinkOptions::default()).to_string();
        scene.cluster.apply(&manifest).unwrap();
        scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
        scene.azure.owner_approves(vault, "please approve").await.unwrap();
        let settled = |object: &Value| {
            object.pointer("/status/keyVaultConnection/provisioningState") == Some(&json!("Succeeded"))
        };
        let before = eventually("the link to be settled", LIMIT, || async {
            let object = scene.link(ns, "kv-pe")?.unwrap();
            let ready = condition(&object, "Ready").unwrap_or_default();
            Ok(if ready["status"] == "True" && settled(&object) { Ok(object) } else { Err(ready.to_string()) })
        })
        .await
        .unwrap();
        let writes = scene.azure.writes().await.unwrap().len();
        for _ in 0..10 {
            scene.cluster.apply(&manifest).unwrap();
        }
        let after = scene.link(ns, "kv-pe").unwrap().unwrap();
        assert_eq!(before.pointer("/metadata/resourceVersion"), after.pointer("/metadata/resourceVersion"));
        let now = scene.azure.writes().await.unwrap();
        assert!(now[writes..].iter().all(|w| !w["id"].as_str().unwrap().contains("gitops-")), "{now:?}");
    });
}

/// What the operator proves itself with lies in a file, and is an old one: whether it goes on once the file holds another.
/// `use_file` makes the operator read it; returns what its status said before.
async fn a_replaced_file_is_taken(
    ns: &str,
    old: &str,
    use_file: impl FnOnce(&mut Settings<'_>, &Path),
    another: impl FnOnce(&Scene) -> String,
) -> String {
    let scene = scene().await;
    let (signalr, vault) = (format!("{ns}-signalr"), format!("{ns}-kv"));
    scene.namespace(ns).unwrap();
    scene.azure.add(&signalr, &vault).await.unwrap();
    let file = scene.cluster.directory().join(format!("credential-{ns}"));
    std::fs::write(&file, old).unwrap();
    let mut settings = crate::settings(scene, ns);
    use_file(&mut settings, &file);
    let _operator = testkit::Operator::start(&settings).unwrap();
    let manifest = Scene::manifest(ns, "kv-pe", &signalr, &vault, &LinkOptions::default()).to_string();
    scene.cluster.apply(&manifest).unwrap();
    let refused = scene.until_reason(ns, "kv-pe", "CredentialUnavailable", LIMIT).await.unwrap();
    std::fs::write(&file, another(scene)).unwrap();
    scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await.unwrap();
    message(&refused)
}

#[test]
fn a_rotated_secret_is_taken_without_a_restart() {
    run(async {
        let (ns, account) = ("rotated", "operator");
        let token = |scene: &Scene| {
            // There is no controller here that makes the default one.
            scene.cluster.kubectl_ok(&["create", "serviceaccount", account, "-n", ns]).unwrap();
            crate::federated_token(scene, ns, account)
        };
        a_replaced_file_is_taken(ns, "eyJ.not.signed", crate::federate, token).await;
    });
}

#[test]
fn a_replaced_client_secret_is_taken_without_a_restart() {
    run(async {
        let secret = std::cell::OnceCell::new();
        let use_file = |settings: &mut Settings<'_>, file: &Path| {
            let variable = settings.environment.iter().position(|(name, _)| name == "AZURE_CLIENT_SECRET").unwrap();
            secret.set(settings.environment.remove(variable).1).unwrap();
            settings.flags.push(format!("--client-secret-file={}", file.display()));
        };
        // Editors end a file with a line.
        let another = |_: &Scene| format!("{}\n", secret.get().unwrap());
        let said = a_replaced_file_is_taken("secret-file", "an old one", use_file, another).await;
        assert!(said.contains("ClientSecret, which auto chose"), "{said}");
    });
}

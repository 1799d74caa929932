//! `doctor`: it finds nothing in a healthy world, and tells of each thing that is broken, of that alone, with a way out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use signalr_private_link_operator::doctor::rights;
use testkit::operator::Settings;
use testkit::scene::{LinkOptions, Scene};
use testkit::{Azure, azure, eventually};

use crate::release::{Release, audited};
use crate::{LIMIT, approval, run, scene};

const SIGNALR: &str = "doctored-signalr";
const VAULT: &str = "doctored-kv";

/// A namespace with a link that a person approves, and one that the operator does.
fn links(scene: &Scene, ns: &str) {
    scene.namespace(ns).unwrap();
    for (name, mode) in [("manual", "Manual"), ("automatic", "Automatic")] {
        let options = LinkOptions { spec: json!({"approval": {"mode": mode}}), ..LinkOptions::default() };
        scene.cluster.apply(&Scene::manifest(ns, name, SIGNALR, VAULT, &options).to_string()).unwrap();
    }
}

/// Settings of an administrator, who may read more than the operator.
fn settings_for(scene: &Scene, azure: &Azure, namespace: &str) -> Settings<'static> {
    let mut settings = crate::settings_for(scene, azure, namespace);
    settings.kubeconfig = scene.cluster.kubeconfig();
    settings
}

type Request = (&'static str, &'static str, Value);

/// An Azure of its own, after these requests to its control endpoint.
async fn azure_after(scene: &Scene, requests: &[Request]) -> Azure {
    let azure = Azure::start(crate::config(), scene.cluster.directory()).await.unwrap();
    azure.add(SIGNALR, VAULT).await.unwrap();
    for (method, path, body) in requests {
        azure.control(method, path, body).await.unwrap();
    }
    azure
}

/// What doctor told.
struct Told {
    code: Option<i32>,
    document: Value,
}

impl Told {
    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.document["findings"].as_array().unwrap().iter()
    }

    fn of(&self, check: &str) -> Vec<&Value> {
        self.findings().filter(|finding| finding["check"] == check).collect()
    }

    fn troubles(&self) -> impl Iterator<Item = &Value> {
        self.findings().filter(|finding| finding["verdict"] == "warning" || finding["verdict"] == "failed")
    }

    fn is_well(&self) -> bool {
        self.code == Some(0) && self.findings().all(|finding| finding["verdict"] == "ok")
    }

    /// Asserts that this alone is wrong, and that a way out is told.
    fn has_only(&self, what: &str, check: &str, verdict: &str, way_out: &str) {
        let word = |trouble: &Value, field: &str| trouble[field].as_str().unwrap_or_default().to_owned();
        let troubles: BTreeSet<(String, String)> =
            self.troubles().map(|trouble| (word(trouble, "check"), word(trouble, "verdict"))).collect();
        let expected = BTreeSet::from([(check.to_owned(), verdict.to_owned())]);
        assert_eq!(troubles, expected, "{what}: {:#}", self.document);
        for trouble in self.troubles() {
            let told = trouble["wayOut"].as_str().unwrap_or_default();
            assert!(told.contains(way_out), "{what}: {way_out:?} is missing in {told:?}");
        }
        let code = match (check, verdict) {
            ("settings", _) => 2,
            (_, "failed") => 1,
            _ => 0,
        };
        assert_eq!(self.code, Some(code), "{what}");
    }
}

/// Runs doctor about a link.
fn examine(settings: &Settings<'_>, link: &str) -> Told {
    let mut command = settings.subcommand("doctor");
    let output = command.args(["--leader-elect", "--output", "json", "--link", link]).output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    Told { code: output.status.code(), document }
}

#[test]
fn all_is_well_in_a_healthy_world_and_nothing_is_written() {
    run(async {
        let (scene, ns) = (scene().await, "doctored-well");
        links(scene, ns);
        let id = format!("{}/sharedPrivateLinkResources/manual", azure::signalr(SIGNALR));
        let link =
            json!({"id": id, "properties": {"privateLinkResourceId": azure::vault(VAULT), "status": "Approved"}});
        let azure = azure_after(scene, &[("POST", "/links", link)]).await;
        let settings = settings_for(scene, &azure, ns);
        for (link, state) in [("manual", "Succeeded, Approved"), ("automatic", "it does not exist yet")] {
            let told = examine(&settings, &format!("{ns}/{link}"));
            assert!(told.is_well(), "{:#}", told.document);
            assert_eq!(told.of("link-state")[0]["message"], state);
            assert_eq!(told.of("definition").len(), 2);
            assert_eq!(told.of("provider-registration").len(), 2);
            let identity = azure_sim::Config::preset().client_id;
            assert!(told.of("token")[0]["message"].as_str().unwrap().contains(&identity), "{:#}", told.document);
        }
        // By ids instead of an object, and for people.
        let (signalr, vault) = (azure::signalr(SIGNALR), azure::vault(VAULT));
        let ids = ["--signalr", signalr.as_str(), "--key-vault", vault.as_str()];
        let output = settings.subcommand("doctor").args(ids).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("vault-rights"), "{text}");
        assert!(text.ends_with(" ok, 0 warnings, 0 failed, 0 skipped\n"), "{text}");
        // With nothing to look at in Azure, as in the pod of helm test.
        let output = settings.subcommand("doctor").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("--link NAMESPACE/NAME"), "{text}");
        let output = settings.subcommand("doctor").args(["--link", "nameless"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("NAMESPACE/NAME"));

        assert!(azure.writes().await.unwrap().is_empty());
        let counts = azure.counts().await.unwrap();
        let kinds: Vec<&String> = counts["byKind"].as_object().unwrap().keys().collect();
        assert!(kinds.iter().all(|kind| kind.starts_with("GET ") || *kind == "POST token"), "{kinds:?}");
    });
}

/// One thing that is broken, and how that is told.
struct Case {
    what: &'static str,
    azure: Vec<Request>,
    environment: Vec<(&'static str, String)>,
    link: &'static str,
    check: &'static str,
    verdict: &'static str,
    way_out: &'static str,
}

fn case(what: &'static str, check: &'static str, verdict: &'static str, way_out: &'static str) -> Case {
    Case { what, azure: Vec::new(), environment: Vec::new(), link: "automatic", check, verdict, way_out }
}

/// What is wrong with the settings, the token or the way to ARM.
fn broken_ways(other_ca: String) -> Vec<Case> {
    let with =
        |name: &'static str, value: &str, case: Case| Case { environment: vec![(name, value.to_owned())], ..case };
    let shifted = |seconds: i64, case: Case| Case {
        azure: vec![("PATCH", "/quirks", json!({"dateOffsetSeconds": seconds}))],
        ..case
    };
    let nowhere = "https://localhost:1";
    vec![
        with("AZURE_CLOUD", "AzurePublic", case("the endpoints of another cloud", "settings", "failed", "--help")),
        with("AZURE_CA_FILE", "/nowhere.pem", case("a file that is not there", "settings", "failed", "--help")),
        with("AZURE_CLIENT_SECRET", "wrong", case("a wrong secret", "token", "failed", "az ad app credential reset")),
        with("AZURE_TENANT_ID", "", case("no tenant", "token", "failed", "--credential")),
        with("AZURE_CA_FILE", &other_ca, case("the roots of others", "token", "failed", "--ca-file")),
        with("AZURE_AUTHORITY_HOST", nowhere, case("no authority", "token", "failed", "HTTPS_PROXY")),
        with("AZURE_ARM_ENDPOINT", nowhere, case("no ARM", "arm", "failed", "HTTPS_PROXY")),
        shifted(60, case("a clock that is slow", "clock", "warning", "NTP")),
        shifted(-600, case("a clock that is far ahead", "clock", "failed", "NTP")),
    ]
}

/// What is wrong with the resources.
fn broken_resources() -> Vec<Case> {
    let (signalr, vault) = (azure::signalr(SIGNALR), azure::vault(VAULT));
    let subscription = format!("/subscriptions/{}", azure::SUBSCRIPTION);
    let group = format!("{subscription}/resourceGroups/contoso");
    let after = |method: &'static str, path: &'static str, body: Value, case: Case| Case {
        azure: vec![(method, path, body)],
        ..case
    };
    let unregistered = |namespace: &str| {
        json!({
            "subscription": azure::SUBSCRIPTION, "namespace": namespace, "registrationState": "NotRegistered",
        })
    };
    let lock = |scope: &str, level: &str| json!([{"name": "keep", "scope": scope, "level": level}]);
    let grants = |actions: &str| json!([{"actions": ["*/read", actions], "scope": subscription}]);
    let (on_links, on_vaults) = ("Microsoft.SignalRService/SignalR/*", "Microsoft.KeyVault/vaults/*");
    let link = |target: &str, status: &str| {
        json!({
            "id": format!("{signalr}/sharedPrivateLinkResources/manual"),
            "properties": {"privateLinkResourceId": target, "status": status},
        })
    };
    let (manager, approver) = ("SignalR Shared Private Link Manager", "Key Vault Private Endpoint Connection Approver");
    let register = "az provider register --namespace Microsoft.";
    let is = |check, verdict, way_out| case("", check, verdict, way_out);
    let manual = |case: Case| Case { link: "manual", ..case };
    let cases = [
        after("PUT", "/providers", unregistered("Microsoft.KeyVault"), is("provider-registration", "failed", register)),
        after(
            "PUT",
            "/providers",
            unregistered("Microsoft.SignalRService"),
            is("provider-registration", "failed", register),
        ),
        after(
            "PATCH",
            "/signalr",
            json!({"resourceId": signalr, "sku": "Free_F1"}),
            is("signalr-tier", "failed", "az signalr update"),
        ),
        after("PUT", "/permissions", grants(on_vaults), is("signalr-rights", "failed", manager)),
        after("PUT", "/permissions", grants(on_links), is("vault-rights", "failed", approver)),
        manual(after("PUT", "/permissions", grants(on_links), is("vault-rights", "warning", approver))),
        after("PUT", "/locks", lock(&group, "CanNotDelete"), is("signalr-lock", "warning", "az lock delete")),
        after("PUT", "/locks", lock(&signalr, "ReadOnly"), is("signalr-lock", "failed", "az lock delete")),
        after("PUT", "/locks", lock(&vault, "ReadOnly"), is("vault-lock", "failed", "az lock delete")),
        manual(after(
            "POST",
            "/links",
            link(&vault, "Rejected"),
            is("link-state", "warning", "kubectl describe spl manual"),
        )),
        manual(after(
            "POST",
            "/links",
            link(&signalr, "Approved"),
            is("link-state", "warning", "kubectl describe spl manual"),
        )),
        Case { link: "none", ..is("link", "failed", "kubectl get spl") },
    ];
    cases.into()
}

#[test]
fn what_is_broken_is_told_alone_and_with_a_way_out() {
    run(async {
        let (scene, ns) = (scene().await, "doctored");
        links(scene, ns);
        let other = azure_after(scene, &[]).await;
        let other_ca = other.ca_file().to_string_lossy().into_owned();
        for case in broken_ways(other_ca).into_iter().chain(broken_resources()) {
            let azure = azure_after(scene, &case.azure).await;
            let mut settings = settings_for(scene, &azure, ns);
            settings
                .environment
                .extend(case.environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            let told = examine(&settings, &format!("{ns}/{}", case.link));
            let what = format!("{} {:?}", case.what, case.azure);
            told.has_only(&what, case.check, case.verdict, case.way_out);
        }
        let mut settings = settings_for(scene, &other, ns);
        settings.kubeconfig = "/nowhere.kubeconfig".into();
        let told = examine(&settings, &format!("{ns}/manual"));
        told.has_only("no cluster", "api-server", "failed", "kubeconfig");
        assert_eq!(told.of("link")[0]["verdict"], "skipped");
        assert_eq!(told.of("arm")[0]["verdict"], "ok", "which needs no cluster");
    });
}

#[test]
fn with_the_shipped_roles_alone_nothing_fails() {
    run(async {
        let (scene, ns) = (scene().await, "doctored-roles");
        links(scene, ns);
        let group = format!("/subscriptions/{}/resourceGroups/contoso", azure::SUBSCRIPTION);
        let (manager, _) = approval::role("link-manager.json", &group);
        let (approver, _) = approval::role("connection-approver.json", &group);
        let azure = azure_after(scene, &[("PUT", "/permissions", json!([manager, approver]))]).await;
        let told = examine(&settings_for(scene, &azure, ns), &format!("{ns}/automatic"));
        assert_eq!((told.code, &told.document["failed"]), (Some(0), &json!(0)), "{:#}", told.document);
        for trouble in told.troubles() {
            assert!(trouble["message"].as_str().unwrap().contains("only doctor would need"), "{trouble}");
            assert!(trouble["wayOut"].as_str().unwrap().contains("az "), "{trouble}");
        }
        for check in ["signalr-reads", "vault-reads", "link-state"] {
            assert_eq!(told.of(check)[0]["verdict"], "ok");
        }
        // And with none of them, the reads that the operator needs fail.
        let azure = azure_after(scene, &[("PUT", "/permissions", json!([]))]).await;
        let told = examine(&settings_for(scene, &azure, ns), &format!("{ns}/automatic"));
        assert_eq!(told.code, Some(1));
        for (check, role) in [("signalr-reads", "Link Manager"), ("vault-reads", "Connection Approver")] {
            let finding = told.of(check)[0];
            assert_eq!(finding["verdict"], "failed", "{finding}");
            assert!(finding["wayOut"].as_str().unwrap().contains(role), "{finding}");
        }
        assert_eq!(told.of("link-state")[0]["verdict"], "skipped");
    });
}

#[test]
fn the_rights_that_are_asked_about_are_those_of_the_chart_and_a_missing_rule_is_named() {
    run(async {
        let (scene, ns, home) = (scene().await, "doctored-rights", "doctored-home");
        links(scene, ns);
        let release = Release::install(scene, home, &[ns]);
        let account = Release::account();
        let needed = rights::needed(&[ns.to_owned()], Some((home, account)));
        let needed = needed.into_iter().map(|access| {
            let resource = format!("{}/{}", access.group, access.resource);
            (access.verb.to_owned(), resource, access.name.unwrap_or_default())
        });
        assert_eq!(needed.collect::<BTreeSet<_>>(), release.granted());

        let azure = azure_after(scene, &[]).await;
        let mut settings = settings_for(scene, &azure, ns);
        settings.kubeconfig = scene.cluster.service_account_kubeconfig(home, account).unwrap();
        settings.flags.push(format!("--lease-name={account}"));
        let link = format!("{ns}/manual");
        let until = async |what: &str, is: fn(&Told) -> bool| {
            eventually(what, LIMIT, || async {
                let told = examine(&settings, &link);
                Ok(if is(&told) { Ok(told) } else { Err(told.document.to_string()) })
            })
            .await
            .unwrap()
        };
        let told = until("the rights to be there", Told::is_well).await;
        let messages: Vec<&Value> = told.of("definition").into_iter().map(|finding| &finding["message"]).collect();
        assert!(messages[1].as_str().unwrap().contains("not compared"), "{messages:?}");
        let (requests, _) = audited(scene, release.namespace);
        assert!(!requests.is_empty());
        for request in requests {
            let asks = request["objectRef"]["resource"] == "selfsubjectaccessreviews";
            assert!(request["verb"] == "get" || (asks && request["verb"] == "create"), "{request}");
        }

        let name = format!("{home}:{account}");
        let is_own = |object: &&Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] == *name;
        let mut role = release.objects.iter().find(is_own).unwrap().clone();
        let rules = role["rules"].as_array_mut().unwrap();
        rules.retain(|rule| rule["resources"] != json!(["approvalpolicies/status"]));
        scene.cluster.apply(&role.to_string()).unwrap();
        let told = until("the rule to be gone", |told: &Told| !told.is_well()).await;
        let rule = "resources: [approvalpolicies/status], verbs: [patch]";
        told.has_only("a rule less", "kubernetes-right", "failed", rule);
    });
}

#[test]
fn a_definition_that_is_missing_or_another_one_is_told() {
    run(async {
        let (scene, ns) = (crate::start().await, "doctored");
        links(&scene, ns);
        let azure = azure_after(&scene, &[]).await;
        let settings = settings_for(&scene, &azure, ns);
        let link = format!("{ns}/manual");
        let crd = "signalrsharedprivatelinks.privatelink.signalr-operator.io";
        let word = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/managementPolicy/enum/-";
        let newer = json!([{"op": "add", "path": word, "value": "Pause"}]).to_string();
        scene.cluster.kubectl_ok(&["patch", "crd", crd, "--type=json", "-p", &newer]).unwrap();
        examine(&settings, &link).has_only("a newer definition", "definition", "warning", "crds | kubectl apply");
        // The way out is one.
        let printed = std::process::Command::new(crate::binary()).arg("crds").output().unwrap();
        scene.cluster.apply(&String::from_utf8(printed.stdout).unwrap()).unwrap();
        let told = examine(&settings, &link);
        assert!(told.is_well(), "{:#}", told.document);
        let policies = "approvalpolicies.privatelink.signalr-operator.io";
        scene.cluster.kubectl_ok(&["delete", "crd", policies, "--timeout=60s"]).unwrap();
        examine(&settings, &link).has_only("no definition", "definition", "failed", "crds | kubectl apply");
    });
}

//! The simulator's answers against Microsoft's OpenAPI files and recorded traffic.
//!
//! Both are read from `AZURE_FACTS_DIR`, or from `shared/azure` beside the checkout; where they
//! are absent the tests say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::{Azure, BUSY, SIGNALR, VAULT, link};
use serde_json::{Value, json};

fn facts() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/azure");
    let directory = std::env::var_os("AZURE_FACTS_DIR").map_or(beside, PathBuf::from);
    if directory.is_dir() {
        return Some(directory);
    }
    // Past the capture of the test runner: whoever reads the log has to know.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: no facts about Azure here; set AZURE_FACTS_DIR to a directory with specs/ and recordings/"
    );
    None
}

/// A definition of an OpenAPI 2 file as one JSON schema, references and all.
struct Specification {
    root: PathBuf,
}

impl Specification {
    fn schema(&self, file: &Path, name: &str) -> Value {
        let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        self.inline(file, &document["definitions"][name].clone(), 0)
    }

    fn inline(&self, file: &Path, schema: &Value, depth: usize) -> Value {
        if depth > 40 {
            return json!({});
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let (other, pointer) = reference.split_once('#').unwrap();
            let target = if other.is_empty() { file.to_owned() } else { file.parent().unwrap().join(other) };
            let document: Value = match std::fs::read(&target) {
                Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
                // A file that is not kept there says nothing about the answer.
                Err(_) => return json!({}),
            };
            return self.inline(&target, document.pointer(pointer).unwrap_or(&json!({})), depth + 1);
        }
        match schema {
            Value::Object(fields) => {
                // Open enums: the service may answer with words that are not listed.
                let open = schema.pointer("/x-ms-enum/modelAsString") == Some(&json!(true));
                let dropped = |key: &str| {
                    let said_elsewhere = matches!(key, "readOnly" | "discriminator" | "example");
                    key.starts_with("x-ms-") || said_elsewhere || (open && key == "enum")
                };
                let kept = fields.iter().filter(|(key, _)| !dropped(key));
                kept.map(|(key, value)| (key.clone(), self.inline(file, value, depth + 1))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.inline(file, item, depth + 1)).collect(),
            other => other.clone(),
        }
    }

    fn check(&self, file: &str, name: &str, body: &Value) {
        let schema = self.schema(&self.root.join(file), name);
        assert!(schema.get("properties").is_some() || schema.get("allOf").is_some(), "{name} is not in {file}");
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{body:#}");
    }
}

const SIGNALR_FILE: &str = "signalr/resource-manager/Microsoft.SignalRService/stable/2024-03-01/signalr.json";
const VAULT_FILE: &str = "keyvault/resource-manager/Microsoft.KeyVault/stable/2023-07-01/keyvault.json";

#[tokio::test(start_paused = true)]
async fn answers_are_valid_against_the_openapi_files() {
    let Some(facts) = facts() else { return };
    let specification = Specification { root: facts.join("specs/specification") };
    let azure = Azure::start().await;
    let signalr = |name: &str, body: &Value| specification.check(SIGNALR_FILE, name, body);
    let vault = |name: &str, body: &Value| specification.check(VAULT_FILE, name, body);

    signalr("SignalRResource", &azure.call("GET", SIGNALR, None).await.body);
    signalr("SharedPrivateLinkResource", &azure.put_link("kv-pe").await.body);
    let succeeded = azure.until(&link("kv-pe"), |a| a.body["properties"]["provisioningState"] == "Succeeded").await;
    signalr("SharedPrivateLinkResource", &succeeded.body);
    let list = azure.call("GET", &format!("{SIGNALR}/sharedPrivateLinkResources"), None).await;
    signalr("SharedPrivateLinkResourceList", &list.body);
    let shareable = azure.call("GET", &format!("{SIGNALR}/privateLinkResources"), None).await;
    signalr("PrivateLinkResourceList", &shareable.body);

    vault("Vault", &azure.call("GET", VAULT, None).await.body);
    let connection = azure.connection().await;
    vault("PrivateEndpointConnection", &connection);
    let list = azure.call("GET", &format!("{VAULT}/privateEndpointConnections"), None).await;
    vault("PrivateEndpointConnectionListResult", &list.body);
    let decide =
        json!({"properties": {"privateLinkServiceConnectionState": {"status": "Approved", "description": "yes"}}});
    let decided = azure.call("PUT", connection["id"].as_str().unwrap(), Some(decide)).await;
    vault("PrivateEndpointConnection", &decided.body);
    vault("Vault", &azure.call("GET", VAULT, None).await.body);

    azure.control("POST", "/signalr", json!({"resourceId": SIGNALR, "sku": "Premium_P1", "replicas": ["north"]})).await;
    let replicas = azure.call("GET", &format!("{SIGNALR}/replicas"), None).await;
    signalr("ReplicaList", &replicas.body);
}

/// All keys of a body, as paths.
fn keys(body: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    match body {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{prefix}/{key}");
                keys(value, &path, into);
                into.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, &format!("{prefix}[]"), into)),
        _ => {}
    }
}

fn shape(body: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    keys(body, "", &mut all);
    all
}

/// The headers that tell a client what to do next.
fn directions(header: impl Fn(&str) -> bool) -> Vec<&'static str> {
    ["azure-asyncoperation", "location", "retry-after"].into_iter().filter(|name| header(name)).collect()
}

fn recorded_directions(entry: &Value) -> Vec<&'static str> {
    let headers = entry["ResponseHeaders"].as_object().unwrap();
    directions(|name| headers.keys().any(|key| key.eq_ignore_ascii_case(name)))
}

/// One exchange of each kind in the recording of SignalR's links, in the order of a link's life.
#[tokio::test(start_paused = true)]
async fn a_links_life_looks_as_it_was_recorded() {
    let Some(facts) = facts() else { return };
    let file = facts.join("recordings/go-armsignalr-2023-09-04__sharedPrivateLinkResources.trimmed.json");
    let recording: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let entries = recording["Entries"].as_array().unwrap();
    let find = |method: &str, check: &dyn Fn(&Value) -> bool| {
        let own = |e: &&Value| {
            e["RequestMethod"] == method && e["RequestUri"].as_str().unwrap().contains("/resourceWeouKZ/") && check(e)
        };
        entries.iter().find(own).unwrap_or_else(|| panic!("the recording has no such {method}")).clone()
    };
    let about = |part: &'static str| move |e: &Value| e["RequestUri"].as_str().unwrap().contains(part);
    let compare = |what: &str, recorded: &Value, answer: &common::Answer| {
        assert_eq!(recorded["StatusCode"], answer.status, "{what}");
        let sent = directions(|name| answer.header(name).is_some());
        assert_eq!(recorded_directions(recorded), sent, "{what}");
        assert_eq!(shape(&recorded["ResponseBody"]), shape(&answer.body), "{what}");
    };

    let azure = Azure::start().await;
    let put = azure.put_link("kv-pe").await;
    let recorded = find("PUT", &|_| true);
    compare("PUT", &recorded, &put);
    for field in ["provisioningState", "status"] {
        assert_eq!(recorded["ResponseBody"]["properties"][field], put.body["properties"][field]);
    }
    assert_eq!(recorded["ResponseBody"]["type"], put.body["type"]);

    let operation = put.header("azure-asyncoperation").unwrap().to_owned();
    let running = find("GET", &|e| about("operationResults")(e) && e["ResponseBody"]["status"] == "Running");
    compare("a running operation", &running, &azure.url("GET", &operation, None).await);
    azure.until(&link("kv-pe"), |a| a.body["properties"]["provisioningState"] == "Succeeded").await;
    let ended = find("GET", &|e| about("operationResults")(e) && e["ResponseBody"]["status"] == "Succeeded");
    compare("an ended operation", &ended, &azure.url("GET", &operation, None).await);

    let get = find("GET", &|e| e["ResponseBody"]["properties"]["provisioningState"] == "Succeeded");
    let answer = azure.call("GET", &link("kv-pe"), None).await;
    compare("GET", &get, &answer);
    assert_eq!(answer.body["properties"]["status"], "Pending", "the operation's success is no approval");
    let list = find("GET", &|e| e["ResponseBody"].get("value").is_some());
    compare("LIST", &list, &azure.call("GET", &format!("{SIGNALR}/sharedPrivateLinkResources"), None).await);

    tokio::time::sleep(BUSY).await;
    let delete = find("DELETE", &about("sharedPrivateLinkResources"));
    compare("DELETE", &delete, &azure.call("DELETE", &link("kv-pe"), None).await);
}

/// The approval of a connection was recorded on 2024-04-18: Approved at once, while still Updating.
#[tokio::test(start_paused = true)]
async fn an_approval_looks_as_it_was_recorded() {
    let Some(facts) = facts() else { return };
    let text =
        std::fs::read_to_string(facts.join("recordings/keyvault__test_keyvault_private_endpoint_connection.yaml"))
            .unwrap();
    // The cassette keeps each body as one quoted JSON string, folded over lines.
    let unfolded = text.replace("\n        ", " ").replace("\\\n", "");
    let begin = unfolded.match_indices("\"status\":\"Approved\"").map(|(at, _)| at);
    let body: Value = begin
        .filter_map(|at| {
            let start = unfolded[..at].rfind("string: '")? + "string: '".len();
            let end = start + unfolded[start..].find("'\n")?;
            serde_json::from_str(&unfolded[start..end].replace("''", "'")).ok()
        })
        .find(|body: &Value| body["properties"]["provisioningState"] == "Updating" && body.get("etag").is_some())
        .expect("the recording has no approval");

    let azure = Azure::start().await;
    azure.put_link("kv-pe").await;
    let connection = azure.connection().await;
    let decide = json!({"properties": {"privateEndpoint": {}, "privateLinkServiceConnectionState": {
        "status": "Approved", "description": "You are approved!", "actionsRequired": "None",
    }, "provisioningState": "Succeeded"}});
    let answer = azure.call("PUT", connection["id"].as_str().unwrap(), Some(decide)).await;
    assert_eq!(shape(&body), shape(&answer.body));
    for pointer in ["/properties/provisioningState", "/properties/privateLinkServiceConnectionState/status", "/type"] {
        assert_eq!(body.pointer(pointer), answer.body.pointer(pointer), "{pointer}");
    }
}

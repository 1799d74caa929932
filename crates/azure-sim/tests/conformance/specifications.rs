//! Every body that a client reads fits Azure's OpenAPI definitions, and has nothing beside them.

use serde_json::{Value, json};

use crate::azure::{Answer, Azure, VISIBLE, decision, link, request, signalr, vault};
use crate::{facts, schema};

const SIGNALR: &str =
    "specification/signalr/resource-manager/Microsoft.SignalRService/stable/2024-03-01/signalr.json";
const VAULT: &str = "specification/keyvault/resource-manager/Microsoft.KeyVault/stable/2023-07-01/keyvault.json";
const COMMON: &str = "specification/common-types/resource-management/v5/types.json";

/// Holds an answer against what its operation is described to answer with this status.
fn fits(file: &str, operation: &str, answer: &Answer) {
    let Some(directory) = facts::directory("specs") else {
        return;
    };
    let schema = schema::of_answer(&directory.join(file), operation, answer.status);
    let objections = schema::objections(&schema, &answer.body);
    assert!(objections.is_empty(), "{operation} {}: {objections:#?}\n{:#}", answer.status, answer.body);
}

#[tokio::test]
async fn links_and_their_parents_are_as_specified() {
    if facts::directory("specs").is_none() {
        return;
    }
    let azure = Azure::start(VISIBLE).await;
    azure
        .control("POST", "/signalr", json!({"resourceId": signalr("copied"), "sku": "Premium_P1", "replicas": ["north"]}))
        .await;
    let id = link("copied", "kv-pe");

    let created = azure.put(&id, &request("contoso-kv", "please approve")).await;
    fits(SIGNALR, "SignalRSharedPrivateLinkResources_CreateOrUpdate", &created);
    let operation = azure.follow("GET", created.header("azure-asyncoperation").unwrap(), None).await;
    is_a_status(&operation);
    let busy = azure.put(&id, &request("contoso-kv", "please approve")).await;
    assert_eq!(busy.status, 409);
    fits(SIGNALR, "SignalRSharedPrivateLinkResources_CreateOrUpdate", &busy);

    is_a_status(&azure.until(created.header("azure-asyncoperation").unwrap(), |a| a.at("/status") != "Running").await);
    fits(SIGNALR, "SignalRSharedPrivateLinkResources_Get", &azure.get(&id).await);
    let links = azure.get(&format!("{}/sharedPrivateLinkResources", signalr("copied"))).await;
    assert_eq!(links.items().len(), 1);
    fits(SIGNALR, "SignalRSharedPrivateLinkResources_List", &links);
    fits(SIGNALR, "SignalR_Get", &azure.get(&signalr("copied")).await);
    let replicas = azure.get(&format!("{}/replicas", signalr("copied"))).await;
    assert_eq!(replicas.items().len(), 1);
    fits(SIGNALR, "SignalRReplicas_List", &replicas);
    let copies = azure.get(&format!("{}/replicas/north/sharedPrivateLinkResources", signalr("copied"))).await;
    fits(SIGNALR, "SignalRReplicaSharedPrivateLinkResources_List", &copies);

    let missing = azure.get(&link("copied", "no-such-link")).await;
    assert_eq!(missing.status, 404);
    fits(SIGNALR, "SignalRSharedPrivateLinkResources_Get", &missing);
}

/// No specification of SignalR's describes what its operations answer; the common types do.
fn is_a_status(answer: &Answer) {
    let Some(directory) = facts::directory("specs") else {
        return;
    };
    let schema = schema::of_definition(&directory.join(COMMON), "OperationStatusResult");
    let objections = schema::objections(&schema, &answer.body);
    assert!(objections.is_empty(), "{objections:#?}\n{:#}", answer.body);
}

#[tokio::test]
async fn vaults_and_connections_are_as_specified() {
    if facts::directory("specs").is_none() {
        return;
    }
    let azure = Azure::start(VISIBLE).await;
    fits(VAULT, "Vaults_Get", &azure.get(&vault("contoso-kv")).await);
    let id = azure.connect("contoso-signalr", "kv-pe", "contoso-kv").await;
    fits(VAULT, "PrivateEndpointConnections_Get", &azure.get(&id).await);
    let approved = azure.put(&id, &decision("Approved")).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    fits(VAULT, "PrivateEndpointConnections_Put", &approved);
    let busy = azure.put(&id, &decision("Approved")).await;
    assert_eq!(busy.status, 409);
    fits(VAULT, "PrivateEndpointConnections_Put", &busy);
    let list = azure.get(&format!("{}/privateEndpointConnections", vault("contoso-kv"))).await;
    assert_eq!(list.items().len(), 1);
    fits(VAULT, "PrivateEndpointConnections_ListByResource", &list);
    let whole = azure.get(&vault("contoso-kv")).await;
    assert_eq!(whole.body["properties"]["privateEndpointConnections"].as_array().map(Vec::len), Some(1));
    fits(VAULT, "Vaults_Get", &whole);
    fits(VAULT, "Vaults_Get", &azure.get(&vault("no-such-vault")).await);
}

/// A schema that takes everything would make the tests above worthless.
#[test]
fn the_schemas_object_to_what_is_wrong() {
    let Some(directory) = facts::directory("specs") else {
        return;
    };
    let link = schema::of_definition(&directory.join(SIGNALR), "SharedPrivateLinkResource");
    let good = json!({"id": "x", "systemData": {"createdAt": "2023-09-04T08:29:21.3231769Z"},
        "properties": {"groupId": "vault", "privateLinkResourceId": "y", "status": "A word of tomorrow"}});
    assert_eq!(schema::objections(&link, &good), Vec::<String>::new());
    let objects = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let objections = schema::objections(&link, &bad);
        assert!(!objections.is_empty(), "{pointer}: {bad}");
    };
    objects("/id", json!(1));
    objects("/properties", json!({"groupId": "vault"}));
    objects("/properties", json!({"groupId": "vault", "privateLinkResourceId": "y", "endpoint": "z"}));
    objects("/properties/groupId", Value::Null);
    objects("/systemData/createdAt", json!("yesterday"));
    let vault = schema::of_definition(&directory.join(VAULT), "Vault");
    let closed = json!({"properties": {"tenantId": "no uuid", "sku": {"family": "B", "name": "cheap"}}});
    assert_eq!(schema::objections(&vault, &closed).len(), 2, "the tenant and the SKU's name, not its open family");
}

//! What a client meets: states, refusals, oddities, faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Azure, BUSY, SIGNALR, VAULT, link};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_link_is_created_approved_and_deleted() {
    let azure = Azure::start().await;
    let created = azure.put_link("kv-pe").await;
    assert_eq!((created.status, &created.body["properties"]["provisioningState"]), (200, &json!("Creating")));
    let operation = created.header("azure-asyncoperation").unwrap().to_owned();
    assert!(operation.len() > 3_200, "{}", operation.len());
    assert_eq!(azure.url("GET", &operation, None).await.body["status"], "Running");
    assert_eq!(azure.url("GET", &operation.replace("&h=", "x&h="), None).await.status, 400, "signed");
    azure.until(&link("kv-pe"), |a| a.body["properties"]["provisioningState"] == "Succeeded").await;
    assert_eq!(azure.url("GET", &operation, None).await.body["status"], "Succeeded");

    let connection = azure.connection().await;
    assert_eq!(connection["properties"]["privateLinkServiceConnectionState"]["description"], "please approve");
    assert!(connection.get("etag").is_none());
    assert!(!connection["name"].as_str().unwrap().contains("kv-pe"), "names tell nothing");
    let id = connection["id"].as_str().unwrap();
    let decide = json!({"properties": {
        "privateEndpoint": connection["properties"]["privateEndpoint"],
        "privateLinkServiceConnectionState": {"status": "Approved", "description": "yes"},
    }});
    let approved = azure.call("PUT", id, Some(decide.clone())).await;
    assert_eq!(approved.status, 200);
    assert_eq!(approved.body["properties"]["provisioningState"], "Updating");
    assert!(approved.header("azure-asyncoperation").unwrap().contains("kv-operation="));
    assert_eq!(azure.call("PUT", id, Some(decide)).await.code(), "ConflictError", "one writer per vault");
    azure.until(&link("kv-pe"), |a| a.body["properties"]["status"] == "Approved").await;

    let deleted = azure.call("DELETE", &link("kv-pe"), None).await;
    assert_eq!(deleted.status, 202);
    assert!(deleted.header("location").is_some() && deleted.header("azure-asyncoperation").is_some());
    azure.until(&link("kv-pe"), |a| a.status == 404).await;
    assert_eq!(azure.call("GET", id, None).await.status, 204, "a missing connection is 204");
}

#[tokio::test(start_paused = true)]
async fn a_signalr_refuses_a_second_change_even_while_it_says_succeeded() {
    let azure = Azure::start().await;
    azure.put_link("kv-pe").await;
    assert_eq!(azure.put_link("other").await.status, 409);
    azure.until(&link("kv-pe"), |a| a.body["properties"]["provisioningState"] == "Succeeded").await;
    assert_eq!(azure.call("GET", SIGNALR, None).await.body["properties"]["provisioningState"], "Succeeded");
    let refused = azure.put_link("other").await;
    assert_eq!((refused.status, refused.code()), (409, "Conflict"));
    tokio::time::sleep(BUSY).await;
    assert_eq!(azure.put_link("other").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_told_as_arm_tells_it() {
    let azure = Azure::start().await;
    let elsewhere = |from: &str, to: &str| link("kv-pe").replace(from, to);
    for (method, path, status, code) in [
        ("GET", link("kv-pe"), 404, "ResourceNotFound"),
        ("DELETE", link("kv-pe"), 204, ""),
        ("DELETE", elsewhere("contoso-signalr", "other"), 404, "ParentResourceNotFound"),
        ("GET", elsewhere("resourceGroups/contoso", "resourceGroups/other"), 404, "ResourceGroupNotFound"),
        (
            "GET",
            elsewhere("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-00000000dead"),
            404,
            "SubscriptionNotFound",
        ),
        ("GET", format!("{VAULT}/privateEndpointConnections/none"), 204, ""),
        ("GET", VAULT.replace("contoso-kv", "other-kv"), 404, "ResourceNotFound"),
    ] {
        let answer = azure.call(method, &path, None).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_versions_tiers_and_rights_are_checked() {
    let mut azure = Azure::start().await;
    let refused = azure.sign_in("wrong").await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")));
    assert!(refused.body["error_description"].as_str().unwrap().starts_with("AADSTS7000215: "));
    let url = format!("{}{SIGNALR}", azure.endpoint());
    assert_eq!(azure.url("GET", &url, None).await.code(), "MissingApiVersionParameter");
    assert_eq!(
        azure.url("GET", &format!("{url}?api-version=2099-01-01"), None).await.code(),
        "NoRegisteredProviderFound"
    );

    azure.control("PATCH", "/signalr", json!({"resourceId": SIGNALR, "sku": "Free_F1"})).await;
    assert_eq!(azure.put_link("kv-pe").await.status, 400);

    let grants = json!([{"actions": ["Microsoft.SignalRService/*/read"], "scope": SIGNALR}]);
    azure.control("PUT", "/permissions", grants).await;
    assert_eq!(azure.call("GET", SIGNALR, None).await.status, 200);
    let denied = azure.put_link("kv-pe").await;
    assert_eq!((denied.status, denied.code()), (403, "AuthorizationFailed"));
    assert!(denied.body["error"]["message"].as_str().unwrap().contains("sharedPrivateLinkResources/write"));

    azure.token = "made-up".into();
    let unknown = azure.call("GET", SIGNALR, None).await;
    assert_eq!((unknown.status, unknown.code()), (401, "InvalidAuthenticationToken"));
    assert!(unknown.header("www-authenticate").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_told_what_it_may_do() {
    let azure = Azure::start().await;
    let permissions =
        format!("{}{SIGNALR}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", azure.endpoint());
    let all = azure.url("GET", &permissions, None).await;
    assert_eq!((all.status, &all.body["value"][0]["actions"]), (200, &json!(["*"])));
    let group = SIGNALR.split("/providers/").next().unwrap();
    let grant = |actions: &str, scope: &str| json!({"actions": [actions], "scope": scope});
    let grants = json!([grant("Microsoft.Authorization/*", group), grant("b", SIGNALR), grant("c", VAULT)]);
    azure.control("PUT", "/permissions", grants).await;
    let some = azure.url("GET", &permissions, None).await;
    let actions: Vec<&Value> =
        some.body["value"].as_array().unwrap().iter().map(|entry| &entry["actions"][0]).collect();
    assert_eq!(actions, ["Microsoft.Authorization/*", "b"], "of what is granted at the scope and above it");
    assert_eq!(azure.url("GET", &permissions.replace("2022-04-01", "2024-03-01"), None).await.status, 400);
    azure.control("PUT", "/permissions", json!([grant("b", SIGNALR)])).await;
    let denied = azure.url("GET", &permissions, None).await;
    assert!(denied.body["error"]["message"].as_str().unwrap().contains("Microsoft.Authorization/permissions/read"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_told_at_its_scope_above_and_below_and_bars_writes() {
    let azure = Azure::start().await;
    azure.put_link("kv-pe").await;
    azure.until(&link("kv-pe"), |a| a.body["properties"]["provisioningState"] == "Succeeded").await;
    tokio::time::sleep(BUSY).await;
    let group = SIGNALR.split("/providers/").next().unwrap();
    let names = async |scope: &str| {
        let url = format!("{}{scope}/providers/Microsoft.Authorization/locks?api-version=2016-09-01", azure.endpoint());
        let answer = azure.url("GET", &url, None).await;
        let locks = answer.body["value"].as_array().unwrap().clone();
        locks.iter().map(|lock| lock["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(names(SIGNALR).await.is_empty());
    let lock = |name: &str, scope: &str, level: &str| json!({"name": name, "scope": scope, "level": level});
    let locks = json!([lock("group", group, "CanNotDelete"), lock("vault", VAULT, "ReadOnly")]);
    azure.control("PUT", "/locks", locks).await;
    assert_eq!(names(SIGNALR).await, ["group"]);
    assert_eq!(names(VAULT).await, ["group", "vault"]);
    assert_eq!(names(group).await, ["group", "vault"]);
    let deletion = azure.call("DELETE", &link("kv-pe"), None).await;
    assert_eq!((deletion.status, deletion.code()), (409, "ScopeLocked"));
    assert_eq!(azure.put_link("other").await.status, 200, "which is no deletion");
    azure.control("PUT", "/locks", json!([lock("signalr", SIGNALR, "ReadOnly")])).await;
    assert_eq!(azure.put_link("third").await.code(), "ScopeLocked");
    assert_eq!(azure.call("GET", &link("kv-pe"), None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_registered_says_so_and_takes_no_writes() {
    let azure = Azure::start().await;
    let subscription = SIGNALR.split('/').nth(2).unwrap();
    let state = async |namespace: &str| {
        let url =
            format!("{}/subscriptions/{subscription}/providers/{namespace}?api-version=2021-04-01", azure.endpoint());
        azure.url("GET", &url, None).await
    };
    assert_eq!(state("microsoft.signalrservice").await.body["registrationState"], "Registered");
    assert_eq!(state("Microsoft.Nothing").await.code(), "InvalidResourceNamespace");
    let registration = json!({
        "subscription": subscription, "namespace": "Microsoft.SignalRService", "registrationState": "NotRegistered",
    });
    azure.control("PUT", "/providers", registration).await;
    assert_eq!(state("Microsoft.SignalRService").await.body["registrationState"], "NotRegistered");
    assert_eq!(state("Microsoft.KeyVault").await.body["registrationState"], "Registered");
    assert_eq!(azure.put_link("kv-pe").await.code(), "MissingSubscriptionRegistration");
}

#[tokio::test(start_paused = true)]
async fn arm_s_date_may_be_another_one_than_the_client_s() {
    let azure = Azure::start().await;
    let date = async || azure.call("GET", SIGNALR, None).await.header("date").unwrap().to_owned();
    assert_eq!(date().await, "Tue, 24 Nov 2026 00:00:00 GMT");
    azure.control("PATCH", "/quirks", json!({"dateOffsetSeconds": -600})).await;
    assert_eq!(date().await, "Mon, 23 Nov 2026 23:50:00 GMT");
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages() {
    let azure = Azure::start().await;
    azure.control("PATCH", "/quirks", json!({"pageSize": 2})).await;
    azure.control("POST", "/strangers", json!({"vault": VAULT, "message": "hello", "count": 5})).await;
    let first = azure.call("GET", &format!("{VAULT}/privateEndpointConnections"), None).await;
    let (mut next, mut seen) = (first.body["nextLink"].as_str().map(str::to_owned), 2);
    while let Some(url) = next {
        let page = azure.url("GET", &url, None).await;
        seen += page.body["value"].as_array().unwrap().len();
        next = page.body["nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn a_fault_after_the_effect_loses_only_the_answer() {
    let azure = Azure::serve().await;
    let lost = json!({"method": "PUT", "path": "kv-pe", "when": "after", "kind": "status", "status": 504, "code": "GatewayTimeout"});
    azure.control("POST", "/faults", lost).await;
    assert_eq!(azure.put_link("kv-pe").await.status, 504);
    assert_eq!(azure.call("GET", &link("kv-pe"), None).await.status, 200);
    let refused = json!({"method": "GET", "path": "kv-pe", "kind": "status", "status": 429, "retryAfter": "7"});
    azure.control("POST", "/faults", refused).await;
    assert_eq!(azure.call("GET", &link("kv-pe"), None).await.header("retry-after"), Some("7"));
    assert_eq!(azure.call("GET", &link("kv-pe"), None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_truth_tells_who_opened_what() {
    let azure = Azure::start().await;
    azure.control("POST", "/strangers", json!({"vault": VAULT, "message": "please approve"})).await;
    let stranger = azure.connection().await;
    let decide = json!({"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}});
    azure.call("PUT", stranger["id"].as_str().unwrap(), Some(decide)).await;
    assert_eq!(azure.control("GET", "/truth", json!(null)).await["strangersApproved"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_connections_removal_is_polled_until_it_is_gone() {
    let azure = Azure::start().await;
    azure.control("POST", "/strangers", json!({"vault": VAULT, "message": "hello"})).await;
    let connection = azure.connection().await;
    let id = connection["id"].as_str().unwrap();
    let removal = azure.call("DELETE", id, None).await;
    assert_eq!(removal.status, 202);
    let location = removal.header("location").unwrap().to_owned();
    let running = azure.url("GET", &location, None).await;
    assert_eq!((running.status, running.header("location")), (202, Some(location.as_str())));
    azure.until(id, |a| a.status == 204).await;
    assert_eq!(azure.url("GET", &location, None).await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_grant_ends_where_its_scope_ends() {
    let azure = Azure::start().await;
    let grants = |scope: &str| json!([{"actions": ["*"], "scope": scope}]);
    let group = SIGNALR.split("/providers/").next().unwrap();
    azure.control("PUT", "/permissions", grants(group)).await;
    assert_eq!(azure.call("GET", SIGNALR, None).await.status, 200);
    azure.control("PUT", "/permissions", grants(group.trim_end_matches('o'))).await;
    assert_eq!(azure.call("GET", SIGNALR, None).await.status, 403);
    azure.control("PUT", "/permissions", grants("/")).await;
    assert_eq!(azure.call("GET", SIGNALR, None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_link_without_a_message_has_no_such_field() {
    let azure = Azure::start().await;
    let body = json!({"properties": {"groupId": "vault", "privateLinkResourceId": VAULT}});
    let created = azure.call("PUT", &link("kv-pe"), Some(body)).await;
    assert_eq!(created.status, 200);
    assert!(created.body["properties"].get("requestMessage").is_none());
}

#[tokio::test]
async fn a_request_without_an_answer_is_in_the_log() {
    let azure = Azure::serve().await;
    azure.control("DELETE", "/requests", json!(null)).await;
    azure.control("POST", "/faults", json!({"path": "contoso-signalr", "kind": "reset"})).await;
    let url = format!("{}{SIGNALR}?api-version=2024-03-01", azure.endpoint());
    assert!(azure.ask("GET", &url, None).await.is_none());
    assert_eq!(azure.control("GET", "/requests", json!(null)).await[0]["status"], 0);
}

#[tokio::test(start_paused = true)]
async fn the_location_of_a_deletion_is_polled_until_it_ends() {
    let azure = Azure::start().await;
    azure.put_link("kv-pe").await;
    azure.connection().await;
    tokio::time::sleep(BUSY).await;
    let deletion = azure.call("DELETE", &link("kv-pe"), None).await;
    assert_eq!(deletion.status, 202);
    let location = deletion.header("location").unwrap().to_owned();
    let running = azure.url("GET", &location, None).await;
    assert_eq!((running.status, running.header("location")), (202, Some(location.as_str())));
    azure.until(&link("kv-pe"), |a| a.status == 404).await;
    assert_eq!(azure.url("GET", &location, None).await.status, 204);
}

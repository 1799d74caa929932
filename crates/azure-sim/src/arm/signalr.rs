//! `Microsoft.SignalRService/SignalR`, as recorded.

use serde_json::{Value, json};

use super::path::{Path, SignalR as Target};
use super::{answered, operations, page, time};
use crate::clock;
use crate::reply::Reply;
use crate::server::Call;
use crate::sim::Sim;
use crate::world::{Link, Refusal, SignalR, key};

fn parent_key(path: &Path, name: &str) -> String {
    key(&format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.SignalRService/SignalR/{name}",
        path.subscription, path.group
    ))
}

fn missing(path: &Path, name: &str) -> Reply {
    Reply::gateway(
        404,
        "ResourceNotFound",
        format!(
            "The Resource 'Microsoft.SignalRService/SignalR/{name}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
            path.group
        ),
    )
}

fn parent_missing(name: &str, verb: &str) -> Reply {
    Reply::gateway(
        404,
        "ParentResourceNotFound",
        format!(
            "Failed to perform '{verb}' on resource(s) of type 'SignalR/sharedPrivateLinkResources', because the parent resource 'Microsoft.SignalRService/SignalR/{name}' could not be found."
        ),
    )
}

/// The body of a link.
fn link_body(sim: &Sim, path: &Path, signalr: &str, link: &Link) -> Value {
    let upper = sim.state().world.quirks.uppercase_groups;
    let client = &sim.config.client_id;
    let id = answered(
        upper,
        path,
        &format!("Microsoft.SignalRService/SignalR/{signalr}/sharedPrivateLinkResources/{}", link.name),
    );
    let mut properties = json!({
        "groupId": link.group_id,
        "privateLinkResourceId": link.target,
        "provisioningState": link.provisioning,
        "status": link.status,
    });
    // The specification has a string there: without a message the field is left out.
    if let (Some(message), Some(properties)) = (&link.message, properties.as_object_mut()) {
        properties.insert("requestMessage".into(), message.as_str().into());
    }
    json!({
        "properties": properties,
        "id": id,
        "name": link.name,
        "type": "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources",
        "systemData": {
            "createdBy": client, "createdByType": "Application", "createdAt": time(link.created_at),
            "lastModifiedBy": client, "lastModifiedByType": "Application", "lastModifiedAt": time(link.modified_at),
        },
    })
}

/// The body of a SignalR. The embedded arrays were only ever recorded empty.
fn signalr_body(upper: bool, path: &Path, name: &str, signalr: &SignalR) -> Value {
    let state = match &signalr.provisioning_state {
        Some(state) => state.as_str(),
        None if signalr.updating() => "Updating",
        None => "Succeeded",
    };
    let tier = signalr.sku.split('_').next().unwrap_or("Standard");
    json!({
        "sku": {"name": signalr.sku, "tier": tier, "size": signalr.sku.split('_').nth(1), "capacity": 1},
        "properties": {
            "provisioningState": state, "hostName": format!("{name}.service.signalr.net"), "publicPort": 443,
            "serverPort": 443, "version": "1.0", "privateEndpointConnections": [], "sharedPrivateLinkResources": [],
            "tls": {"clientCertEnabled": false}, "features": [], "cors": {"allowedOrigins": ["*"]},
            "publicNetworkAccess": "Enabled", "disableLocalAuth": false, "disableAadAuth": false,
        },
        "kind": "SignalR", "location": "westeurope", "tags": {},
        "id": answered(upper, path, &format!("Microsoft.SignalRService/SignalR/{name}")),
        "name": name, "type": "Microsoft.SignalRService/SignalR",
    })
}

pub fn handle(sim: &Sim, call: &Call, path: &Path, target: &Target) -> Reply {
    let name = match target {
        Target::All => return all(sim, call, path),
        Target::One(name) => return one(sim, call, path, name),
        Target::Links(name)
        | Target::Link(name, _)
        | Target::PrivateLinkResources(name)
        | Target::Replicas(name)
        | Target::Replica(name, _)
        | Target::ReplicaLinks(name, _)
        | Target::ReplicaLink(name, ..)
        | Target::OperationStatus(name, _)
        | Target::OperationResult(name, _) => name,
    };
    let seen = sim.state().world.as_read(&parent_key(path, name), clock::now(), call.method == http::Method::GET);
    let Some(signalr) = seen else {
        return match (call.method.as_str(), target) {
            ("GET", Target::Links(_)) => missing(path, name),
            ("DELETE", _) => parent_missing(name, "delete"),
            ("PUT", _) => parent_missing(name, "write"),
            _ => parent_missing(name, "read"),
        };
    };
    let upper = sim.state().world.quirks.uppercase_groups;
    match (call.method.as_str(), target) {
        ("GET", Target::Links(_)) => {
            let links: Vec<Value> = signalr.links.values().map(|l| link_body(sim, path, name, l)).collect();
            page(sim, call, &links)
        }
        ("GET", Target::Link(_, link)) => match signalr.links.get(&key(link)) {
            Some(link) => Reply::json(200, link_body(sim, path, name, link)),
            None => Reply::error(
                404,
                "ResourceNotFound",
                format!("The shared private link resource '{link}' was not found."),
            ),
        },
        ("PUT", Target::Link(_, link)) => put(sim, call, path, name, link),
        ("DELETE", Target::Link(_, link)) => delete(sim, call, path, name, link),
        ("GET", Target::PrivateLinkResources(_)) => Reply::json(200, json!({"value": shareable()})),
        ("GET", Target::Replicas(_)) => {
            let replicas: Vec<Value> = signalr.replicas.iter().map(|r| replica_body(upper, path, name, r)).collect();
            page(sim, call, &replicas)
        }
        ("GET", Target::Replica(_, replica)) if known(&signalr, replica) => {
            Reply::json(200, replica_body(upper, path, name, replica))
        }
        ("GET", Target::ReplicaLinks(_, replica)) if known(&signalr, replica) => {
            let links: Vec<Value> = signalr.links.values().map(|l| link_body(sim, path, name, l)).collect();
            page(sim, call, &links)
        }
        ("GET", Target::ReplicaLink(_, replica, link)) if known(&signalr, replica) => {
            match signalr.links.get(&key(link)) {
                Some(link) => Reply::json(200, link_body(sim, path, name, link)),
                None => Reply::error(
                    404,
                    "ResourceNotFound",
                    format!("The shared private link resource '{link}' was not found."),
                ),
            }
        }
        ("GET", Target::OperationStatus(_, id)) => {
            operation(sim, call, &signalr, id, |o| operations::status(sim, path, name, o))
        }
        ("GET", Target::OperationResult(_, id)) => operation(sim, call, &signalr, id, |o| {
            let link = signalr.links.get(&o.link).map(|link| link_body(sim, path, name, link));
            operations::result(o, link, format!("{}{}", sim.endpoint, call.path_and_query()))
        }),
        _ => Reply::error(404, "ResourceNotFound", "The resource was not found."),
    }
}

fn known(signalr: &SignalR, replica: &str) -> bool {
    signalr.replicas.iter().any(|r| r.eq_ignore_ascii_case(replica))
}

fn replica_body(upper: bool, path: &Path, signalr: &str, replica: &str) -> Value {
    json!({
        "sku": {"name": "Premium_P1", "tier": "Premium", "size": "P1", "capacity": 1},
        "properties": {"provisioningState": "Succeeded"}, "location": "northeurope", "tags": {},
        "id": answered(upper, path, &format!("Microsoft.SignalRService/SignalR/{signalr}/replicas/{replica}")),
        "name": replica, "type": "Microsoft.SignalRService/SignalR/replicas",
    })
}

/// What the service announces as shareable (recorded, 2023-02-01).
fn shareable() -> Value {
    let kind = |name: &str, group: &str, kind: &str| {
        json!({"name": name, "properties": {
            "groupId": group, "type": kind, "description": "A target that SignalR can share a private link to.",
        }})
    };
    json!([{"name": "signalr", "properties": {
        "groupId": "signalr", "requiredMembers": ["signalr"], "requiredZoneNames": ["privatelink.service.signalr.net"],
        "shareablePrivateLinkResourceTypes": [
            kind("site", "sites", "Microsoft.Web/sites"), kind("vault", "vault", "Microsoft.KeyVault/vaults"),
            kind("table", "table", "Microsoft.Storage/storageAccounts"),
        ],
    }}])
}

fn operation(
    sim: &Sim,
    call: &Call,
    signalr: &SignalR,
    id: &str,
    answer: impl FnOnce(&crate::world::Operation) -> Reply,
) -> Reply {
    if !operations::genuine(sim, call) {
        return Reply::gateway(400, "InvalidOperationUrl", "The signature of the operation's URL does not match.");
    }
    match signalr.operations.get(id) {
        Some(operation) => answer(operation),
        None => Reply::error(404, "NotFound", "The operation was not found."),
    }
}

fn all(sim: &Sim, call: &Call, path: &Path) -> Reply {
    let state = sim.state();
    let prefix = key(&format!("/subscriptions/{}/resourceGroups/{}", path.subscription, path.group));
    let bodies: Vec<Value> = state
        .world
        .signalrs()
        .iter()
        .filter(|(id, _)| id.starts_with(prefix.trim_end_matches("/resourcegroups")))
        .map(|(_, s)| {
            let own = Path::parse(&s.id);
            signalr_body(state.world.quirks.uppercase_groups, &own, s.id.rsplit('/').next().unwrap_or_default(), s)
        })
        .collect();
    drop(state);
    page(sim, call, &bodies)
}

fn one(sim: &Sim, call: &Call, path: &Path, name: &str) -> Reply {
    let mut state = sim.state();
    let id = parent_key(path, name);
    match (call.method.as_str(), state.world.signalrs().get(&id)) {
        ("GET", Some(signalr)) => {
            Reply::json(200, signalr_body(state.world.quirks.uppercase_groups, path, name, signalr))
        }
        ("DELETE", Some(_)) => {
            state.world.remove_signalr(&id);
            Reply::empty(204)
        }
        ("DELETE", None) => Reply::empty(204),
        (_, None) => missing(path, name),
        _ => Reply::error(405, "MethodNotAllowed", "azure-sim creates SignalRs through its control endpoint only."),
    }
}

fn put(sim: &Sim, call: &Call, path: &Path, name: &str, link: &str) -> Reply {
    let body = match call.json() {
        Ok(body) => body,
        Err(why) => return Reply::error(400, "InvalidRequestContent", why),
    };
    let field = |field: &str| body.pointer(&format!("/properties/{field}")).and_then(Value::as_str);
    let invalid = |why: String| Reply::error(400, "InvalidParameter", why);
    let well_named = (3..=63).contains(&link.len())
        && link.starts_with(|c: char| c.is_ascii_alphabetic())
        && !link.ends_with('-')
        && link.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !well_named {
        return invalid(format!(
            "The name '{link}' is invalid; it must match ^[a-zA-Z][a-zA-Z0-9-]{{1,61}}[a-zA-Z0-9]$."
        ));
    }
    let (Some(target), Some(group)) = (field("privateLinkResourceId"), field("groupId")) else {
        return invalid("The properties privateLinkResourceId and groupId are required.".into());
    };
    if !["sites", "vault", "table"].contains(&group) {
        return invalid(format!("The groupId '{group}' is not supported."));
    }
    if field("requestMessage").is_some_and(|message| message.chars().count() > 140) {
        return invalid("The requestMessage is restricted to 140 chars.".into());
    }
    let began = sim.state().world.put_link(
        &parent_key(path, name),
        link,
        (target, group, field("requestMessage")),
        clock::now(),
    );
    match began {
        Ok(operation) => {
            let version = call.query("api-version").unwrap_or_default();
            let url = operations::url(sim, path, name, "operationStatuses", &operation.id, &version);
            let state = sim.state();
            let Some(created) =
                state.world.link(&format!("{}/sharedPrivateLinkResources/{link}", parent_key(path, name))).cloned()
            else {
                return Reply::error(500, "InternalServerError", "The link vanished.");
            };
            drop(state);
            // 200, not the 201 of the specification; neither Location nor Retry-After (recorded).
            Reply::json(200, link_body(sim, path, name, &created)).with("azure-asyncoperation", url)
        }
        Err(refusal) => refused(refusal),
    }
}

fn delete(sim: &Sim, call: &Call, path: &Path, name: &str, link: &str) -> Reply {
    let began = sim.state().world.delete_link(&parent_key(path, name), link, clock::now());
    match began {
        Ok(None) => Reply::empty(204),
        Ok(Some(operation)) => {
            let version = call.query("api-version").unwrap_or_default();
            let url = |segment: &str| operations::url(sim, path, name, segment, &operation.id, &version);
            Reply::empty(202)
                .with("azure-asyncoperation", url("operationStatuses"))
                .with("location", url("operationResults"))
        }
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Invalid(why) => Reply::error(400, "BadRequest", why),
        Refusal::Missing => Reply::error(404, "ResourceNotFound", "The resource was not found."),
        _ => Reply::error(409, "Conflict", "The resource is not in succeeded state."),
    }
}

//! `Microsoft.KeyVault/vaults` and their private endpoint connections, as recorded.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::path::{Path, Vault as Target};
use super::{answered, page, time};
use crate::clock;
use crate::reply::Reply;
use crate::server::Call;
use crate::sim::Sim;
use crate::world::{Connection, Refusal, Vault, key};

fn vault_key(path: &Path, name: &str) -> String {
    key(&format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.KeyVault/vaults/{name}",
        path.subscription, path.group
    ))
}

fn connection_id(upper: bool, path: &Path, vault: &str, name: &str) -> String {
    answered(upper, path, &format!("Microsoft.KeyVault/vaults/{vault}/privateEndpointConnections/{name}"))
}

fn properties(connection: &Connection) -> Value {
    let mut properties = json!({"provisioningState": connection.provisioning});
    let Some(object) = properties.as_object_mut() else {
        return properties;
    };
    if let Some(endpoint) = &connection.endpoint {
        object.insert("privateEndpoint".into(), json!({"id": endpoint}));
    }
    let mut state = json!({"actionsRequired": "None"});
    if let Some(state) = state.as_object_mut() {
        if let Some(status) = &connection.status {
            state.insert("status".into(), status.as_str().into());
        }
        if let Some(description) = &connection.description {
            state.insert("description".into(), description.as_str().into());
        }
    }
    object.insert("privateLinkServiceConnectionState".into(), state);
    properties
}

fn with_etag(mut body: Value, connection: &Connection) -> Value {
    if let (Some(etag), Some(object)) = (&connection.etag, body.as_object_mut()) {
        object.insert("etag".into(), etag.as_str().into());
    }
    body
}

fn connection_body(upper: bool, path: &Path, vault: &str, connection: &Connection) -> Value {
    let body = json!({
        "id": connection_id(upper, path, vault, &connection.name),
        "name": connection.name, "type": "Microsoft.KeyVault/vaults/privateEndpointConnections", "location": "westeurope",
        "properties": properties(connection),
    });
    with_etag(body, connection)
}

/// The body of a vault. Without connections the array is left out; with some they have no name.
fn vault_body(sim: &Sim, upper: bool, path: &Path, name: &str, vault: &Vault) -> Value {
    let mut body = json!({
        "id": answered(upper, path, &format!("Microsoft.KeyVault/vaults/{name}")),
        "name": name, "type": "Microsoft.KeyVault/vaults", "location": "westeurope", "tags": {},
        "properties": {
            "sku": {"family": "A", "name": "standard"}, "tenantId": sim.config.tenant_id, "accessPolicies": [],
            "enabledForDeployment": false, "enableSoftDelete": true, "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": true, "vaultUri": format!("https://{name}.vault.azure.net/"),
            "provisioningState": "Succeeded", "publicNetworkAccess": "Disabled",
        },
    });
    let embedded: Vec<Value> = vault
        .connections
        .values()
        .map(|c| with_etag(json!({"id": connection_id(upper, path, name, &c.name), "properties": properties(c)}), c))
        .collect();
    if let (false, Some(properties)) =
        (embedded.is_empty(), body.pointer_mut("/properties").and_then(Value::as_object_mut))
    {
        properties.insert("privateEndpointConnections".into(), embedded.into());
    }
    body
}

pub fn handle(sim: &Sim, call: &Call, path: &Path, target: &Target) -> Reply {
    let name = match target {
        Target::All => return all(sim, call, path),
        Target::One(name) | Target::Connections(name) | Target::Connection(name, _) => name,
    };
    let state = sim.state();
    let upper = state.world.quirks.uppercase_groups;
    let Some(vault) = state.world.vaults().get(&vault_key(path, name)).cloned() else {
        return Reply::gateway(
            404,
            "ResourceNotFound",
            format!(
                "The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
                path.group
            ),
        );
    };
    drop(state);
    match (call.method.as_str(), target) {
        ("GET", Target::One(_)) => Reply::json(200, vault_body(sim, upper, path, name, &vault)),
        // The list exists since 2021-04-01-preview.
        ("GET", Target::Connections(_)) if call.query("api-version").is_some_and(|v| v.as_str() >= "2021-04-01") => {
            let bodies: Vec<Value> =
                vault.connections.values().map(|c| connection_body(upper, path, name, c)).collect();
            page(sim, call, &bodies)
        }
        ("GET", Target::Connection(_, connection)) => match vault.connections.get(&key(connection)) {
            // A removal is polled at its Location: 202 with Location again, then 204 (recorded for
            // the Managed HSM of the same provider).
            Some(found) if found.removed_at.is_some() && call.query("kv-operation").is_some() => {
                Reply::empty(202).with("location", format!("{}{}", sim.endpoint, call.path_and_query()))
            }
            Some(found) => Reply::json(200, connection_body(upper, path, name, found)),
            None => none(sim, call, connection),
        },
        ("PUT", Target::Connection(_, connection)) => put(sim, call, path, name, connection),
        ("DELETE", Target::Connection(_, connection)) => delete(sim, call, path, name, connection),
        _ => Reply::gateway(404, "NotFound", "The resource was not found."),
    }
}

/// "Does not exist" is 204 without a body in the specification; the end of a removal is, too.
fn none(sim: &Sim, call: &Call, connection: &str) -> Reply {
    if sim.state().world.quirks.connection_404 && call.query("kv-operation").is_none() {
        return Reply::error(
            404,
            "PrivateEndpointConnectionNotFound",
            format!("The private endpoint connection '{connection}' was not found."),
        );
    }
    Reply::empty(204)
}

fn all(sim: &Sim, call: &Call, path: &Path) -> Reply {
    let state = sim.state();
    let prefix = key(&format!("/subscriptions/{}/resourceGroups/{}", path.subscription, path.group));
    let bodies: Vec<Value> = state
        .world
        .vaults()
        .iter()
        .filter(|(id, _)| id.starts_with(prefix.trim_end_matches("/resourcegroups")))
        .map(|(_, v)| {
            let own = Path::parse(&v.id);
            vault_body(sim, state.world.quirks.uppercase_groups, &own, v.id.rsplit('/').next().unwrap_or_default(), v)
        })
        .collect();
    drop(state);
    page(sim, call, &bodies)
}

/// Key Vault's operation URL is the connection's own, with a token that tells what was done.
fn operation_url(sim: &Sim, call: &Call, code: &str, etag: &str) -> String {
    let token = json!({"code": format!("privateEndpointConnections/{code}"), "st": time(clock::now()), "etag": etag});
    let version = call.query("api-version").unwrap_or_default();
    format!(
        "{}{}?api-version={version}&kv-operation={}",
        sim.endpoint,
        call.path(),
        URL_SAFE_NO_PAD.encode(token.to_string())
    )
}

fn put(sim: &Sim, call: &Call, path: &Path, vault: &str, name: &str) -> Reply {
    let body = match call.json() {
        Ok(body) => body,
        Err(why) => return Reply::error(400, "BadRequest", why),
    };
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let Some(status) = text("/properties/privateLinkServiceConnectionState/status") else {
        return Reply::error(400, "BadRequest", "properties.privateLinkServiceConnectionState.status is required.");
    };
    let description = text("/properties/privateLinkServiceConnectionState/description");
    let id = format!("{}/privateendpointconnections/{}", vault_key(path, vault), key(name));
    let mut state = sim.state();
    let stored = state.world.connection(&id).and_then(|c| c.endpoint.clone());
    if let (Some(sent), Some(stored)) = (text("/properties/privateEndpoint/id"), stored)
        && key(sent) != key(&stored)
    {
        return Reply::error(400, "BadRequest", "The private endpoint of a connection cannot be changed.");
    }
    let decided = state.world.decide(&id, (status, description), text("/etag"), "arm", clock::now());
    let upper = state.world.quirks.uppercase_groups;
    let connection = state.world.connection(&id).cloned();
    drop(state);
    match (decided, connection) {
        (Ok(()), Some(connection)) => {
            // As recorded: `approve` or `reject`. Other decisions were never recorded.
            let code = if status == "Rejected" { "reject" } else { "approve" };
            let url = operation_url(sim, call, code, connection.etag.as_deref().unwrap_or_default());
            Reply::json(200, connection_body(upper, path, vault, &connection)).with("azure-asyncoperation", url)
        }
        (Err(Refusal::VaultBusy | Refusal::Busy), _) => Reply::error(
            409,
            "ConflictError",
            format!(
                "A conflict occurred that prevented the operation from completing. The operation failed because the Key Vault '{vault}' changed from the point the operation began. This can happen if parallel operations are being performed on the Key Vault. To prevent this error, serialize the operations so that only one operation is performed on the Key Vault at a time."
            ),
        ),
        // Un-enveloped, as 412 was seen elsewhere.
        (Err(Refusal::Etag), _) => {
            Reply::json(412, json!({"code": "PreconditionFailed", "message": "The etag does not match."}))
        }
        (Err(Refusal::Invalid(why)), _) => Reply::error(400, "BadRequest", why),
        _ => Reply::error(
            404,
            "PrivateEndpointConnectionNotFound",
            format!("The private endpoint connection '{name}' was not found."),
        ),
    }
}

fn delete(sim: &Sim, call: &Call, path: &Path, vault: &str, name: &str) -> Reply {
    let id = format!("{}/privateendpointconnections/{}", vault_key(path, vault), key(name));
    if !sim.state().world.remove_connection(&id, "arm", clock::now()) {
        return Reply::empty(204);
    }
    let url = operation_url(sim, call, "delete", "");
    Reply::empty(202).with("location", url)
}

//! The control endpoint: what people outside do, what goes wrong, and the truth. JSON over HTTP
//! on loopback; a wrong body is refused with the name of the field.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock;
use crate::faults::Fault;
use crate::reply::Reply;
use crate::server::Call;
use crate::sim::{Grant, Sim};
use crate::world::{Connection, Link, Lock, Outcome, key};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewSignalR {
    resource_id: String,
    #[serde(default = "standard")]
    sku: String,
    #[serde(default)]
    replicas: Vec<String>,
}

fn standard() -> String {
    "Standard_S1".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeSignalR {
    resource_id: String,
    sku: Option<String>,
    provisioning_state: Option<String>,
    busy_for_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resource {
    resource_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Decide {
    id: Option<String>,
    vault: Option<String>,
    message: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewStranger {
    vault: String,
    message: Option<String>,
    endpoint_subscription: Option<String>,
    #[serde(default = "one")]
    count: usize,
}

fn one() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Repoint {
    id: String,
    private_endpoint_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ById {
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LinkProperties {
    provisioning_state: Option<String>,
    status: Option<String>,
    request_message: Option<String>,
    group_id: Option<String>,
    private_link_resource_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditLink {
    id: String,
    properties: LinkProperties,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetOutcome {
    id: String,
    /// `Succeeded`, `Failed`, `Canceled`, `Never`, `Untold` or `Vanishes`.
    outcome: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    /// Of its deletions instead of its creations.
    #[serde(default)]
    deletion: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registration {
    subscription: String,
    namespace: String,
    /// `Registered`, `Registering`, `NotRegistered`, ….
    registration_state: String,
}

type Answer = Result<Value, (u16, String)>;

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, (u16, String)> {
    serde_json::from_slice(&call.body).map_err(|error| (400, format!("{} {}: {error}", call.method, call.path())))
}

fn found<T>(value: Option<T>, what: &str) -> Result<T, (u16, String)> {
    value.ok_or_else(|| (404, format!("there is no {what}")))
}

/// Answers a request to the control endpoint.
pub fn handle(sim: &Sim, call: &Call) -> Reply {
    match route(sim, call) {
        Ok(value) => Reply::json(200, value),
        Err((status, why)) => Reply::json(status, json!({"error": why})),
    }
}

fn route(sim: &Sim, call: &Call) -> Answer {
    let path = call.path().trim_matches('/');
    match (call.method.as_str(), path) {
        ("GET", "healthz") => Ok(json!({"status": "ok"})),
        ("GET", "state" | "truth" | "requests" | "counts") => Ok(look(sim, call, path)),
        (_, "signalr") => signalr(sim, call),
        (_, "vaults") => vault(sim, call),
        ("POST", "connections/approve") => decide(sim, call, "Approved"),
        ("POST", "connections/reject") => decide(sim, call, "Rejected"),
        ("POST", "connections/remove" | "connections/repoint" | "strangers") => connections(sim, call, path),
        ("POST", "links" | "links/edit" | "links/delete" | "outcomes") => links(sim, call, path),
        (_, "faults" | "timings" | "quirks" | "permissions" | "locks" | "providers" | "tokens" | "requests") => {
            settings(sim, call, path)
        }
        _ => Err((404, format!("{} /{path} is not known; docs/azure-sim.md lists what is", call.method))),
    }
}

fn look(sim: &Sim, call: &Call, what: &str) -> Value {
    let state = sim.state();
    match what {
        "state" => {
            json!({"signalrs": state.world.signalrs(), "vaults": state.world.vaults(), "timings": state.world.timings, "quirks": state.world.quirks})
        }
        "truth" => {
            json!({"writes": state.world.truth.writes, "strangersApproved": state.world.truth.strangers_approved()})
        }
        "requests" => {
            let since = call.query("since").and_then(|number| number.parse().ok()).unwrap_or(0);
            json!(state.requests.since(since).collect::<Vec<_>>())
        }
        _ => state.requests.counts(),
    }
}

fn signalr(sim: &Sim, call: &Call) -> Answer {
    match call.method.as_str() {
        "POST" => {
            let new: NewSignalR = body(call)?;
            sim.state().world.add_signalr(&new.resource_id, &new.sku, new.replicas);
            Ok(json!({"resourceId": new.resource_id}))
        }
        "PATCH" => {
            let change: ChangeSignalR = body(call)?;
            let mut state = sim.state();
            let signalr = found(state.world.signalr_mut(&key(&change.resource_id)), "such SignalR")?;
            if let Some(sku) = change.sku {
                signalr.sku = sku;
            }
            if let Some(state) = change.provisioning_state {
                signalr.provisioning_state = Some(state).filter(|s| s != "Succeeded");
            }
            if let Some(busy) = change.busy_for_ms {
                signalr.busy_until = clock::now().checked_add(jiff::SignedDuration::from_millis(busy)).ok();
            }
            Ok(json!({"resourceId": change.resource_id}))
        }
        "DELETE" => {
            let gone: Resource = body(call)?;
            found(sim.state().world.remove_signalr(&gone.resource_id).then_some(json!({})), "such SignalR")
        }
        _ => Err((405, "expected POST, PATCH or DELETE".to_owned())),
    }
}

fn vault(sim: &Sim, call: &Call) -> Answer {
    let Resource { resource_id } = body(call)?;
    match call.method.as_str() {
        "POST" => {
            sim.state().world.add_vault(&resource_id);
            Ok(json!({"resourceId": resource_id}))
        }
        "DELETE" => {
            let removed = sim.state().world.remove_vault(&resource_id, clock::now());
            found(removed.then_some(json!({})), "such vault")
        }
        _ => Err((405, "expected POST or DELETE".to_owned())),
    }
}

/// The connection that is named, or the only pending one on the vault whose message begins so.
fn decide(sim: &Sim, call: &Call, status: &str) -> Answer {
    let decide: Decide = body(call)?;
    let mut state = sim.state();
    let id = match (&decide.id, &decide.vault) {
        (Some(id), _) => id.clone(),
        (None, Some(vault)) => {
            let vault = found(state.world.vaults().get(&key(vault)), "such vault")?;
            let words = decide.message.as_deref().unwrap_or_default();
            let pending = |c: &&Connection| {
                c.status.as_deref() == Some("Pending")
                    && c.description.as_deref().unwrap_or_default().starts_with(words)
            };
            let matching: Vec<&Connection> = vault.connections.values().filter(pending).collect();
            match matching.as_slice() {
                [one] => format!("{}/privateEndpointConnections/{}", vault.id, one.name),
                other => {
                    return Err((409, format!("{} pending connections match; give id", other.len())));
                }
            }
        }
        (None, None) => return Err((400, "give id, or vault and message".to_owned())),
    };
    let description = decide.description.as_deref().or(Some("Decided by the vault's owner"));
    let decided = state.world.decide(&id, (status, description), None, "control", clock::now());
    decided.map(|()| json!({"id": id})).map_err(|refusal| (409, format!("{refusal:?}")))
}

fn connections(sim: &Sim, call: &Call, path: &str) -> Answer {
    let mut state = sim.state();
    match path {
        "connections/remove" => {
            let ById { id } = body(call)?;
            found(state.world.remove_connection(&id, "control", clock::now()).then_some(json!({})), "such connection")
        }
        "connections/repoint" => {
            let Repoint { id, private_endpoint_id } = body(call)?;
            found(state.world.connection_mut(&id), "such connection")?.endpoint = Some(private_endpoint_id);
            Ok(json!({}))
        }
        _ => {
            let new: NewStranger = body(call)?;
            let mut ids = Vec::new();
            for _ in 0..new.count {
                let subscription = new.endpoint_subscription.as_deref();
                ids.push(found(state.world.stranger(&new.vault, new.message.clone(), subscription), "such vault")?);
            }
            Ok(json!({"ids": ids}))
        }
    }
}

fn edit(link: &mut Link, properties: LinkProperties) {
    let LinkProperties { provisioning_state, status, request_message, group_id, private_link_resource_id } = properties;
    link.provisioning = provisioning_state.unwrap_or_else(|| link.provisioning.clone());
    link.status = status.or(link.status.take());
    link.message = request_message.or(link.message.take());
    link.group_id = group_id.unwrap_or_else(|| link.group_id.clone());
    link.target = private_link_resource_id.unwrap_or_else(|| link.target.clone());
    link.modified_at = clock::now();
}

fn links(sim: &Sim, call: &Call, path: &str) -> Answer {
    let mut state = sim.state();
    match path {
        "links/delete" => {
            let ById { id } = body(call)?;
            found(state.world.remove_link(&id).then_some(json!({})), "such link")
        }
        "links/edit" => {
            let change: EditLink = body(call)?;
            edit(found(state.world.link_mut(&change.id), "such link")?, change.properties);
            Ok(json!({}))
        }
        "links" => {
            let new: EditLink = body(call)?;
            let now = clock::now();
            let mut link = Link {
                name: new.id.rsplit('/').next().unwrap_or_default().to_owned(),
                target: String::new(),
                group_id: "vault".to_owned(),
                message: None,
                provisioning: "Succeeded".to_owned(),
                status: Some("Pending".to_owned()),
                created_at: now,
                modified_at: now,
                appears: None,
                pending: None,
                gone_at: None,
            };
            edit(&mut link, new.properties);
            found(state.world.plant_link(&new.id, link).then_some(json!({"id": new.id})), "such SignalR")
        }
        _ => {
            let SetOutcome { id, outcome, code, message, deletion } = body(call)?;
            let outcome = match outcome.as_str() {
                "Succeeded" => Outcome::Succeeded,
                "Never" => Outcome::Never,
                "Untold" => Outcome::Untold,
                "Vanishes" => Outcome::Vanishes { code, message },
                "Failed" | "Canceled" => Outcome::Bad { status: outcome, code, message },
                other => {
                    return Err((
                        400,
                        format!("outcome {other:?} is not Succeeded, Failed, Canceled, Never, Untold or Vanishes"),
                    ));
                }
            };
            let world = &mut state.world;
            let outcomes = if deletion { &mut world.deletion_outcomes } else { &mut world.outcomes };
            outcomes.insert(key(&id), outcome);
            Ok(json!({}))
        }
    }
}

fn settings(sim: &Sim, call: &Call, path: &str) -> Answer {
    let mut state = sim.state();
    match (call.method.as_str(), path) {
        ("POST", "faults") => state.faults.add(body::<Fault>(call)?),
        ("DELETE", "faults") => state.faults.clear(),
        ("PATCH", "timings") => state.world.timings = merged(&state.world.timings, call)?,
        ("PATCH", "quirks") => state.world.quirks = merged(&state.world.quirks, call)?,
        ("PUT", "permissions") => state.grants = body::<Option<Vec<Grant>>>(call)?,
        ("PUT", "locks") => state.world.locks = body::<Vec<Lock>>(call)?,
        ("PUT", "providers") => {
            let Registration { subscription, namespace, registration_state } = body(call)?;
            state.world.register(&subscription, &namespace, &registration_state);
        }
        ("DELETE", "tokens") => state.tokens.clear(),
        ("DELETE", "requests") => state.requests.clear(),
        (method, _) => return Err((405, format!("{method} /{path} is not known"))),
    }
    Ok(json!({}))
}

/// The settings with the fields of the body changed.
fn merged<T: serde::Serialize + DeserializeOwned>(settings: &T, call: &Call) -> Result<T, (u16, String)> {
    let wrong = |error: serde_json::Error| (400, format!("{}: {error}", call.path()));
    let mut all = serde_json::to_value(settings).map_err(wrong)?;
    let change: Value = body(call)?;
    for (name, value) in change.as_object().into_iter().flatten() {
        match all.get_mut(name) {
            Some(field) => *field = value.clone(),
            None => return Err((400, format!("{}: {name} is not known", call.path()))),
        }
    }
    serde_json::from_value(all).map_err(wrong)
}

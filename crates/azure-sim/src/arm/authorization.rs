//! What ARM itself keeps beside the resources: which providers a subscription is registered for, what the caller may do,
//! and locks.

use serde_json::{Value, json};

use super::path::{Path, Target};
use super::within;
use crate::reply::Reply;
use crate::server::Call;
use crate::sim::Sim;
use crate::world::{Level, key};

/// The providers that there are here, as Azure spells them.
const PROVIDERS: [&str; 2] = ["Microsoft.KeyVault", "Microsoft.SignalRService"];

/// Whether the subscription is registered for a provider.
pub fn provider(sim: &Sim, path: &Path, namespace: &str) -> Reply {
    let Some(name) = PROVIDERS.into_iter().find(|known| known.eq_ignore_ascii_case(namespace)) else {
        let why = format!("The resource namespace '{namespace}' is invalid.");
        return Reply::gateway(404, "InvalidResourceNamespace", why);
    };
    let state = sim.state().world.registration(&path.subscription, name);
    Reply::json(
        200,
        json!({
            "id": format!("/subscriptions/{}/providers/{name}", path.subscription), "namespace": name,
            "registrationPolicy": "RegistrationRequired", "registrationState": state, "resourceTypes": [],
        }),
    )
}

/// What the caller may do at a scope: one entry for each grant at or above it.
pub fn permissions(sim: &Sim, scope: &str) -> Reply {
    let entry =
        |actions: &[String]| json!({"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []});
    let entries: Vec<Value> = match &sim.state().grants {
        None => vec![entry(&["*".to_owned()])],
        Some(grants) => {
            let here = grants.iter().filter(|grant| within(&key(scope), &key(&grant.scope)));
            here.map(|grant| entry(&grant.actions)).collect()
        }
    };
    Reply::json(200, json!({"value": entries}))
}

/// The locks at a scope, above it and below it.
pub fn locks(sim: &Sim, scope: &str) -> Reply {
    let scope = key(scope);
    let state = sim.state();
    let concerned = state.world.locks.iter().filter(|lock| {
        let locked = key(&lock.scope);
        within(&scope, &locked) || within(&locked, &scope)
    });
    let bodies: Vec<Value> = concerned
        .map(|lock| {
            let (name, scope) = (&lock.name, lock.scope.trim_end_matches('/'));
            json!({
                "properties": {"level": lock.level}, "name": name, "type": "Microsoft.Authorization/locks",
                "id": format!("{scope}/providers/Microsoft.Authorization/locks/{name}"),
            })
        })
        .collect();
    Reply::json(200, json!({"value": bodies}))
}

/// What a lock or a missing registration refuses: writes alone. Reads are answered.
pub fn refusal(sim: &Sim, call: &Call, path: &Path) -> Option<Reply> {
    let verb = match call.method.as_str() {
        "GET" | "HEAD" => return None,
        "DELETE" => "delete",
        _ => "write",
    };
    let (state, id) = (sim.state(), key(call.path()));
    let bars = |level: Level| level == Level::ReadOnly || verb == "delete";
    if let Some(lock) = state.world.locks.iter().find(|lock| bars(lock.level) && within(&id, &key(&lock.scope))) {
        let why = format!(
            "The scope '{}' cannot perform {verb} operation because following scope(s) are locked: '{}'. Please remove the lock and try again.",
            call.path(),
            lock.scope
        );
        return Some(Reply::gateway(409, "ScopeLocked", why));
    }
    let namespace = match path.target {
        Target::SignalR(_) => "Microsoft.SignalRService",
        Target::Vault(_) => "Microsoft.KeyVault",
        _ => return None,
    };
    (state.world.registration(&path.subscription, namespace) != "Registered").then(|| {
        let why = format!(
            "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions."
        );
        Reply::gateway(409, "MissingSubscriptionRegistration", why)
    })
}

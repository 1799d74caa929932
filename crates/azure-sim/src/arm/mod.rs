//! Azure Resource Manager: authentication, permissions, and the way to the two providers.

mod authorization;
mod key_vault;
mod operations;
mod path;
mod signalr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::reply::{Reply, http_date};
use crate::server::Call;
use crate::sim::{Grant, Sim};
use crate::throttle::Kind;
use path::{Path, Target};

const SIGNALR_VERSIONS: &[&str] = &[
    "2021-04-01-preview",
    "2021-06-01-preview",
    "2021-09-01-preview",
    "2021-10-01",
    "2022-02-01",
    "2022-08-01-preview",
    "2023-02-01",
    "2023-03-01-preview",
    "2023-06-01-preview",
    "2023-08-01-preview",
    "2024-01-01-preview",
    "2024-03-01",
    "2024-04-01-preview",
    "2024-08-01-preview",
    "2024-10-01-preview",
    "2025-01-01-preview",
];
const VAULT_VERSIONS: &[&str] = &[
    "2018-02-14",
    "2019-09-01",
    "2020-04-01-preview",
    "2021-04-01-preview",
    "2021-10-01",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-04-01-preview",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
    "2026-03-01-preview",
    "2026-04-01-preview",
    "2026-05-15",
];
const PERMISSION_VERSIONS: &[&str] = &["2015-07-01", "2018-07-01", "2022-04-01"];
const LOCK_VERSIONS: &[&str] = &["2015-01-01", "2016-09-01", "2017-04-01", "2020-05-01"];

/// Answers; with what the request was about and the actions that it needed, for the log.
pub fn handle(sim: &Sim, call: &Call) -> (&'static str, Vec<String>, Reply) {
    if call.path().starts_with("/metadata/endpoints") {
        return ("metadata", Vec::new(), metadata(sim));
    }
    let path = Path::parse(call.path());
    let kind = path.target.kind();
    let actions = path.target.actions(call.method.as_str());
    let mut left = None;
    let reply =
        admit(sim, call, &path, &actions, &mut left).map_or_else(|refusal| *refusal, |()| dispatch(sim, call, &path));
    (kind, actions, date(sim, stamp(call, reply, left)))
}

/// The checks that ARM itself makes, in its order.
fn admit(sim: &Sim, call: &Call, path: &Path, actions: &[String], left: &mut Option<u64>) -> Result<(), Box<Reply>> {
    let client = authenticate(sim, call)?;
    *left = throttle(sim, call, path, &client).inspect_err(|_| *left = Some(0))?;
    let refusal = actions.iter().find_map(|action| permit(sim, &client, action, call.path()));
    let refusal = refusal.or_else(|| version(call, path)).or_else(|| authorization::refusal(sim, call, path));
    refusal.map_or(Ok(()), |reply| Err(Box::new(reply)))
}

fn authenticate(sim: &Sim, call: &Call) -> Result<String, Box<Reply>> {
    let header = call.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |code: &str, message: &str| {
        let tenant = &sim.config.tenant_id;
        let challenge = format!(
            "Bearer authorization_uri=\"{}/{tenant}\", error=\"invalid_token\", error_description=\"{message}\"",
            sim.endpoint
        );
        Err(Box::new(Reply::gateway(401, code, message).with("www-authenticate", challenge)))
    };
    let Some(token) = header.strip_prefix("Bearer ") else {
        return refuse("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
    };
    match sim.state().tokens.get(token) {
        None => refuse("InvalidAuthenticationToken", "The access token is invalid."),
        Some(issued) if issued.expires <= clock::now() => {
            refuse("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time.")
        }
        Some(issued) => Ok(issued.client_id.clone()),
    }
}

/// What is left of the client's bucket, if the simulator throttles.
fn throttle(sim: &Sim, call: &Call, path: &Path, client: &str) -> Result<Option<u64>, Box<Reply>> {
    let mut state = sim.state();
    let rate = state.world.quirks.throttle_rate;
    if rate == 0 || path.subscription.is_empty() {
        return Ok(None);
    }
    let kind = Kind::of(call.method.as_str());
    state.throttle.take(client, &path.subscription, kind, rate, clock::now()).map(Some).map_err(|seconds| {
        let message = format!(
            "Number of requests for subscription '{}' and operation '{kind:?}' exceeded the backend storage limit. Please try again after '{seconds}' seconds.",
            path.subscription
        );
        Box::new(Reply::gateway(429, "SubscriptionRequestsThrottled", message).with("retry-after", seconds.to_string()))
    })
}

/// Whether a granted pattern covers an action; both without case.
fn covers(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => pattern == action,
        Some((begin, end)) => {
            action.len() >= begin.len() + end.len() && action.starts_with(begin) && action.ends_with(end)
        }
    }
}

/// Whether an id is the scope's own or below it; a scope ends at the end of a segment.
fn within(id: &str, scope: &str) -> bool {
    id.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn permit(sim: &Sim, client: &str, action: &str, path: &str) -> Option<Reply> {
    let state = sim.state();
    let path_key = crate::world::key(path);
    let granted = |grant: &Grant| {
        within(&path_key, &crate::world::key(&grant.scope))
            && grant.actions.iter().any(|pattern| covers(pattern, action))
    };
    if state.grants.as_ref()?.iter().any(granted) {
        return None;
    }
    Some(Reply::gateway(
        403,
        "AuthorizationFailed",
        format!(
            "The client '{client}' with object id '{client}' does not have authorization to perform action '{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please refresh your credentials."
        ),
    ))
}

fn version(call: &Call, path: &Path) -> Option<Reply> {
    let Some(version) = call.query("api-version") else {
        return Some(Reply::gateway(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ));
    };
    let (namespace, known) = match path.target {
        Target::None | Target::Provider(_) => return None,
        Target::Permissions(_) => ("Microsoft.Authorization", PERMISSION_VERSIONS),
        Target::Locks(_) => ("Microsoft.Authorization", LOCK_VERSIONS),
        Target::SignalR(..) => ("Microsoft.SignalRService", SIGNALR_VERSIONS),
        Target::Vault(..) => ("Microsoft.KeyVault", VAULT_VERSIONS),
    };
    (!known.contains(&version.as_str())).then(|| {
        Reply::gateway(400, "NoRegisteredProviderFound", format!(
            "No registered resource provider found for location 'westeurope' and API version '{version}' for namespace '{namespace}'. The supported api-versions are '{}'.",
            known.join(", ")
        ))
    })
}

fn dispatch(sim: &Sim, call: &Call, path: &Path) -> Reply {
    let state = sim.state();
    let ids = || state.world.signalrs().keys().chain(state.world.vaults().keys());
    let subscription = format!("/subscriptions/{}/", path.subscription.to_ascii_lowercase());
    if matches!(path.target, Target::None) {
        return subscriptions(sim, path, ids().any(|id| id.starts_with(&subscription)), ids());
    }
    if !ids().any(|id| id.starts_with(&subscription)) {
        return Reply::gateway(
            404,
            "SubscriptionNotFound",
            format!("The subscription '{}' could not be found.", path.subscription),
        );
    }
    let group = format!("{subscription}resourcegroups/{}/", path.group.to_ascii_lowercase());
    if !path.group.is_empty() && !ids().any(|id| id.starts_with(&group)) {
        return Reply::gateway(
            404,
            "ResourceGroupNotFound",
            format!("Resource group '{}' could not be found.", path.group),
        );
    }
    drop(state);
    match &path.target {
        Target::SignalR(target) => signalr::handle(sim, call, path, target),
        Target::Vault(target) => key_vault::handle(sim, call, path, target),
        Target::Provider(namespace) => authorization::provider(sim, path, namespace),
        Target::Permissions(scope) => authorization::permissions(sim, scope),
        Target::Locks(scope) => authorization::locks(sim, scope),
        Target::None => Reply::gateway(404, "NotFound", "Not found."),
    }
}

/// What tools ask before they get to work.
fn subscriptions<'a>(sim: &Sim, path: &Path, known: bool, ids: impl Iterator<Item = &'a String>) -> Reply {
    let tenant = &sim.config.tenant_id;
    let one = |id: &str| {
        json!({
            "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": tenant, "displayName": "azure-sim",
            "state": "Enabled", "subscriptionPolicies": {"spendingLimit": "Off"}, "authorizationSource": "RoleBased",
        })
    };
    match path.segments.first().map(|s| s.to_ascii_lowercase()).as_deref() {
        Some("tenants") => Reply::json(
            200,
            json!({"value": [{"id": format!("/tenants/{tenant}"), "tenantId": tenant, "displayName": "azure-sim"}]}),
        ),
        Some("subscriptions") if path.subscription.is_empty() => {
            let mut all: Vec<String> = ids.filter_map(|id| id.split('/').nth(2).map(str::to_owned)).collect();
            all.sort();
            all.dedup();
            Reply::json(200, json!({"value": all.iter().map(|id| one(id)).collect::<Vec<Value>>()}))
        }
        Some("subscriptions") if path.segments.len() == 2 && known => Reply::json(200, one(&path.subscription)),
        Some("subscriptions") if !known => Reply::gateway(
            404,
            "SubscriptionNotFound",
            format!("The subscription '{}' could not be found.", path.subscription),
        ),
        _ => Reply::gateway(404, "NotFound", "azure-sim knows SignalR and key vaults only."),
    }
}

/// What `az cloud register` reads.
fn metadata(sim: &Sim) -> Reply {
    let endpoint = &sim.endpoint;
    Reply::json(
        200,
        json!({
            "name": "AzureSim", "resourceManager": format!("{endpoint}/"), "portal": endpoint, "gallery": endpoint, "graph": endpoint,
            "authentication": {"loginEndpoint": endpoint, "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"], "tenant": "common", "identityProvider": "AAD"},
            "suffixes": {"keyVaultDns": "vault.azure.net", "storage": "core.windows.net"},
        }),
    )
}

/// The headers that every answer of ARM's has.
fn stamp(call: &Call, reply: Reply, left: Option<u64>) -> Reply {
    let bucket = Kind::of(call.method.as_str()).header();
    let id = Uuid::new_v4().to_string();
    reply
        .with("cache-control", "no-cache")
        .with("pragma", "no-cache")
        .with("expires", "-1")
        .with("strict-transport-security", "max-age=31536000; includeSubDomains")
        .with("x-content-type-options", "nosniff")
        .with("x-ms-request-id", id.clone())
        .with("x-ms-correlation-request-id", id)
        .with(bucket, left.unwrap_or(199).to_string())
}

/// The answer with its `Date`, where that is another one than the simulator's own time.
fn date(sim: &Sim, reply: Reply) -> Reply {
    match sim.state().world.quirks.date_offset_seconds {
        0 => reply,
        offset => {
            let shifted = clock::now().saturating_add(SignedDuration::from_secs(offset));
            reply.with("date", http_date(shifted.unwrap_or_else(|_| clock::now())))
        }
    }
}

/// A page of a list, with a link to the next one.
fn page(sim: &Sim, call: &Call, items: &[Value]) -> Reply {
    let quirks = sim.state().world.quirks.clone();
    let size = quirks.page_size.max(1);
    let begin: usize = call.query("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let end = begin.saturating_add(size).min(items.len());
    let mut body = json!({"value": items.get(begin.min(end)..end).unwrap_or_default()});
    if end < items.len() {
        let host = quirks.next_link_host.unwrap_or_else(|| sim.endpoint.clone());
        let version = call.query("api-version").unwrap_or_default();
        if let Some(object) = body.as_object_mut() {
            let next = format!("{host}{}?api-version={version}&$skiptoken={end}", call.path());
            object.insert("nextLink".to_owned(), next.into());
        }
    }
    Reply::json(200, body)
}

/// Time as ARM writes it.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.7fZ").to_string()
}

/// An id as ARM answers with it: its own letter case for the type, perhaps another for the group.
fn answered(sim_upper: bool, path: &Path, rest: &str) -> String {
    let group = if sim_upper { path.group.to_ascii_uppercase() } else { path.group.clone() };
    format!("/subscriptions/{}/resourceGroups/{group}/providers/{rest}", path.subscription)
}

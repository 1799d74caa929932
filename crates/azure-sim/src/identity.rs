//! The identity endpoints of a machine, over plain http as in Azure: the one of a virtual machine
//! (Microsoft, "How to use managed identities to acquire an access token") and the one of App Service
//! (Microsoft, "Use managed identities for App Service", REST endpoint reference). They are served beside the
//! control endpoint.

use serde_json::{Value, json};

use crate::entra;
use crate::reply::Reply;
use crate::server::{Call, log};
use crate::sim::Sim;

/// What stands in `IDENTITY_HEADER` of an App Service, and in the header `X-IDENTITY-HEADER`.
pub const IDENTITY_HEADER: &str = "azure-sim-identity";

/// Answers what belongs to an identity endpoint; `None` for anything else.
pub(crate) fn handle(sim: &Sim, call: &Call) -> Option<Reply> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let proves_itself = match call.path() {
        "/metadata/identity/oauth2/token" => header("metadata") == "true" && header("x-forwarded-for").is_empty(),
        "/msi/token" => header("x-identity-header") == IDENTITY_HEADER,
        _ => return None,
    };
    let reply = if proves_itself {
        token(sim, call)
    } else {
        refuse("invalid_request", "Required metadata header not specified, or the request was forwarded")
    };
    log(sim, call, "token", Vec::new(), reply.status);
    Some(reply)
}

fn refuse(error: &str, description: &str) -> Reply {
    Reply::json(400, json!({"error": error, "error_description": description}))
}

fn token(sim: &Sim, call: &Call) -> Reply {
    let resource = call.query("resource").unwrap_or_default();
    if !entra::audiences(sim).iter().any(|known| known.trim_end_matches('/') == resource.trim_end_matches('/')) {
        return refuse(
            "invalid_resource",
            &format!("AADSTS500011: The resource principal named {resource} was not found."),
        );
    }
    let own = &sim.config.client_id;
    if call.query("client_id").is_some_and(|client| !client.eq_ignore_ascii_case(own)) {
        return refuse("invalid_request", "Identity not found");
    }
    let (token, expires) = entra::issue(sim, own);
    // All of them are strings here, the time too.
    let expires = Value::String(expires.as_second().to_string());
    Reply::json(
        200,
        json!({
            "access_token": token, "client_id": own, "expires_on": expires, "resource": resource, "token_type": "Bearer",
        }),
    )
}

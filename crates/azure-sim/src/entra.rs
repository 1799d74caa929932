//! The token endpoint of Microsoft Entra, as far as a service principal needs it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::reply::Reply;
use crate::server::Call;
use crate::sim::{Issued, Sim};
use crate::{assertion, clock};

/// Answers what belongs to the authority; `None` for ARM.
pub fn handle(sim: &Sim, call: &Call) -> Option<Reply> {
    let path = call.path().trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "token"] => Some(token(sim, tenant, call)),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => Some(configuration(sim, tenant)),
        ["common", "discovery", "instance"] => Some(instance(sim)),
        [_, "discovery", "v2.0", "keys"] => Some(Reply::json(200, json!({"keys": []}))),
        _ => None,
    }
}

pub(crate) fn refuse(status: u16, error: &str, code: u32, text: &str) -> Reply {
    let (trace, correlation) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let timestamp = clock::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    // Entra's descriptions end in lines of their own: clients have to cope with the escapes.
    let description =
        format!("AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {timestamp}");
    Reply::json(
        status,
        json!({
            "error": error, "error_description": description, "error_codes": [code], "timestamp": timestamp,
            "trace_id": trace, "correlation_id": correlation,
        }),
    )
}

fn token(sim: &Sim, tenant: &str, call: &Call) -> Reply {
    let form: std::collections::HashMap<String, String> =
        url::form_urlencoded::parse(&call.body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&sim.config.tenant_id) {
        return refuse(
            400,
            "invalid_request",
            90002,
            &format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
            ),
        );
    }
    if field("grant_type") != "client_credentials" {
        return refuse(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.");
    }
    let client = field("client_id");
    if !client.eq_ignore_ascii_case(&sim.config.client_id) {
        return refuse(
            400,
            "unauthorized_client",
            700016,
            &format!("Application with identifier '{client}' was not found in the directory 'azure-sim'."),
        );
    }
    let refusal = if form.contains_key("client_assertion") {
        let endpoint = format!("{}/{tenant}/oauth2/v2.0/token", sim.endpoint);
        assertion::check(sim, client, &endpoint, field("client_assertion")).err()
    } else if field("client_secret") == sim.config.client_secret {
        None
    } else {
        Some(refuse(
            401,
            "invalid_client",
            7000215,
            &format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."
            ),
        ))
    };
    if let Some(refusal) = refusal {
        return refusal;
    }
    let scope = field("scope");
    if !audiences(sim)
        .iter()
        .any(|audience| scope.trim_end_matches("/.default").trim_end_matches('/') == audience.trim_end_matches('/'))
    {
        return refuse(
            400,
            "invalid_resource",
            500011,
            &format!("The resource principal named {scope} was not found in the tenant named azure-sim."),
        );
    }
    let lifetime = sim.config.token_lifetime;
    let (token, _) = issue(sim, client);
    Reply::json(
        200,
        json!({
            "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token,
        }),
    )
}

/// Issues a token, and says when it expires.
pub(crate) fn issue(sim: &Sim, client: &str) -> (String, Timestamp) {
    let lifetime = SignedDuration::from_secs(sim.config.token_lifetime);
    let expires = clock::now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let token = access_token(sim, client, expires);
    let issued = Issued { client_id: client.to_owned(), expires };
    sim.state().tokens.insert(token.clone(), issued);
    (token, expires)
}

/// A token of the form that Entra's have: clients look into it, although they should not.
fn access_token(sim: &Sim, client: &str, expires: Timestamp) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "appid": client, "oid": client, "tid": sim.config.tenant_id, "idtyp": "app", "exp": expires.as_second(),
        "uti": Uuid::new_v4().simple().to_string(),
    });
    let signature = BASE64_URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes());
    format!("{}.{}.{signature}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims))
}

/// What a token may be for.
pub(crate) fn audiences(sim: &Sim) -> [&str; 3] {
    [sim.endpoint.as_str(), "https://management.azure.com", "https://management.core.windows.net"]
}

fn configuration(sim: &Sim, tenant: &str) -> Reply {
    let base = format!("{}/{tenant}", sim.endpoint);
    Reply::json(
        200,
        json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "issuer": format!("{base}/v2.0"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code"], "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid"],
        }),
    )
}

fn instance(sim: &Sim) -> Reply {
    let host = sim.endpoint.trim_start_matches("https://");
    let metadata: Value = json!([{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]);
    Reply::json(
        200,
        json!({
            "tenant_discovery_endpoint": format!("{}/{}/v2.0/.well-known/openid-configuration", sim.endpoint, sim.config.tenant_id),
            "api-version": "1.1", "metadata": metadata,
        }),
    )
}

//! A simulator in this process, and a client that speaks nothing but HTTP: no library stands
//! between a test and the answer.

use std::time::{Duration, Instant};

use azure_sim::config::Timings;
use azure_sim::{Config, Server};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Where everything lives.
pub const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso";

/// Short enough for a test to wait for, where nothing looks at what is in between.
pub const SHORT: Timings = Timings {
    create_ms: 60,
    delete_ms: 60,
    appear_ms: 30,
    approve_ms: 60,
    propagation_ms: 60,
    busy_ms: 0,
    latency_ms: 0,
};

/// Long enough that a test sees what is in between, on a busy machine too.
pub const VISIBLE: Timings = Timings { create_ms: 1_500, delete_ms: 1_500, approve_ms: 1_500, ..SHORT };

pub fn signalr(name: &str) -> String {
    format!("{GROUP}/providers/Microsoft.SignalRService/signalR/{name}")
}

pub fn vault(name: &str) -> String {
    format!("{GROUP}/providers/Microsoft.KeyVault/vaults/{name}")
}

pub fn link(signalr_name: &str, name: &str) -> String {
    format!("{}/sharedPrivateLinkResources/{name}", signalr(signalr_name))
}

/// What is sent to create a link.
pub fn request(vault_name: &str, message: &str) -> Value {
    json!({"properties": {"groupId": "vault", "privateLinkResourceId": vault(vault_name), "requestMessage": message}})
}

/// What is sent to decide on a connection.
pub fn decision(status: &str) -> Value {
    json!({"properties": {"privateLinkServiceConnectionState": {"status": status, "description": "Decided by a test"}}})
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where there is none.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// ARM's error code.
    pub fn code(&self) -> &str {
        self.at("/error/code")
    }

    /// The text at a pointer; empty without one.
    pub fn at(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The items of a list.
    pub fn items(&self) -> &[Value] {
        self.body["value"].as_array().map_or(&[], Vec::as_slice)
    }
}

pub struct Azure {
    server: Server,
    config: Config,
    http: reqwest::Client,
    token: String,
}

impl Azure {
    /// Starts with the SignalR `contoso-signalr` and the vault `contoso-kv`.
    pub async fn start(timings: Timings) -> Self {
        Self::with(Config { timings, ..Config::preset() }).await
    }

    pub async fn with(config: Config) -> Self {
        let server = Server::start(config.clone()).await.unwrap();
        let ca = reqwest::Certificate::from_pem(server.ca().as_bytes()).unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap();
        let mut azure = Self { server, config, http, token: String::new() };
        azure.control("POST", "/signalr", json!({"resourceId": signalr("contoso-signalr")})).await;
        azure.control("POST", "/vaults", json!({"resourceId": vault("contoso-kv")})).await;
        azure.token = azure.sign_in(&[]).await.at("/access_token").to_owned();
        assert!(!azure.token.is_empty());
        azure
    }

    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Asks for a token, with some fields of the form or the tenant replaced.
    pub async fn sign_in(&self, replaced: &[(&str, &str)]) -> Answer {
        let field = |name: &str, usual: &str| {
            replaced.iter().find(|(other, _)| *other == name).map_or(usual, |(_, value)| value).to_owned()
        };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", &field("grant_type", "client_credentials"))
            .append_pair("client_id", &field("client_id", &self.config.client_id))
            .append_pair("client_secret", &field("client_secret", &self.config.client_secret))
            .append_pair("scope", &field("scope", "https://management.azure.com/.default"))
            .finish();
        let tenant = field("tenant", &self.config.tenant_id);
        let request = self
            .http
            .post(format!("{}/{tenant}/oauth2/v2.0/token", self.endpoint()))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        read(request).await.unwrap()
    }

    /// Sends a request to a whole URL, with this `Authorization`.
    pub async fn send(
        &self,
        method: &str,
        url: &str,
        body: Option<&Value>,
        authorization: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        read(request).await
    }

    /// Sends a request to a whole URL as the service principal.
    pub async fn follow(&self, method: &str, url: &str, body: Option<&Value>) -> Answer {
        self.send(method, url, body, Some(&self.authorization())).await.unwrap()
    }

    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// The URL of a resource, with the version that its provider is asked in.
    pub fn url(&self, id: &str) -> String {
        let version = if id.contains("Microsoft.KeyVault") { "2023-07-01" } else { "2024-03-01" };
        format!("{}{id}?api-version={version}", self.endpoint())
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.follow("GET", &self.url(id), None).await
    }

    pub async fn put(&self, id: &str, body: &Value) -> Answer {
        self.follow("PUT", &self.url(id), Some(body)).await
    }

    pub async fn delete(&self, id: &str) -> Answer {
        self.follow("DELETE", &self.url(id), None).await
    }

    /// Asks until the answer is as it should be.
    pub async fn until(&self, url: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.follow("GET", url, None).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{url} is still {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a link and waits until its request is on the vault; the connection's id.
    pub async fn connect(&self, signalr_name: &str, name: &str, vault_name: &str) -> String {
        let created = self.put(&link(signalr_name, name), &request(vault_name, name)).await;
        assert_eq!(created.status, 200, "{created:?}");
        let connections = self.url(&format!("{}/privateEndpointConnections", vault(vault_name)));
        let mine = |item: &Value| item["properties"]["privateLinkServiceConnectionState"]["description"] == name;
        let list = self.until(&connections, |answer| answer.items().iter().any(mine)).await;
        list.items().iter().find(|item| mine(item)).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Uses the control endpoint.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.server.control());
        let request = self.http.request(method.parse().unwrap(), url).json(&body);
        let answer = read(request).await.unwrap();
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", answer.body);
        answer.body
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    // What is not JSON is kept as text: faults send it on purpose.
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) };
    Ok(Answer { status, headers, body })
}

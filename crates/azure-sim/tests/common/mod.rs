//! A simulator with one SignalR and one vault, and a client that has a token.

#![allow(dead_code)]

use std::time::Duration;

use azure_sim::{Config, Server};
use reqwest::{Method, Response};
use serde_json::{Value, json};

pub const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
pub const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv";

pub struct Azure {
    pub server: Server,
    pub config: Config,
    pub http: reqwest::Client,
    pub token: String,
}

/// An answer, taken apart.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Azure {
    pub async fn start() -> Self {
        let mut config = Config::preset();
        config.timings.create_ms = 200;
        config.timings.delete_ms = 150;
        config.timings.appear_ms = 50;
        config.timings.approve_ms = 150;
        config.timings.propagation_ms = 100;
        config.timings.busy_ms = 150;
        let server = Server::start(config.clone()).await.unwrap();
        let root = reqwest::Certificate::from_pem(server.ca().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        let mut azure = Self { server, config, http, token: String::new() };
        azure.control("POST", "/signalr", json!({"resourceId": SIGNALR})).await;
        azure.control("POST", "/vaults", json!({"resourceId": VAULT})).await;
        let secret = azure.config.client_secret.clone();
        azure.token = azure.sign_in(&secret).await.body["access_token"].as_str().unwrap().to_owned();
        azure
    }

    pub async fn sign_in(&self, secret: &str) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("client_secret", secret)
            .append_pair("scope", "https://management.azure.com/.default")
            .finish();
        let url = format!("{}/{}/oauth2/v2.0/token", self.server.endpoint(), self.config.tenant_id);
        Answer::of(self.http.post(url).body(form).send().await.unwrap()).await
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.server.control());
        let answer = Answer::of(reqwest::Client::new().request(method, url).json(&body).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    pub async fn url(&self, method: &str, url: &str, body: Option<Value>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// A request to a resource, with the API version of its provider.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let version = if path.to_lowercase().contains("keyvault") { "2023-07-01" } else { "2024-03-01" };
        self.url(method, &format!("{}{path}?api-version={version}", self.server.endpoint()), body).await
    }

    pub async fn put_link(&self, name: &str) -> Answer {
        let body = json!({"properties": {
            "groupId": "vault", "privateLinkResourceId": VAULT, "requestMessage": "please approve",
        }});
        self.call("PUT", &link(name), Some(body)).await
    }

    /// Asks again until the answer satisfies.
    pub async fn until(&self, path: &str, satisfied: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..200 {
            let answer = self.call("GET", path, None).await;
            if satisfied(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} did not come to it");
    }

    /// The only connection on the vault, once it is there.
    pub async fn connection(&self) -> Value {
        let list = format!("{VAULT}/privateEndpointConnections");
        let answer = self.until(&list, |a| a.body["value"].as_array().is_some_and(|v| v.len() == 1)).await;
        answer.body["value"][0].clone()
    }
}

pub fn link(name: &str) -> String {
    format!("{SIGNALR}/sharedPrivateLinkResources/{name}")
}

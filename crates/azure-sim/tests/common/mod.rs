//! A simulator with one SignalR and one vault, and a client that has a token: in this process on a
//! clock that is paused, or over TLS for what only a network can do.

#![allow(dead_code)]

use std::time::Duration;

use azure_sim::config::Timings;
use azure_sim::{Config, InProcess, Server, clock};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

pub const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
pub const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv";

/// By then a SignalR takes the next change after one has ended.
pub const BUSY: Duration = Duration::from_secs(6);

/// Where the simulator is.
enum Reach {
    Here(Box<InProcess>),
    Served(Server, reqwest::Client),
}

pub struct Azure {
    reach: Reach,
    pub config: Config,
    pub token: String,
}

/// An answer, taken apart.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Azure {
    /// One in this process, with Azure's own times, for a test whose clock is paused.
    pub async fn start() -> Self {
        clock::set("2026-11-24T00:00:00Z".parse().unwrap());
        let config = Config { timings: Timings::RECORDED, ..Config::preset() };
        Self::with(Reach::Here(Box::new(InProcess::new(config.clone(), "https://azure.test"))), config).await
    }

    /// One behind TLS.
    pub async fn serve() -> Self {
        let config = Config::preset();
        let server = Server::start(config.clone()).await.unwrap();
        let root = reqwest::Certificate::from_pem(server.ca().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        Self::with(Reach::Served(server, http), config).await
    }

    async fn with(reach: Reach, config: Config) -> Self {
        let mut azure = Self { reach, config, token: String::new() };
        azure.control("POST", "/signalr", json!({"resourceId": SIGNALR})).await;
        azure.control("POST", "/vaults", json!({"resourceId": VAULT})).await;
        let secret = azure.config.client_secret.clone();
        azure.token = azure.sign_in(&secret).await.body["access_token"].as_str().unwrap().to_owned();
        azure
    }

    pub fn endpoint(&self) -> String {
        match &self.reach {
            Reach::Here(_) => "https://azure.test".to_owned(),
            Reach::Served(server, _) => server.endpoint().to_owned(),
        }
    }

    /// The certificate of the one behind TLS.
    pub fn ca(&self) -> &str {
        match &self.reach {
            Reach::Here(_) => panic!("there is no TLS in process"),
            Reach::Served(server, _) => server.ca(),
        }
    }

    /// Sends a request; `None` when no answer comes.
    async fn send(&self, request: Request<Bytes>) -> Option<Answer> {
        match &self.reach {
            Reach::Here(sim) => Some(Answer::of(sim.azure(request))),
            Reach::Served(_, http) => {
                let answer = http.execute(request.try_into().unwrap()).await.ok()?;
                let (status, headers) = (answer.status(), answer.headers().clone());
                let mut response = Response::new(answer.bytes().await.ok()?);
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
                Some(Answer::of(response))
            }
        }
    }

    pub async fn sign_in(&self, secret: &str) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("client_secret", secret)
            .append_pair("scope", "https://management.azure.com/.default")
            .finish();
        let url = format!("{}/{}/oauth2/v2.0/token", self.endpoint(), self.config.tenant_id);
        self.send(Request::post(url).body(Bytes::from(form)).unwrap()).await.unwrap()
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        match &self.reach {
            Reach::Here(sim) => sim.control(method, path, &body).unwrap_or_else(|refusal| panic!("{path}: {refusal}")),
            Reach::Served(server, _) => {
                let url = format!("{}{path}", server.control());
                let request = reqwest::Client::new().request(method.parse().unwrap(), url).json(&body);
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200, "{path}");
                answer.json().await.unwrap()
            }
        }
    }

    /// A request with a token; `None` when no answer comes.
    pub async fn ask(&self, method: &str, url: &str, body: Option<Value>) -> Option<Answer> {
        let request = Request::builder().method(method).uri(url);
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("content-type", "application/json");
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.send(request.body(body).unwrap()).await
    }

    pub async fn url(&self, method: &str, url: &str, body: Option<Value>) -> Answer {
        self.ask(method, url, body).await.unwrap()
    }

    /// A request to a resource, with the API version of its provider.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let version = if path.to_lowercase().contains("keyvault") { "2023-07-01" } else { "2024-03-01" };
        self.url(method, &format!("{}{path}?api-version={version}", self.endpoint()), body).await
    }

    pub async fn put_link(&self, name: &str) -> Answer {
        let body = json!({"properties": {
            "groupId": "vault", "privateLinkResourceId": VAULT, "requestMessage": "please approve",
        }});
        self.call("PUT", &link(name), Some(body)).await
    }

    /// Asks again until the answer satisfies.
    pub async fn until(&self, path: &str, satisfied: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..600 {
            let answer = self.call("GET", path, None).await;
            if satisfied(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
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

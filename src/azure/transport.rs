//! The one HTTP client, for ARM and for the token endpoint alike.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::request::Body;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use signalr_private_link_core::message::safe;

use super::cloud::CloudSettings;

/// Makes the HTTP client: no redirects (a `Location` must never carry a token elsewhere), TLS 1.2
/// or newer, and the roots of the CA file besides the system's.
///
/// # Errors
/// When the CA file cannot be read or holds no certificate.
pub fn http_client(settings: &CloudSettings) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("signalr-private-link-operator/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .connect_timeout(std::time::Duration::from_secs(10))
        .pool_idle_timeout(std::time::Duration::from_secs(60))
        .tls_version_min(reqwest::tls::Version::TLS_1_2);
    if let Some(path) = &settings.ca_file {
        let name = path.display();
        let pem = std::fs::read(path)
            .with_context(|| format!("--ca-file {name} cannot be read; give the path of a PEM file"))?;
        let roots =
            reqwest::Certificate::from_pem_bundle(&pem).with_context(|| format!("--ca-file {name} is not PEM"))?;
        anyhow::ensure!(
            !roots.is_empty(),
            "--ca-file {name} holds no certificate; expected at least one block -----BEGIN CERTIFICATE-----"
        );
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().context("the TLS client cannot be set up")
}

/// A longer body is refused: no page of ARM's is near it.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// No whole answer came.
#[derive(Debug, Clone)]
pub struct Lost {
    /// Whether the request may have reached its goal.
    pub sent: bool,
    /// Why, for people, and without the URL: an operation's URL carries a signature.
    pub why: String,
}

/// Carries one request to ARM and brings back the whole answer, whatever its status. It neither
/// follows redirects nor tries again; deadlines are its caller's.
#[async_trait::async_trait]
pub trait Transport: Send + Sync {
    /// One attempt.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost>;
}

#[async_trait::async_trait]
impl Transport for reqwest::Client {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Lost> {
        let lost = |error: &reqwest::Error, sent: bool| Lost { sent, why: network(error) };
        let request = reqwest::Request::try_from(request).map_err(|error| lost(&error, false))?;
        let mut answer = self.execute(request).await.map_err(|e| lost(&e, !e.is_connect() && !e.is_builder()))?;
        let mut body = BytesMut::new();
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // A refusal counts with what there is of it: its Retry-After has to be kept.
                Err(_) if !answer.status().is_success() => break,
                Err(error) => return Err(lost(&error, true)),
            };
            if body.len() + chunk.len() > MAX_BODY {
                let why = format!("ARM's answer is longer than {} MiB", MAX_BODY / 1024 / 1024);
                return Err(Lost { sent: true, why });
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = http::Response::new(body.freeze());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

fn network(error: &reqwest::Error) -> String {
    let mut words = if error.is_connect() { "no connection".to_owned() } else { "the connection failed".to_owned() };
    let mut next = error.source();
    while let Some(cause) = next {
        words = format!("{words}: {cause}");
        next = cause.source();
    }
    safe(&words)
}

/// What Entra answers with when it refuses.
#[derive(Deserialize)]
struct EntraError {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Our HTTP client as azure_identity's transport. It keeps the last refusal in Entra's own words,
/// for azure_identity loses them when they hold JSON escapes (and Entra's always do).
pub(super) struct EntraTransport {
    http: reqwest::Client,
    refusal: Arc<Mutex<Option<String>>>,
}

impl EntraTransport {
    pub(super) fn new(http: reqwest::Client, refusal: Arc<Mutex<Option<String>>>) -> Self {
        Self { http, refusal }
    }
}

impl fmt::Debug for EntraTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntraTransport")
    }
}

/// The two methods that token endpoints take.
fn method(method: Method) -> azure_core::Result<reqwest::Method> {
    match method {
        Method::Get => Ok(reqwest::Method::GET),
        Method::Post => Ok(reqwest::Method::POST),
        other => Err(Error::with_message(ErrorKind::Other, format!("{other:?} is not used for tokens"))),
    }
}

#[async_trait::async_trait]
impl HttpClient for EntraTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut outgoing = self.http.request(method(request.method())?, request.url().clone());
        for (name, value) in request.headers().iter() {
            outgoing = outgoing.header(name.as_str(), value.as_str());
        }
        outgoing = match request.body() {
            Body::Bytes(bytes) => outgoing.body(bytes.clone()),
            Body::SeekableStream(_) => {
                return Err(Error::with_message(ErrorKind::Other, "token requests are not streamed"));
            }
        };
        let io = |error: reqwest::Error| Error::with_error(ErrorKind::Io, error, "the token endpoint did not answer");
        let answer = outgoing.send().await.map_err(io)?;
        let status = answer.status();
        let headers: Headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?;
                Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned())))
            })
            .collect::<std::collections::HashMap<_, _>>()
            .into();
        let body: Bytes = answer.bytes().await.map_err(io)?;
        let refusal = (!status.is_success()).then(|| refusal(status.as_u16(), &body));
        if let Ok(mut last) = self.refusal.lock() {
            *last = refusal;
        }
        Ok(AsyncRawResponse::from_bytes(status.as_u16().into(), headers, body))
    }
}

fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<EntraError>(body) {
        // The first line says it; the others are trace ids.
        Ok(EntraError { error, error_description }) => {
            let first = error_description.lines().next().unwrap_or_default();
            format!("{error} ({status}): {first}")
        }
        Err(_) => format!("the token endpoint answered {status} without a readable error"),
    }
}

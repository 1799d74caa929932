//! The HTTP clients, and how one request to ARM is carried.

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use signalr_private_link_core::message::safe;

use super::cloud::CloudSettings;
use super::error::causes;

/// What every client of the operator's has: no redirects, and limits of time.
fn base() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("signalr-private-link-operator/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(std::time::Duration::from_secs(10))
        .pool_idle_timeout(std::time::Duration::from_secs(60))
}

/// Makes the HTTP client of the identity endpoint. The endpoint of a virtual machine speaks plain
/// http and refuses what a proxy forwarded (Microsoft, "Azure Instance Metadata Service", Proxies), so
/// this client goes through none. Which URLs it may be sent to is checked by its one user.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn identity_client() -> anyhow::Result<reqwest::Client> {
    base().no_proxy().build().context("the client of the identity endpoint cannot be set up")
}

/// Makes the HTTP client of ARM and Entra: no redirects (a `Location` must never carry a token elsewhere), TLS 1.2
/// or newer, and the roots of the CA file besides the system's.
///
/// # Errors
/// When the CA file cannot be read or holds no certificate.
pub fn http_client(settings: &CloudSettings) -> anyhow::Result<reqwest::Client> {
    let mut builder = base().https_only(true).tls_version_min(reqwest::tls::Version::TLS_1_2);
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
        let lost = |error: reqwest::Error, sent: bool| Lost { sent, why: network(error) };
        let request = reqwest::Request::try_from(request).map_err(|error| lost(error, false))?;
        let mut answer = self.execute(request).await.map_err(|e| {
            let sent = !e.is_connect() && !e.is_builder();
            lost(e, sent)
        })?;
        let mut body = BytesMut::new();
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // A refusal counts with what there is of it: its Retry-After has to be kept.
                Err(_) if !answer.status().is_success() => break,
                Err(error) => return Err(lost(error, true)),
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

/// What the network said, with all its causes: the last one names the host or the certificate.
fn network(error: reqwest::Error) -> String {
    let what = if error.is_connect() { "no connection" } else { "the connection failed" };
    // The URL of an operation carries a signature.
    safe(&format!("{what}: {}", causes(&error.without_url())))
}

//! Our HTTP clients as azure_identity's transport: one for Entra, one for the identity endpoint of
//! the machine.

use std::fmt;
use std::sync::{Arc, Mutex};

use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::request::Body;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request};
use bytes::Bytes;
use reqwest::Url;
use serde::Deserialize;
use signalr_private_link_core::message::safe;

use super::error::causes;

/// The last refusal of a token endpoint in its own words, for people.
pub(super) type Refusal = Arc<Mutex<Option<String>>>;

/// What Entra answers with when it refuses.
#[derive(Deserialize)]
struct EntraError {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Where token requests go.
#[derive(Clone)]
pub(super) enum TokenEndpoint {
    /// To Entra; the client itself insists on https.
    Entra,
    /// To the machine itself; `imds` stands in for the address of a virtual machine's endpoint
    /// (`AZURE_POD_IDENTITY_AUTHORITY_HOST`, which Microsoft's other libraries honour).
    Machine { imds: Option<Url> },
}

/// The address of the identity endpoint of a virtual machine.
const IMDS: &str = "169.254.169.254";

impl TokenEndpoint {
    /// The URL that a request really goes to. Plain http never leaves the machine: only loopback and
    /// link-local addresses are asked so.
    fn locate(&self, url: &Url) -> Result<Url, String> {
        let Self::Machine { imds } = self else {
            return Ok(url.clone());
        };
        let mut url = url.clone();
        if let (Some(imds), Some(IMDS)) = (imds, url.host_str()) {
            let mut other = imds.clone();
            other.set_path(url.path());
            other.set_query(url.query());
            url = other;
        }
        let host = url.host_str().unwrap_or_default();
        let local = match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
            Ok(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unicast_link_local(),
            Err(_) => host == "localhost",
        };
        if url.scheme() == "https" || local {
            Ok(url)
        } else {
            Err(format!(
                "the identity endpoint {} is neither https nor an address of this machine (loopback or link-local); correct IDENTITY_ENDPOINT or AZURE_POD_IDENTITY_AUTHORITY_HOST",
                safe(host)
            ))
        }
    }
}

/// Our HTTP client as azure_identity's transport. It keeps the last refusal in the endpoint's own words,
/// for azure_identity loses them when they hold JSON escapes (and Entra's always do), and repeats
/// requests to the identity endpoint for longer than the operator waits for a token.
pub(super) struct TokenTransport {
    http: reqwest::Client,
    endpoint: TokenEndpoint,
    refusal: Refusal,
}

impl TokenTransport {
    pub(super) fn new(http: reqwest::Client, endpoint: TokenEndpoint, refusal: Refusal) -> Self {
        Self { http, endpoint, refusal }
    }

    fn note(&self, refusal: Option<String>) {
        if let Ok(mut last) = self.refusal.lock() {
            *last = refusal;
        }
    }
}

impl fmt::Debug for TokenTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenTransport")
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
impl HttpClient for TokenTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let failed = |why: String| {
            self.note(Some(why.clone()));
            Error::with_message(ErrorKind::Io, why)
        };
        let url = self.endpoint.locate(request.url()).map_err(failed)?;
        let mut outgoing = self.http.request(method(request.method())?, url);
        for (name, value) in request.headers().iter() {
            outgoing = outgoing.header(name.as_str(), value.as_str());
        }
        outgoing = match request.body() {
            Body::Bytes(bytes) => outgoing.body(bytes.clone()),
            Body::SeekableStream(_) => {
                return Err(Error::with_message(ErrorKind::Other, "token requests are not streamed"));
            }
        };
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let io = |error: reqwest::Error| {
            failed(safe(&format!("the token endpoint {host} did not answer: {}", causes(&error.without_url()))))
        };
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
        self.note((!status.is_success()).then(|| refusal(status.as_u16(), &body)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_the_machine_itself_only() {
        let at = |imds: Option<&str>, url: &str| {
            let imds = imds.map(|url| Url::parse(url).unwrap());
            TokenEndpoint::Machine { imds }.locate(&Url::parse(url).unwrap()).map(|url| url.to_string())
        };
        let imds = "http://169.254.169.254/metadata/identity/oauth2/token?resource=x";
        assert_eq!(at(None, imds).as_deref(), Ok(imds));
        assert_eq!(
            at(Some("http://127.0.0.1:40342"), imds).as_deref(),
            Ok("http://127.0.0.1:40342/metadata/identity/oauth2/token?resource=x")
        );
        for good in ["http://localhost:42356/msi/token", "http://[::1]:1/msi", "https://identity.example/msi"] {
            assert_eq!(at(None, good).as_deref(), Ok(good));
        }
        for bad in ["http://10.0.0.1/msi/token", "http://localhost.example/msi", "http://168.63.129.16/"] {
            let why = at(None, bad).unwrap_err();
            assert!(why.contains("IDENTITY_ENDPOINT"), "{why}");
        }
        assert!(at(Some("http://attacker.example"), imds).is_err());
    }
}

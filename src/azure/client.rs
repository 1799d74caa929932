//! One call to ARM: a token, one attempt, a deadline, a typed answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use jiff::Timestamp;
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use signalr_private_link_core::message::{duration, safe};
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::budget::{Budget, Caller, Turn};
use super::call::{self, About, Answer, CallKind, Failed, Fate, WriteKind};
use super::cloud::ApiVersions;
use super::error::{code_and_message, correlation, date, remaining, retry_after};
use super::gate::{Bucket, Gates, Scope};
use super::silence::Silences;
use super::token::TokenSource;
use super::told::{self, Facts};
use super::transport::{Lost, Transport};
use crate::metrics::Metrics;
use crate::telemetry;

/// Every call ends within this time (R6).
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A request that is about to be made.
struct Outgoing {
    method: Method,
    url: Url,
    body: Option<serde_json::Value>,
    /// Never sent after this instant.
    not_after: Option<Instant>,
}

/// How ARM is reached.
pub struct ArmSetup {
    /// The network.
    pub transport: Box<dyn Transport>,
    /// Tokens are sent to this URL and its subdomains only.
    pub endpoint: Url,
    /// Where tokens come from.
    pub tokens: TokenSource,
    /// What is asked for; other versions for a cloud that lags behind.
    pub versions: ApiVersions,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Multiplies waits; budgets fill the faster the smaller it is.
    pub pace: f64,
    /// ARM is told which trace a call belongs to.
    pub propagates: bool,
}

impl ArmSetup {
    /// The usual versions, at pace 1.
    #[must_use]
    pub fn new(transport: impl Transport + 'static, endpoint: Url, tokens: TokenSource, metrics: Arc<Metrics>) -> Self {
        let (transport, versions) = (Box::new(transport), ApiVersions::default());
        Self { transport, endpoint, tokens, versions, metrics, pace: 1.0, propagates: false }
    }
}

/// A client of one ARM endpoint, which calls on behalf of one namespace. Its clones share all limits.
#[derive(Clone)]
pub struct ArmClient {
    shared: Arc<Shared>,
    caller: Caller,
}

struct Shared {
    setup: ArmSetup,
    gates: Gates,
    budget: Budget,
    silences: Silences,
}

impl ArmClient {
    /// A client that nobody has called yet.
    #[must_use]
    pub fn new(setup: ArmSetup) -> Self {
        let budget = Budget::new(setup.pace);
        let shared = Shared { setup, gates: Gates::default(), budget, silences: Silences::default() };
        Self { shared: Arc::new(shared), caller: Caller { tenant: "".into(), is_urgent: false } }
    }

    /// The same, on behalf of a namespace: all of them have equal shares of what ARM takes.
    #[must_use]
    pub fn on_behalf_of(&self, namespace: &str) -> Self {
        Self { shared: self.shared.clone(), caller: Caller { tenant: namespace.into(), is_urgent: false } }
    }

    /// The same, for the last reads before a write: they do not wait behind others.
    #[must_use]
    pub fn without_waiting(&self) -> Self {
        Self { shared: self.shared.clone(), caller: Caller { is_urgent: true, ..self.caller.clone() } }
    }

    pub(super) fn versions(&self) -> &ApiVersions {
        &self.shared.setup.versions
    }

    /// Waits until one more write may be made. What authorises it is read afterwards, so that it is not too old
    /// when the write is sent (R6).
    pub async fn admit_write(&self, subscription: &str, write: WriteKind) {
        let caller = Caller { is_urgent: write != WriteKind::Create, ..self.caller.clone() };
        self.shared.budget.spend(subscription, write.bucket(), &caller).await;
    }

    /// Waits until one more read may be made.
    pub async fn admit_read(&self, subscription: &str) {
        self.shared.budget.spend(subscription, Bucket::Reads, &self.caller).await;
    }

    /// Asks for the turn to make one more read, which others may have asked for already. What will not be sent, because Azure
    /// does not answer, waits for none.
    pub(super) fn ask_to_read(&self, call: CallKind, subscription: &str, turn: &Arc<Turn>) {
        let Shared { silences, budget, .. } = &*self.shared;
        if silences.is_silent(&call::service(Some(call), subscription)) {
            Turn::at_once(turn);
        } else {
            budget.queue(subscription, Bucket::Reads, &self.caller, turn);
        }
    }

    /// The URL of a resource. The path is one that a resource id was rebuilt to.
    pub(super) fn url(&self, path: &str, api_version: &str) -> Url {
        let mut url = self.shared.setup.endpoint.clone();
        url.set_path(path);
        url.set_query(Some(&format!("api-version={api_version}")));
        url
    }

    /// Whether a URL that a header or a page names may be sent a token: https, and the configured
    /// host or a subdomain of it, at the same port.
    pub(super) fn pinned(&self, url: &str, about: &About) -> Result<Url, ArmError> {
        let refuse = |why: &str| {
            about.error(
                Failure::Unexpected,
                String::new(),
                format!("ARM's answer names a URL that is not followed: {why}"),
            )
        };
        let url = Url::parse(url).map_err(|_| refuse("it cannot be parsed"))?;
        let host = url.host_str().unwrap_or_default();
        let endpoint = &self.shared.setup.endpoint;
        let ours = endpoint.host_str().unwrap_or_default();
        let below = host.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if url.scheme() != "https" {
            Err(refuse("it is not https"))
        } else if !below || url.port_or_known_default() != endpoint.port_or_known_default() {
            Err(refuse(&format!("its host {} is not the configured {ours}", safe(host))))
        } else {
            Ok(url)
        }
    }

    /// A GET whose body is `T`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: Url,
        about: &About,
    ) -> Result<(T, Option<Timestamp>), ArmError> {
        self.admit_read(&about.subscription).await;
        self.get_admitted(url, about).await
    }

    /// The same for a call that was admitted before.
    pub(super) async fn get_admitted<T: DeserializeOwned>(
        &self,
        url: Url,
        about: &About,
    ) -> Result<(T, Option<Timestamp>), ArmError> {
        let answer = self.read_admitted(url, about).await?;
        Ok((parse(&answer, about)?, answer.date))
    }

    /// One attempt to read, and one more if the token was refused for its age (R5).
    ///
    /// # Errors
    /// Typed; a status of 300 and more is one, for redirects are not followed.
    pub(super) async fn read(&self, url: Url, about: &About) -> Result<Answer, ArmError> {
        self.admit_read(&about.subscription).await;
        self.read_admitted(url, about).await
    }

    async fn read_admitted(&self, url: Url, about: &About) -> Result<Answer, ArmError> {
        let outgoing = || Outgoing { method: Method::GET, url: url.clone(), body: None, not_after: None };
        let mut answer = self.send(outgoing(), about).await;
        if matches!(answer, Err(Failed { fate: Fate::DecideAgain, .. })) {
            answer = self.send(outgoing(), about).await;
        }
        answer.map_err(|failed| failed.error)
    }

    /// One attempt to write, which is never sent after `not_after`: what authorises it would be too old (R6).
    ///
    /// # Errors
    /// How it ended otherwise.
    pub(super) async fn write(
        &self,
        method: Method,
        url: Url,
        body: Option<serde_json::Value>,
        about: &About,
        not_after: Instant,
    ) -> Result<Answer, Outcome> {
        Ok(self.send(Outgoing { method, url, body, not_after: Some(not_after) }, about).await?)
    }

    async fn send(&self, outgoing: Outgoing, about: &About) -> Result<Answer, Failed> {
        let mut facts = Facts::default();
        let span = told::span(&outgoing.method, &outgoing.url, about);
        let outcome = self.attempt(outgoing, about, &mut facts).instrument(span.clone()).await;
        facts.log(about, &outcome);
        facts.trace(&span, &outcome);
        let label = match &outcome {
            Ok(_) => "ok",
            Err(failed) => failed.error.failure.label(),
        };
        if let Some(call) = about.call {
            self.shared.setup.metrics.azure.called(call, label);
        }
        outcome
    }

    async fn attempt(&self, outgoing: Outgoing, about: &About, facts: &mut Facts) -> Result<Answer, Failed> {
        let Outgoing { method, url, body, not_after } = outgoing;
        let bucket = Bucket::of(&method);
        let not_sent =
            |failure, message| Failed { error: about.error(failure, String::new(), message), fate: Fate::NotApplied };
        let Shared { setup, gates, budget, silences } = &*self.shared;
        let ArmSetup { transport, tokens, metrics, .. } = setup;
        let token = tokens.token().await.map_err(|why| not_sent(Failure::CredentialUnavailable, why))?;
        // The token may have taken its time. From here on a connection may have to be made, within the
        // call's deadline, and nothing else is waited for.
        let scopes = [Scope::subscription(&about.subscription, bucket), Scope::resource(&about.scope, bucket)];
        if let Some(left) = gates.closed(&scopes) {
            return Err(not_sent(Failure::Throttled(Some(left)), "ARM asked to wait; nothing was sent".into()));
        }
        if not_after.is_some_and(|last| last < Instant::now()) {
            let why = "what had to be read and asked for before took too long; nothing was sent";
            return Err(Failed { fate: Fate::DecideAgain, ..not_sent(Failure::Transient(None), why.into()) });
        }
        // Last of all: whoever may go finds out for all others.
        let service = call::service(about.call, &about.subscription);
        if let Some(left) = silences.rest(&service) {
            let why = "ARM has not answered the last calls; nothing was sent";
            return Err(not_sent(Failure::Transient(Some(left)), why.into()));
        }
        let reads = method == Method::GET;
        let mut request =
            http::Request::builder().method(method).uri(url.as_str()).header(AUTHORIZATION, token.header());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(parent) = setup.propagates.then(telemetry::traceparent).flatten() {
            request = request.header("traceparent", parent);
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request
            .body(body)
            .map_err(|error| not_sent(Failure::Unexpected, format!("the request cannot be made: {error}")))?;
        let begun = Instant::now();
        let answer = match tokio::time::timeout(DEADLINE, transport.send(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Lost { sent: true, why: format!("no answer within {} s", DEADLINE.as_secs()) }),
        };
        let took = begun.elapsed();
        facts.took = Some(took);
        if let Some(call) = about.call {
            metrics.azure.answered(call, took);
        }
        let (parts, body) = match answer {
            Ok(answer) => {
                silences.end(&service);
                answer.into_parts()
            }
            Err(Lost { sent, why }) => {
                silences.lose(&service, begun);
                let error = about.error(Failure::Transient(None), String::new(), why);
                let fate = if sent && !reads { Fate::Unknown } else { Fate::NotApplied };
                return Err(Failed { error, fate });
            }
        };
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        let correlation = correlation(&headers);
        facts.status = Some(status);
        facts.correlation.clone_from(&correlation);
        if let Some(left) = remaining(&headers, bucket.word()) {
            budget.correct(&about.subscription, bucket, left);
            metrics.azure.remaining(bucket.word(), left);
        }
        if (200..300).contains(&status) {
            gates.forget(&scopes);
            return Ok(Answer { status, date: date(&headers), operation: operation(&headers), correlation, body });
        }
        let (code, mut message) = code_and_message(status, &body);
        let asked = retry_after(&headers);
        // ARM counts throttled calls per subscription; whatever else asks to wait speaks for itself.
        let [subscription, resource] = scopes;
        let scope = if status == 429 { Some(subscription) } else { asked.map(|_| resource) };
        let closed = scope.map(|scope| gates.close(scope, asked));
        if let Some(wait) = closed.filter(|_| status == 429) {
            metrics.azure.throttled(bucket.word(), wait);
        }
        if let (Some(asked), Some(closed)) = (asked, closed.filter(|closed| asked.is_some_and(|asked| asked > *closed)))
        {
            message =
                format!("{message} (Retry-After asks for {}, which is taken as {})", duration(asked), duration(closed));
        }
        if let Some(id) = &correlation {
            message.push_str(&format!(" (correlation id {id})"));
        }
        let failure = Failure::classify(status, &code, closed);
        let mut fate = Fate::NotApplied;
        // A refusal (4xx) had no effect, whatever its code.
        if !reads && (!(400..500).contains(&status) || status == 408) {
            fate = Fate::Unknown;
        }
        // A token that was just issued is refused for what it is, and one of another tenant whatever its age:
        // another one would not be taken either, and all others go on with this one.
        if failure == Failure::Unauthorized && token.is_old() && code != "InvalidAuthenticationTokenTenant" {
            tokens.refuse(&token);
            fate = Fate::DecideAgain;
        }
        // Rights that come through a group are in the token, as of when it was issued (kubernetes#90351).
        if failure == Failure::Forbidden && token.may_lack_rights() {
            tokens.outdated(&token);
        }
        let mut error = about.error(failure, code, message);
        if failure == Failure::Forbidden {
            error.caller = token.object_id();
        }
        Err(Failed { error, fate })
    }
}

/// `Azure-AsyncOperation` goes before `Location` (ARM's asynchronous API reference).
fn operation(headers: &HeaderMap) -> Option<String> {
    ["azure-asyncoperation", "location"].iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::to_owned)
}

/// Parses a body that a success status came with.
pub(super) fn parse<T: DeserializeOwned>(answer: &Answer, about: &About) -> Result<T, ArmError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let message = format!("ARM answered {} with a body that cannot be read: {error}", answer.status);
        about.error(Failure::Transient(None), String::new(), safe(&message))
    })
}

#[cfg(test)]
mod tests;

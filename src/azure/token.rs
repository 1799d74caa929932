//! Tokens: one refresh at a time, a token that is still valid outlives a failed refresh, and no
//! token can be printed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::TokenCredential;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use signalr_private_link_core::backoff::{self, Range};
use signalr_private_link_core::message::safe;
use signalr_private_link_core::resource_id::is_guid;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::client::DEADLINE;
use super::entra::Refusal;
use super::error::causes;
use crate::locked::Locked;
use crate::metrics::{Metrics, TokenOutcome};
use crate::telemetry::spans;

/// A token is renewed when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// A token that was issued so recently is not refused for its age.
const MIN_AGE_TO_BLAME: Duration = Duration::from_secs(60);

/// What a token says of groups is believed for so long where a right is missing.
const MAX_AGE_OF_RIGHTS: Duration = Duration::from_secs(15 * 60);

/// A bearer token. It has neither `Debug` output nor `Display`.
#[derive(Clone)]
pub struct Token {
    secret: Arc<str>,
    expires: SystemTime,
    since: Instant,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    /// The object id of the identity that the token is for, where the token tells.
    pub(super) fn object_id(&self) -> Option<Box<str>> {
        self.claims().oid.map(Into::into)
    }

    /// Whose token it is, as far as it tells. Nothing is verified: it is only told to people.
    #[must_use]
    pub fn claims(&self) -> Claims {
        let payload = self.secret.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Claims = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let id = |claim: Option<String>| claim.filter(|claim| is_guid(claim));
        Claims { tid: id(claims.tid), oid: id(claims.oid), appid: id(claims.appid) }
    }

    /// When it expires.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Whether ARM may refuse it for its age: it was revoked, or a clock is wrong. One that was just
    /// issued is refused for what it is.
    pub(super) fn is_old(&self) -> bool {
        self.since.elapsed() > MIN_AGE_TO_BLAME
    }

    /// Whether it is so old that rights may have been given since.
    pub(super) fn may_lack_rights(&self) -> bool {
        self.since.elapsed() > MAX_AGE_OF_RIGHTS
    }

    fn valid_for(&self, at_least: Duration) -> bool {
        self.expires.duration_since(SystemTime::now()).is_ok_and(|left| left > at_least)
    }
}

/// What a token tells of whom it is for (Microsoft's access token claims reference). A claim that is no GUID is none.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The tenant.
    pub tid: Option<String>,
    /// The object id of the identity.
    pub oid: Option<String>,
    /// The application.
    pub appid: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

type MakeCredential = dyn Fn() -> anyhow::Result<Arc<dyn TokenCredential>> + Send + Sync;

/// Where the operator's tokens come from.
#[derive(Clone)]
pub struct TokenSource(Arc<Source>);

struct Source {
    make: Box<MakeCredential>,
    /// Which credential it is, for people.
    name: String,
    scope: String,
    refusal: Refusal,
    metrics: Arc<Metrics>,
    held: Locked<Option<Token>>,
    /// Held by the one refresh that may be under way: the last one.
    refresh: Arc<tokio::sync::Mutex<Option<Asked>>>,
}

/// A request for a token, and when the next one is made.
struct Asked {
    /// Why it failed, if it did.
    why: Option<String>,
    /// How many failed in a row.
    failures: u32,
    not_before: Instant,
}

impl Asked {
    /// Whether that was moments ago.
    fn is_recent(&self) -> bool {
        self.not_before > Instant::now()
    }
}

/// How long a request for a token is not repeated: after failures it grows. One that succeeded may have brought a token that
/// is soon to be renewed: a cache gave it, or a clock is ahead.
const AFTER_REQUEST: Range = Range::seconds(5, 60);

impl TokenSource {
    /// A source that makes its credential anew with `make` for each token: a secret or a file may have been replaced
    /// since, and credentials keep their tokens. `name` says which one it is, for people.
    #[must_use]
    pub fn new(
        make: Box<MakeCredential>,
        name: String,
        scope: String,
        refusal: Refusal,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (held, refresh) = (Locked::new(None), Arc::default());
        Self(Arc::new(Source { make, name, scope, refusal, metrics, held, refresh }))
    }

    /// Which credential it is, for people.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.0.name
    }

    /// A token that is valid for some minutes yet, or at least still valid: then another one is asked for
    /// behind the caller's back.
    ///
    /// # Errors
    /// What the credential or the token endpoint said. Callers that waited for the same attempt, and those that
    /// come soon after it, share its failure.
    pub async fn token(&self) -> Result<Token, String> {
        let source = &self.0;
        if let Some(token) = source.valid(RENEW_BEFORE) {
            return Ok(token);
        }
        if let Some(token) = source.valid(DEADLINE) {
            source.renew_behind(None);
            return Ok(token);
        }
        let mut last = source.refresh.lock().await;
        source.renew(&mut last).await
    }

    /// Asks for another token than this one behind the caller's back, for rights may have been given since it was
    /// issued. All others go on with it until then.
    pub fn outdated(&self, token: &Token) {
        self.0.renew_behind(Some(token));
    }

    /// Forgets a token that ARM refused.
    pub fn refuse(&self, token: &Token) {
        if self.0.held().is_some_and(|held| held.secret == token.secret) {
            self.0.hold(None);
        }
    }
}

impl Source {
    fn held(&self) -> Option<Token> {
        self.held.lock().clone()
    }

    fn hold(&self, token: Option<Token>) {
        self.metrics.azure.hold_token(token.as_ref().map(Token::expires));
        *self.held.lock() = token;
    }

    fn valid(&self, at_least: Duration) -> Option<Token> {
        self.held().filter(|token| token.valid_for(at_least))
    }

    /// Asks for a token while the held one is used, unless somebody does already, or did moments ago.
    /// `outdated` is one that is not to be had again.
    fn renew_behind(self: &Arc<Self>, outdated: Option<&Token>) {
        let Ok(mut last) = self.refresh.clone().try_lock_owned() else { return };
        let is_held = |token: &Token| self.held().is_some_and(|held| held.secret == token.secret);
        if last.as_ref().is_some_and(Asked::is_recent) || !outdated.is_none_or(is_held) {
            return;
        }
        let source = self.clone();
        tokio::spawn(async move {
            if let Err(error) = source.ask(&mut last).await {
                tracing::warn!(error, "the token for ARM could not be renewed; the one that is held is still valid");
            }
        });
    }

    /// Asks for a token, unless somebody did moments ago.
    async fn renew(&self, last: &mut Option<Asked>) -> Result<Token, String> {
        if let Some(token) = self.valid(RENEW_BEFORE) {
            return Ok(token);
        }
        match (last.as_ref().filter(|last| last.is_recent()), self.held()) {
            (Some(Asked { why: Some(why), .. }), _) => Err(why.clone()),
            (Some(Asked { why: None, .. }), Some(token)) => Ok(token),
            _ => self.ask(last).await,
        }
    }

    async fn ask(&self, last: &mut Option<Asked>) -> Result<Token, String> {
        let before = last.as_ref().map_or(0, |last| last.failures);
        let answer = self.request().await.map_err(|why| format!("credential {}: {why}", self.name));
        let failures = if answer.is_ok() { 0 } else { before.saturating_add(1) };
        let not_before = Instant::now() + backoff::delay(AFTER_REQUEST, failures.saturating_sub(1), 0.0);
        *last = Some(Asked { why: answer.as_ref().err().cloned(), failures, not_before });
        if let Ok(token) = &answer {
            self.hold(Some(token.clone()));
        }
        answer
    }

    async fn request(&self) -> Result<Token, String> {
        let span = spans::token();
        let (outcome, answer) = match (self.make)() {
            Ok(credential) => self.request_with(&*credential).instrument(span.clone()).await,
            Err(error) => (TokenOutcome::NoCredential, Err(format!("{error:#}"))),
        };
        spans::end_token(&span, outcome.into(), answer.is_ok());
        self.metrics.azure.asked_for_token(outcome);
        answer
    }

    async fn request_with(&self, credential: &dyn TokenCredential) -> (TokenOutcome, Result<Token, String>) {
        if let Ok(mut refusal) = self.refusal.lock() {
            *refusal = None;
        }
        let scopes = [self.scope.as_str()];
        let answer = tokio::time::timeout(DEADLINE, credential.get_token(&scopes, None)).await;
        let said = || self.refusal.lock().ok().and_then(|r| r.clone());
        match answer {
            Ok(Ok(token)) => {
                let (secret, expires) = (token.token.secret().into(), token.expires_on.into());
                (TokenOutcome::Ok, Ok(Token { secret, expires, since: Instant::now() }))
            }
            Ok(Err(error)) => (TokenOutcome::Refused, Err(safe(&said().unwrap_or_else(|| causes(&error))))),
            Err(_) => {
                let late = format!("no token within {} s", DEADLINE.as_secs());
                let why = said().map_or_else(|| late.clone(), |last| format!("{late}; the last answer: {last}"));
                (TokenOutcome::Late, Err(why))
            }
        }
    }
}

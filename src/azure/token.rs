//! Tokens: one refresh at a time, a token that is still valid outlives a failed refresh, and no
//! token can be printed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use azure_core::credentials::TokenCredential;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use signalr_private_link_core::message::safe;
use signalr_private_link_core::resource_id::is_guid;
use tokio::time::Instant;

use super::client::DEADLINE;
use super::error::causes;

/// A token is renewed when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// A token that was issued so recently is not refused for its age.
const YOUNG: Duration = Duration::from_secs(60);

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

    /// The object id of the identity that the token is for, where the token tells (`oid`, Microsoft's
    /// access token claims reference). Nothing is verified: it is only told to people.
    pub(super) fn object_id(&self) -> Option<Box<str>> {
        #[derive(serde::Deserialize)]
        struct Claims {
            oid: String,
        }
        let payload = URL_SAFE_NO_PAD.decode(self.secret.split('.').nth(1)?).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        is_guid(&claims.oid).then(|| claims.oid.into())
    }

    /// Whether ARM may refuse it for its age: it was revoked, or a clock is wrong. One that was just
    /// issued is refused for what it is.
    pub(super) fn is_old(&self) -> bool {
        self.since.elapsed() > YOUNG
    }

    fn valid_for(&self, at_least: Duration) -> bool {
        self.expires.duration_since(SystemTime::now()).is_ok_and(|left| left > at_least)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

type MakeCredential = dyn Fn() -> anyhow::Result<Arc<dyn TokenCredential>> + Send + Sync;

/// Where the operator's tokens come from.
pub struct TokenSource {
    make: Box<MakeCredential>,
    /// Which credential it is, for people.
    name: String,
    scope: String,
    refusal: Arc<Mutex<Option<String>>>,
    held: Mutex<Option<Token>>,
    refresh: tokio::sync::Mutex<Refresh>,
}

/// The one refresh that may be under way, and how the last one ended.
struct Refresh {
    credential: Option<Arc<dyn TokenCredential>>,
    count: u64,
    failure: Option<String>,
}

impl TokenSource {
    /// A source that makes its credential with `make` when the first token is needed, and anew
    /// after ARM refused a token.
    #[must_use]
    pub fn new(make: Box<MakeCredential>, name: String, scope: String, refusal: Arc<Mutex<Option<String>>>) -> Self {
        Self {
            make,
            name,
            scope,
            refusal,
            held: Mutex::new(None),
            refresh: tokio::sync::Mutex::new(Refresh { credential: None, count: 0, failure: None }),
        }
    }

    fn held(&self) -> Option<Token> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, token: Option<Token>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// A token that is valid for some minutes yet, or at least still valid.
    ///
    /// # Errors
    /// What the credential or the token endpoint said. Callers that waited for the same attempt
    /// share its failure instead of trying again one after the other.
    pub async fn token(&self) -> Result<Token, String> {
        if let Some(token) = self.held().filter(|t| t.valid_for(RENEW_BEFORE)) {
            return Ok(token);
        }
        let seen = self.refresh.try_lock().map(|refresh| refresh.count).ok();
        let mut refresh = self.refresh.lock().await;
        if let Some(token) = self.held().filter(|t| t.valid_for(RENEW_BEFORE)) {
            return Ok(token);
        }
        let waited_for_another = seen.is_none_or(|count| count != refresh.count);
        if waited_for_another && let Some(failure) = &refresh.failure {
            return self.still_valid().ok_or_else(|| failure.clone());
        }
        refresh.count += 1;
        let answer = self.request(&mut refresh.credential).await;
        match answer.map_err(|why| format!("credential {}: {why}", self.name)) {
            Ok(token) => {
                refresh.failure = None;
                self.hold(Some(token.clone()));
                Ok(token)
            }
            Err(failure) => {
                refresh.failure = Some(failure.clone());
                self.still_valid().ok_or(failure)
            }
        }
    }

    fn still_valid(&self) -> Option<Token> {
        self.held().filter(|t| t.valid_for(DEADLINE))
    }

    async fn request(&self, credential: &mut Option<Arc<dyn TokenCredential>>) -> Result<Token, String> {
        let source = match credential {
            Some(source) => source.clone(),
            None => {
                let made = (self.make)().map_err(|error| format!("{error:#}"))?;
                credential.insert(made).clone()
            }
        };
        if let Ok(mut refusal) = self.refusal.lock() {
            *refusal = None;
        }
        let scopes = [self.scope.as_str()];
        let answer = tokio::time::timeout(DEADLINE, source.get_token(&scopes, None)).await;
        let said = || self.refusal.lock().ok().and_then(|r| r.clone());
        match answer {
            Ok(Ok(token)) => Ok(Token {
                secret: token.token.secret().into(),
                expires: token.expires_on.into(),
                since: Instant::now(),
            }),
            Ok(Err(error)) => {
                // A credential that failed may hold a stale secret or file: make it anew.
                *credential = None;
                Err(safe(&said().unwrap_or_else(|| causes(&error))))
            }
            Err(_) => {
                let late = format!("no token within {} s", DEADLINE.as_secs());
                Err(said().map_or_else(|| late.clone(), |last| format!("{late}; the last answer: {last}")))
            }
        }
    }

    /// Forgets a token that ARM refused, and the credential that keeps it.
    pub async fn refuse(&self, token: &Token) {
        if self.held().is_some_and(|held| held.secret == token.secret) {
            self.hold(None);
            self.refresh.lock().await.credential = None;
        }
    }
}

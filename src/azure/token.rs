//! Tokens: one refresh at a time, a token that is still valid outlives a failed refresh, and no
//! token can be printed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use signalr_private_link_core::message::safe;
use signalr_private_link_core::resource_id::is_guid;
use tokio::time::Instant;

use super::client::DEADLINE;
use super::cloud::{CloudSettings, CredentialKind};
use super::transport::EntraTransport;

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
    pub fn new(make: Box<MakeCredential>, scope: String, refusal: Arc<Mutex<Option<String>>>) -> Self {
        Self {
            make,
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
        match self.request(&mut refresh.credential).await {
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
            Err(_) => Err(format!("the token endpoint did not answer within {} s", DEADLINE.as_secs())),
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

/// An error with all its causes: the last one names the host or the certificate.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        next = cause.source();
    }
    words
}

/// The token source that the settings ask for.
///
/// # Errors
/// When a variable that the credential needs is missing; the message names it.
pub fn token_source(settings: &CloudSettings, http: &reqwest::Client) -> anyhow::Result<TokenSource> {
    let refusal = Arc::new(Mutex::new(None));
    let kind = resolve(settings.credential);
    let (settings_, http, shared) = (settings.clone(), http.clone(), refusal.clone());
    let make = move || credential(kind, &settings_, &http, &shared);
    // Once at the start, so that a missing variable is told then and not hours later.
    make()?;
    Ok(TokenSource::new(Box::new(make), settings.scope.clone(), refusal))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str, kind: &str) -> anyhow::Result<String> {
    variable(name)
        .with_context(|| format!("the credential {kind} needs the environment variable {name}, which is not set"))
}

/// What `auto` means: the most specific thing that the environment holds.
fn resolve(kind: CredentialKind) -> CredentialKind {
    match kind {
        CredentialKind::Auto if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => CredentialKind::WorkloadIdentity,
        CredentialKind::Auto if variable("AZURE_CLIENT_SECRET").is_some() => CredentialKind::ClientSecret,
        CredentialKind::Auto => CredentialKind::ManagedIdentity,
        other => other,
    }
}

fn credential(
    kind: CredentialKind,
    settings: &CloudSettings,
    http: &reqwest::Client,
    refusal: &Arc<Mutex<Option<String>>>,
) -> anyhow::Result<Arc<dyn TokenCredential>> {
    let client_options = || {
        let mut custom = CustomConfiguration::default();
        custom.authority_host = settings.authority.as_str().to_owned();
        ClientOptions {
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            transport: Some(Transport::new(Arc::new(EntraTransport::new(http.clone(), refusal.clone())))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    };
    Ok(match kind {
        CredentialKind::Auto | CredentialKind::ManagedIdentity => {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: variable("AZURE_CLIENT_ID").map(UserAssignedId::ClientId),
                client_options: client_options(),
            };
            ManagedIdentityCredential::new(Some(options)).context("managed identity")?
        }
        CredentialKind::WorkloadIdentity => {
            let kind = "WorkloadIdentity";
            let file = required("AZURE_FEDERATED_TOKEN_FILE", kind)?;
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: client_options() },
                client_id: Some(required("AZURE_CLIENT_ID", kind)?),
                tenant_id: Some(required("AZURE_TENANT_ID", kind)?),
                token_file_path: Some(file.clone().into()),
            };
            WorkloadIdentityCredential::new(Some(options))
                .with_context(|| format!("workload identity with AZURE_FEDERATED_TOKEN_FILE={file}"))?
        }
        CredentialKind::ClientSecret => {
            let kind = "ClientSecret";
            let tenant = required("AZURE_TENANT_ID", kind)?;
            let secret = Secret::new(required("AZURE_CLIENT_SECRET", kind)?);
            let options = ClientSecretCredentialOptions { client_options: client_options() };
            ClientSecretCredential::new(&tenant, required("AZURE_CLIENT_ID", kind)?, secret, Some(options))
                .context("client secret")?
        }
        CredentialKind::AzureCli => AzureCliCredential::new(None).context("Azure CLI")?,
    })
}

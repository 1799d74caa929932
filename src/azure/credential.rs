//! Which credential the settings and the environment ask for. The variables are those of Microsoft's
//! own libraries; one that is set and empty counts as not set.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use reqwest::Url;

use super::certificate::Certificate;
use super::cloud::{CloudSettings, CredentialKind};
use super::entra::{Refusal, TokenEndpoint, TokenTransport};
use super::token::TokenSource;
use super::transport::identity_client;
use crate::config::variable;
use crate::metrics::Metrics;

/// The token source that the settings ask for; `metrics` are told of what it asks and gets.
///
/// # Errors
/// When a variable that the credential needs is missing; the message names it.
pub fn token_source(
    settings: &CloudSettings,
    http: &reqwest::Client,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<TokenSource> {
    let refusal = Arc::new(Mutex::new(None));
    let kind = resolve(settings);
    let (settings_, http, shared, told) = (settings.clone(), http.clone(), refusal.clone(), metrics.clone());
    let make = move || credential(kind, &settings_, &http, &shared, &told);
    // Once at the start, so that a missing variable is told then and not hours later.
    make()?;
    let name = if kind == settings.credential { format!("{kind:?}") } else { format!("{kind:?}, which auto chose") };
    Ok(TokenSource::new(Box::new(make), name, settings.scope.clone(), refusal, metrics.clone()))
}

fn required(name: &str, kind: &str) -> anyhow::Result<String> {
    variable(name)
        .with_context(|| format!("the credential {kind} needs the environment variable {name}, which is not set"))
}

/// The secret that a file holds now; a line that ends the file is no part of it.
fn secret_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the client secret cannot be read from --client-secret-file {}", file.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!secret.is_empty(), "--client-secret-file {} is empty", file.display());
    Ok(secret.to_owned())
}

/// What `auto` means: the most specific thing that the environment holds.
fn resolve(settings: &CloudSettings) -> CredentialKind {
    let has_secret = variable("AZURE_CLIENT_SECRET").is_some() || settings.client_secret_file.is_some();
    match settings.credential {
        CredentialKind::Auto if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => CredentialKind::WorkloadIdentity,
        CredentialKind::Auto if settings.client_certificate_file.is_some() => CredentialKind::ClientCertificate,
        CredentialKind::Auto if has_secret => CredentialKind::ClientSecret,
        CredentialKind::Auto => CredentialKind::ManagedIdentity,
        other => other,
    }
}

fn credential(
    kind: CredentialKind,
    settings: &CloudSettings,
    http: &reqwest::Client,
    refusal: &Refusal,
    metrics: &Metrics,
) -> anyhow::Result<Arc<dyn TokenCredential>> {
    let options = |http: &reqwest::Client, endpoint: TokenEndpoint| {
        let mut custom = CustomConfiguration::default();
        custom.authority_host = settings.authority.as_str().to_owned();
        ClientOptions {
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            transport: Some(Transport::new(Arc::new(TokenTransport::new(http.clone(), endpoint, refusal.clone())))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    };
    let client_options = || options(http, TokenEndpoint::Entra);
    Ok(match kind {
        CredentialKind::Auto | CredentialKind::ManagedIdentity => {
            let imds = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                .map(|url| Url::parse(&url).with_context(|| format!("AZURE_POD_IDENTITY_AUTHORITY_HOST={url}")))
                .transpose()?;
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: variable("AZURE_CLIENT_ID").map(UserAssignedId::ClientId),
                client_options: options(&identity_client()?, TokenEndpoint::Machine { imds }),
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
            let secret = match &settings.client_secret_file {
                Some(file) => secret_in(file)?,
                None => required("AZURE_CLIENT_SECRET", kind)?,
            };
            let options = ClientSecretCredentialOptions { client_options: client_options() };
            ClientSecretCredential::new(&tenant, required("AZURE_CLIENT_ID", kind)?, Secret::new(secret), Some(options))
                .context("client secret")?
        }
        CredentialKind::ClientCertificate => {
            let kind = "ClientCertificate";
            let (tenant, client) = (required("AZURE_TENANT_ID", kind)?, required("AZURE_CLIENT_ID", kind)?);
            let file = settings.client_certificate_file.clone().context(
                "the credential ClientCertificate needs --client-certificate-file (AZURE_CLIENT_CERTIFICATE_PATH)",
            )?;
            let audience = format!("{}/{tenant}/oauth2/v2.0/token", settings.authority.as_str().trim_end_matches('/'));
            let certificate = Certificate::new(file, client.clone(), audience)?;
            metrics.azure.credential_expires(certificate.expires());
            let options = ClientAssertionCredentialOptions { client_options: client_options() };
            ClientAssertionCredential::new(tenant, client, certificate, Some(options)).context("client certificate")?
        }
        CredentialKind::AzureCli => AzureCliCredential::new(None).context("Azure CLI")?,
    })
}

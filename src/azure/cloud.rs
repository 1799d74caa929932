//! The clouds: where ARM is, what a token is for, and who issues it.

use std::path::PathBuf;

use clap::ValueEnum;
use reqwest::Url;

/// The clouds that the operator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Cloud {
    /// The public cloud.
    AzurePublic,
    /// Azure US Government.
    #[value(name = "AzureUSGovernment")]
    AzureUsGovernment,
    /// Azure operated by 21Vianet.
    AzureChina,
    /// Endpoint, audience and authority are given one by one: Azure Stack, or a simulator.
    Custom,
}

/// Where tokens come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum CredentialKind {
    /// Workload identity, client certificate, client secret or managed identity, by what the environment holds.
    #[value(name = "auto")]
    Auto,
    /// A federated token of the pod's service account.
    WorkloadIdentity,
    /// The identity of the machine.
    ManagedIdentity,
    /// A service principal with a secret.
    ClientSecret,
    /// A service principal with a certificate.
    ClientCertificate,
    /// The account that `az login` left, for developers.
    AzureCli,
}

/// The API versions that are asked for: the newest stable one of SignalR, and one of Key Vault that every
/// cloud has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiVersions {
    /// Of `Microsoft.SignalRService/signalR/sharedPrivateLinkResources`.
    pub signalr: String,
    /// Of `Microsoft.KeyVault/vaults/privateEndpointConnections`.
    pub key_vault: String,
}

/// Of SignalR, where nothing else is asked for.
pub const SIGNALR_API_VERSION: &str = "2024-03-01";
/// Of Key Vault, where nothing else is asked for.
pub const KEY_VAULT_API_VERSION: &str = "2023-07-01";

impl Default for ApiVersions {
    fn default() -> Self {
        Self { signalr: SIGNALR_API_VERSION.to_owned(), key_vault: KEY_VAULT_API_VERSION.to_owned() }
    }
}

/// One cloud, complete.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudSettings {
    /// Where ARM is; https.
    pub arm: Url,
    /// The scope of a token for ARM: `<audience>/.default`.
    pub scope: String,
    /// Who issues tokens; https.
    pub authority: Url,
    /// A file with roots that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Holds the client secret, if it is not in a variable.
    pub client_secret_file: Option<PathBuf>,
    /// Holds the client certificate and its key, where there is one.
    pub client_certificate_file: Option<PathBuf>,
    /// Where tokens come from.
    pub credential: CredentialKind,
}

impl Cloud {
    /// ARM endpoint, audience and authority, as Microsoft publishes them for each cloud.
    #[must_use]
    pub fn well_known(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::AzurePublic => Some((
                "https://management.azure.com",
                "https://management.azure.com",
                "https://login.microsoftonline.com",
            )),
            Self::AzureUsGovernment => Some((
                "https://management.usgovcloudapi.net",
                "https://management.usgovcloudapi.net",
                "https://login.microsoftonline.us",
            )),
            Self::AzureChina => Some((
                "https://management.chinacloudapi.cn",
                "https://management.chinacloudapi.cn",
                "https://login.chinacloudapi.cn",
            )),
            Self::Custom => None,
        }
    }
}

//! azure-sim in this process, and its control endpoint.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
pub use azure_sim::identity::IDENTITY_HEADER;
use azure_sim::{Config, Server};
use serde_json::{Value, json};

/// The subscription of the examples.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// The subscription in which the simulator's SignalRs have their endpoints.
pub const MICROSOFT: &str = "4d1c0ffe-0000-4000-8000-00000000cafe";

/// The simulator with timings for tests: Azure's order of events, in a tenth of a second each.
#[must_use]
pub fn quick() -> Config {
    let mut config = Config::preset();
    config.timings.create_ms = 600;
    config.timings.delete_ms = 300;
    config.timings.appear_ms = 150;
    config.timings.approve_ms = 300;
    config.timings.propagation_ms = 400;
    config.timings.busy_ms = 100;
    config
}

/// A SignalR's id in the resource group `contoso`.
#[must_use]
pub fn signalr(name: &str) -> String {
    signalr_in(SUBSCRIPTION, name)
}

/// The same in another subscription.
#[must_use]
pub fn signalr_in(subscription: &str, name: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/{name}")
}

/// A vault's id in the resource group `contoso`.
#[must_use]
pub fn vault(name: &str) -> String {
    vault_in(SUBSCRIPTION, name)
}

/// The same in another subscription.
#[must_use]
pub fn vault_in(subscription: &str, name: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/{name}")
}

/// A new certificate of an application and its RSA key, as PEM.
///
/// # Errors
/// When the library cannot make one.
pub fn client_certificate() -> anyhow::Result<(String, String)> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
    let certificate = rcgen::CertificateParams::new(Vec::new())?.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A running simulator.
pub struct Azure {
    server: Server,
    config: Config,
    ca_file: PathBuf,
    http: reqwest::Client,
}

impl Azure {
    /// Starts the simulator; its CA is written below `directory`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(config: Config, directory: &Path) -> anyhow::Result<Self> {
        let server = Server::start(config.clone()).await?;
        let ca_file =
            directory.join(format!("azure-ca-{}.pem", server.endpoint().rsplit(':').next().unwrap_or_default()));
        std::fs::write(&ca_file, server.ca())?;
        Ok(Self { server, config, ca_file, http: reqwest::Client::new() })
    }

    /// `https://localhost:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// The file with the CA's certificate.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The control endpoint's URL.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.server.control()
    }

    /// The environment in which the operator reaches the simulator as it reaches Azure.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AZURE_CLOUD", "Custom"),
            ("AZURE_ARM_ENDPOINT", self.endpoint()),
            ("AZURE_ARM_AUDIENCE", "https://management.azure.com"),
            ("AZURE_AUTHORITY_HOST", self.endpoint()),
            ("AZURE_CA_FILE", &self.ca_file.to_string_lossy()),
            ("AZURE_TENANT_ID", &self.config.tenant_id),
            ("AZURE_CLIENT_ID", &self.config.client_id),
            ("AZURE_CLIENT_SECRET", &self.config.client_secret),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Sends a request to the control endpoint.
    ///
    /// # Errors
    /// When it is refused, with the simulator's words.
    pub async fn control(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let url = format!("{}{path}", self.server.control());
        let answer = self.http.request(method.clone(), url).json(body).send().await?;
        let status = answer.status();
        let value: Value = answer.json().await?;
        anyhow::ensure!(status.is_success(), "{method} {path}: {value}");
        Ok(value)
    }

    /// Adds a SignalR and a vault of these names in the resource group `contoso`.
    ///
    /// # Errors
    /// When the simulator refuses.
    pub async fn add(&self, signalr_name: &str, vault_name: &str) -> anyhow::Result<()> {
        self.add_ids(&signalr(signalr_name), &vault(vault_name)).await
    }

    /// Adds a SignalR and a vault of these ids.
    ///
    /// # Errors
    /// When the simulator refuses.
    pub async fn add_ids(&self, signalr: &str, vault: &str) -> anyhow::Result<()> {
        self.control("POST", "/signalr", &json!({"resourceId": signalr})).await?;
        self.control("POST", "/vaults", &json!({"resourceId": vault})).await.map(drop)
    }

    /// The vault's owner approves the only pending request whose message begins so.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub async fn owner_approves(&self, vault_name: &str, words: &str) -> anyhow::Result<()> {
        let body = json!({"vault": vault(vault_name), "message": words});
        self.control("POST", "/connections/approve", &body).await.map(drop)
    }

    /// What is there.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn state(&self) -> anyhow::Result<Value> {
        self.control("GET", "/state", &Value::Null).await
    }

    /// A link as the simulator has it.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn link(&self, signalr_name: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let state = self.state().await?;
        let signalr = signalr(signalr_name).to_ascii_lowercase();
        let links = state.get("signalrs").and_then(|s| s.get(&signalr)).and_then(|s| s.get("links"));
        Ok(links.and_then(|links| links.get(name.to_ascii_lowercase())).cloned())
    }

    /// The connections of a vault as the simulator has them.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn connections(&self, vault_name: &str) -> anyhow::Result<Vec<Value>> {
        let state = self.state().await?;
        let vault = vault(vault_name).to_ascii_lowercase();
        let connections = state.get("vaults").and_then(|v| v.get(&vault)).and_then(|v| v.get("connections"));
        Ok(connections.and_then(Value::as_object).map(|all| all.values().cloned().collect()).unwrap_or_default())
    }

    /// Writes that had an effect: method, kind and the id's last segment.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn writes(&self) -> anyhow::Result<Vec<Value>> {
        let truth = self.control("GET", "/truth", &Value::Null).await?;
        truth.get("writes").and_then(Value::as_array).cloned().context("the truth has no writes")
    }

    /// Requests by method and kind since the log was cleared.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn counts(&self) -> anyhow::Result<Value> {
        self.control("GET", "/counts", &Value::Null).await
    }
}

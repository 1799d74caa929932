//! Settings: addresses, identity, timings and quirks.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use serde::{Deserialize, Serialize};

/// A simulator of Azure Resource Manager and the token endpoint, for private links from SignalR to
/// key vaults.
#[derive(Debug, Clone, Parser)]
#[command(name = "azure-sim", version)]
pub struct Config {
    /// Where ARM and the token endpoint listen, over TLS; port 0 takes a free one.
    #[arg(long, env = "AZURE_SIM_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where the control endpoint listens, without TLS; loopback only.
    #[arg(long, env = "AZURE_SIM_CONTROL", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub control: SocketAddr,
    /// Where the certificate of the CA that was made is written.
    #[arg(long, env = "AZURE_SIM_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Where the addresses are written as JSON, once it is ready.
    #[arg(long, env = "AZURE_SIM_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// The tenant.
    #[arg(long, env = "AZURE_SIM_TENANT_ID", default_value = "72f988bf-0000-4000-8000-2d7cd011db47")]
    pub tenant_id: String,
    /// The one application that gets tokens.
    #[arg(long, env = "AZURE_SIM_CLIENT_ID", default_value = "5e1f0000-0000-4000-8000-000000000001")]
    pub client_id: String,
    /// Its secret.
    #[arg(long, env = "AZURE_SIM_CLIENT_SECRET", default_value = "azure-sim-secret")]
    pub client_secret: String,
    /// A public key in PEM that signs federated assertions (RS256 or ES256). Without it any
    /// assertion that has not expired is taken.
    #[arg(long, env = "AZURE_SIM_FEDERATED_ISSUER_KEY")]
    pub federated_issuer_key: Option<PathBuf>,
    /// The subject that federated assertions have to have.
    #[arg(long, env = "AZURE_SIM_FEDERATED_SUBJECT")]
    pub federated_subject: Option<String>,
    /// A file with the certificates that the application may sign assertions with, as PEM blocks; it is read each time.
    #[arg(long, env = "AZURE_SIM_CLIENT_CERTIFICATE")]
    pub client_certificate: Option<PathBuf>,
    /// How many seconds a token is valid.
    #[arg(long, env = "AZURE_SIM_TOKEN_LIFETIME", default_value_t = 3600)]
    pub token_lifetime: i64,
    /// The subscription in which SignalR's private endpoints live: Microsoft's, not the user's.
    #[arg(long, env = "AZURE_SIM_ENDPOINT_SUBSCRIPTION", default_value = "4d1c0ffe-0000-4000-8000-00000000cafe")]
    pub endpoint_subscription: String,
    /// Take as long as Azure was recorded to take.
    #[arg(long, env = "AZURE_SIM_REALISTIC")]
    pub realistic: bool,
    /// How long things take.
    #[command(flatten)]
    pub timings: Timings,
    /// What answers look like.
    #[command(flatten)]
    pub quirks: Quirks,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        _ => Err("the control endpoint has no protection: expected a loopback address such as 127.0.0.1:0".to_owned()),
    }
}

impl Config {
    /// The defaults of the command line.
    #[must_use]
    pub fn preset() -> Self {
        Self::parse_from(["azure-sim"])
    }

    /// The timings in force.
    #[must_use]
    pub fn effective_timings(&self) -> Timings {
        if self.realistic { Timings::RECORDED } else { self.timings }
    }
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Creating a link.
    #[arg(long, env = "AZURE_SIM_CREATE_MS", default_value_t = 3000)]
    pub create_ms: i64,
    /// Deleting a link.
    #[arg(long, env = "AZURE_SIM_DELETE_MS", default_value_t = 1500)]
    pub delete_ms: i64,
    /// From the link's success to its request on the vault.
    #[arg(long, env = "AZURE_SIM_APPEAR_MS", default_value_t = 500)]
    pub appear_ms: i64,
    /// A decision on the vault, from Updating to Succeeded.
    #[arg(long, env = "AZURE_SIM_APPROVE_MS", default_value_t = 1500)]
    pub approve_ms: i64,
    /// From a settled decision on the vault to SignalR's own word.
    #[arg(long, env = "AZURE_SIM_PROPAGATION_MS", default_value_t = 2500)]
    pub propagation_ms: i64,
    /// How long SignalR answers 409 after an operation, although it says Succeeded.
    #[arg(long, env = "AZURE_SIM_BUSY_MS", default_value_t = 300)]
    pub busy_ms: i64,
    /// How long a link is still there after its deletion has ended.
    #[arg(long, env = "AZURE_SIM_LINGER_MS", default_value_t = 0)]
    pub linger_ms: i64,
    /// How long ARM's reads do not show a link yet whose creation was accepted: its store is replicated.
    #[arg(long, env = "AZURE_SIM_HIDDEN_MS", default_value_t = 0)]
    pub hidden_ms: i64,
    /// Before each answer.
    #[arg(long, env = "AZURE_SIM_LATENCY_MS", default_value_t = 0)]
    pub latency_ms: u64,
}

impl Timings {
    /// As recorded: create 37 s and delete 17 s (armsignalr, 2023-09-04), approve 46 s (azure-cli,
    /// 2024-04); propagation "after a few minutes" (Microsoft's article).
    pub const RECORDED: Self = Self {
        create_ms: 37_000,
        delete_ms: 17_000,
        appear_ms: 2_000,
        approve_ms: 46_000,
        propagation_ms: 120_000,
        busy_ms: 5_000,
        linger_ms: 0,
        hidden_ms: 0,
        latency_ms: 80,
    };
}

/// What answers look like where Azure itself is not uniform.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quirks {
    /// Answer with resource groups in upper case.
    #[arg(long, env = "AZURE_SIM_UPPERCASE_GROUPS")]
    pub uppercase_groups: bool,
    /// Refuse a decision whose etag is not the connection's (whether Key Vault does is unknown).
    #[arg(long, env = "AZURE_SIM_ENFORCE_ETAG")]
    pub enforce_etag: bool,
    /// A missing connection is 404 instead of 204 (the specification has 204).
    #[arg(long, env = "AZURE_SIM_CONNECTION_404")]
    pub connection_404: bool,
    /// Refuse with 429 what is beyond ARM's own limits, whose buckets fill this many times as fast as ARM's; 0 refuses
    /// nothing.
    #[arg(long, env = "AZURE_SIM_THROTTLE_RATE", default_value_t = 0)]
    #[serde(default)]
    pub throttle_rate: u32,
    /// ARM's `Date` is so many seconds ahead of the simulator's own time, or behind it: as if the client's clock were
    /// wrong.
    #[arg(long, env = "AZURE_SIM_DATE_OFFSET_SECONDS", default_value_t = 0, allow_hyphen_values = true)]
    #[serde(default)]
    pub date_offset_seconds: i64,
    /// Items on a page of a list.
    #[arg(long, env = "AZURE_SIM_PAGE_SIZE", default_value_t = 100)]
    pub page_size: usize,
    /// A host that the links to further pages name instead of our own: a client must not follow.
    #[arg(long, env = "AZURE_SIM_NEXT_LINK_HOST")]
    pub next_link_host: Option<String>,
}

//! Flags and environment, validated once. A wrong one is refused at the start with the flag, the
//! value and what is accepted.

mod doctor;
mod traces;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use reqwest::Url;

use crate::azure::{ApiVersions, Cloud, CloudSettings, CredentialKind, KEY_VAULT_API_VERSION, SIGNALR_API_VERSION};
use crate::controller::NAME;
use crate::lease::LeaseTimes;

pub use doctor::{DoctorArgs, LinkName, OutputFormat};
pub use traces::TraceArgs;

/// Connects Azure SignalR Services to key vaults over shared private links.
#[derive(Debug, Parser)]
#[command(name = "signalr-private-link-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads arguments and environment; a variable that is set and empty counts as not set. A wrong
    /// one, and `--help`, end the process.
    #[must_use]
    pub fn read() -> Self {
        let matches = Self::definition(|name| std::env::var_os(name)).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line, without the variables that are empty.
    fn definition(variable: impl Fn(&OsStr) -> Option<OsString>) -> clap::Command {
        let empty = |arg: &clap::Arg| arg.get_env().and_then(&variable).is_some_and(|value| value.is_empty());
        Self::command().mut_subcommands(|command| {
            command.mut_args(|arg| if empty(&arg) { arg.env(clap::builder::Resettable::Reset) } else { arg })
        })
    }
}

/// A variable that is no flag's; one that is set and empty counts as not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the controller.
    Run(Box<RunArgs>),
    /// Prints the CustomResourceDefinitions as YAML.
    Crds,
    /// Examines what the operator needs, in the cluster and in Azure, and tells what is wrong and the way out.
    ///
    /// It changes nothing. The exit code is 1 where something failed, and 2 where the settings cannot be used.
    Doctor(Box<DoctorArgs>),
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

/// The flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The Azure cloud.
    #[arg(long, env = "AZURE_CLOUD", value_enum, ignore_case = true, default_value = "AzurePublic")]
    pub cloud: Cloud,
    /// The endpoint of Azure Resource Manager, with --cloud Custom; https only.
    #[arg(long, env = "AZURE_ARM_ENDPOINT", value_name = "URL", value_parser = https_url)]
    pub arm_endpoint: Option<Url>,
    /// What tokens are for, with --cloud Custom; their scope is <audience>/.default.
    #[arg(long, env = "AZURE_ARM_AUDIENCE", value_name = "URI")]
    pub arm_audience: Option<String>,
    /// Who issues tokens; https only.
    #[arg(long, env = "AZURE_AUTHORITY_HOST", value_name = "URL", value_parser = https_url)]
    pub authority_host: Option<Url>,
    /// Roots trusted for ARM and the authority, besides the system's.
    #[arg(long, env = "AZURE_CA_FILE", value_name = "PEM")]
    pub ca_file: Option<PathBuf>,
    /// Where tokens come from; auto takes the first of workload identity, client certificate, client
    /// secret and managed identity that the environment holds.
    #[arg(long, env = "AZURE_CREDENTIAL", value_enum, ignore_case = true, default_value = "auto")]
    pub credential: CredentialKind,
    /// A file that holds the client secret, in place of the variable AZURE_CLIENT_SECRET; it is read again for each
    /// token, so a secret can be replaced while the operator runs.
    #[arg(long, env = "AZURE_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// A file that holds the client certificate and its RSA key without a password, as PEM blocks; it is read again for
    /// each token.
    #[arg(long, env = "AZURE_CLIENT_CERTIFICATE_PATH", value_name = "FILE")]
    pub client_certificate_file: Option<PathBuf>,
    /// The API version of Microsoft.SignalRService, for a cloud that lags behind.
    #[arg(long, env = "SIGNALR_API_VERSION", value_name = "VERSION", default_value = SIGNALR_API_VERSION, value_parser = api_version)]
    pub signalr_api_version: String,
    /// The API version of Microsoft.KeyVault, for a cloud that lags behind.
    #[arg(long, env = "KEY_VAULT_API_VERSION", value_name = "VERSION", default_value = KEY_VAULT_API_VERSION, value_parser = api_version)]
    pub key_vault_api_version: String,
    /// The namespaces to watch; all by default.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMES", value_parser = namespace)]
    pub watch_namespaces: Vec<String>,
    /// Elect a leader among several replicas.
    #[arg(long, env = "LEADER_ELECT", value_parser = clap::builder::BoolishValueParser::new())]
    pub leader_elect: bool,
    /// The Lease that replicas elect a leader with, in the operator's own namespace. Replicas that share it work
    /// in turn, so two installations in one namespace need two.
    #[arg(long, env = "LEASE_NAME", value_name = "NAME", default_value = NAME, value_parser = lease)]
    pub lease_name: String,
    /// How long the Lease lasts.
    #[command(flatten)]
    pub lease_times: LeaseTimes,
    /// Multiplies every wait of the operator's own, for simulators; above 0, at most 1. Refused
    /// unless the cloud is Custom.
    #[arg(long, env = "PACE", default_value = "1.0", value_parser = pace)]
    pub pace: f64,
    /// Where metrics are served; 0 for nowhere.
    #[arg(long, env = "METRICS_ADDRESS", default_value = "[::]:8080", value_name = "ADDRESS", value_parser = address)]
    pub metrics_address: Address,
    /// Where /livez and /readyz are served; 0 for nowhere.
    #[arg(long, env = "HEALTH_ADDRESS", default_value = "[::]:8081", value_name = "ADDRESS", value_parser = address)]
    pub health_address: Address,
    /// How logs are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter like info,signalr_private_link_operator=debug.
    /// Of libraries only warnings and errors, unless the filter names them.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_parser = log_level)]
    pub log_level: String,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// An address to listen at, or none.
pub type Address = Option<SocketAddr>;

fn address(text: &str) -> Result<Address, String> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    // As other controllers take it: every interface, of IPv6 and IPv4 alike.
    let whole = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    whole.parse().map(Some).map_err(|_| {
        "expected HOST:PORT with an IP address, such as 0.0.0.0:8080, [::]:8080 or :8080, or 0 for nowhere".to_owned()
    })
}

fn https_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{e}; expected a form like https://management.azure.com"))?;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err("tokens are sent there, so it has to be https with a host".to_owned());
    }
    Ok(url)
}

fn api_version(text: &str) -> Result<String, String> {
    let (date, preview) = text.split_at_checked(10).unwrap_or((text, ""));
    match (date.parse::<jiff::civil::Date>(), preview) {
        (Ok(_), "" | "-preview") => Ok(text.to_owned()),
        _ => Err("expected a date as ARM names its versions, such as 2024-03-01 or 2025-01-01-preview".to_owned()),
    }
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(pace) if pace > 0.0 && pace <= 1.0 => Ok(pace),
        _ => Err("expected a number above 0 and at most 1".to_owned()),
    }
}

/// A name that Kubernetes takes: of lower-case letters, digits and these signs, which neither begin nor end it.
fn name(text: &str, longest: usize, signs: &[char], expected: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || signs.contains(&c);
    if (1..=longest).contains(&text.len()) && text.chars().all(fits) && text.trim_matches(signs) == text {
        Ok(text.to_owned())
    } else {
        Err(expected.to_owned())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    name(text, 63, &['-'], "expected names of namespaces separated by commas: lower-case letters, digits and dashes")
}

fn lease(text: &str) -> Result<String, String> {
    name(text, 253, &['-', '.'], "expected the name of a Lease: lower-case letters, digits, dashes and dots")
}

fn log_level(text: &str) -> Result<String, String> {
    text.parse::<tracing_subscriber::filter::Targets>()
        .map(|_| text.to_owned())
        .map_err(|_| "expected error, warn, info, debug, trace, or a filter like info,kube=debug".to_owned())
}

impl RunArgs {
    /// The API versions that are asked for.
    #[must_use]
    pub fn api_versions(&self) -> ApiVersions {
        ApiVersions { signalr: self.signalr_api_version.clone(), key_vault: self.key_vault_api_version.clone() }
    }

    /// The cloud, complete.
    ///
    /// # Errors
    /// When flags that belong together are missing or contradict each other.
    pub fn cloud_settings(&self) -> Result<CloudSettings, String> {
        let (arm, audience, authority) = match self.cloud.well_known() {
            Some((arm, audience, authority)) => {
                if self.arm_endpoint.is_some() || self.arm_audience.is_some() {
                    return Err(format!(
                        "--arm-endpoint and --arm-audience go with --cloud Custom, not with {:?}",
                        self.cloud
                    ));
                }
                if self.pace != 1.0 {
                    return Err(format!(
                        "--pace {} is for simulators: with --cloud {:?} it has to be 1; use --cloud Custom or leave it out",
                        self.pace, self.cloud
                    ));
                }
                (https_url(arm)?, audience.to_owned(), https_url(authority)?)
            }
            None => {
                let missing = |flag: &str, variable: &str| format!("--cloud Custom needs {flag} ({variable})");
                (
                    self.arm_endpoint.clone().ok_or_else(|| missing("--arm-endpoint URL", "AZURE_ARM_ENDPOINT"))?,
                    self.arm_audience.clone().ok_or_else(|| missing("--arm-audience URI", "AZURE_ARM_AUDIENCE"))?,
                    self.authority_host
                        .clone()
                        .ok_or_else(|| missing("--authority-host URL", "AZURE_AUTHORITY_HOST"))?,
                )
            }
        };
        Ok(CloudSettings {
            arm,
            scope: format!("{}/.default", audience.trim_end_matches("/.default")),
            authority: self.authority_host.clone().unwrap_or(authority),
            ca_file: self.ca_file.clone(),
            client_secret_file: self.client_secret_file.clone(),
            client_certificate_file: self.client_certificate_file.clone(),
            credential: self.credential,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(flags: &[&str]) -> Result<CloudSettings, String> {
        let line = ["operator", "run"].into_iter().chain(flags.iter().copied());
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Run(args) => args.lease_times.check().and_then(|()| args.cloud_settings()),
            Command::Crds | Command::Doctor(_) => Err("not run".into()),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_flag_is_refused_with_flag_value_and_what_is_accepted() {
        for (flags, expected) in [
            (
                &["--cloud", "Azure"][..],
                &["--cloud", "Azure", "AzurePublic", "AzureUSGovernment", "AzureChina", "Custom"][..],
            ),
            (&["--pace", "0"], &["--pace", "0", "at most 1"]),
            (&["--pace", "0.5"], &["--pace", "0.5", "Custom"]),
            (&["--arm-endpoint", "http://x"], &["--arm-endpoint", "http://x", "https"]),
            (&["--arm-endpoint", "https://x"], &["--arm-endpoint", "Custom"]),
            (&["--cloud", "Custom"], &["--arm-endpoint", "AZURE_ARM_ENDPOINT"]),
            (&["--lease-name", "Lease"], &["--lease-name", "Lease", "lower-case"]),
            (&["--lease-name", "lease."], &["--lease-name", "lease.", "dots"]),
            (&["--lease-duration", "5"], &["--lease-duration 5", "--lease-renew-deadline 10"]),
            (&["--watch-namespaces", "a,-b"], &["--watch-namespaces", "-b", "dashes"]),
            (&["--watch-namespaces", "a,B"], &["--watch-namespaces", "B", "lower-case"]),
            (&["--metrics-address", "nowhere"], &["--metrics-address", "nowhere", "HOST:PORT"]),
            (&["--signalr-api-version", "latest"], &["--signalr-api-version", "latest", "2024-03-01"]),
            (&["--key-vault-api-version", "2023-13-01"], &["--key-vault-api-version", "2023-13-01", "preview"]),
            (&["--log-level", "a=b=c"], &["--log-level", "a=b=c", "debug"]),
            (&["--otlp-endpoint", "collector:4317"], &["--otlp-endpoint", "collector:4317", "http://"]),
            (&["--trace-ratio", "2"], &["--trace-ratio", "2", "from 0 to 1"]),
            (&["--credential", "password"], &["--credential", "password", "WorkloadIdentity"]),
        ] {
            let error = run(flags).expect_err(&format!("{flags:?}"));
            for part in expected {
                assert!(error.contains(part), "{flags:?}: {part:?} is missing in {error}");
            }
        }
    }

    #[test]
    fn a_variable_that_is_set_and_empty_is_not_set() {
        let all: Vec<OsString> = Cli::command()
            .get_subcommands()
            .flat_map(|command| command.get_arguments().filter_map(|arg| arg.get_env()).map(OsStr::to_owned))
            .collect();
        assert!(all.len() > 12, "{all:?}");
        let named = |definition: &clap::Command| {
            definition.get_subcommands().flat_map(clap::Command::get_arguments).filter_map(|a| a.get_env()).count()
        };
        assert_eq!(named(&Cli::definition(|_| Some(OsString::new()))), 0);
        assert_eq!(named(&Cli::definition(|_| None)), all.len());
        let paces = all.iter().filter(|name| *name == "PACE").count();
        let without_pace = Cli::definition(|name| Some(if name == "PACE" { "" } else { "1" }.into()));
        assert_eq!(named(&without_pace), all.len() - paces);
    }

    #[test]
    fn a_custom_cloud_is_complete() {
        let settings = run(&[
            "--cloud",
            "Custom",
            "--arm-endpoint",
            "https://localhost:1",
            "--arm-audience",
            "https://arm",
            "--authority-host",
            "https://localhost:2",
            "--pace",
            "0.1",
        ])
        .unwrap();
        assert_eq!(settings.scope, "https://arm/.default");
        assert_eq!(run(&[]).unwrap().arm.as_str(), "https://management.azure.com/");
    }
}

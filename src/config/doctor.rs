//! The flags of `doctor`.

use std::fmt;

use clap::{Args, ValueEnum};
use signalr_private_link_core::resource_id::{SignalRId, VaultId};

use super::{RunArgs, lease, namespace};

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For machines, one document.
    Json,
}

/// The flags of `doctor`: those of `run`, and what is looked at beside.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The settings that are examined.
    #[command(flatten)]
    pub run: RunArgs,
    /// A link object whose SignalR and key vault are examined too; it can be given several times.
    #[arg(long = "link", value_name = "NAMESPACE/NAME", value_parser = link)]
    pub links: Vec<LinkName>,
    /// The resource id of a SignalR that is examined too.
    #[arg(long, value_name = "ID", value_parser = SignalRId::parse)]
    pub signalr: Option<SignalRId>,
    /// The resource id of a key vault that is examined too.
    #[arg(long, value_name = "ID", value_parser = VaultId::parse)]
    pub key_vault: Option<VaultId>,
    /// How findings are printed.
    #[arg(long, value_enum, default_value = "text")]
    pub output: OutputFormat,
}

/// A link object, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn link(text: &str) -> Result<LinkName, String> {
    match text.split_once('/') {
        Some((place, object)) if namespace(place).is_ok() && lease(object).is_ok() => {
            Ok(LinkName { namespace: place.to_owned(), name: object.to_owned() })
        }
        _ => Err("expected NAMESPACE/NAME of a link object, as kubectl get spl -A shows them".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::config::{Cli, Command};

    #[test]
    fn doctor_takes_the_flags_of_run_and_names_of_links() {
        let line = |link: &str| {
            let line = ["operator", "doctor", "--pace", "0.5", "--link", "a/b", "--link", link];
            Cli::try_parse_from(line).map(|cli| cli.command)
        };
        let Ok(Command::Doctor(args)) = line("team-a/kv.pe") else { panic!("it is not taken") };
        assert_eq!(args.links.last().unwrap().to_string(), "team-a/kv.pe");
        assert_eq!(args.run.pace.to_string(), "0.5");
        for bad in ["kv-pe", "a/", "/b", "a/b/c", "A/b"] {
            let error = line(bad).expect_err(bad).to_string();
            assert!(error.contains("--link") && error.contains("NAMESPACE/NAME"), "{error}");
        }
    }
}

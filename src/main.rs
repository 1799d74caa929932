//! Arguments, wiring, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use signalr_private_link_operator::config::{Cli, Command, RunArgs};
use signalr_private_link_operator::{api, operator, telemetry};

/// The exit code for settings that cannot be used, clap's own included.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::read().command {
        Command::Crds => crds(),
        Command::Run(args) => run(&args),
    }
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(code)
}

fn crds() -> ExitCode {
    for crd in api::crds() {
        match serde_saphyr::to_string(&crd) {
            Ok(yaml) => {
                let _ = write!(std::io::stdout(), "---\n{yaml}");
            }
            Err(error) => return fail(1, &error.into()),
        }
    }
    ExitCode::SUCCESS
}

fn run(args: &RunArgs) -> ExitCode {
    if let Err(error) = args.cloud_settings() {
        return fail(USAGE, &anyhow::Error::msg(error));
    }
    telemetry::init(args.log_format, &args.log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &anyhow::Error::from(error).context("no runtime")),
    };
    match runtime.block_on(operator::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

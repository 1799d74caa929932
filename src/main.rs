//! Arguments, wiring, exit code.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use signalr_private_link_operator::config::{Cli, Command, DoctorArgs, OutputFormat, RunArgs};
use signalr_private_link_operator::telemetry::{self, Traces};
use signalr_private_link_operator::{api, doctor, operator};

/// Chosen by measurement (docs/benchmarks.md, The allocator).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for settings that cannot be used, clap's own included.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::read().command {
        Command::Crds => crds(),
        Command::Run(args) => run(&args),
        Command::Doctor(args) => examine(&args),
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
    if let Err(error) = args.cloud_settings().map(drop).and_then(|()| args.lease_times.check()) {
        return fail(USAGE, &anyhow::Error::msg(error));
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let traces = match Traces::new(&args.traces, runtime.handle()) {
        Ok(traces) => traces,
        Err(error) => return fail(USAGE, &error),
    };
    telemetry::init(args.log_format, &args.log_level, traces.as_ref());
    let end = runtime.block_on(async {
        let end = operator::run(args).await;
        if let Some(traces) = traces {
            let _ = tokio::task::spawn_blocking(|| traces.end()).await;
        }
        end
    });
    // A name that is being looked up would be waited for.
    runtime.shutdown_background();
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// One thread: passes wait for the network, and handing them from one thread to the other costs a quarter of the
/// processor time (docs/benchmarks.md).
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// The level at which the operator logs unless it is told otherwise.
const USUAL_LOG_LEVEL: &str = "info";

fn examine(args: &DoctorArgs) -> ExitCode {
    // The findings say it all; another level is for whoever wants to see the calls behind them.
    if args.run.log_level != USUAL_LOG_LEVEL {
        telemetry::init(args.run.log_format, &args.run.log_level, None);
    }
    let report = match runtime() {
        Ok(runtime) => runtime.block_on(doctor::examine(args)),
        Err(error) => return fail(1, &error),
    };
    let text = match args.output {
        OutputFormat::Text => Ok(report.text()),
        OutputFormat::Json => report.json(),
    };
    match text {
        Ok(text) => {
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::from(report.exit_code())
        }
        Err(error) => fail(1, &error.into()),
    }
}

//! The simulator as a process: one line of JSON tells where it listens, a signal ends it.

use std::io::Write as _;
use std::process::ExitCode;

use azure_sim::{Config, Server};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

async fn run(config: Config) -> anyhow::Result<()> {
    let ready_file = config.ready_file.clone();
    let server = Server::start(config).await?;
    let line = server.description().to_string();
    writeln!(std::io::stdout(), "{line}")?;
    if let Some(path) = ready_file {
        std::fs::write(path, line)?;
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Config::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

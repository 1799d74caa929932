//! `make bench`: calls, writes, processor time, memory and time, printed as tables. Counts are exact; seconds depend
//! on the machine, so ratios between two sizes say more.

mod board;
mod crowded;
mod few;
mod fleet;
mod looks;
mod place;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use testkit::operator::binary;

use fleet::Size;

/// Measures the operator against a real API server and the simulator.
#[derive(Parser)]
struct Arguments {
    /// What is measured; everything, if nothing is named.
    #[arg(value_enum)]
    chosen: Vec<Table>,
    /// Links of the large fleet.
    #[arg(long, env = "LINKS", default_value_t = 5_000)]
    links: usize,
    /// SignalRs of the large fleet, and as many vaults.
    #[arg(long, env = "PARENTS", default_value_t = 500)]
    parents: usize,
    /// Namespaces over which the links are spread.
    #[arg(long, env = "NAMESPACES", default_value_t = 10)]
    namespaces: usize,
    /// Subscriptions over which the SignalRs and vaults of the fleets are spread: ARM's limits are those of each.
    #[arg(long, env = "SUBSCRIPTIONS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    subscriptions: u16,
    /// The operator's binary; else the one that was built beside this. `looks` compares several.
    #[arg(long, env = "OPERATOR", value_delimiter = ',')]
    operator: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Table {
    /// One link, from kubectl apply to Ready.
    One,
    /// A hundred links that contend for twenty SignalRs.
    Contention,
    /// A thousand links, and the large fleet beside it.
    Fleet,
    /// A thousand links at rest.
    Looks,
    /// A large fleet that waits for people.
    Pending,
    /// A tenant whose links can come to nothing, beside one whose do.
    Flood,
    /// Links that wait at a vault with a thousand connections.
    Vault,
    /// A thousand objects that claim one link.
    Rivals,
}

/// Prints one line of a table.
fn print(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Tells what goes on, beside the tables.
fn progress(words: &str) {
    let _ = writeln!(std::io::stderr(), "… {words}");
}

async fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let binaries = if arguments.operator.is_empty() { vec![binary()?] } else { arguments.operator };
    let binary = binaries.first().context("no operator is named")?;
    let wanted = |table| arguments.chosen.is_empty() || arguments.chosen.contains(&table);
    let small = Size { links: 1_000, parents: 100, namespaces: 10 };
    let large = Size { links: arguments.links, parents: arguments.parents, namespaces: arguments.namespaces };
    if wanted(Table::One) {
        few::one_link(binary).await?;
    }
    if wanted(Table::Contention) {
        few::contention(binary).await?;
    }
    if wanted(Table::Fleet) {
        let sizes = if large.links > small.links { vec![small, large] } else { vec![large] };
        fleet::sizes(binary, &sizes, arguments.subscriptions.into()).await?;
    }
    if wanted(Table::Looks) {
        looks::looks(binary, &binaries, small).await?;
    }
    if wanted(Table::Pending) {
        fleet::pending(binary, large).await?;
    }
    if wanted(Table::Flood) {
        fleet::flood(binary, large.links).await?;
    }
    if wanted(Table::Vault) {
        crowded::vault(binary).await?;
    }
    if wanted(Table::Rivals) {
        crowded::rivals(binary).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the benchmark failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

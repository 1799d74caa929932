//! `make explore`: the deeper explorations and many random walks, and with names as arguments only those. Ends with 1 on a
//! violation.

use std::io::Write as _;
use std::process::ExitCode;

use signalr_private_link_core::resource_id::InvalidId;
use signalr_private_link_model::explore::explore;
use signalr_private_link_model::space::{Config, Space};
use signalr_private_link_model::walk::{walk, wanted};
use signalr_private_link_model::{catalog, table};

/// In each configuration, unless `WALKS` says another number.
const WALKS: u64 = 50_000;

fn run() -> Result<bool, InvalidId> {
    let mut out = std::io::stdout();
    let mut say = |line: &str| {
        // Nobody listens any more: the result is what counts.
        let _ = writeln!(out, "{line}");
    };
    let names: Vec<String> = std::env::args().skip(1).collect();
    let (mut reached, mut well) = (table::Reached::default(), true);
    let is_named = |config: &Config| names.is_empty() || names.iter().any(|name| name == config.name);
    let explorations = [catalog::main(), catalog::words(), catalog::deep()].concat();
    for config in explorations.into_iter().filter(is_named) {
        let space = Space::new(config)?;
        let found = explore(&space);
        say(&table::line(&space, &found));
        if let Some(trace) = &found.violation {
            well = false;
            space.story(trace).iter().for_each(|line| say(&format!("  {line}")));
        }
        reached.add(&space);
    }
    for config in catalog::walks().into_iter().filter(is_named) {
        let space = Space::new(config)?;
        let walked = walk(&space, wanted().unwrap_or(WALKS));
        say(&table::walks(&space, &walked));
        if let Some(trace) = &walked.violation {
            well = false;
            space.story(trace).iter().for_each(|line| say(&format!("  {line}")));
        }
        reached.add(&space);
    }
    reached.lines().iter().for_each(|line| say(line));
    Ok(well)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

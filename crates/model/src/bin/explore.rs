//! `make explore`: the deeper explorations, and with names as arguments only those. Ends with 1 on a violation.

use std::io::Write as _;
use std::process::ExitCode;

use signalr_private_link_core::resource_id::InvalidId;
use signalr_private_link_model::explore::explore;
use signalr_private_link_model::space::Space;
use signalr_private_link_model::{catalog, table};

fn run() -> Result<bool, InvalidId> {
    let mut out = std::io::stdout();
    let mut say = |line: &str| {
        // Nobody listens any more: the result is what counts.
        let _ = writeln!(out, "{line}");
    };
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let (mut reached, mut well) = (table::Reached::default(), true);
    for config in catalog::main().into_iter().chain(catalog::words()).chain(catalog::deep()) {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == config.name) {
            continue;
        }
        let space = Space::new(config)?;
        let found = explore(&space);
        say(&table::line(&space, &found));
        if let Some(trace) = &found.violation {
            well = false;
            space.story(trace).iter().for_each(|line| say(&format!("  {line}")));
            say(&format!("  as a test: {:?}", trace.acts));
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

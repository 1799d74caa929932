//! Runs scenarios, in peace and under faults, and counts the cells.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Instant;

use signalr_private_link_core::action::ActionKind;
use signalr_private_link_operator::azure::CallKind;
use strum::VariantArray as _;

use crate::apply_fault::PANIC;
use crate::calls::Strike;
use crate::circumstances::Circumstances;
use crate::fault::Fault;
use crate::life::{Life, live};
use crate::rows::ROWS;
use crate::scenarios::{self, Scenario};

/// No life takes more steps from the end of the faults, or from what people did last, until it
/// rests or people do the next thing.
const MOST_PASSES: usize = 20;

/// Runs something on a clock of its own, which goes on when there is nothing to do.
pub fn paused<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run)
}

/// One run of a scenario.
fn run(scenario: &Scenario, circumstances: Circumstances) -> Life {
    let life = paused(live(scenario, circumstances));
    if std::env::var_os("SHOW").is_some() {
        say(&format!("{} with {circumstances:?}", scenario.name));
        life.log.iter().for_each(|line| say(line));
    }
    life
}

/// Prints past the test harness, which keeps what passing tests print to itself.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether the environment chooses this, or nothing.
fn chosen(variable: &str, name: &str) -> bool {
    std::env::var(variable).map_or(true, |wanted| wanted == name)
}

/// The scenarios, and their lives in peace.
fn all_in_peace() -> &'static (Instant, Vec<(Scenario, Life)>) {
    static LIVES: OnceLock<(Instant, Vec<(Scenario, Life)>)> = OnceLock::new();
    LIVES.get_or_init(|| {
        quiet_panics();
        let begun = Instant::now();
        let lives = scenarios::all().into_iter().filter(|scenario| chosen("SCENARIO", scenario.name)).map(|scenario| {
            let life = run(&scenario, Circumstances::default());
            (scenario, life)
        });
        (begun, lives.collect())
    })
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// The panics in this thread that the test did not cause itself: a pass survives them, and the
/// operator has none.
pub fn panics() -> usize {
    PANICS.get()
}

/// The panics that the test itself causes are no news.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Who shares a read with it panics with it.
            if !matches!(info.payload_as_str(), Some(PANIC | "inner future panicked during poll")) {
                PANICS.set(PANICS.get() + 1);
                usual(info);
            }
        }));
    });
}

/// A scenario ends well in peace.
pub fn in_peace(name: &str) {
    let mut found = all_in_peace().1.iter().filter(|(scenario, _)| scenario.name == name);
    found.by_ref().for_each(|(_, life)| assert!(life.problems.is_empty(), "{:?}", life.problems));
}

#[test]
fn no_action_and_no_call_is_forgotten() {
    let labels: BTreeSet<&'static str> = all_in_peace().1.iter().flat_map(|(_, life)| life.labels.clone()).collect();
    let actions = ActionKind::VARIANTS.iter().map(<&'static str>::from);
    let calls = CallKind::VARIANTS.iter().map(<&'static str>::from);
    let forgotten: Vec<_> = actions.chain(calls).filter(|kind| !labels.contains(kind)).collect();
    let all = std::env::var_os("SCENARIO").is_none();
    assert!(forgotten.is_empty() || !all, "no scenario has these actions or calls: {forgotten:?}");
}

/// A life's gauge of links that belong to no object.
fn orphans(name: &str) -> Option<String> {
    let (_, life) = all_in_peace().1.iter().find(|(scenario, _)| scenario.name == name)?;
    life.metrics.lines().find_map(|line| line.strip_prefix("signalr_private_link_orphaned_links ")).map(str::to_owned)
}

#[test]
fn links_of_objects_that_are_gone_are_counted() {
    if std::env::var_os("SCENARIO").is_none() {
        assert_eq!(orphans("link_of_an_object_that_is_gone").as_deref(), Some("1"));
        assert_eq!(orphans("manual_life").as_deref(), Some("0"));
    }
}

/// Azure's calls, and the reads and writes of the object, from the manifest to Ready.
#[test]
fn one_link_costs_at_most_7_kubernetes_writes_and_few_calls() {
    for (scenario, most_writes, most_calls, most_reads) in
        [(scenarios::approved_by_hand(), 7, 18, 9), (scenarios::approved(), 6, 24, 10)]
    {
        let life = run(&scenario, Circumstances::default());
        let calls = life.log.iter().take_while(|line| !line.contains("one more pass"));
        let calls: Vec<&str> =
            calls.filter_map(|line| line.split_once("  call ")?.1.split_once(": ")).map(|c| c.1).collect();
        let count = |is: fn(&&&str) -> bool| calls.iter().filter(is).count();
        let writes = count(|call| call.starts_with("PATCH signalrsharedprivatelinks"));
        let reads = count(|call| call.starts_with("GET signalrsharedprivatelinks"));
        let azure = count(|call| {
            ["sharedprivatelinkresources", "privateendpointconnections", "replicas", "operationstatuses"]
                .iter()
                .any(|kind| call.contains(kind))
        });
        say(&format!("{}: {writes} writes and {reads} reads of the object, {azure} calls to Azure", scenario.name));
        let few = writes <= most_writes && azure <= most_calls && reads <= most_reads;
        assert!(few, "{writes} writes, {reads} reads, {azure} calls");
    }
}

/// 10 s after the first refusal, and the longer the more often.
#[test]
fn a_signalr_that_is_busy_for_ten_minutes_is_asked_a_few_times() {
    let life = run(&scenarios::busy_for_ten_minutes(), Circumstances::default());
    assert!(life.problems.is_empty(), "{:?}", life.problems);
    let puts = life.log.iter().filter(|line| line.contains("call ") && line.contains("PUT sharedprivatelink")).count();
    assert!((5..=15).contains(&puts), "{puts} PUTs:\n{}", life.log.join("\n"));
}

/// What a row of cells came to.
#[derive(Default)]
struct Row {
    cells: usize,
    /// The most passes to rest, and where.
    longest: (usize, String),
    problems: Vec<String>,
}

impl Row {
    fn add(&mut self, life: Life, cell: String) {
        self.cells += 1;
        self.problems.extend(life.problems.iter().map(|problem| format!("{cell}: {problem}")));
        if life.passes > self.longest.0 {
            self.longest = (life.passes, cell);
        }
    }

    /// Adds the row to the sum, and prints that with the last row.
    fn end(mut self, name: &str) {
        static CELLS: AtomicUsize = AtomicUsize::new(0);
        static DONE: AtomicUsize = AtomicUsize::new(0);
        static LONGEST: AtomicUsize = AtomicUsize::new(0);
        CELLS.fetch_add(self.cells, Ordering::Relaxed);
        LONGEST.fetch_max(self.longest.0, Ordering::Relaxed);
        say(&format!("{name}: {} cells, at rest within {} passes ({})", self.cells, self.longest.0, self.longest.1));
        if DONE.fetch_add(1, Ordering::Relaxed) + 1 == ROWS {
            let (cells, passes) = (CELLS.load(Ordering::Relaxed), LONGEST.load(Ordering::Relaxed));
            let (begun, lives) = all_in_peace();
            let (scenarios, seconds) = (lives.len(), begun.elapsed().as_secs());
            say(&format!(
                "the sweep: {cells} cells in {scenarios} scenarios in {seconds} s, at rest within K = {passes} passes"
            ));
        }
        assert_eq!(panics(), 0, "the operator panicked");
        let count = self.problems.len();
        self.problems.truncate(20);
        assert!(count == 0, "{count} problems, such as\n{}", self.problems.join("\n"));
        assert!(self.longest.0 <= MOST_PASSES, "{} passes in {}", self.longest.0, self.longest.1);
    }
}

fn cells(row: &mut Row, name: &str, scenario: &Scenario, calls: &[usize], faults: &[Fault], times: usize) {
    for &call in calls {
        for fault in faults {
            cell(row, name, scenario, call, *fault, times);
        }
    }
}

fn cell(row: &mut Row, name: &str, scenario: &Scenario, call: usize, fault: Fault, times: usize) {
    if !chosen("CALL", &call.to_string()) {
        return;
    }
    let life = run(scenario, Circumstances::struck(Strike::At { call, times, fault }));
    if let Some(struck) = life.struck.clone() {
        row.add(life, format!("SCENARIO={} CALL={call} {name} ({struck} meets {fault})", scenario.name));
    }
}

/// These faults at all calls of all scenarios.
pub fn every(name: &str, faults: &[Fault]) {
    let mut row = Row::default();
    for (scenario, peaceful) in &all_in_peace().1 {
        cells(&mut row, name, scenario, &peaceful.calls, faults, 1);
    }
    row.end(name);
}

/// These faults at all calls of the lives that nearly all objects have, `times` calls in a row.
pub fn usual(name: &str, faults: &[Fault], times: usize) {
    let mut row = Row::default();
    for (scenario, peaceful) in all_in_peace().1.iter().filter(|(scenario, _)| scenario.usual) {
        cells(&mut row, name, scenario, &peaceful.calls, faults, times);
    }
    row.end(name);
}

/// A fault at all calls of scenarios of its own.
pub fn special(name: &str, fault: Fault, scenarios: Vec<Scenario>) {
    let mut row = Row::default();
    quiet_panics();
    for scenario in scenarios.iter().filter(|scenario| chosen("SCENARIO", scenario.name)) {
        let peaceful = run(scenario, Circumstances::default());
        row.problems.extend(peaceful.problems.iter().map(|problem| format!("in peace: {problem}")));
        cells(&mut row, name, scenario, &peaceful.calls, &[fault], 1);
    }
    row.end(name);
}

/// All scenarios under circumstances that last.
pub fn whole(name: &str, circumstances: Circumstances) {
    let mut row = Row::default();
    for (scenario, _) in &all_in_peace().1 {
        let life = run(scenario, circumstances);
        row.add(life, format!("SCENARIO={} {name}", scenario.name));
    }
    row.end(name);
}

//! The explorations of CI: the main ones find nothing, and each twin finds what its rule guards against.
//!
//! `cargo test -p signalr-private-link-model -- --nocapture` prints the counts and the stories.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Mutex;

use signalr_private_link_model::catalog::{self, Twin};
use signalr_private_link_model::explore::explore;
use signalr_private_link_model::space::{Begin, Config, Group, Layout, Space};
use signalr_private_link_model::state::{Opener, World};
use signalr_private_link_model::work::{Flight, Write};
use signalr_private_link_model::{replay, table};

/// Each exploration takes all processors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[track_caller]
fn finds_nothing(config: Config, reached: &mut table::Reached) -> usize {
    let space = Space::new(config).unwrap();
    let found = explore(&space);
    println!("{}", table::line(&space, &found));
    if let Some(trace) = &found.violation {
        panic!("{}:\n  {}", space.config.name, space.story(trace).join("\n  "));
    }
    reached.add(&space);
    found.states
}

#[test]
fn every_schedule() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut reached = table::Reached::default();
    let sizes: Vec<usize> = catalog::main().into_iter().map(|config| finds_nothing(config, &mut reached)).collect();
    println!("main: {} states", table::count(sizes.iter().sum::<usize>() as u64));
    assert!(sizes.iter().any(|states| *states >= 1_000_000), "{sizes:?}");
    for config in catalog::words() {
        finds_nothing(config, &mut reached);
    }
    reached.lines().iter().for_each(|line| println!("{line}"));
    assert_eq!(reached.missing_reasons(), []);
    assert_eq!(reached.missing_actions(), Vec::<&str>::new());
}

#[track_caller]
fn finds_its_violation(twin: Twin) {
    let Twin { rule, breaks, config } = twin;
    let space = Space::new(config).unwrap();
    let found = explore(&space);
    let Some(trace) = found.violation else {
        panic!("without {rule:?} nothing was found in {} states", found.states);
    };
    println!("without {rule:?}, in {} steps:", trace.acts.len());
    space.story(&trace).iter().for_each(|line| println!("  {line}"));
    assert!(breaks.contains(&trace.violation.name), "{rule:?} breaks {:?}", trace.violation);
    // The same from its text.
    let text = replay::text(&space.config, &trace);
    let (config, acts) = replay::read(&text).unwrap();
    let again = Space::new(config).unwrap().replay(&acts, replay::is_written).unwrap_err();
    assert_eq!((again.violation.name, again.acts.len()), (trace.violation.name, trace.acts.len()), "{text}");
}

#[test]
fn each_rule_guards_against_something() {
    let _turn = ONE_AT_A_TIME.lock();
    catalog::twins().into_iter().for_each(finds_its_violation);
}

#[test]
fn known_bugs_are_found_again() {
    let _turn = ONE_AT_A_TIME.lock();
    catalog::bugs().into_iter().for_each(finds_its_violation);
}

/// Where the operator guards against it, this configuration goes to the main runs.
#[test]
fn what_a_late_write_of_another_process_can_do() {
    let _turn = ONE_AT_A_TIME.lock();
    let space = Space::new(catalog::late_delete()).unwrap();
    let found = explore(&space);
    println!("{}: {} states", space.config.name, table::count(found.states as u64));
    let trace = found.violation.unwrap();
    space.story(&trace).iter().for_each(|line| println!("  {line}"));
    assert_eq!(trace.violation.name, "S4", "{:?}", trace.violation);
}

/// What begins in mid-approval begins with the approval of a copy on its way.
#[test]
fn a_run_in_mid_approval_begins_with_one() {
    for config in catalog::main().into_iter().filter(|config| config.begin == Begin::Approving) {
        let world = Space::new(config).unwrap().begin();
        assert!(matches!(world.flights[..], [Flight { write: Write::Decide { .. }, awaited: true, .. }]), "{world:?}");
        assert!(world.vault.iter().all(|pec| pec.opener == Opener::Stranger) && world.broken.is_none());
    }
}

/// ARM's dates alone count: with a process's clock minutes off, either way, all is as it was.
#[test]
fn no_decision_hangs_on_a_process_s_clock() {
    let _turn = ONE_AT_A_TIME.lock();
    let groups = vec![Group::Copy, Group::Policy];
    let sizes = [0, -9, 9].map(|ahead| {
        let config = Config { groups: groups.clone(), clocks: [ahead, 0], ..catalog::main().remove(0) };
        let found = explore(&Space::new(config).unwrap());
        (found.states, found.steps, found.depth, found.most_passes)
    });
    println!("{} states, whatever the clock", table::count(sizes[0].0 as u64));
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}

/// What follows from a world, as fingerprints.
fn future(space: &Space, world: &World) -> Vec<Option<u64>> {
    let after = |act| space.after(world, act).map(|after| space.fingerprint(&after));
    space.acts(world).into_iter().map(after).collect()
}

/// Two worlds with one fingerprint are one only if the same follows from both: held for every state of the first run, of one
/// with pages and of one with two tenants, whenever it is reached once more.
#[test]
fn worlds_that_are_taken_for_one_have_one_future() {
    let _turn = ONE_AT_A_TIME.lock();
    let main = catalog::main();
    let paged = main.iter().find(|config| config.pages).unwrap();
    let tenants = main.iter().find(|c| c.layout == Layout::Tenants && c.begin == Begin::Approving).unwrap();
    have_one_future(Config { groups: vec![Group::Copy], ..paged.clone() });
    have_one_future(tenants.clone());
    have_one_future(main[0].clone());
}

fn have_one_future(config: Config) {
    let space = Space::new(config).unwrap();
    let begin = space.begin();
    let mut seen = HashMap::from([(space.fingerprint(&begin), future(&space, &begin))]);
    let (mut level, mut again) = (vec![begin], 0u64);
    while !level.is_empty() {
        let mut next = Vec::new();
        for world in &level {
            for act in space.acts(world) {
                let Some(after) = space.after(world, act) else { continue };
                let then = future(&space, &after);
                match seen.get(&space.fingerprint(&after)) {
                    Some(before) => {
                        again += 1;
                        assert_eq!(before, &then, "{:?} after {act:?}", space.acts(&after));
                    }
                    None => {
                        seen.insert(space.fingerprint(&after), then);
                        next.push(after);
                    }
                }
            }
        }
        level = next;
    }
    println!("{} states, {} times reached again", table::count(seen.len() as u64), table::count(again));
}

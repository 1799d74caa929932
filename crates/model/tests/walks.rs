//! Random walks, and what they or an exploration found once more.
//!
//! `WALKS=100000 cargo test -p signalr-private-link-model walks -- --nocapture` goes more of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use signalr_private_link_core::action::ActionKind;
use signalr_private_link_model::explore::explore;
use signalr_private_link_model::space::{Config, Rule, Space};
use signalr_private_link_model::walk::{walk, wanted};
use signalr_private_link_model::{catalog, replay, table};

#[test]
fn random_walks_find_nothing() {
    let mut reached = table::Reached::default();
    let mut sum = [0; 3];
    for config in catalog::walks() {
        let space = Space::new(config).unwrap();
        let walked = walk(&space, wanted().unwrap_or(1000));
        println!("{}", table::walks(&space, &walked));
        if let Some(trace) = &walked.violation {
            panic!("{}:\n  {}", space.config.name, space.story(trace).join("\n  "));
        }
        reached.add(&space);
        let [exceptions, ..] = space.reached.counts();
        let [approvals, revocations] = [ActionKind::Approve, ActionKind::Revoke].map(|kind| space.reached.count(kind));
        sum = [sum[0] + approvals, sum[1] + revocations, sum[2] + exceptions];
    }
    // The dangerous corners were reached, or the walks prove nothing.
    assert!(sum[0] > 1000 && sum[1] > 20 && sum[2] > 0, "{sum:?}");
    assert_eq!(reached.missing_actions(), Vec::<&str>::new());
}

/// Of the rules one is guarded by a write, one by a second object, and one by the run to rest.
#[test]
fn a_walk_without_a_rule_finds_what_it_guards_against_and_no_act_of_the_story_can_be_left_out() {
    let twins = catalog::twins().into_iter().filter(|twin| matches!(twin.rule, Rule::R5 | Rule::R8 | Rule::M7));
    for twin in twins {
        let space = Space::new(Config { budget: u8::MAX, ..twin.config }).unwrap();
        let walked = walk(&space, 100_000);
        let trace = walked.violation.unwrap_or_else(|| panic!("without {:?} nothing was found", twin.rule));
        println!("without {:?}, after {} acts:", twin.rule, table::count(walked.acts));
        space.story(&trace).iter().for_each(|line| println!("  {line}"));
        assert!(twin.breaks.contains(&trace.violation.name), "{:?} breaks {:?}", twin.rule, trace.violation);
        let acts = &trace.acts[..trace.disturbed];
        for left_out in 0..acts.len() {
            let fewer = [&acts[..left_out], &acts[left_out + 1..]].concat();
            let broken = space.replay(&fewer, |wanted, act| wanted == act).err().map(|trace| trace.violation.name);
            assert_ne!(broken, Some(trace.violation.name), "without {:?} as well", acts[left_out]);
        }
    }
}

/// What the text says happens once more; how many acts could not, or the story of a violation.
fn played(text: &str) -> Result<usize, (&'static str, String)> {
    let (config, acts) = replay::read(text).expect("the name of a configuration, a colon, and acts");
    let space = Space::new(config).unwrap();
    space.replay(&acts, replay::is_written).map_err(|trace| (trace.violation.name, space.story(&trace).join("\n  ")))
}

/// Plays what stands in `REPLAY`; without it, the shortest story of a world without R6.
#[test]
fn replay() {
    if let Ok(text) = std::env::var("REPLAY") {
        let passed_over = played(&text).unwrap_or_else(|(_, story)| panic!("{text}:\n  {story}"));
        println!("Nothing is violated; {passed_over} acts could not happen.");
        return;
    }
    let twin = catalog::twins().into_iter().find(|twin| twin.rule == Rule::R6).unwrap();
    let trace = explore(&Space::new(twin.config.clone()).unwrap()).violation.unwrap();
    let (name, story) = played(&replay::text(&twin.config, &trace)).unwrap_err();
    println!("  {story}");
    assert_eq!(name, trace.violation.name);
}

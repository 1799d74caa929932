//! The three agree, in every state, on what a user wants to see; the table of that in `docs/gitops.md` is made here.

use std::fmt::Write as _;

use serde_json::Value;
use signalr_private_link_core::Reason;
use testkit::scene::condition;

use crate::is_made_of;
use crate::judges::{Said, judge};
use crate::states::{self, State, Verdict};

/// Asks of all states at once; what is said of each.
fn ask(states: &[State]) -> Vec<Said> {
    let said = judge(states.iter().map(|state| &state.object));
    assert_eq!(said.len(), states.len());
    said
}

/// Fails with all states of which something else is said than is wanted.
fn agree(states: &[State]) {
    let mut wrong = String::new();
    for (state, said) in states.iter().zip(ask(states)) {
        let Verdict { argo, kstatus, flux } = state.wanted;
        let is = (said.argo.as_str(), said.kstatus.as_str(), said.flux.as_str());
        if is != (argo, kstatus, flux) || !said.problems.is_empty() {
            writeln!(wrong, "{}: {is:?} {:?}, and wanted is {:?}", state.name, said.problems, state.wanted).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_verdicts_on_a_link_agree_for_every_reason() {
    let states = states::links();
    assert!(states.len() > Reason::ALL.len());
    agree(&states);
}

#[test]
fn the_verdicts_on_a_policy_agree() {
    agree(&states::policies());
}

#[test]
fn an_edit_is_in_progress_until_the_operator_has_looked() {
    let states = states::links().into_iter().chain(states::policies());
    agree(&states.map(|state| state.edited()).collect::<Vec<_>>());
}

#[test]
fn a_deletion_is_never_settled() {
    let states = states::links().into_iter().chain(states::policies());
    agree(&states.map(|state| state.deleted()).collect::<Vec<_>>());
}

/// The person who looks at Argo CD reads what the operator says, with the command to run.
#[test]
fn argo_cd_shows_the_operators_own_sentence() {
    let states: Vec<State> = states::links().into_iter().chain(states::policies()).collect();
    for (state, said) in states.iter().zip(ask(&states)) {
        let Some(ready) = condition(&state.object, "Ready") else { continue };
        let sentence = format!("{}: {}", ready["reason"].as_str().unwrap(), ready["message"].as_str().unwrap());
        assert_eq!(said.argo_message, sentence, "{}", state.name);
    }
}

/// The reasons under which the annotation `recreate-requested-at` has an effect at once, by `docs/reasons.md`.
fn recreated_at_once() -> Vec<String> {
    let text = std::fs::read_to_string(testkit::tools::root().join("docs/reasons.md")).unwrap();
    let sections = text.split("\n## `").skip(1).filter_map(|section| section.split_once('`'));
    let has_effect = |told: &str| told.contains("recreate-requested-at") || told.contains("As for Rejected");
    sections.filter(|(_, told)| has_effect(told)).map(|(reason, _)| reason.to_owned()).collect()
}

#[test]
fn argo_cd_offers_to_recreate_a_link_where_that_has_an_effect_at_once() {
    let reasons = recreated_at_once();
    assert!(reasons.len() > 5, "{reasons:?}");
    let states = states::links();
    let mut offered = Vec::new();
    for (state, said) in states.iter().zip(ask(&states)) {
        let reason = condition(&state.object, "Ready").and_then(|ready| ready["reason"].as_str().map(str::to_owned));
        let recreates = reason.is_some_and(|reason| reasons.contains(&reason));
        let wanted: &[&str] = if recreates { &["reconcile", "recreate"] } else { &["reconcile"] };
        assert_eq!(said.actions, wanted, "{}", state.name);
        offered.push(recreates);
    }
    assert_eq!(offered.iter().filter(|recreates| **recreates).count(), reasons.len());
    let deleted: Vec<State> = states.iter().map(State::deleted).collect();
    assert!(ask(&deleted).iter().all(|said| said.actions == ["reconcile"]));
}

/// The rows of a table, without its head.
fn rows(states: &[State]) -> String {
    let mut rows = String::new();
    for (state, Said { argo, kstatus, flux, .. }) in states.iter().zip(ask(states)) {
        writeln!(rows, "| {} | {argo} | {kstatus} | {flux} |", state.name).unwrap();
    }
    rows
}

/// `UPDATE=1 cargo test --test gitops` writes the table.
#[test]
fn the_documentation_holds_the_verdicts() {
    const HEAD: &str = "| State | Argo CD | kstatus | Flux |\n|---|---|---|---|\n";
    let any = Reason::Approved;
    let link = states::links().into_iter().find(|state| state.name.contains(any.as_str())).unwrap();
    let renamed = |state: State, name: &str| State { name: name.to_owned(), ..state };
    let always = [
        renamed(link.edited(), "any object that was edited since the operator looked"),
        renamed(link.deleted(), "any object that is being deleted"),
    ];
    let table = [HEAD, &rows(&states::links()), &rows(&always), &rows(&states::policies())].concat();
    let file = testkit::tools::root().join("docs/gitops.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, after) = page.split_once(HEAD).expect("docs/gitops.md has a table of verdicts");
    let rest: String = after.split_inclusive('\n').skip_while(|line| line.starts_with('|')).collect();
    is_made_of(&file, &format!("{before}{table}{rest}"));
}

/// Every reason has its row, so that nobody looks for one in vain.
#[test]
fn every_reason_is_judged() {
    let states = states::links();
    for reason in Reason::ALL {
        let is_told =
            |object: &Value| condition(object, "Ready").is_some_and(|ready| ready["reason"] == reason.as_str());
        assert!(states.iter().any(|state| is_told(&state.object)), "{reason}");
    }
}

//! What comes of a pass once the outcome of its one write is known.

use std::time::Duration;

use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::{ConnectionState, Provisioning};
use signalr_private_link_core::failure::Failure;
use signalr_private_link_core::report::{Fact, Ready, Truth};
use signalr_private_link_core::{Again, Limits, Outcome, Plan, Reason, Report, conclude};

use crate::world::{self, Scenario, approved_by_us, error};

fn concluded(scenario: &Scenario, outcome: &Outcome) -> Plan {
    conclude(&scenario.desired, &Limits::REAL, scenario.decide(), outcome)
}

fn reason(plan: &Plan) -> Reason {
    plan.report.as_ref().unwrap().reason
}

/// An approval that nobody confirms, and that status says is to be taken back.
fn overdue() -> Scenario {
    let mut scenario = approved_by_us(Provisioning::Succeeded);
    scenario.vault_mut().date = Some(scenario.now + jiff::SignedDuration::from_hours(2));
    scenario.desired.remembered.approval.revoked_at = Some(scenario.now);
    scenario
}

#[test]
fn the_link_that_azure_answers_with_is_told() {
    let scenario = Scenario::new().without_link();
    let link = Scenario::new().provisioning("Creating").links_mut().links.remove(0);
    let told = |link| concluded(&scenario, &Outcome::Applied(link)).report.unwrap().link;
    assert_eq!(told(None), Fact::Set(None));
    let Fact::Set(Some(facts)) = told(Some(Box::new(link))) else { panic!("nothing is said of the link") };
    assert_eq!((facts.provisioning.as_str(), facts.connection), ("Creating", "Pending"));
}

/// The next pass decides on what is there by then, and raises the alarm if there is still cause.
#[test]
fn of_a_write_that_its_last_reads_forbade_nothing_is_said() {
    let plan = concluded(&overdue(), &Outcome::Changed("the link".into()));
    assert!(matches!(plan.action, Some(Action::Decide(_))));
    assert_eq!((plan.report, plan.again, plan.alarm), (None, Again::AsReason, None));
    let mut earlier = overdue().signalr_says(ConnectionState::Approved);
    earlier.retag("abcdef");
    let next = world::marker().message("please approve").replace("hhhhhhhhhhhhhhhh", "jjjjjjjjjjjjjjjj");
    earlier.links_mut().links[0].message = next;
    assert_eq!(concluded(&earlier, &Outcome::Changed("the link".into())).report, None);
}

/// S6: a link is Ready by a read alone.
#[test]
fn nothing_is_ready_after_a_write_that_did_not_succeed() {
    let scenario = Scenario::new().without_link();
    for outcome in [Outcome::NotApplied(error(Failure::Locked)), Outcome::Unknown(error(Failure::Transient(None)))] {
        let mut plan = scenario.decide();
        plan.report = Some(Report::new(Reason::Approved, "The link is functional."));
        let report = conclude(&scenario.desired, &Limits::REAL, plan, &outcome).report.unwrap();
        assert_eq!(report.ready, Ready::Is(Truth::False), "{outcome:?}");
    }
}

#[test]
fn what_arm_asks_to_wait_is_waited_for_whatever_the_write_was() {
    let seven = Some(Duration::from_secs(7));
    let put = Scenario::new().without_link();
    let mut delete = Scenario::new();
    delete.desired.deleting = true;
    for scenario in [&put, &delete] {
        for outcome in [Outcome::NotApplied, Outcome::Unknown] {
            let again = |failure| concluded(scenario, &outcome(error(failure))).again;
            assert_eq!(again(Failure::Transient(None)), Again::AsReason);
            assert_eq!(again(Failure::Transient(seven)), Again::AsReasonAfter(Duration::from_secs(7)));
            assert_eq!(again(Failure::Throttled(seven)), Again::After(Duration::from_secs(7)));
        }
    }
}

#[test]
fn a_finalizer_that_stays_blocks_the_deletion() {
    let mut scenario = Scenario::new().without_link();
    scenario.desired.deleting = true;
    scenario.observed.memory.fence_waived = true;
    let refused = |failure| reason(&concluded(&scenario, &Outcome::NotApplied(error(failure))));
    assert_eq!(refused(Failure::Forbidden), Reason::DeletionBlocked);
    assert_eq!(refused(Failure::Transient(None)), Reason::Deleting);
}

/// What goes by is no obstacle to a deletion, until it has gone on for as long as any operation may take.
#[test]
fn a_delete_that_is_refused_for_too_long_is_an_obstacle() {
    for (minutes, expected) in [(29, Reason::Deleting), (30, Reason::DeletionBlocked)] {
        let mut deleting = Scenario::new();
        deleting.desired.deleting = true;
        deleting.observed.memory.deleting_for = Some(Duration::from_secs(60 * minutes));
        for outcome in [Outcome::NotApplied, Outcome::Unknown] {
            assert_eq!(reason(&concluded(&deleting, &outcome(error(Failure::Busy(None))))), expected, "{minutes}");
        }
    }
}

/// The advice for a link that is stuck, or failed, is given where that is what stands in the way.
#[test]
fn a_put_that_is_refused_for_another_reason_is_told_with_that() {
    let mut beside_stuck = Scenario::new().without_link();
    let mut other = beside_stuck.link_of_somebody_else();
    other.provisioning = Provisioning::InProgress("Updating".into());
    beside_stuck.links_mut().links.push(other);
    beside_stuck.observed.memory.others_running_for = Limits::REAL.operation;
    let mut over_failed = Scenario::new().provisioning("Failed");
    over_failed.observed.memory.failed_for = Limits::REAL.failed_rest;
    for scenario in [beside_stuck, over_failed] {
        assert_eq!(reason(&concluded(&scenario, &Outcome::NotApplied(error(Failure::Locked)))), Reason::Locked);
    }
}

/// A DELETE for an object that lives, as `recreate-requested-at` asks, is no deletion of the object.
#[test]
fn a_link_that_cannot_be_recreated_is_no_blocked_deletion() {
    let mut rejected = Scenario::new().signalr_says(ConnectionState::Rejected);
    rejected.desired.recreate = Some("again".into());
    assert_eq!(reason(&concluded(&rejected, &Outcome::NotApplied(error(Failure::Locked)))), Reason::Locked);
    let lost = Outcome::Unknown(error(Failure::Transient(None)));
    assert_eq!(reason(&concluded(&rejected, &lost)), Reason::TransientError);
}

/// M7: an approval that must not stand is not left alone for minutes because taking it back failed once.
#[test]
fn a_revocation_that_did_not_succeed_is_tried_again_soon() {
    let again = |failure| concluded(&overdue(), &Outcome::Unknown(error(failure))).again;
    let soon = Again::After(Limits::REAL.second_look);
    let after = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(again(Failure::Transient(None)), soon);
    assert_eq!(again(Failure::Transient(after(7))), soon);
    assert_eq!(again(Failure::Transient(after(60))), Again::After(Duration::from_secs(60)));
    assert_eq!(again(Failure::Throttled(after(7))), Again::After(Duration::from_secs(7)));
    let said = concluded(&overdue(), &Outcome::NotApplied(error(Failure::Locked)));
    assert_eq!((reason(&said), said.alarm), (Reason::ApprovalUnconfirmed, None));
    let mut deleting = overdue();
    deleting.desired.deleting = true;
    let said = concluded(&deleting, &Outcome::NotApplied(error(Failure::Locked)));
    assert_eq!(reason(&said), Reason::DeletionBlocked);
}

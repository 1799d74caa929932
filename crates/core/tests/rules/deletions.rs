//! The end of an object in each of its ways (R7, M7): what is deleted, what is left alone, what is waited for, and when
//! somebody is told.

use std::time::Duration;

use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::{ConnectionState, OperationKind, Provisioning};
use signalr_private_link_core::desired::{Approver, DeletionPolicy, ManagementPolicy};
use signalr_private_link_core::failure::{Failure, Level};
use signalr_private_link_core::observed::{FailedOperation, LateWrite, Reading};
use signalr_private_link_core::policy::OnUnconfirmed;
use signalr_private_link_core::{Again, Limits, Reason};

use crate::world::{Scenario, approved_by_us, error};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

fn deleted_for(time: Duration, mut scenario: Scenario) -> Scenario {
    scenario.desired.deleting = true;
    scenario.observed.memory.deleting_for = Some(time);
    scenario
}

/// Deleted moments ago.
fn deleting(scenario: Scenario) -> Scenario {
    deleted_for(Duration::from_secs(7), scenario)
}

fn detached(mut scenario: Scenario) -> Scenario {
    scenario.desired.deletion = DeletionPolicy::Detach;
    deleting(scenario)
}

fn forced(mut scenario: Scenario) -> Scenario {
    scenario.desired.force_finalize = true;
    deleting(scenario)
}

fn held(mut scenario: Scenario) -> Scenario {
    let Reading::Known(permissions) = &mut scenario.answers.permissions else { panic!("no permissions") };
    permissions.policies[0].on_unconfirmed = OnUnconfirmed::Hold;
    scenario
}

/// What the pass does, says, and raises the alarm about.
fn told(scenario: &Scenario) -> (&'static str, Option<Reason>, bool) {
    let plan = scenario.decide();
    (plan.action.as_ref().map_or("none", Action::label), plan.report.map(|report| report.reason), plan.alarm.is_some())
}

const DELETED: (&str, Option<Reason>, bool) = ("delete_link", Some(Reason::Deleting), false);
const WAITS: (&str, Option<Reason>, bool) = ("none", Some(Reason::Deleting), false);
const TAKEN_BACK: (&str, Option<Reason>, bool) = ("revoke", Some(Reason::Deleting), false);
const BLOCKED: (&str, Option<Reason>, bool) = ("none", Some(Reason::DeletionBlocked), false);
const RELEASED: (&str, Option<Reason>, bool) = ("remove_finalizer", None, false);
const RELEASED_WITH_ALARM: (&str, Option<Reason>, bool) = ("remove_finalizer", None, true);

#[test]
fn a_link_that_is_only_observed_is_left_alone() {
    let mut observed = deleting(Scenario::new());
    observed.desired.management = ManagementPolicy::ObserveOnly;
    assert_eq!(told(&observed), RELEASED);
}

/// The vault matters only where an approval may stand that SignalR has not confirmed.
#[test]
fn a_confirmed_link_is_deleted_without_a_look_at_the_vault() {
    let approved = deleting(Scenario::new().signalr_says(ConnectionState::Approved));
    assert_eq!((approved.reads(), told(&approved)), (vec!["Links".to_owned()], DELETED));
    assert_eq!(deleting(Scenario::new()).reads(), ["Links", "Connections"]);
}

#[test]
fn an_operation_that_never_ends_holds_a_deletion_up_and_is_told() {
    for (word, at_last) in [("Creating", "delete_link"), ("Deleting", "none")] {
        let mut running = deleting(Scenario::new().provisioning(word));
        assert_eq!(told(&running), WAITS, "{word}");
        running.observed.memory.running_for = HALF_AN_HOUR;
        assert_eq!(told(&running), (at_last, Some(Reason::DeletionBlocked), false), "{word}");
        assert!(running.decide().report.unwrap().message.contains("support case"), "{word}");
    }
    let mut ended = deleting(Scenario::new());
    ended.observed.memory.running_for = HALF_AN_HOUR;
    assert_eq!(told(&ended), DELETED, "a link at rest holds up nothing");
    let long = deleted_for(HALF_AN_HOUR, Scenario::new());
    assert_eq!(told(&long), ("delete_link", Some(Reason::DeletionBlocked), false));
}

/// R7: a link that was never seen well, or whose approval may still land, proves nothing about late writes.
#[test]
fn the_fence_is_waived_by_a_link_that_is_well_and_confirmed_only() {
    let waives = |mut scenario: Scenario| {
        let created = scenario.links_mut().links[0].created_at.unwrap();
        scenario.links_mut().date = Some(created + jiff::SignedDuration::from_hours(1));
        match deleting(scenario).decide().action {
            Some(Action::DeleteLink { waives_fence, .. }) => waives_fence,
            other => panic!("{other:?}"),
        }
    };
    assert!(waives(Scenario::new()));
    assert!(!waives(Scenario::new().provisioning("Failed")));
    assert!(!waives(Scenario::new().automatic()));
    assert!(waives(Scenario::new().automatic().signalr_says(ConnectionState::Approved)));
}

#[test]
fn what_is_said_of_a_link_that_lingers_depends_on_what_azure_said() {
    let lingering = |mut scenario: Scenario, kind: Option<OperationKind>| {
        scenario.observed.memory.deleted_for = Some(Duration::from_secs(60));
        let failure = |kind| FailedOperation { kind, words: "a bad day".into(), ago: Duration::ZERO, count: 1 };
        scenario.observed.memory.failed_operation = kind.map(failure);
        scenario
    };
    let said = |scenario: &Scenario| {
        let plan = scenario.decide();
        assert_eq!((&plan.action, plan.again), (&None, Again::After(Limits::REAL.second_look)));
        plan.report.unwrap().reason
    };
    assert_eq!(said(&lingering(deleting(Scenario::new()), None)), Reason::Deleting);
    assert_eq!(said(&lingering(deleting(Scenario::new()), Some(OperationKind::Put))), Reason::Deleting);
    assert_eq!(said(&lingering(deleting(Scenario::new()), Some(OperationKind::Delete))), Reason::DeletionBlocked);
    assert_eq!(said(&lingering(deleted_for(HALF_AN_HOUR, Scenario::new()), None)), Reason::DeletionBlocked);
    // A link that is to be created once more, by an object that lives.
    let mut recreated = Scenario::new().signalr_says(ConnectionState::Rejected);
    recreated.desired.recreate = Some("again".into());
    assert_eq!(said(&lingering(recreated.clone(), None)), Reason::Deleting);
    recreated.observed.memory.deleting_for = Some(HALF_AN_HOUR);
    assert_eq!(said(&lingering(recreated.clone(), None)), Reason::Deleting);
    assert_eq!(said(&lingering(recreated, Some(OperationKind::Delete))), Reason::OperationFailed);
}

/// M7: an approval that nobody will watch any longer is taken back first, unless a policy holds it.
#[test]
fn an_unconfirmed_approval_is_taken_back_before_its_link_goes_or_stays() {
    let approved = || approved_by_us(Provisioning::Succeeded);
    for scenario in
        [deleting(approved()), deleting(approved().without_link()), detached(approved()), forced(approved())]
    {
        assert_eq!(told(&scenario), TAKEN_BACK);
        assert_eq!(scenario.decide().again, Again::Now);
    }
    assert_eq!(told(&deleting(held(approved()))), DELETED);
    let gone = deleted_for(Duration::from_secs(90), held(approved()).without_link());
    assert_eq!(told(&gone), RELEASED_WITH_ALARM);
    assert!(gone.decide().alarm.unwrap().contains("It was left Approved"));
    assert_eq!(told(&detached(held(approved()))), RELEASED_WITH_ALARM);
    assert_eq!(told(&forced(held(approved()))), RELEASED_WITH_ALARM);
}

#[test]
fn only_a_forced_end_gives_up_on_a_revocation_that_did_not_succeed() {
    for (end, expected) in [(forced as fn(Scenario) -> Scenario, RELEASED_WITH_ALARM), (detached, TAKEN_BACK)] {
        let mut tried = end(approved_by_us(Provisioning::Succeeded));
        tried.observed.memory.forced_revocation_tried = true;
        assert_eq!(told(&tried), expected);
    }
}

/// Not being able to look matters only where the operator may have approved something.
#[test]
fn what_cannot_be_read_holds_an_object_back_where_an_approval_may_stand() {
    let blind = || Scenario::new().signalr_fails(Failure::Forbidden);
    assert_eq!(told(&detached(blind())), RELEASED);
    assert_eq!(told(&forced(blind())), RELEASED);
    assert_eq!(told(&detached(blind().automatic())), BLOCKED);
    assert_eq!(told(&forced(blind().automatic())), RELEASED_WITH_ALARM);
    // Its mode was changed since.
    let mut manual = detached(blind());
    manual.desired.remembered.approval.approved_by = Some(Approver::Operator);
    assert_eq!(told(&manual), BLOCKED);
    manual.desired.remembered.approval.approved_by = Some(Approver::External);
    assert_eq!(told(&manual), RELEASED);
    let no_vault = || Scenario::new().vault_fails(Failure::Forbidden);
    assert_eq!(told(&deleting(no_vault())), DELETED);
    assert_eq!(told(&detached(no_vault())), RELEASED);
    assert_eq!(told(&forced(no_vault())), RELEASED);
    assert_eq!(told(&deleting(no_vault().automatic())), BLOCKED);
    assert_eq!(told(&detached(no_vault().automatic())), BLOCKED);
    let by_force = forced(no_vault().automatic());
    assert_eq!(told(&by_force), RELEASED_WITH_ALARM);
    assert!(by_force.decide().alarm.unwrap().contains("removed by force"));
    // What passes is waited for, without the advice to give the link up.
    let passing = || Scenario::new().automatic().vault_fails(Failure::Transient(None));
    assert_eq!(told(&deleting(passing())), WAITS);
    assert_eq!(told(&deleted_for(HALF_AN_HOUR, passing())), BLOCKED);
    // R11: a vault that was there is gone when two reads say so.
    let mut gone = deleting(Scenario::new().automatic().vault_fails(Failure::NotFound(Level::Resource)));
    assert_eq!(told(&gone), WAITS);
    gone.observed.memory.vault_absent_for = Some(Duration::from_secs(60));
    assert_eq!(told(&gone), DELETED);
    // What is to be done about an approval takes the policies, and they cannot be read.
    let mut no_policies = deleting(approved_by_us(Provisioning::Succeeded));
    no_policies.answers.permissions = Reading::Failed(error(Failure::Transient(None)));
    assert_eq!(told(&no_policies), WAITS);
    assert_eq!(told(&no_policies.copies(1)), TAKEN_BACK, "a twin needs none");
}

/// R7 holds for approvals too: one that was decided before may land after the object is gone.
#[test]
fn an_object_whose_link_is_left_alone_waits_for_what_may_still_land() {
    let late = |mut scenario: Scenario| {
        scenario.observed.late_write = Some(LateWrite { left: Duration::from_secs(20), told: true });
        scenario
    };
    let again = |scenario: &Scenario| scenario.decide().again;
    assert_eq!(told(&detached(Scenario::new())), RELEASED);
    assert_eq!(told(&detached(late(Scenario::new()))), WAITS);
    let automatic = detached(Scenario::new().automatic());
    assert_eq!((told(&automatic), again(&automatic)), (WAITS, Again::After(Duration::from_secs(83))));
    assert_eq!(told(&detached(Scenario::new().automatic().signalr_says(ConnectionState::Approved))), RELEASED);
    assert_eq!(told(&forced(Scenario::new().automatic())), RELEASED);
    let mut later = detached(Scenario::new().automatic());
    later.observed.memory.deleting_for = Some(Duration::from_secs(90));
    assert_eq!(told(&later), RELEASED);
    // Of several waits the longest counts.
    let absent = deleting(Scenario::new().without_link());
    assert_eq!(again(&absent), Again::After(Duration::from_secs(83)));
    assert_eq!(
        again(&late(deleted_for(Duration::from_secs(80), Scenario::new().without_link()))),
        Again::After(Duration::from_secs(20))
    );
}

/// What goes by is no obstacle, unless it has lasted for too long.
#[test]
fn a_busy_signalr_holds_a_deletion_up_for_a_while_before_it_is_an_obstacle() {
    for failure in [Failure::Busy(None), Failure::Transient(None)] {
        assert_eq!(told(&deleting(Scenario::new().signalr_fails(failure))), WAITS, "{failure:?}");
        assert_eq!(told(&deleted_for(HALF_AN_HOUR, Scenario::new().signalr_fails(failure))), BLOCKED, "{failure:?}");
    }
    let mut busy = deleting(Scenario::new());
    busy.observed.signalr_busy = true;
    assert_eq!(told(&busy), ("none", Some(Reason::WaitingForSignalR), false));
}

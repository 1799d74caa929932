//! Rule R7: what was decided earlier may land late. Each row is a wait, or the proof that none is needed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Each table uses a part of it.
#[allow(dead_code)]
mod world;

use std::time::Duration;

use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::OperationKind;
use signalr_private_link_core::observed::{FailedOperation, LateWrite};
use signalr_private_link_core::report::{Ready, Truth};
use signalr_private_link_core::{Again, Reason};

use world::Scenario;

#[test]
fn the_fence_is_waived_only_by_a_link_older_than_any_late_write() {
    let waives = |age: i64, seen: u64| {
        let mut scenario = Scenario::new();
        scenario.desired.deleting = true;
        scenario.observed.memory.deleting_for = Some(Duration::from_secs(seen));
        let created = scenario.links_mut().links[0].created_at.unwrap();
        scenario.links_mut().date = Some(created + jiff::SignedDuration::from_secs(age));
        match scenario.decide().action {
            Some(Action::DeleteLink { waives_fence, .. }) => waives_fence,
            other => panic!("{other:?}"),
        }
    };
    assert!(waives(90, 6));
    assert!(!waives(89, 6));
    assert!(!waives(90, 5));
}

#[test]
fn a_started_process_waits_before_it_writes_for_what_it_inherited() {
    let left = Duration::from_secs(20);
    for scenario in [Scenario::new().without_link(), Scenario::new().automatic().seen_before(30).recorded()] {
        let mut scenario = scenario;
        scenario.observed.memory.quarantine = Some(left);
        let plan = scenario.decide();
        assert_eq!((plan.action, plan.again), (None, Again::After(left)));
        let report = plan.report.unwrap();
        assert_eq!(report.ready, Ready::Is(Truth::False), "what was read is told all the same");
        assert!(report.message.starts_with("The operator has just started"), "{}", report.message);
    }
}

#[test]
fn a_link_is_not_put_beside_a_write_that_may_still_land() {
    let left = Duration::from_secs(20);
    let mut absent = Scenario::new().without_link();
    let mut failed = Scenario::new().provisioning("Failed");
    failed.observed.memory.failed_for = Duration::from_secs(6 * 60);
    for (scenario, reason) in [(&mut absent, Reason::Creating), (&mut failed, Reason::OperationFailed)] {
        assert!(matches!(scenario.decide().action, Some(Action::PutLink { .. })));
        scenario.observed.late_write = Some(LateWrite { left, told: false });
        let plan = scenario.decide();
        assert_eq!((plan.action, plan.again), (None, Again::After(left)));
        assert_eq!(plan.report.unwrap().reason, reason);
    }
}

#[test]
fn a_link_that_is_still_there_after_its_deletion_is_not_deleted_in_every_pass() {
    let mut lingering = Scenario::new();
    lingering.desired.deleting = true;
    lingering.observed.memory.deleted_for = Some(Duration::from_secs(60));
    let plan = lingering.decide();
    assert_eq!((plan.action, plan.report.unwrap().reason), (None, Reason::Deleting));
    // Azure's own words, where its operation failed.
    lingering.observed.memory.failed_operation = Some(FailedOperation {
        kind: OperationKind::Delete,
        words: "InternalError: a bad day".into(),
        ago: Duration::ZERO,
        count: 1,
    });
    let report = lingering.decide().report.unwrap();
    assert_eq!(report.reason, Reason::DeletionBlocked);
    assert!(report.message.contains("a bad day"), "{}", report.message);
    lingering.observed.memory.deleted_for = Some(Duration::from_secs(300));
    assert!(matches!(lingering.decide().action, Some(Action::DeleteLink { .. })));
    // The same for a link that is to be created anew.
    let mut again = Scenario::new().signalr_says(signalr_private_link_core::azure::ConnectionState::Rejected);
    again.desired.recreate = Some("again".into());
    again.observed.memory.deleted_for = Some(Duration::from_secs(60));
    assert_eq!(again.decide().action, None);
}

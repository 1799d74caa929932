//! SignalR says Succeeded and Approved: what is looked at on the vault, and what is said of the approval.

use signalr_private_link_core::Reason;
use signalr_private_link_core::azure::{ConnectionState, Provisioning};
use signalr_private_link_core::desired::{ApprovalFacts, Approver, ManagementPolicy};
use signalr_private_link_core::failure::Failure;
use signalr_private_link_core::report::{Fact, Ready, Truth};

use crate::world::{self, Scenario, approved_by_us};

/// A link that has been Ready for a while: status tells all of it, as this process saw it on the vault.
fn settled() -> Scenario {
    let mut scenario = Scenario::new().signalr_says(ConnectionState::Approved).recorded();
    let connection = scenario.desired.remembered.connection.as_mut().unwrap();
    connection.state = "Approved".into();
    scenario.observed.memory.shown = Some(Some(connection.clone()));
    scenario.desired.remembered.ready = Some(true);
    scenario.desired.remembered.approval.approved_by = Some(Approver::External);
    scenario
}

fn looks_at_the_vault(scenario: &Scenario) -> bool {
    scenario.reads().contains(&"Connections".to_owned())
}

#[test]
fn the_vault_is_looked_at_until_status_tells_what_it_shows() {
    assert!(!looks_at_the_vault(&settled()));
    let unsettled: [fn(&mut Scenario); 7] = [
        |s| s.desired.remembered.ready = None,
        |s| s.desired.remembered.approval.approved_by = None,
        |s| s.observed.memory.shown = None,
        |s| s.observed.memory.shown = Some(None),
        |s| s.desired.remembered.connection = None,
        |s| {
            let connection = s.desired.remembered.connection.as_mut().unwrap();
            connection.state = "Pending".into();
            s.observed.memory.shown = Some(Some(connection.clone()));
        },
        |s| {
            let connection = s.desired.remembered.connection.as_mut().unwrap();
            connection.provisioning = "Updating".into();
            s.observed.memory.shown = Some(Some(connection.clone()));
        },
    ];
    for (number, change) in unsettled.iter().enumerate() {
        let mut scenario = settled();
        change(&mut scenario);
        assert!(looks_at_the_vault(&scenario), "case {number}");
    }
    // An adopted link may have no request that can be told.
    let mut nothing = settled();
    nothing.desired.remembered.connection = None;
    nothing.observed.memory.shown = Some(None);
    assert!(!looks_at_the_vault(&nothing));
}

/// A vault that may not be read is not asked at every look; when the link becomes Ready it is.
#[test]
fn a_vault_that_refuses_is_asked_once_more_when_the_link_becomes_ready() {
    let mut refused = Scenario::new().signalr_says(ConnectionState::Approved).vault_fails(Failure::Forbidden);
    refused.observed.memory.vault_refused = true;
    assert!(looks_at_the_vault(&refused));
    assert_eq!(refused.decide().report.unwrap().reason, Reason::Approved);
    refused.desired.remembered.ready = Some(true);
    assert!(!looks_at_the_vault(&refused));
}

#[test]
fn who_approved_and_when_is_told_and_a_revocation_is_history() {
    let approval = |scenario: &Scenario| {
        let Fact::Set(approval) = scenario.decide().report.unwrap().approval else { panic!("nothing is said") };
        approval
    };
    let mut by_us = approved_by_us(Provisioning::Succeeded).signalr_says(ConnectionState::Approved);
    by_us.desired.remembered.approval.revoked_at = Some(by_us.now);
    let (operator, at) = (Some(Approver::Operator), Some(by_us.now));
    let expected = ApprovalFacts { approved_by: operator, approved_at: at, ..ApprovalFacts::default() };
    assert_eq!(approval(&by_us), expected);
    let by_hand = Scenario::new().recorded().decided_by_hand(ConnectionState::Approved);
    let by_hand = by_hand.signalr_says(ConnectionState::Approved);
    assert_eq!(approval(&by_hand), ApprovalFacts { approved_by: Some(Approver::External), ..expected });
    let mut unread = settled();
    unread.desired.remembered.approval.revoked_at = at;
    assert_eq!(approval(&unread), settled().desired.remembered.approval);
}

/// The same of an approval that SignalR is still to confirm: what stands was not taken back.
#[test]
fn an_approval_that_stands_is_not_told_as_taken_back() {
    let mut stands = approved_by_us(Provisioning::Succeeded);
    stands.desired.remembered.approval.revoked_at = Some(stands.now);
    stands.desired.remembered.approval.approved_at = Some("2090-01-01T00:00:00Z".parse().unwrap());
    let Fact::Set(approval) = stands.decide().report.unwrap().approval else { panic!("nothing is said") };
    assert_eq!((approval.approved_by, approval.revoked_at), (Some(Approver::Operator), None));
    assert_eq!(approval.approved_at, Some(stands.now), "as the operator's own record on the vault has it");
}

/// S6: also of a link that is only observed.
#[test]
fn a_link_that_is_observed_is_ready_if_it_is_the_one_asked_for_and_works() {
    let ready = |mut scenario: Scenario| {
        scenario.desired.management = ManagementPolicy::ObserveOnly;
        scenario.decide().report.unwrap().ready == Ready::Is(Truth::True)
    };
    let approved = || Scenario::new().signalr_says(ConnectionState::Approved);
    assert!(ready(approved()));
    assert!(ready(approved().message("made by hand")));
    assert!(!ready(Scenario::new()));
    assert!(!ready(approved().provisioning("Failed")));
    let elsewhere: [fn(&mut Scenario); 2] = [
        |s| s.links_mut().links[0].target = world::VAULT.replace("contoso-kv", "other-kv"),
        |s| s.links_mut().links[0].group_id = "sites".into(),
    ];
    for change in elsewhere {
        let mut scenario = approved();
        change(&mut scenario);
        assert!(!ready(scenario));
    }
}

//! What stays as it is for longer than it should: an approval that a policy holds, a person's approval that
//! SignalR never confirms, an operation that never ends, a list that lags behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Each table uses a part of it.
#[allow(dead_code)]
mod world;

use std::sync::Arc;
use std::time::Duration;

use signalr_private_link_core::action::{Action, Outcome};
use signalr_private_link_core::approval::{LastLook, still_authorised};
use signalr_private_link_core::azure::{ConnectionState, Links, Provisioning};
use signalr_private_link_core::desired::{ApprovalFacts, Approver};
use signalr_private_link_core::failure::Failure;
use signalr_private_link_core::marker::{Marker, Nonce, Verdict, tag};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::{Permissions, Reading};
use signalr_private_link_core::policy::OnUnconfirmed;
use signalr_private_link_core::report::Fact;
use signalr_private_link_core::{Again, Limits, Plan, Reason, conclude};

use world::{Scenario, UID, approved_by_us, error};

/// The operator approved two hours ago, the policy says Hold, and SignalR still says Pending.
fn held() -> Scenario {
    let mut scenario = approved_by_us(Provisioning::Succeeded);
    let date = scenario.now + jiff::SignedDuration::from_hours(2);
    scenario.vault_mut().date = Some(date);
    let Reading::Known(permissions) = &mut scenario.answers.permissions else { panic!("no permissions") };
    permissions.policies[0].on_unconfirmed = OnUnconfirmed::Hold;
    scenario
}

fn another_nonce(scenario: &mut Scenario) {
    let message =
        Marker { uid: UID.into(), nonce: Nonce::from_random([8; 16]), tag: tag(None) }.message("please approve");
    scenario.links_mut().links[0].message = message;
}

fn reason(plan: &Plan) -> Reason {
    plan.report.as_ref().unwrap().reason
}

#[test]
fn an_approval_that_is_held_is_the_news_while_its_link_is_there() {
    let plan = held().decide();
    assert_eq!((reason(&plan), &plan.action, &plan.alarm), (Reason::ApprovalUnconfirmed, &None, &None));
}

#[test]
fn an_approval_that_is_held_does_not_stop_the_link_from_being_created_again() {
    let mut gone = held().without_link();
    let cleared = gone.decide();
    assert_eq!((reason(&cleared), &cleared.action), (Reason::Creating, &None));
    assert_eq!(cleared.report.unwrap().connection, Fact::Set(None));
    gone.desired.remembered.connection = None;
    let plan = gone.decide();
    assert!(matches!(plan.action, Some(Action::PutLink { .. })), "{plan:?}");
    assert!(plan.alarm.unwrap().contains("It was left Approved"));
}

#[test]
fn an_approval_of_an_earlier_link_that_is_held_does_not_stop_the_next_one() {
    let mut next = held().no_request();
    let stale = held().vault_mut().connections.remove(0);
    another_nonce(&mut next);
    next.vault_mut().connections.push(stale);
    next.desired.remembered.connection = None;
    let plan = next.decide();
    assert_eq!(reason(&plan), Reason::WaitingForConnection);
    assert!(plan.alarm.unwrap().contains("earlier incarnation"));
    // The same once the next link works.
    let plan = next.signalr_says(ConnectionState::Approved).decide();
    assert_eq!(reason(&plan), Reason::Approved);
    assert!(plan.alarm.unwrap().contains("earlier incarnation"));
}

#[test]
fn a_link_whose_approval_is_held_is_created_once_more_when_asked() {
    let mut scenario = held();
    scenario.desired.recreate = Some("now".into());
    assert!(matches!(scenario.decide().action, Some(Action::DeleteLink { .. })));
    // While nothing is wrong with it, an approval is waited for.
    let mut scenario = approved_by_us(Provisioning::Succeeded);
    scenario.desired.recreate = Some("now".into());
    assert_eq!(scenario.decide().action, None);
}

#[test]
fn a_refused_revocation_beside_a_link_that_works_leaves_it_ready() {
    let mut scenario = held();
    another_nonce(&mut scenario);
    let Reading::Known(permissions) = &mut scenario.answers.permissions else { panic!("no permissions") };
    permissions.policies[0].on_unconfirmed = OnUnconfirmed::Revoke;
    let scenario = scenario.signalr_says(ConnectionState::Approved);
    let plan = scenario.decide();
    assert!(matches!(plan.action, Some(Action::Decide(_))), "{plan:?}");
    let plan = conclude(&scenario.desired, &Limits::REAL, plan, &Outcome::NotApplied(error(Failure::Forbidden)));
    assert_eq!((reason(&plan), plan.again), (Reason::Approved, Again::After(Limits::REAL.second_look)));
    assert!(plan.alarm.unwrap().contains("did not succeed"));
}

#[test]
fn an_approval_by_hand_that_signalr_never_confirms_times_out() {
    let mut scenario = Scenario::new().recorded().decided_by_hand(ConnectionState::Approved);
    let approved_at = Some(scenario.now);
    scenario.desired.remembered.approval =
        ApprovalFacts { approved_at, approved_by: Some(Approver::External), ..ApprovalFacts::default() };
    assert_eq!(reason(&scenario.decide()), Reason::WaitingForPropagation);
    scenario.now += jiff::SignedDuration::from_hours(24);
    let plan = scenario.decide();
    assert_eq!(reason(&plan), Reason::ApprovalTimedOut);
    let message = plan.report.unwrap().message;
    assert!(message.contains("may not be this link's request"), "{message}");
}

#[test]
fn a_state_of_signalr_s_that_is_not_known_is_named_and_a_person_is_asked() {
    let scenario = Scenario::new().automatic().seen_before(30).recorded().signalr_says(ConnectionState::Unknown);
    let plan = scenario.decide();
    assert_eq!((reason(&plan), &plan.action), (Reason::PendingApproval, &None));
    let message = plan.report.unwrap().message;
    assert!(message.contains("(Unknown)") && message.contains("az network private-endpoint-connection"), "{message}");
}

#[test]
fn an_operation_that_never_ends_is_told_whichever_it_is() {
    for word in ["Creating", "Deleting"] {
        let mut scenario = Scenario::new().provisioning(word);
        assert_ne!(reason(&scenario.decide()), Reason::OperationTimedOut);
        scenario.observed.memory.running_for = Limits::REAL.operation;
        let plan = scenario.decide();
        assert_eq!(reason(&plan), Reason::OperationTimedOut);
        assert!(plan.report.unwrap().message.contains(word));
    }
}

#[test]
fn a_list_that_lags_behind_takes_nothing_from_status() {
    let mut scenario = Scenario::new().recorded().decided_by_hand(ConnectionState::Approved);
    let link = scenario.links_mut().links[0].clone();
    scenario.answers.link = Reading::Known(Some(link));
    let scenario = scenario.without_link();
    let plan = scenario.decide();
    assert_eq!(reason(&plan), Reason::WaitingForPropagation, "as the single GET shows it");
    assert!(scenario.reads().contains(&"Link".to_owned()));
    // Neither does a GET that fails.
    let mut unread = scenario.clone();
    unread.answers.link = Reading::Failed(error(Failure::Transient(None)));
    let report = unread.decide().report.unwrap();
    assert_eq!((report.reason, report.connection, report.approval), (Reason::TransientError, Fact::Keep, Fact::Keep));
    // Where status tells nothing of a connection, no GET is made.
    assert!(!Scenario::new().without_link().reads().contains(&"Link".to_owned()));
}

#[test]
fn other_links_that_are_busy_one_after_the_other_are_not_one_that_never_ends() {
    let mut scenario = Scenario::new().without_link();
    let mut learned = Learned::new(false, Duration::ZERO);
    let mut busy = |name: &str, at: Duration| {
        let mut other = scenario.link_of_somebody_else();
        other.name = name.into();
        other.provisioning = Provisioning::parse(Some("Creating"));
        let links = Reading::Known(Arc::new(Links { links: vec![other], date: None }));
        learned.learn_links(&scenario.desired, &links, at);
        learned.recall(&Limits::REAL, at).others_running_for
    };
    let half_an_hour = Duration::from_secs(1800);
    assert_eq!(busy("one", Duration::ZERO), Duration::ZERO);
    assert_eq!(busy("one", half_an_hour), half_an_hour);
    assert_eq!(busy("another", half_an_hour), Duration::ZERO);
}

#[test]
fn a_forced_end_counts_only_its_own_revocation() {
    let mut learned = Learned::new(false, Duration::ZERO);
    learned.begin_decision(Duration::ZERO);
    assert!(!learned.recall(&Limits::REAL, Duration::ZERO).forced_revocation_tried);
    learned.end_forced_revocation();
    assert!(learned.recall(&Limits::REAL, Duration::ZERO).forced_revocation_tried);
}

/// The pass has read the list of links before the link was created, and the vault's after its request was approved.
#[test]
fn no_approval_is_taken_back_upon_a_list_that_is_older_than_the_link() {
    let mut now = approved_by_us(Provisioning::Succeeded);
    let link = now.links_mut().links[0].clone();
    let approved = now.vault_mut().connections[0].clone();
    let mut older = now.clone();
    another_nonce(&mut older);
    let before = older.links_mut().links[0].clone();
    let Some(Action::Decide(decision)) = older.decide().action else { panic!("nothing is taken back") };
    assert_eq!(decision.verdict, Verdict::Revoked);
    let permissions = Permissions::default();
    let last_look = |link| {
        let last = LastLook { object: &older.desired, link, permissions: &permissions, connection: Some(&approved) };
        still_authorised(&older.desired, &decision, &last)
    };
    assert_eq!(last_look(Some(&link)), Err("the link is the one that the approval is for"));
    assert_eq!(last_look(Some(&before)), Ok(()));
    assert_eq!(last_look(None), Ok(()));
}

//! Rule M7: an approval of the operator's that SignalR does not confirm is taken back; not early, not twice, and never
//! what others decided.

use std::time::Duration;

use jiff::SignedDuration;
use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::{ConnectionState, Provisioning};
use signalr_private_link_core::desired::Approver;
use signalr_private_link_core::marker::{ApprovalRecord, Marker, Nonce, Verdict};
use signalr_private_link_core::observed::Reading;
use signalr_private_link_core::policy::OnUnconfirmed;
use signalr_private_link_core::report::Fact;
use signalr_private_link_core::{Plan, Reason};

use crate::world::{Scenario, approved_by_us, connection, marker};

/// The operator approved so many minutes ago, by ARM's dates, and SignalR says Pending.
fn approved_ago(minutes: i64) -> Scenario {
    let mut scenario = approved_by_us(Provisioning::Succeeded);
    scenario.vault_mut().date = Some(scenario.now + SignedDuration::from_mins(minutes));
    scenario
}

fn reason(plan: &Plan) -> Reason {
    plan.report.as_ref().unwrap().reason
}

/// Changes the record that the operator left on a connection.
fn rewrite(scenario: &mut Scenario, at: usize, change: impl FnOnce(&mut ApprovalRecord)) {
    let connection = &mut scenario.vault_mut().connections[at];
    let mut record = ApprovalRecord::parse(&connection.description).unwrap();
    change(&mut record);
    connection.description = record.to_description();
}

fn earlier_nonce() -> Nonce {
    Nonce::from_random([6; 16])
}

#[test]
fn a_policy_that_vanished_counts_as_an_hour_and_revoke() {
    assert_eq!(reason(&approved_ago(59).without_policies().decide()), Reason::WaitingForPropagation);
    let plan = approved_ago(60).without_policies().decide();
    assert_eq!(reason(&plan), Reason::ApprovalUnconfirmed);
    assert!(plan.report.unwrap().message.contains("The operator takes its approval back"));
}

/// The shortest `confirmWithin` that a policy can have is 15 minutes.
#[test]
fn policies_are_not_read_before_one_may_want_an_approval_back() {
    let reads_policies = |minutes| approved_ago(minutes).reads().contains(&"Permissions".to_owned());
    assert_eq!((reads_policies(14), reads_policies(15)), (false, true));
}

#[test]
fn an_approval_under_a_nonce_that_signalr_has_confirmed_once_is_never_taken_back() {
    let mut confirmed = approved_ago(120);
    confirmed.observed.memory.confirmed = vec![marker().nonce];
    assert_eq!(reason(&confirmed.decide()), Reason::WaitingForPropagation);
    confirmed.observed.memory.confirmed = vec![earlier_nonce()];
    assert_eq!(reason(&confirmed.decide()), Reason::ApprovalUnconfirmed);
}

#[test]
fn a_link_that_is_gone_leaves_its_approval_as_much_time_as_one_that_is_pending() {
    for (minutes, expected) in [(59, false), (60, true)] {
        let plan = approved_ago(minutes).without_link().decide();
        assert_eq!(reason(&plan) == Reason::ApprovalUnconfirmed, expected, "{minutes}");
    }
}

/// Only SignalR's own Pending, beside Succeeded, says that it knows of no approval.
#[test]
fn silence_is_no_evidence_against_an_approval() {
    for word in ["Updating", "Failed"] {
        assert_ne!(reason(&approved_ago(120).provisioning(word).decide()), Reason::ApprovalUnconfirmed, "{word}");
    }
    let unknown = approved_ago(120).signalr_says(ConnectionState::Unknown);
    assert_eq!(reason(&unknown.decide()), Reason::WaitingForPropagation);
}

/// The vault's owner may have changed their mind, and SignalR hears of that late.
#[test]
fn signalr_may_say_for_a_while_that_its_own_request_was_turned_down() {
    let refused = |minutes: u64| {
        let mut scenario = approved_ago(0).signalr_says(ConnectionState::Rejected);
        scenario.observed.memory.refused_for = Some(Duration::from_secs(60 * minutes));
        scenario
    };
    assert_eq!(reason(&refused(59).decide()), Reason::Rejected);
    assert_eq!(reason(&refused(60).decide()), Reason::ApprovalUnconfirmed);
    assert_eq!(reason(&refused(60).provisioning("Failed").decide()), Reason::Rejected);
    let well_again = refused(60).signalr_says(ConnectionState::Pending);
    assert_eq!(reason(&well_again.decide()), Reason::WaitingForPropagation);
}

/// M5 and M7 share it: what was seen with our message before, and is gone, was ours.
#[test]
fn an_approval_has_a_twin_also_where_the_connection_that_was_seen_first_is_gone() {
    let mut replaced = approved_ago(0);
    replaced.observed.memory.candidate = Some((marker().nonce, connection("seen-first", "").id));
    assert_eq!(reason(&replaced.decide()), Reason::ApprovalUnconfirmed);
    // What was seen for an earlier incarnation tells nothing of this one.
    replaced.observed.memory.candidate = Some((earlier_nonce(), connection("seen-first", "").id));
    assert_eq!(reason(&replaced.decide()), Reason::WaitingForPropagation);
}

#[test]
fn of_two_approvals_the_one_to_take_back_goes_before_the_one_that_is_held() {
    let mut two = approved_ago(0).endpoint_elsewhere();
    let elsewhere = two.vault_mut().connections[0].endpoint.clone();
    let held = approved_by_us(Provisioning::Succeeded).vault_mut().connections.remove(0);
    two.vault_mut().connections.insert(0, held);
    two.vault_mut().connections[1].id = connection("another", "").id;
    let Reading::Known(permissions) = &mut two.answers.permissions else { panic!("no permissions") };
    permissions.policies[0].on_unconfirmed = OnUnconfirmed::Hold;
    two.desired.remembered.approval.revoked_at = Some(two.now);
    let Some(Action::Decide(decision)) = two.decide().action else { panic!("nothing is taken back") };
    assert_eq!((decision.verdict, decision.endpoint), (Verdict::Revoked, elsewhere));
}

#[test]
fn what_the_operator_approved_for_another_object_is_not_this_object_s_to_take_back() {
    let mut others = Scenario::new().automatic();
    let mut theirs = approved_ago(120);
    rewrite(&mut theirs, 0, |record| record.uid = "11111111-1111-4111-8111-111111111111".into());
    let mut theirs = theirs.vault_mut().connections.remove(0);
    theirs.id = connection("theirs", "").id;
    others.vault_mut().connections.push(theirs);
    others.vault_mut().date = Some(others.now + SignedDuration::from_hours(2));
    assert_eq!(reason(&others.decide()), Reason::WaitingForConnection);
}

/// Somebody who approves by hand may leave the operator's own text.
#[test]
fn what_the_owner_decides_after_the_operator_stands() {
    let mut approved = approved_ago(120);
    rewrite(&mut approved, 0, |record| record.verdict = Verdict::Revoked);
    let plan = approved.decide();
    assert_eq!(reason(&plan), Reason::WaitingForPropagation);
    let Fact::Set(approval) = plan.report.unwrap().approval else { panic!("nothing is said of the approval") };
    assert_eq!(approval.approved_by, Some(Approver::External));

    let mut rejected = approved_ago(120);
    rejected.vault_mut().connections[0].state = ConnectionState::Rejected;
    assert_eq!(reason(&rejected.decide()), Reason::Rejected);
}

/// A connection whose endpoint cannot be read is not one with another endpoint.
#[test]
fn an_endpoint_that_is_not_shown_is_no_other_endpoint() {
    let mut bare = approved_ago(0);
    bare.vault_mut().connections[0].endpoint = None;
    assert_eq!(reason(&bare.decide()), Reason::WaitingForPropagation);
}

/// The record of an earlier incarnation's approval, or of its end, is no copy of this link's request.
#[test]
fn what_is_left_of_an_earlier_incarnation_is_no_twin() {
    let earlier = Marker { nonce: earlier_nonce(), ..marker() };
    let mut left_over = approved_ago(0);
    rewrite(&mut left_over, 0, |record| {
        record.verdict = Verdict::Revoked;
        record.nonce = earlier_nonce();
    });
    let mut revoked = left_over.vault_mut().connections.remove(0);
    revoked.id = connection("revoked", "").id;
    revoked.state = ConnectionState::Rejected;
    let mut ours = Scenario::new().automatic().seen_before(30).recorded();
    ours.vault_mut().connections.extend([revoked, connection("pending", &earlier.message("please approve"))]);
    assert!(matches!(ours.decide().action, Some(Action::Decide(_))), "{:?}", ours.decide());
}

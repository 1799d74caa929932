//! The life of a link up to its approval, in the corners that the table of reasons leaves out: what lags, what others
//! claim, what is waited for, and what people are told.

use std::time::Duration;

use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::{ConnectionState, OperationKind, Provisioning};
use signalr_private_link_core::desired::{AdoptionPolicy, ApprovalFacts, ObjectIdentity};
use signalr_private_link_core::failure::{Failure, Level};
use signalr_private_link_core::marker::{ApprovalRecord, Verdict};
use signalr_private_link_core::observed::{FailedOperation, LateWrite, Reading, Rival};
use signalr_private_link_core::policy::OnUnconfirmed;
use signalr_private_link_core::report::{Fact, Ready, Truth};
use signalr_private_link_core::{Again, Limits, Plan, Reason};

use crate::world::{Scenario, approved_by_us, error, marker};

fn reason(plan: &Plan) -> Reason {
    plan.report.as_ref().unwrap().reason
}

fn message(scenario: &Scenario) -> String {
    scenario.decide().report.unwrap().message
}

fn puts(scenario: &Scenario) -> bool {
    matches!(scenario.decide().action, Some(Action::PutLink { .. }))
}

/// The list may lag; the single GET that status makes the operator ask for has said the same.
#[test]
fn a_link_that_a_single_get_does_not_find_either_is_gone() {
    let remembers: [fn(&mut Scenario); 2] = [
        |s| *s = s.clone().recorded(),
        |s| {
            s.desired.remembered.approval =
                ApprovalFacts { policy: Some("contoso@1".into()), ..ApprovalFacts::default() }
        },
    ];
    for remember in remembers {
        let mut scenario = Scenario::new();
        remember(&mut scenario);
        let mut gone = scenario.without_link();
        assert!(gone.reads().contains(&"Link".to_owned()));
        for answer in [Reading::Known(None), Reading::Failed(error(Failure::NotFound(Level::Resource)))] {
            gone.answers.link = answer;
            assert_eq!(reason(&gone.decide()), Reason::Creating);
        }
    }
}

#[test]
fn a_deletion_that_failed_does_not_hold_up_a_creation() {
    let mut absent = Scenario::new().without_link();
    let failed =
        FailedOperation { kind: OperationKind::Delete, words: "a bad day".into(), ago: Duration::ZERO, count: 1 };
    absent.observed.memory.failed_operation = Some(failed);
    assert!(puts(&absent));
}

/// That the outcome of a write is not known was told in the pass that made it, and stays the news while it is waited for.
#[test]
fn what_status_tells_of_a_lost_write_is_not_told_anew() {
    let report = |told, ready| {
        let mut scenario = Scenario::new().without_link();
        scenario.observed.late_write = Some(LateWrite { left: Duration::from_secs(20), told });
        scenario.desired.remembered.ready = ready;
        scenario.decide().report.map(|report| report.reason)
    };
    assert_eq!(report(true, Some(false)), None);
    // Telling it failed, or it was another process that wrote.
    assert_eq!(report(true, None), Some(Reason::Creating));
    assert_eq!(report(false, Some(false)), Some(Reason::Creating));
}

/// Of the objects that claim one link the oldest creates it: by creation time, then by uid.
#[test]
fn of_several_objects_the_oldest_that_manages_creates() {
    let own = Scenario::new().desired.object;
    let rival = |change: fn(&mut Rival)| {
        let object = ObjectIdentity { uid: "ffffffff-1111-4111-8111-111111111111".into(), ..own.clone() };
        let mut rival = Rival { object, manages: true };
        change(&mut rival);
        rival
    };
    let creates = |rivals: Vec<Rival>| {
        let mut absent = Scenario::new().without_link();
        absent.observed.rivals = rivals;
        puts(&absent)
    };
    let younger = || rival(|_| {});
    let elder = || rival(|r| r.object.created = Some("2020-01-01T00:00:00Z".parse().unwrap()));
    assert!(creates(vec![younger()]), "of two that are equally old the uid decides");
    assert!(!creates(vec![rival(|r| r.object.uid = "00000000-1111-4111-8111-111111111111".into())]));
    assert!(!creates(vec![younger(), elder()]));
    assert!(creates(vec![Rival { manages: false, ..elder() }]), "an object that only observes claims nothing");
    assert!(creates(vec![Rival { object: own.clone(), manages: true }]), "no object is its own rival");
}

#[test]
fn a_link_of_the_same_signalr_is_waited_for_only_while_azure_works_on_it() {
    let beside = |word: &str, at_work_for: u64| {
        let mut absent = Scenario::new().without_link();
        let mut other = absent.link_of_somebody_else();
        other.provisioning = Provisioning::parse(Some(word));
        absent.links_mut().links.push(other);
        absent.observed.memory.others_running_for = Duration::from_secs(at_work_for);
        absent.decide()
    };
    assert!(matches!(beside("Succeeded", 0).action, Some(Action::PutLink { beside: None, .. })));
    assert_eq!(reason(&beside("Updating", 1799)), Reason::WaitingForSignalR);
    assert!(matches!(beside("Updating", 1800).action, Some(Action::PutLink { beside: Some(_), .. })));
}

/// S7: also where somebody removed it by hand.
#[test]
fn the_finalizer_comes_before_all_else() {
    let mut bare = Scenario::new();
    bare.desired.finalizer = false;
    let plan = bare.decide();
    assert_eq!((plan.action, plan.report, plan.again), (Some(Action::AddFinalizer), None, Again::Now));
    // An object that never wrote anything has no approval to watch.
    let mut creating = bare.provisioning("Creating");
    creating.vault_mut().connections.clear();
    assert_eq!(creating.reads(), ["Links"]);
}

#[test]
fn only_the_same_target_and_group_can_be_adopted() {
    let foreign = |change: fn(&mut Scenario)| {
        let mut scenario = Scenario::new().message("made by hand").signalr_says(ConnectionState::Approved);
        change(&mut scenario);
        reason(&scenario.decide())
    };
    assert_eq!(foreign(|s| s.desired.adoption = AdoptionPolicy::Adopt), Reason::Approved);
    assert_eq!(foreign(|_| {}), Reason::AlreadyExists);
    let other_group = foreign(|s| {
        s.desired.adoption = AdoptionPolicy::Adopt;
        s.links_mut().links[0].group_id = "sites".into();
    });
    assert_eq!(other_group, Reason::AlreadyExists);
}

#[test]
fn a_recreation_is_asked_for_by_an_annotation_that_is_there() {
    let rejected = |annotation: Option<&str>, tag: &str| {
        let mut scenario = Scenario::new().signalr_says(ConnectionState::Rejected);
        scenario.desired.recreate = annotation.map(str::to_owned);
        scenario.retag(tag);
        matches!(scenario.decide().action, Some(Action::DeleteLink { .. }))
    };
    assert!(rejected(Some("again"), "000000"));
    assert!(!rejected(None, "abcdef"), "one that is taken away asks for nothing");
}

#[test]
fn a_message_that_somebody_changed_at_signalr_is_told() {
    let changed = Scenario::new().message(&marker().message("other words")).automatic().seen_before(30).recorded();
    let plan = changed.decide();
    assert_eq!((reason(&plan), &plan.action), (Reason::ApprovalAmbiguous, &None));
    assert!(message(&changed).starts_with("The link's message was changed from outside."));
}

#[test]
fn replicas_that_may_not_be_read_stop_an_approval_and_those_that_cannot_delay_it() {
    let unread = |failure| {
        let mut scenario = Scenario::new().automatic().seen_before(30).recorded();
        scenario.answers.replicas = Reading::Failed(error(failure));
        let report = scenario.decide().report.unwrap();
        assert_eq!(report.ready, Ready::Is(Truth::False));
        report.reason
    };
    assert_eq!(unread(Failure::Forbidden), Reason::ApprovalAmbiguous);
    assert_eq!(unread(Failure::Transient(None)), Reason::TransientError);
}

#[test]
fn since_when_a_request_waits_and_which_policy_permits_it_is_told() {
    let approval = |scenario: &Scenario| {
        let Fact::Set(approval) = scenario.decide().report.unwrap().approval else { panic!("nothing is said") };
        approval
    };
    let matched = Scenario::new().automatic().seen_before(30);
    let first_list = Some(matched.now);
    let expected =
        ApprovalFacts { requested_at: first_list, policy: Some("contoso@1".into()), ..ApprovalFacts::default() };
    assert_eq!(approval(&matched), expected);
    let earlier = Some(matched.now - jiff::SignedDuration::from_hours(1));
    let mut recorded = matched.clone().recorded();
    recorded.desired.remembered.approval.requested_at = earlier;
    assert_eq!(approval(&recorded).requested_at, earlier);
    let mut of_another = matched;
    of_another.desired.remembered.approval.requested_at = earlier;
    assert_eq!(approval(&of_another).requested_at, first_list, "what was told of another request does not count");
}

/// The owner tells copies apart by the time at which each appeared.
#[test]
fn copies_are_named_with_the_time_at_which_each_appeared() {
    let copies = |count| {
        let mut scenario = Scenario::new().seen_before(30).copies(count);
        let ours = scenario.vault_mut().connections[0].id.clone();
        scenario.observed.memory.appeared = vec![(ours, scenario.now)];
        message(&scenario)
    };
    let four = copies(3);
    assert!(four.contains("They are copy-0 (Pending, first seen at an unknown time)"), "{four}");
    assert!(four.contains("ours (Pending, first seen 2026-11-23T18:00:00Z)"), "{four}");
    assert!(!four.contains("and more"), "{four}");
    assert!(copies(4).contains("copy-3 (Pending, first seen at an unknown time), and more."), "{}", copies(4));
}

/// After a revocation nothing is approved under that nonce again, also where the connection that says so is gone.
#[test]
fn a_revocation_that_status_remembers_counts_for_the_link_of_that_time() {
    let revoked = |created: Option<i64>| {
        let mut scenario = Scenario::new().automatic().seen_before(30);
        let at = scenario.now;
        scenario.desired.remembered.approval.revoked_at = Some(at);
        scenario.links_mut().links[0].created_at = created.map(|later| at + jiff::SignedDuration::from_secs(later));
        let refused = scenario.clone().signalr_says(ConnectionState::Rejected);
        let of_this_link = reason(&scenario.decide()) == Reason::ApprovalUnconfirmed;
        assert_eq!(reason(&refused.decide()) == Reason::ApprovalUnconfirmed, of_this_link);
        of_this_link
    };
    assert!(revoked(Some(-1)) && revoked(Some(0)) && revoked(None));
    assert!(!revoked(Some(1)), "a link that was created since is another one");
}

/// SignalR says Rejected: by the operator's own hand, by the owner's, or nobody on the vault knows.
#[test]
fn a_request_that_signalr_says_was_turned_down_is_told_as_the_vault_has_it() {
    let told = |change: fn(&mut Scenario)| {
        let mut scenario = approved_by_us(Provisioning::Succeeded).signalr_says(ConnectionState::Rejected);
        scenario.vault_mut().connections[0].state = ConnectionState::Rejected;
        change(&mut scenario);
        let report = scenario.decide().report.unwrap();
        (report.reason, matches!(report.connection, Fact::Set(Some(_))))
    };
    let by_us = told(|s| {
        let ours = &mut s.vault_mut().connections[0];
        let record = ApprovalRecord::parse(&ours.description).unwrap();
        ours.description = ApprovalRecord { verdict: Verdict::Revoked, ..record }.to_description();
    });
    assert_eq!(by_us, (Reason::ApprovalUnconfirmed, true));
    assert_eq!(told(|_| {}), (Reason::Rejected, true));
    assert_eq!(told(|s| s.vault_mut().connections.clear()), (Reason::Rejected, false));
}

/// The link's owner sees what there is to see on the vault, in manual mode without a right to read it, too.
#[test]
fn a_vault_that_cannot_be_read_is_no_vault_that_may_not_be_read() {
    for failure in [Failure::Transient(None), Failure::Throttled(None), Failure::Locked] {
        let report = Scenario::new().vault_fails(failure).decide().report.unwrap();
        assert_ne!(report.reason, Reason::PendingApproval, "{failure:?}");
        assert_eq!(report.ready, Ready::Is(Truth::False), "SignalR itself has said that it is not");
    }
    let grant = |failure| message(&Scenario::new().vault_fails(failure)).contains("To have it named here, grant");
    assert!(grant(Failure::Forbidden) && !grant(Failure::Unauthorized));
}

/// R7: what is told when it is done is not told while it is withheld.
#[test]
fn a_started_process_raises_no_alarm_about_what_it_does_not_do_yet() {
    let mut held = approved_by_us(Provisioning::Succeeded).without_link();
    held.vault_mut().date = Some(held.now + jiff::SignedDuration::from_hours(2));
    held.desired.remembered.connection = None;
    let Reading::Known(permissions) = &mut held.answers.permissions else { panic!("no permissions") };
    permissions.policies[0].on_unconfirmed = OnUnconfirmed::Hold;
    assert!(puts(&held) && held.decide().alarm.is_some());
    held.observed.memory.quarantine = Some(Limits::REAL.quarantine);
    let plan = held.decide();
    assert_eq!((plan.action, plan.alarm), (None, None));
}

#[test]
fn a_started_process_withholds_writes_to_azure_and_nothing_else() {
    for mut scenario in [Scenario::new(), Scenario::new().seen_before(30), approved_by_us(Provisioning::Succeeded)] {
        let at_rest = scenario.decide();
        scenario.observed.memory.quarantine = Some(Limits::REAL.quarantine);
        assert_eq!(scenario.decide(), at_rest);
    }
    let mut bare = Scenario::new().without_link();
    bare.desired.finalizer = false;
    bare.observed.memory.quarantine = Some(Limits::REAL.quarantine);
    assert_eq!(bare.decide().action, Some(Action::AddFinalizer));
}

/// M7: what was ruled out by an earlier list counts only until another one is read.
#[test]
fn a_list_that_shows_an_approval_counts_more_than_one_that_showed_none() {
    let mut copied = approved_by_us(Provisioning::Succeeded).provisioning("Failed").copies(1);
    copied.observed.memory.approval_ruled_out = true;
    assert_eq!(reason(&copied.decide()), Reason::OperationFailed);
    copied.observed.connections = copied.answers.connections.clone();
    assert_eq!(reason(&copied.decide()), Reason::ApprovalUnconfirmed);
}

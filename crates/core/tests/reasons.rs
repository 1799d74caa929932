//! The decision as a table: what Azure and the policies say, and what comes of it. Each row reads
//! like a row of `docs/reasons.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Each table uses a part of it.
#[allow(dead_code)]
mod world;

use std::time::Duration;

use signalr_private_link_core::Action;
use signalr_private_link_core::azure::{ConnectionState, Operation, OperationKind, Provisioning};
use signalr_private_link_core::desired::{AdoptionPolicy, Approver, DeletionPolicy, ManagementPolicy};
use signalr_private_link_core::failure::{Failure, Level};
use signalr_private_link_core::observed::{FailedOperation, LateWrite, Reading, Rival};
use signalr_private_link_core::report::{Fact, Ready, Truth};
use signalr_private_link_core::{Again, Limits, Outcome, Reason, conclude};

use world::{Scenario, UID, approved_by_us, error};

/// What a scenario ends in: the reason, and the action's label.
fn outcome(scenario: &Scenario) -> (Option<Reason>, &'static str) {
    let plan = scenario.decide();
    (plan.report.map(|r| r.reason), plan.action.map_or("none", |a| a.label()))
}

#[track_caller]
fn expect(scenario: &Scenario, reason: Reason, action: &str) {
    assert_eq!(outcome(scenario), (Some(reason), action));
}

#[test]
fn a_new_object_gets_its_finalizer_then_its_link() {
    let mut new = Scenario::new().without_link();
    new.desired.finalizer = false;
    assert_eq!(outcome(&new), (None, "add_finalizer"));
    new.desired.finalizer = true;
    expect(&new, Reason::Creating, "put_link");
}

#[test]
fn a_link_in_progress_is_followed() {
    expect(&Scenario::new().provisioning("Creating"), Reason::Creating, "none");
    expect(&Scenario::new().provisioning("Something new"), Reason::Creating, "none");
    expect(&Scenario::new().provisioning("Deleting"), Reason::Deleting, "none");
    let mut endless = Scenario::new().provisioning("Creating");
    endless.observed.memory.running_for = Duration::from_secs(30 * 60);
    expect(&endless, Reason::OperationTimedOut, "none");
}

/// The link has the last word; its operation is asked where the link does not show it, for as long as one may take.
#[test]
fn an_operation_that_the_link_does_not_show_is_waited_for() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let running = |scenario: Scenario, kind| {
        let mut scenario = scenario;
        scenario.observed.operation_held = Some(kind);
        scenario.answers.operation = Reading::Known(Operation::Running);
        scenario.observed.memory.begun_ago = Some(minutes(5));
        scenario
    };
    let mut absent = running(Scenario::new().without_link(), OperationKind::Put);
    expect(&absent, Reason::Creating, "none");
    absent.desired.deleting = true;
    absent.observed.memory.deleting_for = Some(minutes(5));
    expect(&absent, Reason::Deleting, "none");
    absent.desired.deleting = false;
    absent.observed.memory.begun_ago = Some(minutes(30));
    expect(&absent, Reason::Creating, "put_link");
    let mut put_again = running(Scenario::new().provisioning("Failed"), OperationKind::Put);
    expect(&put_again, Reason::Creating, "none");
    put_again.observed.memory.begun_ago = Some(minutes(30));
    put_again.observed.memory.failed_for = minutes(30);
    expect(&put_again, Reason::Creating, "put_link");
    let mut stays = running(Scenario::new(), OperationKind::Delete);
    expect(&stays, Reason::Deleting, "none");
    stays.desired.deleting = true;
    stays.observed.memory.deleting_for = Some(minutes(1));
    expect(&stays, Reason::Deleting, "none");
    assert!(stays.decide().report.unwrap().message.starts_with("Azure is deleting the link"));
    for shown in ["Creating", "Deleting"] {
        let shown = running(Scenario::new().provisioning(shown), OperationKind::Put);
        assert_eq!(shown.reads()[0], "Links");
        assert!(!shown.reads().contains(&"Operation".to_owned()));
    }
}

#[test]
fn a_busy_signalr_is_waited_for() {
    let mut busy = Scenario::new().without_link();
    busy.observed.signalr_busy = true;
    expect(&busy, Reason::WaitingForSignalR, "none");
    let mut other = Scenario::new().without_link();
    let mut link = other.link_of_somebody_else();
    link.provisioning = Provisioning::InProgress("Updating".into());
    other.links_mut().links.push(link);
    expect(&other, Reason::WaitingForSignalR, "none");
}

#[test]
fn a_request_is_believed_only_when_two_lists_show_it_alone() {
    expect(&Scenario::new().no_request(), Reason::WaitingForConnection, "none");
    let first = Scenario::new();
    expect(&first, Reason::WaitingForConnection, "none");
    assert_eq!(first.decide().again, Again::After(Limits::REAL.second_look));
    expect(&Scenario::new().seen_before(29), Reason::WaitingForConnection, "none");
    expect(&Scenario::new().seen_before(30), Reason::PendingApproval, "none");
    expect(&Scenario::new().seen_before(30).copies(1), Reason::ApprovalAmbiguous, "none");
    let mut late = Scenario::new().no_request();
    late.desired.remembered.provisioned_since = Some(late.now - jiff::SignedDuration::from_mins(15));
    expect(&late, Reason::ConnectionNotFound, "none");
    late.desired.recreate = Some("now".into());
    expect(&late, Reason::Deleting, "delete_link");
}

#[test]
fn a_person_is_told_what_to_run() {
    let plan = Scenario::new().seen_before(30).strangers(2).decide();
    let report = plan.report.unwrap();
    let message = &report.message;
    assert!(message.contains("az network private-endpoint-connection approve --id /subscriptions/"), "{message}");
    assert!(message.contains("other pending requests on this vault: 2"), "{message}");
    assert!(matches!(report.connection, Fact::Set(Some(_))));
    let mut patience = Scenario::new().seen_before(30);
    patience.desired.approval_timeout = Duration::from_secs(29);
    patience.now += jiff::SignedDuration::from_secs(30);
    expect(&patience, Reason::ApprovalTimedOut, "none");
    let mut unreadable = Scenario::new().vault_fails(Failure::Forbidden);
    unreadable.desired.remembered.provisioned_since = Some(unreadable.now - jiff::SignedDuration::from_hours(25));
    expect(&unreadable, Reason::ApprovalTimedOut, "none");
    let unreadable = Scenario::new().vault_fails(Failure::Forbidden);
    expect(&unreadable, Reason::PendingApproval, "none");
    let message = unreadable.decide().report.unwrap().message;
    assert!(!message.contains("approve --id") && message.contains("[k8s:"), "{message}");
}

#[test]
fn automatic_approval_needs_a_policy_two_lists_and_a_recorded_match() {
    let automatic = || Scenario::new().automatic();
    expect(&automatic().without_policies(), Reason::ApprovalDenied, "none");
    expect(&automatic().endpoint_elsewhere(), Reason::ApprovalDenied, "none");
    expect(&automatic(), Reason::WaitingForConnection, "none");
    let matched = automatic().seen_before(30);
    expect(&matched, Reason::Approving, "none");
    assert_eq!(matched.decide().again, Again::Now, "the match is in status first");
    expect(&automatic().seen_before(30).recorded(), Reason::Approving, "approve");
    expect(&automatic().seen_before(30).recorded().replicas(1), Reason::ApprovalAmbiguous, "none");
    expect(&automatic().seen_before(30).recorded().copies(1), Reason::ApprovalAmbiguous, "none");
    expect(&automatic().recorded(), Reason::WaitingForConnection, "none");
    expect(&automatic().vault_fails(Failure::Forbidden), Reason::ApprovalNotAuthorized, "none");
}

#[test]
fn a_forged_status_does_not_shorten_the_wait() {
    let mut forged = Scenario::new().automatic().recorded();
    forged.desired.remembered.approval.requested_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
    expect(&forged, Reason::WaitingForConnection, "none");
}

#[test]
fn an_approval_is_followed_until_signalr_says_so() {
    expect(&approved_by_us(Provisioning::InProgress("Updating".into())), Reason::Approving, "none");
    let settled = approved_by_us(Provisioning::Succeeded);
    expect(&settled, Reason::WaitingForPropagation, "none");
    let Fact::Set(approval) = settled.decide().report.unwrap().approval else { panic!("no approval") };
    assert_eq!(approval.approved_by, Some(Approver::Operator));
    let by_hand = Scenario::new().recorded().decided_by_hand(ConnectionState::Approved);
    expect(&by_hand, Reason::WaitingForPropagation, "none");
    expect(&Scenario::new().recorded().decided_by_hand(ConnectionState::Rejected), Reason::Rejected, "none");
}

#[test]
fn an_approval_that_is_not_confirmed_is_taken_back() {
    // First into status, so that it outlives the connection; then on the vault.
    let taken_back = |mut scenario: Scenario| {
        expect(&scenario, Reason::ApprovalUnconfirmed, "none");
        let report = scenario.decide().report.unwrap();
        let Fact::Set(approval) = report.approval else { panic!("no approval") };
        assert!(approval.revoked_at.is_some());
        scenario.desired.remembered.approval = approval;
        expect(&scenario, Reason::ApprovalUnconfirmed, "revoke");
    };
    let mut long = approved_by_us(Provisioning::Succeeded);
    long.vault_mut().date = Some(long.now + jiff::SignedDuration::from_mins(60));
    taken_back(long);
    let mut not_yet = approved_by_us(Provisioning::Succeeded);
    not_yet.vault_mut().date = Some(not_yet.now + jiff::SignedDuration::from_mins(59));
    expect(&not_yet, Reason::WaitingForPropagation, "none");
    taken_back(approved_by_us(Provisioning::Succeeded).copies(1));
    let mut swapped = approved_by_us(Provisioning::Succeeded);
    swapped.vault_mut().connections[0].endpoint = Some(world::endpoint("somebody-elses"));
    taken_back(swapped);
    let mut silent = approved_by_us(Provisioning::Succeeded).vault_fails(Failure::Transient(None));
    silent.now += jiff::SignedDuration::from_hours(99);
    expect(&silent, Reason::TransientError, "none");
}

#[test]
fn only_signalrs_own_word_makes_ready() {
    let ready = Scenario::new().signalr_says(ConnectionState::Approved);
    expect(&ready, Reason::Approved, "none");
    assert_eq!(ready.decide().report.unwrap().ready, Ready::Is(Truth::True));
    expect(&Scenario::new().signalr_says(ConnectionState::Unknown), Reason::WaitingForConnection, "none");
    for (state, reason) in [
        (ConnectionState::Rejected, Reason::Rejected),
        (ConnectionState::Disconnected, Reason::Disconnected),
        (ConnectionState::Timeout, Reason::ConnectionTimedOut),
    ] {
        expect(&Scenario::new().signalr_says(state), reason, "none");
    }
}

#[test]
fn a_settled_link_reads_signalr_only() {
    let mut settled = Scenario::new().signalr_says(ConnectionState::Approved).recorded();
    settle(&mut settled);
    settled.desired.remembered.ready = Some(true);
    settled.desired.remembered.approval.approved_by = Some(Approver::External);
    assert_eq!(settled.reads(), ["Links"]);
    // Somebody forged it, or it cannot be read: the vault tells.
    let mut forged = settled.clone();
    forged.desired.remembered.connection.as_mut().unwrap().id = "nonsense".into();
    assert_eq!(forged.reads(), ["Links", "Connections"]);
    let Fact::Set(Some(connection)) = forged.decide().report.unwrap().connection else { panic!("no connection") };
    assert!(connection.id.ends_with("/ours"), "{connection:?}");
    settled.desired.remembered.ready = Some(false);
    assert_eq!(settled.reads(), ["Links", "Connections"], "when it becomes Ready the vault is looked at once more");
}

#[test]
fn a_copy_beside_a_confirmed_approval_is_told_and_not_touched() {
    let copied = approved_by_us(Provisioning::Succeeded).signalr_says(ConnectionState::Approved).copies(1);
    expect(&copied, Reason::Approved, "none");
    assert!(copied.decide().alarm.unwrap().contains("carries this link's message"));
    let alone = approved_by_us(Provisioning::Succeeded).signalr_says(ConnectionState::Approved);
    assert_eq!(alone.decide().alarm, None);
}

#[test]
fn recreation_happens_once_per_value() {
    let mut rejected = Scenario::new().signalr_says(ConnectionState::Rejected);
    rejected.desired.recreate = Some("again".into());
    expect(&rejected, Reason::Deleting, "delete_link");
    let tag = rejected.desired.tag();
    rejected.retag(&tag);
    expect(&rejected, Reason::Rejected, "none");
}

#[test]
fn a_failed_link_is_put_again_after_a_rest() {
    let mut failed = Scenario::new().provisioning("Failed");
    expect(&failed, Reason::OperationFailed, "none");
    failed.observed.memory.failed_for = Duration::from_secs(6 * 60);
    expect(&failed, Reason::Creating, "put_link");
    let Some(Action::PutLink { replaces: Some(own), .. }) = failed.decide().action else { panic!("no PUT") };
    assert!(failed.links_mut().links[0].marker_of(UID) == Some(own), "it keeps its marker");
    // The more have failed in a row, the longer it rests.
    failed.observed.memory.failed_operation = Some(failed_creation(4));
    expect(&failed, Reason::OperationFailed, "none");
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let foreign = Scenario::new().message("somebody else's");
    expect(&foreign, Reason::AlreadyExists, "none");
    let mut adopted = Scenario::new().message("somebody else's");
    adopted.desired.adoption = AdoptionPolicy::Adopt;
    expect(&adopted, Reason::PendingApproval, "none");
    let mut functional = Scenario::new().message("somebody else's").signalr_says(ConnectionState::Approved);
    functional.desired.adoption = AdoptionPolicy::Adopt;
    expect(&functional, Reason::Approved, "none");
    let mut elsewhere = Scenario::new().message("somebody else's");
    elsewhere.desired.adoption = AdoptionPolicy::Adopt;
    elsewhere.links_mut().links[0].target = world::VAULT.replace("contoso-kv", "other-kv");
    expect(&elsewhere, Reason::AlreadyExists, "none");
}

#[test]
fn a_link_whose_object_is_gone_can_be_adopted_and_one_whose_object_lives_here_cannot() {
    let dead = "please approve [k8s:11111111-1111-4111-8111-111111111111:abcdefghijklmnop:000000]";
    let mut restored = Scenario::new().message(dead).signalr_says(ConnectionState::Approved);
    expect(&restored, Reason::AlreadyExists, "none");
    restored.desired.adoption = AdoptionPolicy::Adopt;
    expect(&restored, Reason::Approved, "none");
    let mut owner = Scenario::new().desired.object;
    owner.uid = "11111111-1111-4111-8111-111111111111".into();
    restored.observed.rivals.push(Rival { object: owner, manages: false });
    expect(&restored, Reason::OwnershipConflict, "none");
}

#[test]
fn of_two_objects_the_older_one_creates() {
    let rival = |created: &str| {
        let mut rival = Scenario::new().desired.object;
        rival.uid = "11111111-1111-4111-8111-111111111111".into();
        rival.created = Some(created.parse().unwrap());
        Rival { object: rival, manages: true }
    };
    let mut younger = Scenario::new().without_link();
    younger.observed.rivals.push(rival("2020-01-01T00:00:00Z"));
    expect(&younger, Reason::OwnershipConflict, "none");
    let mut elder = Scenario::new().without_link();
    elder.observed.rivals.push(rival("2030-01-01T00:00:00Z"));
    expect(&elder, Reason::Creating, "put_link");
}

/// Status tells what the vault shows, and this process has seen it there.
fn settle(scenario: &mut Scenario) {
    let connection = scenario.desired.remembered.connection.as_mut().unwrap();
    connection.state = "Approved".into();
    scenario.observed.memory.shown = Some(Some(connection.clone()));
}

fn failed_creation(count: u32) -> FailedOperation {
    FailedOperation {
        kind: OperationKind::Put,
        words: "CustomerError: limit of 64 connections".into(),
        ago: Duration::from_secs(6 * 60),
        count,
    }
}

/// R12.
#[test]
fn a_link_that_is_failed_beside_approved_is_told_and_never_touched() {
    for state in ["Failed", "Canceled"] {
        let mut works = Scenario::new().provisioning(state).signalr_says(ConnectionState::Approved);
        works.observed.memory.failed_for = Duration::from_secs(86_400);
        expect(&works, Reason::OperationFailed, "none");
        let report = works.decide().report.unwrap();
        assert!(report.message.contains("traffic may flow"), "{}", report.message);
        works.desired.recreate = Some("again".into());
        expect(&works, Reason::Deleting, "delete_link");
    }
}

#[test]
fn a_link_that_is_failed_and_was_turned_down_is_not_put_again() {
    for (state, reason) in [
        (ConnectionState::Rejected, Reason::Rejected),
        (ConnectionState::Disconnected, Reason::Disconnected),
        (ConnectionState::Timeout, Reason::ConnectionTimedOut),
    ] {
        let mut failed = Scenario::new().provisioning("Failed").signalr_says(state);
        failed.observed.memory.failed_for = Duration::from_secs(86_400);
        expect(&failed, reason, "none");
    }
}

/// Another object's link in the place of ours confirms nothing.
#[test]
fn an_approval_is_not_confirmed_by_somebody_elses_link() {
    let mut replaced = approved_by_us(Provisioning::Succeeded).signalr_says(ConnectionState::Approved);
    replaced.links_mut().links[0].message =
        "x [k8s:11111111-1111-4111-8111-111111111111:abcdefghijklmnop:000000]".into();
    replaced.vault_mut().date = Some(replaced.now + jiff::SignedDuration::from_hours(2));
    replaced.desired.remembered.approval.revoked_at = Some(replaced.now);
    expect(&replaced, Reason::ApprovalUnconfirmed, "revoke");
}

/// R11.
#[test]
fn the_absence_of_what_was_there_needs_two_reads() {
    for level in [Level::ResourceGroup, Level::Parent, Level::Resource] {
        let gone = Failure::NotFound(level);
        // A mistyped id is told at once.
        let mut new = Scenario::new().signalr_fails(gone);
        new.desired.finalizer = false;
        expect(&new, Reason::SignalRNotFound, "none");
        let known = Scenario::new().signalr_fails(gone);
        expect(&known, Reason::TransientError, "none");
        assert_eq!(known.decide().again, Again::After(Duration::from_secs(60)));
        let mut seen = new.clone();
        seen.desired.remembered.seen_in_azure = true;
        expect(&seen, Reason::TransientError, "none");
        let mut proven = known.clone();
        proven.observed.memory.signalr_absent_for = Some(Duration::from_secs(60));
        expect(&proven, Reason::SignalRNotFound, "none");
        assert_eq!(proven.decide().report.unwrap().link, Fact::Set(None), "nothing is said of a link");
        // The same of the vault, while its owner has to approve.
        let mut vault = Scenario::new().vault_fails(gone);
        expect(&vault, Reason::TransientError, "none");
        vault.observed.memory.vault_absent_for = Some(Duration::from_secs(60));
        expect(&vault, Reason::KeyVaultNotFound, "none");
        // And of a deletion.
        let mut deleting = Scenario::new().signalr_fails(gone);
        deleting.desired.deleting = true;
        deleting.observed.memory.deleting_for = Some(Duration::from_secs(3600));
        expect(&deleting, Reason::Deleting, "none");
        deleting.observed.memory.signalr_absent_for = Some(Duration::from_secs(60));
        assert_eq!(outcome(&deleting), (None, "remove_finalizer"));
    }
    // Whoever does not serve the API version says nothing about the resource.
    let mut version = Scenario::new().signalr_fails(Failure::UnsupportedVersion);
    expect(&version, Reason::OperationFailed, "none");
    assert!(version.decide().report.unwrap().message.contains("--signalr-api-version"));
    version.desired.deleting = true;
    version.observed.memory.deleting_for = Some(Duration::from_secs(3600));
    expect(&version, Reason::DeletionBlocked, "none");
}

#[test]
fn a_creation_that_left_nothing_rests_and_one_that_was_accepted_is_waited_for() {
    let mut failed = Scenario::new().without_link();
    failed.observed.memory.failed_operation = Some(FailedOperation { ago: Duration::ZERO, ..failed_creation(1) });
    expect(&failed, Reason::OperationFailed, "none");
    assert!(failed.decide().report.unwrap().message.contains("limit of 64 connections"));
    failed.observed.memory.failed_operation = Some(failed_creation(1));
    expect(&failed, Reason::Creating, "put_link");
    failed.observed.memory.failed_operation = Some(failed_creation(3));
    expect(&failed, Reason::OperationFailed, "none");
    let mut accepted = Scenario::new().without_link();
    accepted.observed.memory.accepted_for = Some(Duration::from_secs(89));
    expect(&accepted, Reason::Creating, "none");
    accepted.observed.memory.accepted_for = Some(Duration::from_secs(90));
    expect(&accepted, Reason::Creating, "put_link");
}

#[test]
fn a_stuck_sibling_is_named_and_does_not_stop_a_creation_for_ever() {
    let mut held = Scenario::new().without_link();
    let mut other = held.link_of_somebody_else();
    other.provisioning = Provisioning::InProgress("Updating".into());
    held.links_mut().links.push(other);
    expect(&held, Reason::WaitingForSignalR, "none");
    assert!(held.decide().report.unwrap().message.contains("other (Updating)"));
    held.observed.memory.others_running_for = Duration::from_secs(30 * 60);
    expect(&held, Reason::Creating, "put_link");
    let refused = Outcome::NotApplied(error(Failure::Busy(None)));
    let told = conclude(&held.desired, &Limits::REAL, held.decide(), &refused).report.unwrap();
    assert_eq!(told.reason, Reason::OperationTimedOut);
    assert!(told.message.contains("the link other of contoso-signalr"), "{}", told.message);
}

#[test]
fn a_change_of_azures_own_is_no_time_out() {
    let mut moving = Scenario::new().provisioning("Moving").signalr_says(ConnectionState::Approved);
    moving.links_mut().links[0].modified_at = Some("2026-08-01T00:00:00Z".parse().unwrap());
    expect(&moving, Reason::Creating, "none");
    assert!(moving.decide().report.unwrap().message.starts_with("Azure is changing the link"));
    moving.observed.memory.running_for = Duration::from_secs(30 * 60);
    expect(&moving, Reason::OperationTimedOut, "none");
}

#[test]
fn an_operation_that_never_ends_does_not_hide_its_link() {
    let mut endless = Scenario::new().seen_before(30);
    endless.observed.operation_held = Some(OperationKind::Put);
    endless.answers.operation = Reading::Known(Operation::Running);
    expect(&endless, Reason::PendingApproval, "none");
}

#[test]
fn what_is_said_of_a_link_is_said_of_our_own() {
    let mut elsewhere = Scenario::new().signalr_says(ConnectionState::Approved);
    elsewhere.links_mut().links[0].target = world::VAULT.replace("contoso-kv", "other-kv");
    let foreign = Scenario::new().message("somebody else's").signalr_says(ConnectionState::Approved);
    let mut observed = elsewhere.clone();
    observed.desired.management = ManagementPolicy::ObserveOnly;
    for scenario in [elsewhere, foreign, observed] {
        let report = scenario.decide().report.unwrap();
        assert_eq!(report.link, Fact::Set(None));
        for side in [report.provisioned, report.approved] {
            let Fact::Set(side) = side else { panic!("{}: nothing is said", report.reason) };
            assert_eq!(side.truth, Truth::False, "{}", report.reason);
        }
    }
}

#[test]
fn a_request_without_an_endpoint_is_named_to_a_person_and_never_approved() {
    let bare = |mut scenario: Scenario| {
        scenario.vault_mut().connections[0].endpoint = None;
        scenario.observed.memory.sighting.as_mut().unwrap().endpoint = None;
        scenario
    };
    let manual = bare(Scenario::new().seen_before(30));
    expect(&manual, Reason::PendingApproval, "none");
    let message = manual.decide().report.unwrap().message;
    assert!(message.contains("approve --id /subscriptions/") && message.contains("/ours"), "{message}");
    assert!(message.contains("shows no private endpoint") && message.contains("[k8s:"), "{message}");
    expect(&bare(Scenario::new().automatic().seen_before(30)), Reason::ApprovalDenied, "none");
}

#[test]
fn a_vault_that_is_not_ours_to_read_still_waits_for_its_owner() {
    for failure in [Failure::Forbidden, Failure::Denied, Failure::Unauthorized, Failure::NotRegistered] {
        let manual = Scenario::new().vault_fails(failure);
        expect(&manual, Reason::PendingApproval, "none");
        let message = manual.decide().report.unwrap().message;
        assert!(message.contains("please approve [k8s:"), "{message}");
    }
    expect(&Scenario::new().automatic().vault_fails(Failure::Unauthorized), Reason::ApprovalNotAuthorized, "none");
    // Once it works, the vault that refuses is not asked at every look.
    let mut works = Scenario::new().signalr_says(ConnectionState::Approved).vault_fails(Failure::Unauthorized);
    works.desired.remembered.ready = Some(true);
    works.observed.memory.vault_refused = true;
    assert_eq!(works.reads(), ["Links"]);
}

#[test]
fn an_approval_is_watched_whatever_else_is_wrong() {
    let overdue = || {
        let mut scenario = approved_by_us(Provisioning::Succeeded);
        scenario.vault_mut().date = Some(scenario.now + jiff::SignedDuration::from_hours(2));
        scenario.desired.remembered.approval.revoked_at = Some(scenario.now);
        scenario
    };
    let revoked = |scenario: &Scenario| expect(scenario, Reason::ApprovalUnconfirmed, "revoke");
    // The link is gone, and another object goes first.
    let mut elder = overdue().without_link();
    let mut rival = Scenario::new().desired.object;
    rival.uid = "11111111-1111-4111-8111-111111111111".into();
    rival.created = Some("2020-01-01T00:00:00Z".parse().unwrap());
    elder.observed.rivals.push(Rival { object: rival, manages: true });
    revoked(&elder);
    // Its SignalR is gone.
    let mut gone = overdue().signalr_fails(Failure::NotFound(Level::Resource));
    gone.observed.memory.signalr_absent_for = Some(Duration::from_secs(60));
    revoked(&gone);
    // The link's operation runs, and there is a copy beside what was approved.
    let mut copied = overdue().provisioning("Updating").copies(1);
    revoked(&copied);
    copied.observed.operation_held = Some(OperationKind::Put);
    copied.answers.operation = Reading::Known(Operation::Running);
    revoked(&copied);
    // The same where the link does not show it.
    let mut hidden = overdue().copies(1).without_link();
    hidden.observed.operation_held = Some(OperationKind::Put);
    hidden.observed.memory.begun_ago = Some(Duration::ZERO);
    hidden.answers.operation = Reading::Known(Operation::Running);
    revoked(&hidden);
    // SignalR cannot be read: what is plain from the vault is not left standing.
    revoked(&overdue().copies(1).signalr_fails(Failure::Transient(None)));
    // It is being deleted by somebody else, or failed.
    revoked(&overdue().provisioning("Deleting").copies(1));
    revoked(&overdue().provisioning("Failed").copies(1));
    // Nothing stands, as a complete list has shown: the vault is left alone while Azure works.
    let mut quiet = Scenario::new().provisioning("Creating");
    quiet.observed.memory.approval_ruled_out = true;
    assert_eq!(quiet.reads(), ["Links"]);
}

#[test]
fn an_approval_that_no_policy_can_be_read_for_is_told_and_what_needs_none_is_taken_back() {
    let mut blind = approved_by_us(Provisioning::Succeeded);
    blind.answers.permissions = Reading::Failed(error(Failure::Transient(None)));
    expect(&blind, Reason::WaitingForPropagation, "none");
    blind.vault_mut().date = Some(blind.now + jiff::SignedDuration::from_mins(60));
    expect(&blind, Reason::ApprovalUnconfirmed, "none");
    let message = blind.decide().report.unwrap().message;
    assert!(message.contains("policies cannot be read"), "{message}");
    blind.desired.remembered.approval.revoked_at = Some(blind.now);
    expect(&blind.copies(1), Reason::ApprovalUnconfirmed, "revoke");
}

#[test]
fn observing_never_writes() {
    for scenario in [
        Scenario::new().without_link(),
        Scenario::new(),
        Scenario::new().provisioning("Failed"),
        Scenario::new().signalr_says(ConnectionState::Approved),
        Scenario::new().automatic().seen_before(30).recorded(),
    ] {
        let mut scenario = scenario;
        scenario.desired.management = ManagementPolicy::ObserveOnly;
        expect(&scenario, Reason::ObserveOnly, "none");
    }
}

#[test]
fn failures_have_a_reason_each() {
    for (failure, reason) in [
        (Failure::Throttled(Some(Duration::from_secs(7))), Reason::Throttled),
        (Failure::CredentialUnavailable, Reason::CredentialUnavailable),
        (Failure::Unauthorized, Reason::CredentialUnavailable),
        (Failure::Forbidden, Reason::AuthorizationFailed),
        (Failure::Denied, Reason::AuthorizationFailed),
        (Failure::NotFound(Level::Parent), Reason::SignalRNotFound),
        (Failure::NotFound(Level::ResourceGroup), Reason::SignalRNotFound),
        (Failure::NotFound(Level::Subscription), Reason::SignalRNotFound),
        (Failure::SubscriptionDisabled, Reason::OperationFailed),
        (Failure::NotRegistered, Reason::OperationFailed),
        (Failure::QuotaExceeded, Reason::OperationFailed),
        (Failure::Transient(None), Reason::TransientError),
        (Failure::Unexpected, Reason::TransientError),
    ] {
        let mut new = Scenario::new().signalr_fails(failure);
        new.desired.finalizer = false;
        expect(&new, reason, "none");
    }
    let mut no_vault = Scenario::new().without_link().vault_fails(Failure::NotFound(Level::Resource));
    no_vault.desired.finalizer = false;
    expect(&no_vault, Reason::KeyVaultNotFound, "none");
    expect(&Scenario::new().without_link().vault_fails(Failure::Forbidden), Reason::Creating, "put_link");
}

#[test]
fn the_outcome_of_a_write_is_told() {
    let scenario = Scenario::new().without_link();
    let said = |outcome: &Outcome| {
        let plan = conclude(&scenario.desired, &Limits::REAL, scenario.decide(), outcome);
        plan.report.map(|r| r.reason)
    };
    for (failure, reason) in [
        (Failure::Busy(None), Reason::WaitingForSignalR),
        (Failure::Invalid, Reason::InvalidSpec),
        (Failure::PolicyDenied, Reason::PolicyDenied),
        (Failure::Locked, Reason::Locked),
        (Failure::Forbidden, Reason::AuthorizationFailed),
        (Failure::Throttled(None), Reason::Throttled),
    ] {
        assert_eq!(said(&Outcome::NotApplied(error(failure))), Some(reason));
    }
    assert_eq!(said(&Outcome::Applied(None)), Some(Reason::Creating));
    assert_eq!(said(&Outcome::Unknown(error(Failure::Transient(None)))), Some(Reason::TransientError));
    assert_eq!(said(&Outcome::Changed("the object".into())), None);
}

/// It may be the connection or the vault that has gone: the next pass reads which.
#[test]
fn a_connection_that_has_gone_before_the_approval_is_no_word_about_the_vault() {
    let scenario = Scenario::new().automatic().seen_before(30).recorded();
    let gone = Outcome::NotApplied(error(Failure::NotFound(Level::Resource)));
    let plan = conclude(&scenario.desired, &Limits::REAL, scenario.decide(), &gone);
    assert_eq!(plan.report.map(|report| report.reason), Some(Reason::WaitingForConnection));
}

#[test]
fn deletion_ends_in_every_state() {
    let deleting = |scenario: Scenario| {
        let mut scenario = scenario;
        scenario.desired.deleting = true;
        scenario.observed.memory.deleting_for = Some(Duration::from_secs(7));
        scenario
    };
    expect(&deleting(Scenario::new()), Reason::Deleting, "delete_link");
    expect(&deleting(Scenario::new().provisioning("Deleting")), Reason::Deleting, "none");
    // Nothing is there, but a write may still land.
    expect(&deleting(Scenario::new().without_link()), Reason::Deleting, "none");
    let mut later = deleting(Scenario::new().without_link());
    later.observed.memory.deleting_for = Some(Duration::from_secs(90));
    assert_eq!(outcome(&later), (None, "remove_finalizer"));
    let mut proven = deleting(Scenario::new().without_link());
    proven.observed.memory.fence_waived = true;
    assert_eq!(outcome(&proven), (None, "remove_finalizer"));
    proven.observed.late_write = Some(LateWrite { left: Duration::from_secs(80), told: true });
    expect(&proven, Reason::Deleting, "none");
    // A foreign link is not deleted.
    let mut foreign = deleting(Scenario::new().message("somebody else's"));
    foreign.observed.memory.deleting_for = Some(Duration::from_secs(90));
    assert_eq!(outcome(&foreign), (None, "remove_finalizer"));
    let mut gone = deleting(Scenario::new().signalr_fails(Failure::NotFound(Level::Parent)));
    gone.observed.memory.deleting_for = Some(Duration::from_secs(90));
    gone.observed.memory.signalr_absent_for = Some(Duration::from_secs(60));
    assert_eq!(outcome(&gone), (None, "remove_finalizer"));
    let blocking = [Failure::NotFound(Level::Subscription), Failure::SubscriptionDisabled, Failure::Forbidden];
    // What goes by does so without the advice to leave the link behind, until it has lasted for too long.
    let passing =
        [Failure::Transient(None), Failure::CredentialUnavailable, Failure::Throttled(None), Failure::Unexpected];
    for failure in passing {
        let waiting = deleting(Scenario::new().signalr_fails(failure));
        expect(&waiting, Reason::Deleting, "none");
        assert!(!waiting.decide().report.unwrap().message.contains("force-finalize"));
    }
    for failure in blocking.into_iter().chain([Failure::Locked]).chain(passing) {
        let mut blocked = deleting(Scenario::new().signalr_fails(failure));
        if failure.is_passing() {
            blocked.observed.memory.deleting_for = Some(Duration::from_secs(30 * 60));
        }
        expect(&blocked, Reason::DeletionBlocked, "none");
        let message = blocked.decide().report.unwrap().message;
        assert!(message.contains(&format!("force-finalize: \"{UID}\"")), "{message}");
    }
    let mut forced = deleting(Scenario::new().signalr_fails(Failure::Forbidden));
    forced.desired.force_finalize = true;
    assert_eq!(outcome(&forced), (None, "remove_finalizer"));
    let mut detached = deleting(Scenario::new());
    detached.desired.deletion = DeletionPolicy::Detach;
    assert_eq!(outcome(&detached), (None, "remove_finalizer"));
    let mut never_written = deleting(Scenario::new());
    never_written.desired.finalizer = false;
    assert_eq!(outcome(&never_written), (None, "none"));
}

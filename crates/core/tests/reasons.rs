//! The decision as a table: what Azure and the policies say, and what comes of it. Each row reads
//! like a row of `docs/reasons.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Each table uses a part of it.
#[allow(dead_code)]
mod world;

use std::time::Duration;

use signalr_private_link_core::desired::{AdoptionPolicy, Approver, DeletionPolicy, ManagementPolicy};
use signalr_private_link_core::failure::{Failure, Level, Outcome};
use signalr_private_link_core::observed::{ConnectionState, Operation, OperationKind, Provisioning, Reading, Rival};
use signalr_private_link_core::report::{Fact, Ready, Truth};
use signalr_private_link_core::{Again, Reason, conclude};

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
    let mut running = Scenario::new();
    running.observed.operation_held = Some(OperationKind::Put);
    running.answers.operation = Reading::Known(Operation::Running);
    running.answers.links = Reading::Failed(error(Failure::Unexpected));
    expect(&running, Reason::Creating, "none");
    let mut endless = Scenario::new().provisioning("Creating");
    endless.links_mut().date = Some("2026-11-23T19:00:00Z".parse().unwrap());
    expect(&endless, Reason::OperationTimedOut, "none");
}

#[test]
fn a_busy_signalr_is_waited_for() {
    let mut busy = Scenario::new().without_link();
    busy.observed.memory.signalr_busy = true;
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
    assert_eq!(first.decide().again, Again::After(first.desired.limits.second_look));
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
    let mut silent = approved_by_us(Provisioning::Succeeded).vault_fails(Failure::Transient);
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
    settled.desired.remembered.connection_settled = true;
    settled.desired.remembered.ready = Some(true);
    settled.desired.remembered.approval.approved_by = Some(Approver::External);
    assert_eq!(settled.reads(), ["Links"]);
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
    failed.links_mut().date = Some(failed.now + jiff::SignedDuration::from_mins(6));
    expect(&failed, Reason::Creating, "put_link");
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
        (Failure::NotFound(Level::Parent), Reason::SignalRNotFound),
        (Failure::NotFound(Level::ResourceGroup), Reason::SignalRNotFound),
        (Failure::NotFound(Level::Subscription), Reason::SignalRNotFound),
        (Failure::SubscriptionDisabled, Reason::OperationFailed),
        (Failure::NotRegistered, Reason::OperationFailed),
        (Failure::QuotaExceeded, Reason::OperationFailed),
        (Failure::Transient, Reason::TransientError),
        (Failure::Unexpected, Reason::TransientError),
    ] {
        expect(&Scenario::new().signalr_fails(failure), reason, "none");
    }
    expect(
        &Scenario::new().without_link().vault_fails(Failure::NotFound(Level::Resource)),
        Reason::KeyVaultNotFound,
        "none",
    );
    expect(&Scenario::new().without_link().vault_fails(Failure::Forbidden), Reason::Creating, "put_link");
}

#[test]
fn the_outcome_of_a_write_is_told() {
    let scenario = Scenario::new().without_link();
    let said = |outcome: &Outcome| {
        let plan = conclude(&scenario.desired, scenario.decide(), outcome);
        plan.report.map(|r| r.reason)
    };
    for (failure, reason) in [
        (Failure::Busy, Reason::WaitingForSignalR),
        (Failure::Invalid, Reason::InvalidSpec),
        (Failure::PolicyDenied, Reason::PolicyDenied),
        (Failure::Locked, Reason::Locked),
        (Failure::Forbidden, Reason::AuthorizationFailed),
        (Failure::Throttled(None), Reason::Throttled),
    ] {
        assert_eq!(said(&Outcome::NotApplied(error(failure))), Some(reason));
    }
    assert_eq!(said(&Outcome::Applied(None)), Some(Reason::Creating));
    assert_eq!(said(&Outcome::Unknown(error(Failure::Transient))), Some(Reason::TransientError));
    assert_eq!(said(&Outcome::Changed("the object".into())), None);
}

/// It may be the connection or the vault that has gone: the next pass reads which.
#[test]
fn a_connection_that_has_gone_before_the_approval_is_no_word_about_the_vault() {
    let scenario = Scenario::new().automatic().seen_before(30).recorded();
    let gone = Outcome::NotApplied(error(Failure::NotFound(Level::Resource)));
    let plan = conclude(&scenario.desired, scenario.decide(), &gone);
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
    proven.observed.memory.late_write = Some(Duration::from_secs(80));
    expect(&proven, Reason::Deleting, "none");
    // A foreign link is not deleted.
    let mut foreign = deleting(Scenario::new().message("somebody else's"));
    foreign.observed.memory.deleting_for = Some(Duration::from_secs(90));
    assert_eq!(outcome(&foreign), (None, "remove_finalizer"));
    let mut gone = deleting(Scenario::new().signalr_fails(Failure::NotFound(Level::Parent)));
    gone.observed.memory.deleting_for = Some(Duration::from_secs(90));
    assert_eq!(outcome(&gone), (None, "remove_finalizer"));
    let blocking = [Failure::NotFound(Level::Subscription), Failure::SubscriptionDisabled, Failure::Forbidden];
    for failure in blocking.into_iter().chain([Failure::Locked, Failure::Transient, Failure::CredentialUnavailable]) {
        let blocked = deleting(Scenario::new().signalr_fails(failure));
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

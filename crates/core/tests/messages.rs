//! All that the operator says of an object, in one file that can be read in one sitting, and that each
//! reason is reached. `UPDATE=1 cargo test -p signalr-private-link-core --test messages` writes the file anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// Each table uses a part of it.
#[allow(dead_code)]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use signalr_private_link_core::azure::{ConnectionState, Operation, OperationKind, Provisioning};
use signalr_private_link_core::desired::{AdoptionPolicy, DeletionPolicy, ManagementPolicy};
use signalr_private_link_core::failure::{Failure, Level};
use signalr_private_link_core::observed::{FailedOperation, LateWrite, Reading, Rival};
use signalr_private_link_core::report::{Ready, Truth};
use signalr_private_link_core::{Outcome, Plan, Reason, conclude};

use world::{Scenario, approved_by_us, error};

const MINUTES: u64 = 60;

fn minutes(number: u64) -> Duration {
    Duration::from_secs(number * MINUTES)
}

/// Changes a scenario.
fn with(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    change(&mut scenario);
    scenario
}

fn deleting(scenario: Scenario) -> Scenario {
    with(scenario, |s| {
        s.desired.deleting = true;
        s.observed.memory.deleting_for = Some(Duration::from_secs(7));
    })
}

fn rival(created: &str) -> Rival {
    let mut object = Scenario::new().desired.object;
    object.uid = "11111111-1111-4111-8111-111111111111".into();
    object.name = "other".into();
    object.created = Some(created.parse().unwrap());
    Rival { object, manages: true }
}

fn new() -> Scenario {
    with(Scenario::new().without_link(), |s| s.desired.finalizer = false)
}

fn overdue() -> Scenario {
    with(approved_by_us(Provisioning::Succeeded), |s| {
        s.vault_mut().date = Some(s.now + jiff::SignedDuration::from_hours(2));
    })
}

/// What is said before anything is written, or when that went well.
fn situations() -> Vec<(&'static str, Scenario)> {
    use ConnectionState::{Approved, Disconnected, Rejected, Timeout};
    let absent = || Scenario::new().without_link();
    let failed_put = || FailedOperation {
        kind: OperationKind::Put,
        words: "CustomerError: limit of 64 connections (correlation id 6f1c)".into(),
        ago: Duration::ZERO,
        count: 1,
    };
    vec![
        ("the link is put", absent()),
        (
            "the operation runs, and the link is not shown yet",
            with(absent(), |s| {
                s.observed.memory.begun_ago = Some(minutes(1));
                s.observed.operation_held = Some(OperationKind::Put);
                s.answers.operation = Reading::Known(Operation::Running);
            }),
        ),
        ("Azure changes a link that works", Scenario::new().provisioning("Moving").signalr_says(Approved)),
        (
            "an earlier write may still land",
            with(absent(), |s| s.observed.late_write = Some(LateWrite { left: minutes(1), told: false })),
        ),
        ("accepted and not visible", with(absent(), |s| s.observed.memory.accepted_for = Some(minutes(1)))),
        ("failed, and nothing is left", with(absent(), |s| s.observed.memory.failed_operation = Some(failed_put()))),
        (
            "failed",
            with(Scenario::new().provisioning("Failed"), |s| s.observed.memory.failed_operation = Some(failed_put())),
        ),
        ("failed beside approved", Scenario::new().provisioning("Failed").signalr_says(Approved)),
        ("never ends", with(Scenario::new().provisioning("Creating"), |s| s.observed.memory.running_for = minutes(30))),
        (
            "another link in progress",
            with(absent(), |s| {
                let mut other = s.link_of_somebody_else();
                other.provisioning = Provisioning::InProgress("Updating".into());
                s.links_mut().links.push(other);
            }),
        ),
        ("another change of ours", with(absent(), |s| s.observed.signalr_busy = true)),
        ("an elder object claims the link", with(absent(), |s| s.observed.rivals.push(rival("2020-01-01T00:00:00Z")))),
        (
            "the link belongs to another object",
            with(
                Scenario::new().message("x [k8s:11111111-1111-4111-8111-111111111111:abcdefghijklmnop:000000]"),
                |s| s.observed.rivals.push(rival("2020-01-01T00:00:00Z")),
            ),
        ),
        ("somebody else's link", Scenario::new().message("made by hand")),
        (
            "a dead object's link",
            Scenario::new().message("x [k8s:11111111-1111-4111-8111-111111111111:abcdefghijklmnop:000000]"),
        ),
        (
            "somebody else's link, elsewhere",
            with(Scenario::new().message("made by hand"), |s| {
                s.links_mut().links[0].target = world::VAULT.replace("contoso-kv", "other-kv");
            }),
        ),
        (
            "our link leads elsewhere",
            with(Scenario::new(), |s| {
                s.links_mut().links[0].target = world::VAULT.replace("contoso-kv", "other-kv");
            }),
        ),
        ("observed, absent", with(absent(), |s| s.desired.management = ManagementPolicy::ObserveOnly)),
        ("observed", with(Scenario::new(), |s| s.desired.management = ManagementPolicy::ObserveOnly)),
        (
            "the namespace is being terminated",
            with(absent(), |s| {
                let Reading::Known(permissions) = &mut s.answers.permissions else { panic!() };
                permissions.terminating = true;
            }),
        ),
        ("the request is not shown twice yet", Scenario::new()),
        (
            "the request never came",
            with(Scenario::new().no_request(), |s| {
                s.desired.remembered.provisioned_since = Some(s.now - jiff::SignedDuration::from_mins(15));
            }),
        ),
        ("a person must approve", Scenario::new().seen_before(30).strangers(2)),
        (
            "a person must approve, no endpoint",
            with(Scenario::new().seen_before(30), |s| {
                s.vault_mut().connections[0].endpoint = None;
                s.observed.memory.sighting.as_mut().unwrap().endpoint = None;
            }),
        ),
        (
            "nobody approved",
            with(Scenario::new().seen_before(30), |s| {
                s.desired.approval_timeout = Duration::from_secs(29);
                s.now += jiff::SignedDuration::from_secs(30);
            }),
        ),
        ("the vault may not be read", Scenario::new().vault_fails(Failure::Forbidden)),
        ("the vault is in another tenant", Scenario::new().vault_fails(Failure::Unauthorized)),
        ("the vault's provider is not registered", Scenario::new().vault_fails(Failure::NotRegistered)),
        (
            "adopted, waits",
            with(Scenario::new().message("made by hand"), |s| s.desired.adoption = AdoptionPolicy::Adopt),
        ),
        ("a copy", Scenario::new().seen_before(30).copies(1)),
        ("replicas", Scenario::new().automatic().seen_before(30).recorded().replicas(1)),
        ("matched, before the approval", Scenario::new().automatic().seen_before(30)),
        ("no policy", Scenario::new().automatic().seen_before(30).without_policies()),
        ("no policy lists the endpoint", Scenario::new().automatic().seen_before(30).endpoint_elsewhere()),
        ("approved by us, Updating", approved_by_us(Provisioning::InProgress("Updating".into()))),
        ("approved by us", approved_by_us(Provisioning::Succeeded)),
        ("approved by hand", Scenario::new().recorded().decided_by_hand(Approved)),
        (
            "approved by hand, never confirmed",
            with(Scenario::new().recorded().decided_by_hand(Approved), |s| {
                s.desired.remembered.approval.approved_at = Some(s.now);
                s.now += jiff::SignedDuration::from_hours(25);
            }),
        ),
        (
            "matched, SignalR's state is not known",
            Scenario::new().automatic().seen_before(30).recorded().signalr_says(ConnectionState::Unknown),
        ),
        ("functional", approved_by_us(Provisioning::Succeeded).signalr_says(Approved)),
        ("functional, approved by hand", Scenario::new().recorded().decided_by_hand(Approved).signalr_says(Approved)),
        ("not confirmed", overdue()),
        ("taken back", with(overdue(), |s| s.desired.remembered.approval.revoked_at = Some(s.now))),
        ("not confirmed, a twin", approved_by_us(Provisioning::Succeeded).copies(1)),
        ("not confirmed, the link is gone", overdue().without_link()),
        (
            "not confirmed, policies unreadable",
            with(overdue(), |s| {
                s.answers.permissions = Reading::Failed(error(Failure::Transient(None)));
            }),
        ),
        ("rejected", Scenario::new().signalr_says(Rejected)),
        ("removed", Scenario::new().signalr_says(Disconnected)),
        ("timed out at SignalR", Scenario::new().signalr_says(Timeout)),
        ("recreated", with(Scenario::new().signalr_says(Rejected), |s| s.desired.recreate = Some("1".into()))),
        ("just started", with(absent(), |s| s.observed.memory.quarantine = Some(minutes(1)))),
        ("a parent is gone, said once", Scenario::new().signalr_fails(Failure::NotFound(Level::ResourceGroup))),
        ("SignalR: throttled", new().signalr_fails(Failure::Throttled(Some(minutes(1))))),
        ("SignalR: no token", new().signalr_fails(Failure::CredentialUnavailable)),
        ("SignalR: token refused", new().signalr_fails(Failure::Unauthorized)),
        ("SignalR: no right", new().signalr_fails(Failure::Forbidden)),
        ("SignalR: denied whatever the role", new().signalr_fails(Failure::Denied)),
        ("SignalR: gone", new().signalr_fails(Failure::NotFound(Level::Resource))),
        ("SignalR: no such subscription", new().signalr_fails(Failure::NotFound(Level::Subscription))),
        ("SignalR: another API version", new().signalr_fails(Failure::UnsupportedVersion)),
        ("SignalR: subscription disabled", new().signalr_fails(Failure::SubscriptionDisabled)),
        ("SignalR: not registered", new().signalr_fails(Failure::NotRegistered)),
        ("SignalR: quota", new().signalr_fails(Failure::QuotaExceeded)),
        ("SignalR: transient", new().signalr_fails(Failure::Transient(None))),
        ("vault: gone", new().vault_fails(Failure::NotFound(Level::Resource))),
        ("vault: no right, automatic", Scenario::new().automatic().vault_fails(Failure::Forbidden)),
        ("vault: another tenant, automatic", Scenario::new().automatic().vault_fails(Failure::Unauthorized)),
        ("deleted", deleting(Scenario::new())),
        ("deleted while it is created", deleting(Scenario::new().provisioning("Creating"))),
        ("deleted, a write may land", deleting(absent())),
        ("deleted, unconfirmed approval", deleting(approved_by_us(Provisioning::Succeeded))),
        ("deleted, it lingers", with(deleting(Scenario::new()), |s| s.observed.memory.deleted_for = Some(minutes(1)))),
        (
            "deleted, detached, a write may land",
            with(deleting(absent().automatic()), |s| s.desired.deletion = DeletionPolicy::Detach),
        ),
        ("deleted, no right", deleting(Scenario::new().signalr_fails(Failure::Forbidden))),
        ("deleted, a lock", deleting(Scenario::new().signalr_fails(Failure::Locked))),
        (
            "deleted, no such subscription",
            deleting(Scenario::new().signalr_fails(Failure::NotFound(Level::Subscription))),
        ),
        ("deleted, subscription disabled", deleting(Scenario::new().signalr_fails(Failure::SubscriptionDisabled))),
        ("deleted, another API version", deleting(Scenario::new().signalr_fails(Failure::UnsupportedVersion))),
        ("deleted, token refused", deleting(Scenario::new().signalr_fails(Failure::Unauthorized))),
        ("deleted, anything else", deleting(Scenario::new().signalr_fails(Failure::Invalid))),
        ("deleted, transient", deleting(Scenario::new().signalr_fails(Failure::Transient(None)))),
        (
            "deleted, transient for half an hour",
            with(deleting(Scenario::new().signalr_fails(Failure::Transient(None))), |s| {
                s.observed.memory.deleting_for = Some(minutes(30));
            }),
        ),
        ("deleted, the vault may not be read", deleting(Scenario::new().automatic().vault_fails(Failure::Forbidden))),
        ("deleted, the vault is not read", deleting(Scenario::new().automatic().vault_fails(Failure::Transient(None)))),
    ]
}

/// What is said of a write that was refused or lost.
fn refusals() -> Vec<(&'static str, Scenario, Outcome)> {
    let refused = |failure| Outcome::NotApplied(error(failure));
    let put = || Scenario::new().without_link();
    let approve = || Scenario::new().automatic().seen_before(30).recorded();
    let revoke = || with(overdue(), |s| s.desired.remembered.approval.revoked_at = Some(s.now));
    vec![
        ("PUT: busy", put(), refused(Failure::Busy(None))),
        (
            "PUT: busy beside a stuck link",
            with(put(), |s| {
                let mut other = s.link_of_somebody_else();
                other.provisioning = Provisioning::InProgress("Updating".into());
                s.links_mut().links.push(other);
                s.observed.memory.others_running_for = minutes(30);
            }),
            refused(Failure::Busy(None)),
        ),
        ("PUT: invalid", put(), refused(Failure::Invalid)),
        (
            "PUT over a failed link: invalid",
            with(Scenario::new().provisioning("Failed"), |s| {
                s.observed.memory.failed_for = minutes(6);
            }),
            refused(Failure::Invalid),
        ),
        ("PUT: Azure Policy", put(), refused(Failure::PolicyDenied)),
        ("PUT: lock", put(), refused(Failure::Locked)),
        ("PUT: lost", put(), Outcome::Unknown(error(Failure::Transient(None)))),
        ("approval: busy", approve(), refused(Failure::Busy(None))),
        ("approval: no right", approve(), refused(Failure::Forbidden)),
        ("approval: the connection is gone", approve(), refused(Failure::NotFound(Level::Resource))),
        ("revocation: no right", revoke(), refused(Failure::Forbidden)),
        ("DELETE: busy", deleting(Scenario::new()), refused(Failure::Busy(None))),
        ("DELETE: lock", deleting(Scenario::new()), refused(Failure::Locked)),
        ("DELETE: lost", deleting(Scenario::new()), Outcome::Unknown(error(Failure::Transient(None)))),
    ]
}

fn line(name: &str, plan: Plan, reasons: &mut BTreeSet<Reason>) -> String {
    let Some(report) = plan.report else { return format!("## {name}\n(nothing)\n") };
    reasons.insert(report.reason);
    let ready = match report.ready {
        Ready::Is(Truth::True) => "Ready",
        Ready::Is(_) => "not Ready",
        Ready::Unchanged => "Ready as before",
    };
    let alarm = plan.alarm.map(|alarm| format!("Alarm: {alarm}\n")).unwrap_or_default();
    format!("## {name}\n{} ({ready})\n{}\n{alarm}", report.reason, report.message)
}

#[test]
fn all_messages_are_as_they_were_read_and_every_reason_is_reached() {
    let mut reasons = BTreeSet::new();
    let mut all = String::from("# All that the operator says of an object; see messages.rs.\n\n");
    for (name, scenario) in situations() {
        all.push_str(&line(name, scenario.decide(), &mut reasons));
        all.push('\n');
    }
    for (name, scenario, outcome) in refusals() {
        let plan = conclude(&scenario.desired, &scenario.observed.memory.limits, scenario.decide(), &outcome);
        all.push_str(&line(name, plan, &mut reasons));
        all.push('\n');
    }
    let unreached: Vec<_> = Reason::ALL.iter().filter(|reason| !reasons.contains(reason)).collect();
    assert!(unreached.is_empty(), "no situation reaches {unreached:?}");
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &all).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    for (line, (is, was)) in all.lines().zip(golden.lines()).enumerate() {
        assert_eq!(is, was, "line {} of tests/messages.md; UPDATE=1 writes it anew", line + 1);
    }
    assert_eq!(all, golden, "tests/messages.md has other lines; UPDATE=1 writes it anew");
}

//! Each attack in its orders with the honest events. The simulator's ground truth decides: a
//! stranger is never approved, but for the one documented exception, and that ends revoked.

use signalr_private_link_core::Reason;
use signalr_private_link_core::azure::{ConnectionState, Provisioning};
use signalr_private_link_core::desired::{ApprovalMode, DeletionPolicy, ManagementPolicy};
use signalr_private_link_core::marker::Marker;
use signalr_private_link_core::policy::OnUnconfirmed;
use signalr_private_link_core::resource_id::{ConnectionId, EndpointId};

use crate::model::{DecidedBy, ELSEWHERE, Fate, MICROSOFT, Opener, Violation, World, endpoint};

/// The link exists, SignalR says Succeeded, and the vault does not list the request yet.
pub fn succeeded() -> World {
    let mut world = World::new();
    world.request_listed = false;
    until_succeeded(&mut world);
    world
}

pub fn until_succeeded(world: &mut World) {
    world.pass();
    assert_eq!(world.pass(), Some("put_link"));
    world.azure();
    assert_eq!(world.link.as_ref().unwrap().provisioning, Provisioning::Succeeded);
}

/// Our own request is listed, and nothing was decided yet.
pub fn listed() -> World {
    let mut world = succeeded();
    list(&mut world);
    world
}

pub fn list(world: &mut World) {
    world.request_listed = true;
    world.azure();
    assert!(world.ours().is_some());
}

/// Passes until the approval, at most.
pub fn passes(world: &mut World, count: usize) {
    for _ in 0..count {
        world.pass();
        world.advance(31);
    }
}

/// Our own request is approved by the operator.
fn approved() -> World {
    let mut world = listed();
    passes(&mut world, 3);
    assert_eq!(world.approvals, 1, "{:?}: {}", world.reason, world.message);
    world
}

/// A copy was alone in both lists, and approved: the documented exception.
fn exception() -> World {
    let mut world = succeeded();
    world.copy();
    passes(&mut world, 3);
    assert_eq!((world.approvals, world.exceptions), (1, 1));
    world
}

#[track_caller]
fn safe(world: &World) {
    assert!(world.violations.is_empty(), "{:?}; {:?}: {}", world.violations, world.reason, world.message);
}

#[track_caller]
fn safe_and_no_stranger_approved(world: &mut World) {
    world.quiesce();
    safe(world);
    let touched = |o: &crate::model::Entry| o.opener == Opener::Stranger && o.decided_by != DecidedBy::Nobody;
    assert!(!world.vault.iter().any(touched), "a stranger's request was written");
}

/// Our own request ends approved and confirmed.
#[track_caller]
fn ours_is_approved(world: &mut World) {
    safe_and_no_stranger_approved(world);
    assert_eq!(world.ours().unwrap().wire.state, ConnectionState::Approved);
    assert_eq!(world.reason, Some(Reason::Approved), "{}", world.message);
}

#[test]
fn without_an_attack_the_own_request_is_approved_once() {
    let mut world = approved();
    ours_is_approved(&mut world);
    assert_eq!((world.approvals, world.revocations), (1, 0));
}

// T1: a tenant gets a vault approved that is not theirs.

#[test]
fn t1_without_a_policy_with_mode_manual_or_with_observe_only_nothing_is_ever_approved() {
    let attacks: [fn(&mut World); 4] = [
        |w| w.policies.clear(),
        |w| w.edit(|o| o.mode = ApprovalMode::Manual),
        |w| w.edit(|o| o.management = ManagementPolicy::ObserveOnly),
        |w| w.policies[0].namespaces = vec!["another".into()],
    ];
    for forbid in attacks {
        for seen in 0..3 {
            let mut world = listed();
            passes(&mut world, seen);
            forbid(&mut world);
            world.quiesce();
            safe(&world);
            assert_eq!(world.approvals, 0);
        }
    }
}

#[test]
fn t1_what_is_forbidden_just_before_the_write_is_not_written() {
    let attacks: [fn(&mut World); 6] = [
        |w| w.policies.clear(),
        |w| w.policies[0].generation += 1,
        |w| w.edit(|o| o.mode = ApprovalMode::Manual),
        |w| w.edit(|o| o.management = ManagementPolicy::ObserveOnly),
        |w| w.object().deleting = true,
        |w| w.policies[0].vaults = vec!["/subscriptions/1/*".into()],
    ];
    for forbid in attacks {
        let mut world = listed();
        passes(&mut world, 2);
        world.decide();
        forbid(&mut world);
        assert_eq!(world.carry_out(Fate::Well, |_| {}), None);
        assert_eq!(world.approvals, 0);
        safe(&world);
    }
}

#[test]
fn t1_a_namespace_is_permitted_by_label_only_while_it_carries_it() {
    let mut world = listed();
    world.policies[0].namespaces.clear();
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalDenied)));
    world.labels = vec![("links".into(), "yes".into())];
    passes(&mut world, 2);
    assert_eq!(world.approvals, 1);
    safe(&world);
}

// T2 and T3: a copied message.

#[test]
fn t2_copies_that_are_not_equal_do_not_count() {
    let copies: [fn(&str) -> String; 12] = [
        |m| m.to_uppercase(),
        |m| m.replace("please", "Please"),
        |m| format!("{m} "),
        |m| format!(" {m}"),
        |m| format!("{m}\n"),
        |m| m.replace(' ', "\u{a0}"),
        |m| m.replace("approve", "аpprove"),
        |m| m.replace("k8s", "k\u{200b}8s"),
        |m| format!("x{m}"),
        |m| format!("{m}x"),
        |m| m.trim_end_matches(']').to_owned(),
        |m| m.split(" [").next().unwrap().to_owned(),
    ];
    for copy in copies {
        // Alone on the vault.
        let mut alone = succeeded();
        let text = copy(&alone.link_message());
        alone.stranger(&text, MICROSOFT);
        passes(&mut alone, 5);
        assert_eq!((alone.approvals, alone.reason), (0, Some(Reason::WaitingForConnection)), "{text:?}");
        safe(&alone);
        // Beside our own: ours is approved, and stays so; unless the text ends in our marker, for only who
        // has seen our request can know that.
        let mut beside = listed();
        beside.stranger(&text, MICROSOFT);
        beside.quiesce();
        safe(&beside);
        let copied = Marker::parse(&text).is_some();
        let (state, reason) = match copied {
            true => (ConnectionState::Pending, Reason::ApprovalAmbiguous),
            false => (ConnectionState::Approved, Reason::Approved),
        };
        assert_eq!((beside.ours().unwrap().wire.state, beside.reason), (state, Some(reason)), "{text:?}");
        let stranger = beside.vault.iter().find(|e| e.opener == Opener::Stranger).unwrap();
        assert_eq!(stranger.wire.state, ConnectionState::Pending);
    }
}

#[test]
fn t2_a_copy_from_another_subscription_is_denied_even_alone() {
    let mut world = succeeded();
    let message = world.link_message();
    world.stranger(&message, ELSEWHERE);
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalDenied)));
    safe(&world);
}

#[test]
fn t2_a_copy_beside_our_own_stops_everything_wherever_it_comes_from() {
    for subscription in [MICROSOFT, ELSEWHERE] {
        for passes_before in 0..2 {
            for copy_first in [true, false] {
                let mut world = if copy_first { succeeded() } else { listed() };
                let message = world.link_message();
                passes(&mut world, passes_before);
                world.stranger(&message, subscription);
                if copy_first {
                    list(&mut world);
                }
                passes(&mut world, 5);
                assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)), "{}", world.message);
                assert!(!world.message.contains("approve --id"), "no command is printed: {}", world.message);
                safe_and_no_stranger_approved(&mut world);
            }
        }
    }
}

#[test]
fn t3_a_message_planted_before_our_put_is_never_ours() {
    let mut world = World::new();
    // The nonce cannot be known; what can be known does not suffice.
    for guess in [WORDS_AND_UID, "please approve", ""] {
        world.stranger(guess, MICROSOFT);
    }
    world.request_listed = false;
    until_succeeded(&mut world);
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::WaitingForConnection)));
    list(&mut world);
    ours_is_approved(&mut world);
}

const WORDS_AND_UID: &str = "please approve [k8s:0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f:aaaaaaaaaaaaaaaa:000000]";

#[test]
fn t3_a_copy_between_the_two_lists_is_noticed() {
    let mut world = listed();
    world.pass();
    world.copy();
    world.advance(31);
    passes(&mut world, 3);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)));
    safe_and_no_stranger_approved(&mut world);
}

#[test]
fn t3_our_own_request_listed_late_beside_a_copy_stops_the_approval() {
    let mut world = succeeded();
    world.copy();
    world.pass();
    world.advance(20);
    list(&mut world);
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)));
    safe_and_no_stranger_approved(&mut world);
}

#[test]
fn t3_the_one_exception_is_revoked_as_soon_as_our_own_request_is_listed() {
    let mut world = exception();
    list(&mut world);
    passes(&mut world, 2);
    assert_eq!((world.revocations, world.reason), (1, Some(Reason::ApprovalUnconfirmed)), "{}", world.message);
    world.quiesce();
    safe(&world);
    assert_eq!((world.approvals, world.revocations), (1, 1), "nothing is approved under that nonce again");
}

#[test]
fn t3_the_one_exception_is_revoked_when_signalr_never_confirms() {
    let mut world = exception();
    world.advance(3400);
    passes(&mut world, 1);
    assert_eq!((world.revocations, world.reason), (0, Some(Reason::WaitingForPropagation)));
    world.advance(200);
    passes(&mut world, 2);
    assert_eq!((world.revocations, world.reason), (1, Some(Reason::ApprovalUnconfirmed)));
    world.quiesce();
    safe(&world);
}

#[test]
fn t3_a_copy_after_our_approval_takes_it_back_until_signalr_has_confirmed() {
    let mut world = approved();
    world.copy();
    passes(&mut world, 2);
    assert_eq!((world.revocations, world.reason), (1, Some(Reason::ApprovalUnconfirmed)));
    safe(&world);
    let mut confirmed = approved();
    confirmed.azure();
    confirmed.pass();
    assert_eq!(confirmed.reason, Some(Reason::Approved));
    confirmed.copy();
    confirmed.quiesce();
    safe(&confirmed);
    assert_eq!((confirmed.revocations, confirmed.reason), (0, Some(Reason::Approved)));
}

#[test]
fn t3_a_revoked_copy_that_disappears_does_not_bring_automatic_approval_back() {
    let mut world = exception();
    list(&mut world);
    passes(&mut world, 2);
    assert_eq!(world.revocations, 1);
    world.vault.retain(|e| e.opener != Opener::Stranger);
    world.restart();
    passes(&mut world, 6);
    assert_eq!((world.approvals, world.reason), (1, Some(Reason::ApprovalUnconfirmed)), "{}", world.message);
    // The way on: a new incarnation.
    world.object().recreate = Some("once more".into());
    ours_is_approved(&mut world);
    assert_eq!(world.approvals, 2);
}

#[test]
fn t3_a_replica_stops_automatic_approval() {
    let mut world = listed();
    world.replicas = 1;
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)));
    safe(&world);
}

#[test]
fn the_owner_decides_by_hand_while_a_copy_is_there() {
    for (ours, copy) in [
        (ConnectionState::Approved, ConnectionState::Pending),
        (ConnectionState::Pending, ConnectionState::Approved),
        (ConnectionState::Approved, ConnectionState::Rejected),
        (ConnectionState::Rejected, ConnectionState::Pending),
    ] {
        for text in [None, Some("by hand")] {
            let mut world = listed();
            let stranger = world.copy();
            passes(&mut world, 2);
            let own = world.vault.iter().position(|e| e.opener != Opener::Stranger).unwrap();
            for (at, state) in [(own, ours), (stranger, copy)] {
                if state != ConnectionState::Pending {
                    world.owner_decides(at, state, text);
                }
            }
            world.quiesce();
            safe(&world);
            let approved_by_us = |e: &crate::model::Entry| matches!(e.decided_by, DecidedBy::Operator { .. });
            if copy != ConnectionState::Approved {
                let strangers = world.vault.iter().filter(|e| e.opener == Opener::Stranger);
                assert_eq!(strangers.filter(|e| approved_by_us(e)).count(), 0, "{ours:?} {copy:?} {text:?}");
            }
            if ours == ConnectionState::Approved {
                assert_eq!(world.reason, Some(Reason::Approved));
            }
        }
    }
}

#[test]
fn once_the_owner_turned_the_copy_down_our_own_is_approved_and_stays_so() {
    for state in [ConnectionState::Rejected, ConnectionState::Disconnected] {
        let mut world = listed();
        let copy = world.copy();
        passes(&mut world, 3);
        assert_eq!(world.reason, Some(Reason::ApprovalAmbiguous));
        // While the copy carries our marker nobody can tell which of the two SignalR opened.
        world.owner_decides(copy, state, None);
        passes(&mut world, 3);
        assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)));
        world.owner_decides(copy, state, Some("not ours"));
        world.quiesce();
        safe(&world);
        assert_eq!((world.approvals, world.revocations, world.reason), (1, 0, Some(Reason::Approved)));
        // The same where the copy is removed.
        let mut world = listed();
        world.copy();
        passes(&mut world, 3);
        world.vault.retain(|e| e.opener != Opener::Stranger);
        world.quiesce();
        safe(&world);
        assert_eq!((world.approvals, world.revocations, world.reason), (1, 0, Some(Reason::Approved)));
    }
}

/// The owner turned ours down, SignalR does not know yet, and a copy is pending.
#[test]
fn a_copy_beside_our_own_request_that_was_turned_down_is_never_approved() {
    for state in [ConnectionState::Rejected, ConnectionState::Disconnected] {
        for text in [None, Some("no")] {
            for (seen, restart) in [(0, false), (1, false), (2, false), (2, true)] {
                let mut world = listed();
                passes(&mut world, seen);
                let ours = world.vault.iter().position(|e| e.opener != Opener::Stranger).unwrap();
                world.copy();
                world.owner_decides(ours, state, text);
                if restart {
                    world.restart();
                }
                for _ in 0..4 {
                    world.pass();
                    world.advance(31);
                }
                // Only who never saw ours, and finds nothing of it, cannot know.
                let unseen = seen == 0 && text.is_some();
                if !unseen {
                    assert_eq!(world.approvals, 0, "{state:?} {text:?} {seen} {restart}: {}", world.message);
                }
                world.quiesce();
                safe(&world);
            }
        }
    }
}

/// A doomed approval: what M7 would take back in the next pass is not made.
#[test]
fn a_twin_in_any_state_stops_the_approval() {
    use ConnectionState::{Approved, Disconnected, Pending, Rejected, Timeout, Unknown};
    for state in [Pending, Approved, Rejected, Disconnected, Timeout, Unknown] {
        let mut world = listed();
        let copy = world.copy();
        world.vault[copy].wire.state = state;
        passes(&mut world, 5);
        assert_eq!((world.approvals, world.revocations), (0, 0), "{state:?}: {}", world.message);
        safe(&world);
    }
}

#[test]
fn a_request_that_replaces_the_one_seen_before_is_not_approved() {
    let goings: [fn(&mut World); 2] = [
        |w| w.vault.retain(|e| e.opener == Opener::Stranger),
        |w| {
            w.vault
                .iter_mut()
                .filter(|e| e.opener != Opener::Stranger)
                .for_each(|e| e.wire.description = "edited".into())
        },
    ];
    for going in goings {
        let mut world = listed();
        world.pass();
        world.copy();
        going(&mut world);
        world.request_listed = false;
        world.advance(31);
        for _ in 0..3 {
            world.pass();
            world.advance(31);
        }
        assert_eq!((world.approvals, world.reason), (0, Some(Reason::ApprovalAmbiguous)), "{}", world.message);
        assert!(world.message.contains("may be a copy"), "{}", world.message);
        safe(&world);
    }
}

// T4: names chosen to look right.

#[test]
fn t4_names_never_decide() {
    let mut world = succeeded();
    for name in ["kv-pe", "ours", "contoso-signalr"] {
        let at = world.stranger("please approve", MICROSOFT);
        world.vault[at].wire.endpoint = Some(endpoint(MICROSOFT, name));
    }
    passes(&mut world, 5);
    assert_eq!((world.approvals, world.reason), (0, Some(Reason::WaitingForConnection)));
    safe(&world);
}

// T5: swapped, or decided, between read and write.

#[test]
fn t5_what_changes_before_the_last_look_is_not_written() {
    let attacks: [fn(&mut World); 7] = [
        |w| w.vault[0].wire.endpoint = Some(endpoint(MICROSOFT, "another")),
        |w| w.vault[0].wire.endpoint = None,
        |w| w.vault[0].wire.description.push('!'),
        |w| w.owner_decides(0, ConnectionState::Rejected, None),
        |w| w.owner_decides(0, ConnectionState::Approved, None),
        |w| w.owner_decides(0, ConnectionState::Disconnected, Some("gone")),
        |w| w.vault.clear(),
    ];
    for swap in attacks {
        let mut world = listed();
        passes(&mut world, 2);
        world.decide();
        swap(&mut world);
        assert_eq!(world.carry_out(Fate::Well, |_| {}), None);
        assert_eq!(world.approvals, 0);
        safe(&world);
    }
}

#[test]
fn t5_what_changes_between_the_last_look_and_the_write_is_stopped_by_the_etag() {
    let attacks: [fn(&mut World); 3] = [
        |w| w.owner_decides(0, ConnectionState::Rejected, None),
        |w| w.owner_decides(0, ConnectionState::Approved, Some("by hand")),
        |w| {
            w.vault[0].wire.endpoint = Some(endpoint(MICROSOFT, "another"));
            w.vault[0].opener = Opener::Stranger;
            w.touch(0);
        },
    ];
    for swap in attacks {
        let mut world = listed();
        passes(&mut world, 2);
        world.decide();
        world.carry_out(Fate::Well, swap);
        assert_eq!(world.approvals, 0);
        safe(&world);
    }
}

#[test]
fn t5_an_endpoint_that_changes_under_the_approved_connection_takes_the_approval_back() {
    let mut world = approved();
    let own = world.vault.iter().position(|e| e.opener != Opener::Stranger).unwrap();
    world.vault[own].wire.endpoint = Some(endpoint(MICROSOFT, "another"));
    // Into status first, then onto the vault.
    world.pass();
    world.pass();
    assert_eq!((world.revocations, world.reason), (1, Some(Reason::ApprovalUnconfirmed)));
    safe(&world);
}

// Odd connections.

#[test]
fn odd_connections_are_never_approved() {
    let odd: [fn(&mut World); 4] = [
        |w| w.vault[0].wire.endpoint = None,
        |w| w.vault[0].wire.state = ConnectionState::Unknown,
        |w| w.vault[0].wire.state = ConnectionState::Timeout,
        |w| w.vault[0].wire.description = String::new(),
    ];
    for change in odd {
        let mut world = listed();
        change(&mut world);
        passes(&mut world, 5);
        assert_eq!(world.approvals, 0);
        // M3: nobody can tell where a request without an endpoint comes from.
        let bare = world.vault[0].wire.endpoint.is_none();
        let expected = |reason| if bare { Reason::ApprovalDenied } else { reason };
        assert_eq!(world.reason, Some(expected(Reason::WaitingForConnection)), "{}", world.message);
        world.advance(1000);
        world.pass();
        assert_eq!(world.reason, Some(expected(Reason::ConnectionNotFound)), "{}", world.message);
        safe(&world);
    }
}

#[test]
fn ids_in_any_letter_case_are_the_same() {
    let mut world = listed();
    world.pass();
    world.advance(31);
    let shouted = world.vault[0].wire.id.path().to_uppercase();
    world.vault[0].wire.id = ConnectionId::parse(&shouted).unwrap();
    let shouted = world.vault[0].wire.endpoint.as_ref().unwrap().path().to_uppercase();
    world.vault[0].wire.endpoint = Some(EndpointId::parse(&shouted).unwrap());
    world.policies[0].endpoint_subscriptions = vec![MICROSOFT.to_uppercase()];
    passes(&mut world, 3);
    assert_eq!(world.approvals, 1);
    ours_is_approved(&mut world);
}

#[test]
fn ten_thousand_strangers_do_not_hide_our_request() {
    let mut world = listed();
    for _ in 0..10_000 {
        world.stranger("please approve", MICROSOFT);
    }
    passes(&mut world, 3);
    assert_eq!(world.approvals, 1);
    safe(&world);
}

// M7: the duty outlives everything but a confirmation.

#[test]
fn m7_outlives_mode_management_policy_restart_and_status() {
    let changes: [fn(&mut World); 7] = [
        |w| w.edit(|o| o.mode = ApprovalMode::Manual),
        |w| w.edit(|o| o.management = ManagementPolicy::ObserveOnly),
        |w| w.policies.clear(),
        |w| w.restart(),
        |w| w.wipe(),
        |w| w.object().remembered.approval.approved_at = Some("2090-01-01T00:00:00Z".parse().unwrap()),
        |w| w.labels = vec![("links".into(), "no".into())],
    ];
    for change in changes {
        let mut world = exception();
        change(&mut world);
        passes(&mut world, 3);
        assert_eq!(world.revocations, 0, "not early");
        world.advance(3600);
        passes(&mut world, 3);
        assert_eq!(world.revocations, 1, "{:?}: {}", world.reason, world.message);
        world.quiesce();
        safe(&world);
    }
}

#[test]
fn m7_revokes_before_the_object_goes() {
    let goings: [fn(&mut World); 5] = [
        |_| {},
        |w| w.edit(|o| o.deletion = DeletionPolicy::Detach),
        |w| w.edit(|o| o.management = ManagementPolicy::ObserveOnly),
        |w| w.object().force_finalize = true,
        |w| w.remove_link(),
    ];
    for going in goings {
        let mut world = exception();
        going(&mut world);
        world.object().deleting = true;
        world.quiesce();
        safe(&world);
        assert!(world.object.is_none(), "{:?}: {}", world.reason, world.message);
        assert_eq!((world.revocations, world.alarmed), (1, false));
    }
}

#[test]
fn m7_never_takes_back_what_signalr_confirmed() {
    let goings: [fn(&mut World); 3] =
        [|_| {}, |w| w.edit(|o| o.deletion = DeletionPolicy::Detach), |w| w.object().force_finalize = true];
    for going in goings {
        for restart in [true, false] {
            let mut world = approved();
            world.azure();
            if restart {
                world.restart();
            }
            world.copy();
            going(&mut world);
            world.object().deleting = true;
            world.quiesce();
            safe(&world);
            assert_eq!((world.revocations, world.object.is_none()), (0, true));
        }
    }
}

#[test]
fn m7_a_forced_end_tries_once_and_raises_the_alarm() {
    let mut world = exception();
    world.object().force_finalize = true;
    world.object().deleting = true;
    world.decide();
    assert_eq!(world.carry_out(Fate::NotApplied, |_| {}), Some("revoke"));
    assert_eq!(world.pass(), Some("remove_finalizer"));
    assert!(world.alarmed);
}

#[test]
fn m7_hold_only_raises_the_alarm() {
    let mut world = exception();
    world.policies[0].on_unconfirmed = OnUnconfirmed::Hold;
    list(&mut world);
    passes(&mut world, 3);
    assert_eq!((world.revocations, world.reason), (0, Some(Reason::ApprovalUnconfirmed)));
    world.object().deleting = true;
    world.quiesce();
    assert_eq!((world.revocations, world.alarmed, world.object.is_none()), (0, true, true));
}

#[test]
fn m7_a_new_incarnation_takes_back_what_was_approved_for_the_last_one() {
    let mut world = exception();
    world.remove_link();
    world.request_listed = true;
    world.quiesce();
    safe(&world);
    assert_eq!(world.revocations, 1);
    assert_eq!(world.reason, Some(Reason::Approved), "{}", world.message);
}

#[test]
fn m7_a_late_confirmation_stops_the_revocation() {
    let mut world = approved();
    world.advance(4000);
    world.decide();
    world.azure();
    assert_eq!(world.carry_out(Fate::Well, |_| {}), None, "SignalR confirmed between decision and write");
    world.quiesce();
    safe(&world);
    assert_eq!((world.revocations, world.reason), (0, Some(Reason::Approved)));
}

#[test]
fn the_operator_can_be_lost_at_any_point_of_an_approval() {
    for fate in [Fate::AnswerLost, Fate::NotApplied, Fate::CrashBefore, Fate::CrashAfter] {
        let mut world = listed();
        passes(&mut world, 2);
        world.decide();
        world.carry_out(fate, |_| {});
        ours_is_approved(&mut world);
        assert_eq!((world.approvals, world.revocations), (1, 0), "{fate:?}");
    }
}

#[test]
fn violations_are_told_apart() {
    // The judge itself: a stranger that is approved outside every rule is seen.
    let mut world = exception();
    assert!(world.violations.is_empty());
    world.settle();
    assert_eq!(world.violations.iter().collect::<Vec<_>>(), [&Violation::StayedApproved]);
}

//! Each rule is needed: with that rule alone switched off, an attack of this file succeeds; with
//! it on, the same attack fails. The rule is switched off in what the model lets the decision
//! read; the decision itself is the shipped one.

use signalr_private_link_core::marker::{Marker, NONCE_LENGTH, Nonce};

use crate::attacks::{list, passes, until_succeeded};
use crate::model::{ELSEWHERE, Fate, MICROSOFT, Opener, Rule, Violation, World};

/// Runs the attack with the rule and without it.
#[track_caller]
fn needed(rule: Rule, violation: Violation, attack: impl Fn(&mut World)) {
    let run = |mut world: World| {
        world.request_listed = false;
        attack(&mut world);
        world
    };
    let with = run(World::new());
    assert!(with.violations.is_empty(), "{rule:?} on: {:?}", with.violations);
    let without = run(World::new().without(rule));
    assert!(without.violations.contains(&violation), "{rule:?} off: {:?}; {}", without.violations, without.message);
}

#[test]
fn m1_the_link_is_ours() {
    // Another team's link under the name that our object asks for: its request is not ours.
    needed(Rule::M1, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        let other = "ffffffff-4a52-4a0e-9a3f-1c2b3a4d5e6f".to_owned();
        let marker = Marker { uid: other, nonce: Nonce::from_random([3; NONCE_LENGTH]), tag: "000000".into() };
        let message = marker.message("their words");
        world.link.as_mut().unwrap().message.clone_from(&message);
        world.add(Opener::AnotherLink, &message, MICROSOFT);
        passes(world, 4);
    });
}

#[test]
fn m2_the_request_carries_our_message() {
    needed(Rule::M2, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        world.stranger("please approve", MICROSOFT);
        passes(world, 4);
    });
}

#[test]
fn m3_the_endpoint_lives_where_the_policy_says() {
    needed(Rule::M3, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        let message = world.link_message();
        world.stranger(&message, ELSEWHERE);
        passes(world, 4);
    });
}

#[test]
fn m4_the_link_is_still_the_same_just_before_the_write() {
    needed(Rule::M4, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        world.copy();
        passes(world, 2);
        world.decide();
        world.remove_link();
        world.carry_out(Fate::Well, |_| {});
    });
}

#[test]
fn m5_it_is_the_only_one() {
    needed(Rule::M5Alone, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        world.copy();
        list(world);
        passes(world, 4);
    });
}

#[test]
fn m5_in_two_lists() {
    needed(Rule::M5SecondList, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        world.copy();
        world.pass();
        world.pass();
        world.advance(10);
        list(world);
        passes(world, 4);
    });
}

#[test]
fn m5_without_replicas() {
    needed(Rule::M5Replicas, Violation::ApprovedAStranger, |world| {
        until_succeeded(world);
        world.replicas = 1;
        let message = world.link_message();
        world.add(Opener::AnotherLink, &message, MICROSOFT);
        passes(world, 4);
    });
}

#[test]
fn m6_object_and_policy_still_ask_and_permit() {
    needed(Rule::M6, Violation::ApprovedWithoutPermission, |world| {
        until_succeeded(world);
        list(world);
        passes(world, 2);
        world.decide();
        world.policies.clear();
        world.carry_out(Fate::Well, |_| {});
    });
}

#[test]
fn m7_what_signalr_does_not_confirm_is_taken_back() {
    needed(Rule::M7, Violation::StayedApproved, |world| {
        until_succeeded(world);
        world.copy();
        passes(world, 3);
        world.request_listed = true;
        world.quiesce();
    });
}

#[test]
fn the_nonce_cannot_be_known_beforehand() {
    needed(Rule::Nonce, Violation::ApprovedAStranger, |world| {
        // What everybody could know if the nonce were no secret.
        let predictable = World::new().without(Rule::Nonce).next_message();
        world.stranger(&predictable, MICROSOFT);
        until_succeeded(world);
        passes(world, 4);
    });
}

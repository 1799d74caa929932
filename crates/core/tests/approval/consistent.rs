//! An approval that is decided is one that M7 leaves alone: over arbitrary vaults, whatever would take an
//! approval back at once stops it beforehand.

use proptest::prelude::*;
use signalr_private_link_core::approval::{SeenLink, m7_overdue};
use signalr_private_link_core::azure::{ConnectionState, Connections};
use signalr_private_link_core::marker::{ApprovalRecord, Marker, Verdict, endpoint_hash};
use signalr_private_link_core::observed::Permissions;

use crate::attacks::{listed, passes};
use crate::model::{ELSEWHERE, MICROSOFT, UID, World, policy};

/// What a connection may say, beside our own request.
#[derive(Debug, Clone, Copy)]
enum Text {
    Message,
    OtherWords,
    OtherTag,
    Record(Verdict),
    Stranger,
    Nothing,
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(Text::Message),
        Just(Text::OtherWords),
        Just(Text::OtherTag),
        Just(Text::Record(Verdict::Approved)),
        Just(Text::Record(Verdict::Revoked)),
        Just(Text::Stranger),
        Just(Text::Nothing),
    ]
}

fn state() -> impl Strategy<Value = ConnectionState> {
    use ConnectionState::{Approved, Disconnected, Pending, Rejected, Timeout, Unknown};
    prop_oneof![Just(Pending), Just(Approved), Just(Rejected), Just(Disconnected), Just(Timeout), Just(Unknown)]
}

fn record(world: &World, at: usize, verdict: Verdict) -> ApprovalRecord {
    let own = Marker::parse(&world.link_message()).unwrap();
    ApprovalRecord {
        at: world.now,
        verdict,
        object: "contoso/kv-pe".into(),
        endpoint_hash: world.vault[at].wire.endpoint.as_ref().map(endpoint_hash).unwrap(),
        uid: UID.into(),
        nonce: own.nonce,
    }
}

fn add(world: &mut World, text: Text, state: ConnectionState, here: bool) {
    let own = Marker::parse(&world.link_message()).unwrap();
    let said = match text {
        Text::Message | Text::Record(_) => world.link_message(),
        Text::OtherWords => own.message("approve me"),
        Text::OtherTag => Marker { tag: "abcdef".into(), ..own }.message("please approve"),
        Text::Stranger => "please approve".to_owned(),
        Text::Nothing => String::new(),
    };
    let at = world.stranger(&said, if here { MICROSOFT } else { ELSEWHERE });
    if let Text::Record(verdict) = text {
        world.vault[at].wire.description = record(world, at, verdict).to_description();
    }
    world.vault[at].wire.state = state;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_approval_is_made_that_would_be_taken_back_at_once(
        before in prop::collection::vec((text(), state(), any::<bool>()), 0..3),
        seen in 0_usize..3,
        after in prop::collection::vec((text(), state(), any::<bool>()), 0..3),
        ours in prop::option::of(state()),
    ) {
        let mut world = listed();
        for (text, state, here) in before {
            add(&mut world, text, state, here);
        }
        passes(&mut world, seen);
        for (text, state, here) in after {
            add(&mut world, text, state, here);
        }
        if let Some(state) = ours {
            world.vault[0].wire.state = state;
        }
        for _ in 0..4 {
            world.decide();
            let Some((decision, observed)) = world.waiting_approval() else {
                world.carry_out(crate::model::Fate::Well, |_| {});
                world.advance(31);
                continue;
            };
            let at = world.vault.iter().position(|e| e.wire.id == decision.connection).unwrap();
            let description = record(&world, at, Verdict::Approved).to_description();
            let mut connections: Vec<_> = world.vault.iter().map(|e| e.wire.clone()).collect();
            connections[at].state = ConnectionState::Approved;
            connections[at].description = description;
            let vault = Connections { connections, date: Some(world.now) };
            let permissions = Permissions { terminating: false, labels: vec![], policies: vec![policy()] };
            let link = world.link.clone();
            let object = world.object.clone().unwrap();
            let overdue =
                m7_overdue(&object, SeenLink::listed(link.as_ref(), UID), &vault, Some(&permissions), &observed);
            prop_assert!(overdue.is_none(), "{:?}", overdue.map(|o| o.why));
            world.carry_out(crate::model::Fate::Well, |_| {});
            world.advance(31);
        }
    }
}

/// The property is not empty: the honest world gets its approval.
#[test]
fn the_honest_world_is_approved() {
    let mut world = listed();
    passes(&mut world, 2);
    world.decide();
    assert!(world.waiting_approval().is_some());
}

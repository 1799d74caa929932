//! The last look (R6): what was decided is carried out only if the object, the link, the policies and the connection,
//! each read once more just before the write, still say so (M4, M6).

use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{LastLook, may_put, still_authorised};
use signalr_private_link_core::azure::{Connection, ConnectionState, Link, Provisioning};
use signalr_private_link_core::desired::{ApprovalMode, Desired, ManagementPolicy};
use signalr_private_link_core::marker::{Marker, NO_ENDPOINT, Nonce, endpoint_hash};
use signalr_private_link_core::observed::{Permissions, Reading};

use crate::world::{Scenario, approved_by_us, connection, marker};

const ANOTHER_UID: &str = "11111111-1111-4111-8111-111111111111";

/// What the last reads say.
#[derive(Clone)]
struct Last {
    object: Desired,
    link: Option<Link>,
    permissions: Permissions,
    connection: Option<Connection>,
}

/// What has changed by the time of the last reads.
type Change = fn(&mut Last);

impl Last {
    fn link(&mut self) -> &mut Link {
        self.link.as_mut().unwrap()
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().unwrap()
    }

    fn says(&mut self, marker: &Marker, words: &str) {
        self.link().message = marker.message(words);
    }

    fn authorises(&self, decided_on: &Desired, decision: &Decision) -> Result<(), &'static str> {
        let Self { object, link, permissions, connection } = self;
        let (link, connection) = (link.as_ref(), connection.as_ref());
        still_authorised(decided_on, decision, &LastLook { object, link, permissions, connection })
    }
}

/// The decision of a scenario, and last reads that say what it rests on.
fn decided(mut scenario: Scenario) -> (Desired, Decision, Last) {
    let Some(Action::Decide(decision)) = scenario.decide().action else { panic!("nothing is decided") };
    let Reading::Known(permissions) = scenario.answers.permissions.clone() else { panic!("no permissions") };
    let last = Last {
        object: scenario.desired.clone(),
        link: scenario.links_mut().links.first().cloned(),
        permissions,
        connection: scenario.vault_mut().connections.first().cloned(),
    };
    (scenario.desired, *decision, last)
}

/// S5, R12: a link is put where there is none, or again where it is our own and of no use.
#[test]
fn nothing_is_put_over_a_link_that_works_was_turned_down_or_is_another() {
    const REFUSED: Result<(), &str> = Err("the link is not what was decided on");
    let link = |scenario: Scenario| scenario.provisioning("Failed").links_mut().links.remove(0);
    let (failed, own) = (link(Scenario::new()), marker());
    assert_eq!(may_put(None, None), Ok(()));
    assert_eq!(may_put(Some(&failed), Some(&own)), Ok(()));
    assert_eq!(may_put(None, Some(&own)), REFUSED);
    assert_eq!(may_put(Some(&failed), None), REFUSED);
    let another = Marker { nonce: Nonce::from_random([9; 16]), ..own.clone() };
    assert_eq!(may_put(Some(&failed), Some(&another)), REFUSED);
    let well = Link { provisioning: Provisioning::Succeeded, ..failed };
    assert_eq!(may_put(Some(&well), Some(&own)), REFUSED);
    for state in [ConnectionState::Approved, ConnectionState::Rejected, ConnectionState::Disconnected] {
        assert_eq!(may_put(Some(&link(Scenario::new().signalr_says(state))), Some(&own)), REFUSED);
    }
}

/// What is written down of a decision, and what a link is created with.
#[test]
fn a_record_says_what_was_decided_and_a_marker_whose_link_it_is() {
    let (object, decision, _) = decided(Scenario::new().automatic().seen_before(30).recorded());
    let at = "2026-11-29T12:00:00Z".parse().unwrap();
    let record = decision.record("contoso/kv-pe".into(), at);
    assert_eq!((record.at, record.verdict, record.object.as_str()), (at, decision.verdict, "contoso/kv-pe"));
    assert_eq!(record.endpoint_hash, endpoint_hash(decision.endpoint.as_ref().unwrap()));
    assert!(record.is_of(&marker()));
    let bare = Decision { endpoint: None, ..decision };
    assert_eq!(bare.record(String::new(), at).endpoint_hash, NO_ENDPOINT);
    let made = object.marker([7; 16]);
    assert_eq!(
        (made.uid, made.nonce, made.tag),
        (object.object.uid.clone(), Nonce::from_random([7; 16]), object.tag())
    );
}

#[test]
fn nothing_is_approved_on_anything_else_than_it_was_decided_on() {
    let (object, decision, last) = decided(Scenario::new().automatic().seen_before(30).recorded());
    let cases: &[(&str, Change)] = &[
        ("the object changed", |l| l.object.object.uid = ANOTHER_UID.into()),
        ("the object changed", |l| l.object.generation += 1),
        ("the object changed", |l| l.object.deleting = true),
        ("the object changed", |l| l.object.finalizer = false),
        ("the object changed", |l| l.object.recreate = Some("now".into())),
        ("the object changed", |l| l.object.force_finalize = true),
        ("the object does not ask for an automatic approval", |l| l.object.mode = ApprovalMode::Manual),
        ("the object does not ask for an automatic approval", |l| l.object.management = ManagementPolicy::ObserveOnly),
        ("the policy changed", |l| l.permissions.policies.clear()),
        ("the policy changed", |l| l.permissions.policies[0].generation += 1),
        ("the link is gone", |l| l.link = None),
        ("the link is not the one that was decided on", |l| l.link().provisioning = Provisioning::Failed),
        ("the link is not the one that was decided on", |l| l.link().connection = ConnectionState::Approved),
        ("the link is not the one that was decided on", |l| l.link().target.push_str("-2")),
        ("the link is not the one that was decided on", |l| l.link().group_id = "sites".into()),
        ("the link is not the one that was decided on", |l| l.link().message = "by hand".into()),
        ("the link is not the one that was decided on", |l| l.says(&marker(), "other words")),
        ("the link is not the one that was decided on", |l| {
            l.says(&Marker { tag: "abcdef".into(), ..marker() }, "please approve");
        }),
        ("the link is not the one that was decided on", |l| {
            l.says(&Marker { nonce: Nonce::from_random([8; 16]), ..marker() }, "please approve");
        }),
        ("the link is not the one that was decided on", |l| {
            l.says(&Marker { uid: ANOTHER_UID.into(), ..marker() }, "please approve");
        }),
        ("the connection is gone", |l| l.connection = None),
        ("the connection is not the one that was decided on", |l| {
            l.connection().id = connection("another", "").id;
        }),
        ("the connection is not the one that was decided on", |l| l.connection().endpoint = None),
        ("the connection is not the one that was decided on", |l| l.connection().description.push('!')),
        ("somebody else decided on the connection", |l| l.connection().state = ConnectionState::Approved),
        ("somebody else decided on the connection", |l| l.connection().state = ConnectionState::Rejected),
    ];
    assert_eq!(last.authorises(&object, &decision), Ok(()));
    for (number, (why, change)) in cases.iter().enumerate() {
        let mut changed = last.clone();
        change(&mut changed);
        assert_eq!(changed.authorises(&object, &decision), Err(*why), "case {number}");
    }
    for of_another in [
        Decision { uid: ANOTHER_UID.into(), ..decision.clone() },
        Decision { nonce: Nonce::from_random([8; 16]), ..decision.clone() },
    ] {
        assert_eq!(last.authorises(&object, &of_another), Err("the link is not the one that was decided on"));
    }
    let (mut deleting, mut last) = (object, last);
    deleting.deleting = true;
    last.object = deleting.clone();
    assert!(last.authorises(&deleting, &decision).is_err(), "an object that is being deleted gets no approval");
}

#[test]
fn an_approval_is_taken_back_unless_signalr_has_confirmed_it_meanwhile() {
    let mut overdue = approved_by_us(Provisioning::Succeeded);
    overdue.vault_mut().date = Some(overdue.now + jiff::SignedDuration::from_hours(2));
    overdue.desired.remembered.approval.revoked_at = Some(overdue.now);
    let (object, decision, last) = decided(overdue);
    let approved: Change = |l| l.link().connection = ConnectionState::Approved;
    let cases: &[(Result<(), &str>, Change)] = &[
        (Ok(()), |_| {}),
        (Ok(()), |l| l.link = None),
        (Ok(()), |l| l.permissions.policies.clear()),
        (Err("SignalR confirmed the approval"), approved),
        // Somebody edited the message of a link that works.
        (Err("SignalR confirmed the approval"), |l| {
            l.link().connection = ConnectionState::Approved;
            l.link().message = "by hand".into();
        }),
        // Another incarnation, or another object's link, confirms nothing.
        (Ok(()), |l| {
            l.link().connection = ConnectionState::Approved;
            l.says(&Marker { nonce: Nonce::from_random([8; 16]), ..marker() }, "please approve");
        }),
        (Ok(()), |l| {
            l.link().connection = ConnectionState::Approved;
            l.says(&Marker { uid: ANOTHER_UID.into(), ..marker() }, "please approve");
        }),
        (Err("the object changed"), |l| l.object.deleting = true),
        (Err("the connection is gone"), |l| l.connection = None),
        (Err("somebody else decided on the connection"), |l| l.connection().state = ConnectionState::Rejected),
        (Err("somebody else decided on the connection"), |l| l.connection().state = ConnectionState::Pending),
    ];
    for (number, (expected, change)) in cases.iter().enumerate() {
        let mut changed = last.clone();
        change(&mut changed);
        assert_eq!(changed.authorises(&object, &decision), *expected, "case {number}");
    }
}

//! Rules M2 and M5: which connection on the vault is this link's request, and which is not.

use signalr_private_link_core::action::Action;
use signalr_private_link_core::azure::{Connection, ConnectionState};
use signalr_private_link_core::desired::AdoptionPolicy;
use signalr_private_link_core::observed::Sighting;
use signalr_private_link_core::{Plan, Reason};

use crate::world::{Scenario, connection, endpoint};

fn reason(plan: &Plan) -> Reason {
    plan.report.as_ref().unwrap().reason
}

/// Somebody else's connection, with this text and in this state.
fn another(text: &str, state: ConnectionState) -> Connection {
    Connection { state, ..connection("another", text) }
}

#[test]
fn two_lists_count_only_where_both_show_the_very_same_request() {
    let changes: [fn(&mut Sighting); 3] = [
        |first| first.connection = connection("another", "").id,
        |first| first.endpoint = Some(endpoint("another")),
        |first| first.message = "please approve [k8s:of-another-incarnation]".into(),
    ];
    for change in changes {
        let mut scenario = Scenario::new().seen_before(30);
        assert_eq!(reason(&scenario.decide()), Reason::PendingApproval);
        change(scenario.observed.memory.sighting.as_mut().unwrap());
        assert_eq!(reason(&scenario.decide()), Reason::WaitingForConnection);
    }
}

/// A vault has connections of many: what their owners decided says nothing of ours.
#[test]
fn what_was_decided_on_other_connections_is_not_about_this_link() {
    for state in [ConnectionState::Approved, ConnectionState::Rejected, ConnectionState::Disconnected] {
        let mut ours = Scenario::new().automatic().seen_before(30).recorded();
        ours.vault_mut().connections.insert(0, another("theirs", state));
        assert!(matches!(ours.decide().action, Some(Action::Decide(_))), "{state:?}");
        let mut none = Scenario::new().no_request();
        none.vault_mut().connections.push(another("theirs", state));
        assert_eq!(reason(&none.decide()), Reason::WaitingForConnection, "{state:?}");
    }
}

/// The portal lets the owner approve without giving a text: the request's own stays.
#[test]
fn a_request_that_was_decided_on_by_hand_is_known_by_its_text() {
    for (state, expected) in [
        (ConnectionState::Approved, Reason::WaitingForPropagation),
        (ConnectionState::Rejected, Reason::Rejected),
        (ConnectionState::Disconnected, Reason::Disconnected),
    ] {
        let mut decided = Scenario::new();
        decided.vault_mut().connections[0].state = state;
        assert_eq!(reason(&decided.decide()), expected);
        // Two of them, and nobody can tell which is ours.
        let mut copied = decided.copies(1);
        copied.vault_mut().connections[1].state = state;
        assert_eq!(reason(&copied.decide()), Reason::WaitingForConnection);
    }
}

/// An adopted link has no marker of ours: its whole message, if it has one, is all there is to go by.
#[test]
fn the_request_of_an_adopted_link_is_known_by_its_message() {
    let adopted = |message: &str| {
        let mut scenario = Scenario::new().message(message).seen_before(30);
        scenario.desired.adoption = AdoptionPolicy::Adopt;
        scenario
    };
    assert_eq!(reason(&adopted("made by hand").strangers(1).decide()), Reason::PendingApproval);
    assert_eq!(reason(&adopted("made by hand").copies(1).decide()), Reason::ApprovalAmbiguous);
    // Many connections have no description.
    assert_eq!(reason(&adopted("").decide()), Reason::WaitingForConnection);
    for state in [ConnectionState::Approved, ConnectionState::Rejected] {
        let mut silent = adopted("");
        silent.vault_mut().connections[0].state = state;
        assert_eq!(reason(&silent.decide()), Reason::WaitingForConnection, "{state:?}");
    }
}

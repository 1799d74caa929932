//! What a report makes of what was read: conditions, and what kstatus is told.

use signalr_private_link_core::azure::{ConnectionState, Provisioning};
use signalr_private_link_core::failure::Failure;
use signalr_private_link_core::observed::Reading;
use signalr_private_link_core::reason::Progress;
use signalr_private_link_core::report::{ConnectionFacts, Fact, Truth};
use signalr_private_link_core::{Reason, Report};

use crate::world::{Scenario, connection, endpoint, error};

/// S6: no condition is True because of a state that nobody knows.
#[test]
fn conditions_say_of_a_link_what_signalr_says() {
    let conditions = |word: &str, state| {
        let mut scenario = Scenario::new().provisioning(word).signalr_says(state);
        let report = Report::new(Reason::Creating, "").with_link(&scenario.links_mut().links[0]);
        let (Fact::Set(provisioned), Fact::Set(approved)) = (report.provisioned, report.approved) else {
            panic!("nothing is said")
        };
        (provisioned.truth, approved.truth)
    };
    assert_eq!(conditions("Succeeded", ConnectionState::Approved), (Truth::True, Truth::True));
    assert_eq!(conditions("Succeeded", ConnectionState::Pending), (Truth::True, Truth::False));
    assert_eq!(conditions("Succeeded", ConnectionState::Unknown), (Truth::True, Truth::Unknown));
    assert_eq!(conditions("Updating", ConnectionState::Rejected), (Truth::False, Truth::False));
}

/// A right that was given moments ago takes up to ten minutes to work.
#[test]
fn a_missing_right_is_a_failure_only_when_it_lasts() {
    for (reason, at_first, at_last) in [
        (Reason::AuthorizationFailed, Progress::InProgress, Progress::Failed),
        (Reason::Rejected, Progress::Failed, Progress::Failed),
        (Reason::Approved, Progress::Current, Progress::Current),
        (Reason::ObserveOnly, Progress::InProgress, Progress::InProgress),
    ] {
        let report = Report::new(reason, "");
        assert_eq!((report.progress(false), report.progress(true)), (at_first, at_last), "{reason}");
    }
}

/// ARM answers with another letter case than it was asked with.
#[test]
fn a_connection_is_the_same_if_its_id_and_its_endpoint_s_are() {
    let facts = |name: &str, at: &str| {
        let mut connection = connection(name, "");
        connection.endpoint = Some(endpoint(at));
        ConnectionFacts::of(&connection).unwrap()
    };
    let ours = facts("ours", "ours");
    let mut shouted = ours.clone();
    shouted.id = shouted.id.to_uppercase();
    shouted.state = "Approved".into();
    assert!(ours.names_the_same_as(&shouted));
    assert!(!ours.names_the_same_as(&facts("another", "ours")) && !ours.names_the_same_as(&facts("ours", "another")));
    let nonsense = ConnectionFacts { id: "nonsense".into(), ..ours };
    assert!(!nonsense.names_the_same_as(&nonsense), "what is no id names nothing");
}

/// The enums of ARM are open, and written in any letter case.
#[test]
fn states_are_read_in_any_letter_case_and_unknown_words_are_kept_apart() {
    for (word, expected) in [
        (None, Provisioning::Succeeded),
        (Some(""), Provisioning::Succeeded),
        (Some("SUCCEEDED"), Provisioning::Succeeded),
        (Some("failed"), Provisioning::Failed),
        (Some("canceled"), Provisioning::Canceled),
        (Some("DELETING"), Provisioning::Deleting),
        (Some("Moving"), Provisioning::InProgress("Moving".into())),
    ] {
        assert_eq!(Provisioning::parse(word), expected);
    }
    for (word, expected) in [
        (None, ConnectionState::Unknown),
        (Some(""), ConnectionState::Unknown),
        (Some("PENDING"), ConnectionState::Pending),
        (Some("approved"), ConnectionState::Approved),
        (Some("Removed"), ConnectionState::Unknown),
    ] {
        assert_eq!(ConnectionState::parse(word), expected);
    }
}

#[test]
fn an_answer_and_a_failure_are_readings() {
    assert_eq!(Reading::from(Ok(1)), Reading::Known(1));
    let failed = error(Failure::Unexpected);
    assert_eq!(Reading::<i32>::from(Err(failed.clone())), Reading::Failed(failed));
}

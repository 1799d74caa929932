//! What a process learns about an object from its reads: the first time counts, what is well again is forgotten, and
//! each wait ends when nothing can land any more (R1, R7, R11).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::Limits;
use signalr_private_link_core::azure::{ConnectionState, Connections, Link, Links, OperationKind, Provisioning};
use signalr_private_link_core::desired::AdoptionPolicy;
use signalr_private_link_core::failure::{Failure, Level};
use signalr_private_link_core::marker::{Marker, Nonce};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::{Memory, Reading};

use crate::world::{self, Scenario, approved_by_us, connection, error, marker};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A process that reads for one object.
struct Process {
    learned: Learned,
    world: Scenario,
}

impl Process {
    fn new(inherited: bool, world: Scenario) -> Self {
        Self { learned: Learned::new(inherited, Duration::ZERO), world }
    }

    fn recall(&self, at: u64) -> Memory {
        self.learned.recall(&Limits::REAL, seconds(at))
    }

    /// Reads the links.
    fn links(&mut self, at: u64) -> Memory {
        self.learned.learn_links(&self.world.desired, &self.world.answers.links, seconds(at));
        self.recall(at)
    }

    /// Reads links and connections.
    fn vault(&mut self, at: u64) -> Memory {
        self.links(at);
        let (desired, answers) = (&self.world.desired, &self.world.answers);
        let clock = self.world.now + jiff::SignedDuration::try_from(seconds(at)).unwrap();
        let moments = (seconds(at), seconds(at));
        self.learned.learn_connections(desired, &Limits::REAL, &answers.links, &answers.connections, moments, clock);
        self.recall(at)
    }

    fn link(&mut self) -> &mut Link {
        &mut self.world.links_mut().links[0]
    }
}

#[test]
fn a_deletion_is_counted_from_when_it_was_first_seen() {
    let mut process = Process::new(false, Scenario::new());
    assert_eq!(process.recall(5).deleting_for, None);
    process.learned.see_deletion(seconds(5));
    process.learned.see_deletion(seconds(9));
    assert_eq!(process.recall(10).deleting_for, Some(seconds(5)));
}

/// R7: one DELETE that rested on a proof is enough, whatever a later one rests on.
#[test]
fn a_fence_that_was_waived_stays_so() {
    let mut process = Process::new(false, Scenario::new());
    process.learned.begin_delete(false);
    assert!(!process.recall(0).fence_waived);
    process.learned.begin_delete(true);
    process.learned.begin_delete(false);
    assert!(process.recall(0).fence_waived);
}

/// R7: 25 s, for what the object may have been in the middle of.
#[test]
fn a_started_process_writes_at_once_for_new_objects_and_later_for_what_it_inherited() {
    let quarantine = |inherited, at| Process::new(inherited, Scenario::new()).recall(at).quarantine;
    assert_eq!(quarantine(false, 0), None);
    assert_eq!(quarantine(true, 5), Some(seconds(20)));
    assert_eq!(quarantine(true, 25), None);
    assert!(Learned::new(true, Duration::ZERO).is_inherited() && !Learned::new(false, Duration::ZERO).is_inherited());
}

#[test]
fn what_azure_accepted_is_waited_for_until_the_link_is_seen_so() {
    let mut put = Process::new(false, Scenario::new().without_link());
    put.learned.accept_put(seconds(10));
    let memory = put.links(20);
    assert_eq!(memory.accepted_for, Some(seconds(10)));
    put.world = Scenario::new();
    let memory = put.links(30);
    assert_eq!((memory.accepted_for, memory.begun_ago), (None, Some(seconds(20))));
    let mut delete = Process::new(false, Scenario::new());
    delete.learned.accept_delete(seconds(10));
    assert_eq!(delete.recall(15).begun_ago, Some(seconds(5)));
    assert_eq!(delete.links(20).deleted_for, Some(seconds(10)));
    delete.world = Scenario::new().without_link();
    assert_eq!(delete.links(30).deleted_for, None);
}

#[test]
fn failures_are_counted_until_the_link_is_seen_well() {
    let words = |memory: &Memory| memory.failed_operation.as_ref().map(|f| (f.count, f.ago, f.words.clone()));
    let mut process = Process::new(false, Scenario::new().without_link());
    process.learned.accept_put(seconds(1));
    process.learned.learn_failure(OperationKind::Put, "first".into(), seconds(2));
    assert_eq!(process.recall(2).accepted_for, None, "nothing is awaited of what failed");
    process.learned.learn_failure(OperationKind::Put, "second".into(), seconds(4));
    assert_eq!(words(&process.links(5)), Some((2, seconds(1), "second".into())));
    process.world = Scenario::new().provisioning("Failed");
    assert_eq!(words(&process.links(6)), Some((2, seconds(2), "second".into())));
    process.world = Scenario::new();
    assert_eq!(words(&process.links(7)), None);
    // A deletion that failed leaves the link well, and its words still explain why it is there.
    process.learned.learn_failure(OperationKind::Delete, "third".into(), seconds(8));
    assert_eq!(words(&process.links(9)).map(|(_, ago, words)| (ago, words)), Some((seconds(1), "third".into())));
    process.learned.accept_delete(seconds(10));
    assert_eq!(words(&process.recall(10)), None);
    process.learned.learn_failure(OperationKind::Put, "fourth".into(), seconds(11));
    process.learned.accept_put(seconds(12));
    assert_eq!(words(&process.recall(12)), None);
}

#[test]
fn what_lasts_is_counted_from_the_first_read_that_showed_it() {
    let lasting = |memory: &Memory| (memory.running_for, memory.failed_for, memory.refused_for);
    let none = Duration::ZERO;
    let mut process = Process::new(false, Scenario::new().provisioning("Updating"));
    process.links(10);
    assert_eq!(lasting(&process.links(20)), (seconds(10), none, None));
    process.world = Scenario::new().provisioning("Failed");
    process.links(30);
    assert_eq!(lasting(&process.links(40)), (none, seconds(10), None));
    process.world = Scenario::new().signalr_says(ConnectionState::Rejected);
    process.links(50);
    assert_eq!(lasting(&process.links(60)), (none, none, Some(seconds(10))));
    process.world = Scenario::new();
    assert_eq!(lasting(&process.links(70)), (none, none, None));
}

/// R11: what ARM says of a parent has to be said twice; a read that fails otherwise says nothing.
#[test]
fn the_absence_of_a_parent_is_counted_while_arm_says_so() {
    let gone = || Reading::Failed(error(Failure::NotFound(Level::ResourceGroup)));
    let silent = || Reading::Failed(error(Failure::Transient(None)));
    let mut process = Process::new(false, Scenario::new());
    process.world.answers.links = silent();
    process.world.answers.connections = Reading::Failed(error(Failure::Transient(None)));
    let memory = process.vault(10);
    assert_eq!((memory.signalr_absent_for, memory.vault_absent_for), (None, None));
    assert_eq!(memory.heard_ago, seconds(10), "a failure is nothing that was heard");
    process.world.answers.links = gone();
    process.world.answers.connections = Reading::Failed(error(Failure::NotFound(Level::ResourceGroup)));
    process.vault(20);
    let memory = process.vault(30);
    assert_eq!((memory.signalr_absent_for, memory.vault_absent_for), (Some(seconds(10)), Some(seconds(10))));
    process.world.answers.links = silent();
    process.world.answers.connections = Reading::Failed(error(Failure::Transient(None)));
    let memory = process.vault(40);
    assert_eq!((memory.signalr_absent_for, memory.vault_absent_for), (Some(seconds(20)), Some(seconds(20))));
    process.world = Scenario::new();
    let memory = process.vault(50);
    assert_eq!((memory.signalr_absent_for, memory.vault_absent_for, memory.heard_ago), (None, None, Duration::ZERO));
}

#[test]
fn a_vault_that_refuses_is_remembered_until_it_answers() {
    let mut process = Process::new(false, Scenario::new());
    for (failure, refused) in [
        (Failure::Forbidden, true),
        (Failure::Transient(None), false),
        (Failure::Denied, true),
        (Failure::Unauthorized, true),
    ] {
        process.world.answers.connections = Reading::Failed(error(failure));
        assert_eq!(process.vault(1).vault_refused, refused, "{failure:?}");
    }
    process.world = Scenario::new();
    assert!(!process.vault(2).vault_refused);
}

/// M7: an approval under such a nonce is never taken back.
#[test]
fn the_nonces_under_which_signalr_said_approved_are_remembered() {
    let mut process = Process::new(false, Scenario::new());
    assert!(process.links(1).confirmed.is_empty());
    process.link().connection = ConnectionState::Approved;
    process.links(2);
    assert_eq!(process.links(3).confirmed, [marker().nonce], "once, however often it is read");
    process.link().message = "somebody else's".into();
    assert_eq!(process.links(4).confirmed, [marker().nonce]);
    for number in 10..20 {
        let next = Marker { nonce: Nonce::from_random([number; 16]), ..marker() };
        process.link().message = next.message("please approve");
        process.links(u64::from(number));
    }
    let confirmed = process.recall(20).confirmed;
    assert_eq!(confirmed.len(), 8, "so many and no more");
    assert!(confirmed.last() == Some(&Nonce::from_random([19; 16])), "the newest are kept");
}

/// R7 and M7: while an approval may still land, a list that shows none rules nothing out.
#[test]
fn a_list_without_an_approval_rules_one_out_once_none_can_land() {
    let ruled_out = |inherited, decided: Option<u64>, at| {
        let mut process = Process::new(inherited, Scenario::new());
        if let Some(decided) = decided {
            process.learned.begin_decision(seconds(decided));
        }
        process.vault(at).approval_ruled_out
    };
    assert!(ruled_out(false, None, 0));
    assert_eq!((ruled_out(true, None, 90), ruled_out(true, None, 91)), (false, true));
    assert_eq!((ruled_out(false, Some(10), 99), ruled_out(false, Some(10), 100)), (false, true));
    let mut stands = Process::new(false, approved_by_us(Provisioning::Succeeded));
    assert!(!stands.vault(0).approval_ruled_out);
    let mut decides = Process::new(false, Scenario::new());
    decides.vault(0);
    decides.learned.begin_decision(seconds(1));
    assert!(!decides.recall(1).approval_ruled_out, "from the moment on in which it may be sent");
}

/// M5: the age of the first of the two lists counts, and a list that shows anything else begins anew.
#[test]
fn the_first_list_that_shows_the_only_match_is_remembered() {
    let mut process = Process::new(false, Scenario::new());
    assert_eq!((process.vault(10).sighting, process.learned.first_sighting().is_some()), (None, true));
    let repeated = process.vault(45).sighting.unwrap();
    assert_eq!((repeated.age, repeated.at), (seconds(35), process.world.now + jiff::SignedDuration::from_secs(10)));
    assert_eq!(process.links(50).sighting, None, "a pass that does not look at the vault has no second list");
    let mut other = Scenario::new();
    other.vault_mut().connections[0].endpoint = Some(world::endpoint("another"));
    process.world = other;
    assert_eq!(process.vault(60).sighting, None);
    assert_eq!(process.vault(61).sighting.unwrap().age, seconds(1));
    process.world = Scenario::new().copies(1);
    assert_eq!(process.vault(70).sighting, None);
    process.world = Scenario::new();
    assert_eq!(process.vault(100).sighting, None, "a copy in between, and the match begins anew");
}

/// M5: of one incarnation the first connection that was seen alone, of the next one its own.
#[test]
fn the_connection_that_was_first_seen_alone_is_remembered_for_each_incarnation() {
    let mut process = Process::new(false, Scenario::new());
    let ours = connection("ours", "").id;
    assert!(process.vault(1).candidate == Some((marker().nonce, ours.clone())));
    let mut replaced = Scenario::new();
    replaced.vault_mut().connections[0].id = connection("copy", "").id;
    process.world = replaced;
    assert!(process.vault(2).candidate == Some((marker().nonce, ours)));
    let next = Marker { nonce: Nonce::from_random([8; 16]), ..marker() };
    process.world = Scenario::new().message(&next.message("please approve"));
    process.world.vault_mut().connections[0].id = connection("next", "").id;
    assert!(process.vault(3).candidate == Some((next.nonce, connection("next", "").id)));
}

/// For people who have to tell a copy from the request: when each was first seen.
#[test]
fn the_time_at_which_each_request_with_our_message_appeared_is_remembered() {
    let at = |process: &Process, seconds: i64| process.world.now + jiff::SignedDuration::from_secs(seconds);
    let named = |memory: &Memory| -> Vec<(String, Timestamp)> {
        memory.appeared.iter().map(|(id, at)| (id.name().to_owned(), *at)).collect()
    };
    let mut process = Process::new(false, Scenario::new().strangers(1));
    assert_eq!(named(&process.vault(1)), [("ours".to_owned(), at(&process, 1))]);
    process.world = Scenario::new().strangers(1).copies(1);
    let both = [("ours".to_owned(), at(&process, 1)), ("copy-0".to_owned(), at(&process, 2))];
    process.vault(2);
    assert_eq!(named(&process.vault(3)), both);
    // Those that do not carry it any more are forgotten; so are all of a link that is not there.
    process.world = Scenario::new();
    assert_eq!(named(&process.vault(4)), both[..1]);
    process.world = Scenario::new().provisioning("Updating");
    assert_eq!(named(&process.vault(5)), []);
    // An adopted link has no marker: its whole message counts, if it has one.
    let adopted = |message: &str| {
        let mut scenario = Scenario::new().message(message).strangers(1);
        scenario.desired.adoption = AdoptionPolicy::Adopt;
        scenario
    };
    process.world = adopted("made by hand");
    assert_eq!(named(&process.vault(6)), [("ours".to_owned(), at(&process, 6))]);
    process.world = adopted("");
    assert_eq!(named(&process.vault(7)), []);
}

/// What the vault showed last is compared with status, which somebody may have forged.
#[test]
fn what_the_vault_showed_of_the_match_is_remembered() {
    let mut process = Process::new(false, Scenario::new());
    assert_eq!(process.recall(0).shown, None);
    let shown = process.vault(1).shown.flatten().unwrap();
    assert!(shown.id.ends_with("/ours"), "{shown:?}");
    process.world = Scenario::new().no_request();
    assert_eq!(process.vault(2).shown, Some(None));
}

#[test]
fn an_empty_list_of_links_is_an_answer() {
    let mut process = Process::new(false, Scenario::new());
    process.world.answers.links = Reading::Known(Arc::new(Links::default()));
    process.world.answers.connections = Reading::Known(Arc::new(Connections::default()));
    assert_eq!(process.vault(10).heard_ago, Duration::ZERO);
}

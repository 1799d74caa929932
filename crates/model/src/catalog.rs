//! The explorations: the main ones, the deeper ones, and for each rule the same world without it.

use std::time::Duration;

use signalr_private_link_core::Failure;

use crate::space::{Begin, Config, Group, Layout, Rule};

/// What calls meet in the main runs: one of each class that decisions tell apart where safety hangs on it.
fn failures() -> Vec<Failure> {
    vec![Failure::Transient(None), Failure::Busy(None)]
}

/// Every class of failure.
fn all_failures() -> Vec<Failure> {
    vec![
        Failure::Transient(None),
        Failure::Throttled(Some(Duration::from_secs(crate::state::SECONDS))),
        Failure::CredentialUnavailable,
        Failure::Unauthorized,
        Failure::Forbidden,
        Failure::Denied,
        Failure::NotFound(signalr_private_link_core::failure::Level::Parent),
        Failure::Busy(None),
        Failure::Invalid,
        Failure::PolicyDenied,
        Failure::Locked,
        Failure::QuotaExceeded,
    ]
}

fn config(name: &'static str, layout: Layout, budget: u8, groups: &[Group]) -> Config {
    Config {
        name,
        layout,
        begin: Begin::Created,
        groups: groups.to_vec(),
        budget,
        visits: None,
        failures: failures(),
        etag: true,
        strict: false,
        impatient: false,
        off: None,
        states: 3_000_000,
        rest_one_in: 64,
    }
}

/// A rule, and the exploration that has to find what it guards against.
#[derive(Debug)]
pub struct Twin {
    /// What is off.
    pub rule: Rule,
    /// The names of the invariants of which one has to break.
    pub breaks: &'static [&'static str],
    /// The exploration.
    pub config: Config,
}

/// For each rule the same world without it.
#[must_use]
pub fn twins() -> Vec<Twin> {
    use Group as G;
    use Layout::{Alone, Replicas, Rivals};
    let twin = |rule, breaks, layout, budget, groups: &[Group], rest_one_in| Twin {
        rule,
        breaks,
        config: Config { off: Some(rule), rest_one_in, ..config("twin", layout, budget, groups) },
    };
    vec![
        twin(Rule::R3, &["S16"], Replicas, 1, &[G::Delete], 0),
        twin(Rule::R4, &["S8", "S9"], Replicas, 2, &[G::Delete, G::Create], 0),
        twin(Rule::R5, &["S3"], Alone, 1, &[G::LostAnswers], 0),
        twin(Rule::R6, &["S5"], Alone, 1, &[G::ForeignLink], 0),
        twin(Rule::R7, &["S16"], Alone, 2, &[G::LostAnswers, G::Delete], 0),
        twin(Rule::R8, &["S13"], Rivals, 1, &[G::Delete], 0),
        twin(Rule::R11, &["S16"], Alone, 2, &[G::False404, G::Delete], 0),
        twin(Rule::R12, &["S5"], Alone, 1, &[G::BadEnds], 0),
        twin(Rule::M1, &["S1", "S4"], Alone, 1, &[G::ForeignLink], 0),
        twin(Rule::M2, &["S1"], Alone, 1, &[G::Guess], 0),
        twin(Rule::M3, &["S1"], Alone, 1, &[G::CopyElsewhere], 0),
        twin(Rule::M4, &["S1"], Alone, 2, &[G::Copy, G::OutsideDeletion], 0),
        twin(Rule::M5Twin, &["S1"], Alone, 1, &[G::Copy], 0),
        twin(Rule::M5Lists, &["S1"], Alone, 1, &[G::Copy], 0),
        twin(Rule::M5Replicas, &["S1"], Alone, 1, &[G::Replica], 0),
        twin(Rule::M6, &["S1"], Alone, 1, &[G::Policy], 0),
        twin(Rule::M7, &["S1"], Alone, 1, &[G::Copy], 1),
        twin(Rule::Nonce, &["S1"], Alone, 1, &[G::Guess], 0),
    ]
}

/// Known bugs, put back.
#[must_use]
pub fn bugs() -> Vec<Twin> {
    use Group as G;
    use Layout::Alone;
    let bug = |rule, breaks, budget, groups: &[Group], rest_one_in| Twin {
        rule,
        breaks,
        config: Config { off: Some(rule), rest_one_in, ..config("bug", Alone, budget, groups) },
    };
    vec![
        bug(Rule::DeletesAnyMarker, &["S4"], 3, &[G::Delete, G::OutsideDeletion, G::ForeignLink], 0),
        bug(Rule::PendingTwinsOnly, &["S1"], 2, &[G::Copy, G::Owner], 0),
        bug(Rule::RejectionForgotten, &["S1"], 2, &[G::Copy, G::Owner], 0),
        bug(Rule::Asleep, &["S1"], 2, &[G::Copy, G::SignalR], 1),
        bug(Rule::FailedRenewed, &["S5", "M7"], 1, &[G::BadEnds], 0),
        bug(Rule::OneFalse404, &["S16"], 2, &[G::False404, G::Delete], 0),
    ]
}

/// What touches the approval.
const APPROVAL: &[Group] = &[
    Group::Copy,
    Group::Owner,
    Group::Policy,
    Group::Crashes,
    Group::OutsideDeletion,
    Group::Wipe,
    Group::LostAnswers,
];

/// What touches creation and deletion.
const PROTOCOL: &[Group] = &[Group::LostAnswers, Group::Delete];

/// The main runs, each complete: every schedule with so many disturbances.
#[must_use]
pub fn main() -> Vec<Config> {
    use Layout::{Alone, Replicas, Rivals};
    vec![
        config("one process, any one disturbance", Alone, 1, Group::ALL),
        config("one process, any two disturbances of the approval", Alone, 2, APPROVAL),
        config("one process, any two disturbances of the protocol", Alone, 2, PROTOCOL),
        Config { visits: Some(1), ..config("a second replica that wakes up once", Replicas, 0, &[]) },
        config("two rivals for one link", Rivals, 0, &[]),
    ]
}

/// The deeper runs, up to a number of states.
#[must_use]
pub fn deep() -> Vec<Config> {
    use Layout::{Alone, Replicas, Rivals};
    let deeper = |config: Config| Config { states: 8_000_000, rest_one_in: 512, ..config };
    vec![
        deeper(config("one process, any two disturbances", Alone, 2, Group::ALL)),
        deeper(config("two replicas, as they like", Replicas, 0, &[])),
        deeper(Config { visits: Some(1), ..config("a second replica, any one disturbance", Replicas, 1, Group::ALL) }),
        deeper(config("two rivals, any one disturbance", Rivals, 1, Group::ALL)),
        deeper(config("one process, any three disturbances of the approval", Alone, 3, APPROVAL)),
        deeper(Config { etag: false, ..config("a vault that ignores the etag", Alone, 2, APPROVAL) }),
    ]
}

/// What two replicas that both act can do to each other; each has its story in `docs/reliability.md`.
#[must_use]
pub fn findings() -> Vec<(&'static str, Config)> {
    let two =
        |name, budget, groups: &[Group]| Config { strict: true, ..config(name, Layout::Replicas, budget, groups) };
    let late = two("a late DELETE after the fence was waived", 2, &[Group::Create, Group::Refusals]);
    vec![
        ("M7", two("an approval taken back upon an older list", 0, &[])),
        ("S4", Config { begin: Begin::LateDelete, visits: Some(0), rest_one_in: 0, ..late }),
    ]
}

/// Random walks: every kind of disturbance at once, and many of them.
#[must_use]
pub fn walks() -> Vec<Config> {
    use Layout::{Alone, Replicas, Rivals};
    let groups = [Group::ALL, &[Group::Rare]].concat();
    let walk =
        |name, layout| Config { failures: all_failures(), impatient: true, ..config(name, layout, u8::MAX, &groups) };
    vec![
        walk("walks of one process", Alone),
        walk("walks of two replicas", Replicas),
        walk("walks of two rivals", Rivals),
        Config { begin: Begin::Unrequested, ..walk("walks from a link whose request is late", Alone) },
        Config { begin: Begin::Settled, ..walk("walks from a link that works", Alone) },
        Config { etag: false, ..walk("walks at a vault that ignores the etag", Alone) },
    ]
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Config> {
    let rules = twins().into_iter().chain(bugs()).map(|twin| twin.config);
    let findings = findings().into_iter().map(|(_, config)| config);
    [main(), deep(), words(), walks()].concat().into_iter().chain(findings).chain(rules).collect()
}

/// Every class of failure, at every call.
#[must_use]
pub fn words() -> Vec<Config> {
    let groups = [Group::Reads, Group::Refusals];
    let run =
        Config { failures: all_failures(), impatient: true, ..config("every failure", Layout::Alone, 1, &groups) };
    vec![Config { begin: Begin::Manual, name: "every failure, approval by hand", ..run.clone() }, run]
}

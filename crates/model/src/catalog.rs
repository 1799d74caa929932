//! The explorations: the main ones, the deeper ones, and for each rule the same world without it.

use std::time::Duration;

use signalr_private_link_core::Failure;

use crate::space::{Begin, Config, Group, Layout, Rule};

/// What calls meet in the main runs: one of each class that decisions tell apart where safety hangs on it.
fn failures() -> Vec<Failure> {
    vec![Failure::Transient(None), Failure::Busy(None)]
}

/// ARM asks to wait until the next moment.
fn throttled() -> Failure {
    Failure::Throttled(Some(Duration::from_secs(crate::state::SECONDS)))
}

/// Every class of failure.
fn all_failures() -> Vec<Failure> {
    vec![
        Failure::Transient(None),
        throttled(),
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
        pages: false,
        clocks: [0, 0],
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
    let beside_another = config("twin beside somebody else's finalizer", Alone, 1, &[G::ForeignFinalizer]);
    let twin = |rule, breaks, layout, budget, groups: &[Group], rest_one_in| Twin {
        rule,
        breaks,
        config: Config { off: Some(rule), rest_one_in, ..config("twin", layout, budget, groups) },
    };
    vec![
        twin(Rule::R3, &["S16"], Replicas, 1, &[G::Delete], 0),
        twin(Rule::R4, &["S8", "S9"], Replicas, 2, &[G::Delete, G::Create], 0),
        Twin {
            breaks: &["S10"],
            config: Config { off: Some(Rule::R4), rest_one_in: 0, ..beside_another },
            rule: Rule::R4,
        },
        twin(Rule::R5, &["S3"], Alone, 1, &[G::LostAnswers], 0),
        twin(Rule::R6, &["S5"], Alone, 1, &[G::ForeignLink], 0),
        twin(Rule::R7, &["S16"], Alone, 2, &[G::LostAnswers, G::Delete], 0),
        twin(Rule::R8, &["S13"], Rivals, 1, &[G::Delete], 0),
        twin(Rule::R11, &["S16"], Alone, 2, &[G::False404, G::Delete], 0),
        twin(Rule::R12, &["S5"], Alone, 1, &[G::BadEnds], 0),
        Twin {
            breaks: &["S13"],
            config: Config {
                failures: vec![throttled()],
                off: Some(Rule::R13),
                ..config("twin", Alone, 1, &[G::Reads])
            },
            rule: Rule::R13,
        },
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
        twin(Rule::Elder, &["S14"], Rivals, 0, &[], 0),
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
        Twin {
            config: Config { layout: Layout::Replicas, ..bug(Rule::OlderList, &[], 0, &[], 0).config },
            rule: Rule::OlderList,
            breaks: &["M7"],
        },
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

/// What changes what lists show.
const LISTED: &[Group] = &[
    Group::OutsideDeletion,
    Group::Delete,
    Group::Recreate,
    Group::Copy,
    Group::Swap,
    Group::Owner,
    Group::Remove,
    Group::Wipe,
];

/// What decides which request is matched.
const MATCHED: &[Group] = &[Group::OutsideDeletion, Group::Copy, Group::Owner];

/// What a tenant does to an object whose approval is not confirmed yet.
const TENANT: &[Group] = &[Group::Observe, Group::Detach, Group::Delete, Group::Force, Group::Strip];

/// What touches the list of finalizers.
const FINALIZERS: &[Group] = &[Group::ForeignFinalizer, Group::Delete, Group::Strip, Group::Create, Group::Restarts];

/// What the vault's owner and a stranger do to the candidates of an approval.
const CANDIDATES: &[Group] = &[Group::Copy, Group::Owner, Group::OwnerWords];

/// The main runs, each complete: every schedule with so many disturbances.
#[must_use]
pub fn main() -> Vec<Config> {
    use Layout::{Alone, Replicas, Rivals, Tenants};
    vec![
        config("one process, any one disturbance", Alone, 1, Group::ALL),
        config("one process, any two disturbances of the approval", Alone, 2, APPROVAL),
        Config {
            begin: Begin::Manual,
            ..config("approval by hand, any two disturbances of the protocol", Alone, 2, PROTOCOL)
        },
        Config {
            begin: Begin::Approving,
            ..config("any two disturbances of the protocol in mid-approval", Alone, 2, PROTOCOL)
        },
        Config {
            visits: Some(1),
            clocks: [-9, 9],
            ..config("a second replica that wakes up once, clocks minutes off", Replicas, 0, &[])
        },
        Config { states: 400_000, ..config("two replicas, as they like, so many states", Replicas, 0, &[]) },
        config("two rivals for one link, of one second", Rivals, 0, &[]),
        Config { begin: Begin::SecondIsElder, ..config("two rivals, the second one older", Rivals, 0, &[]) },
        Config { pages: true, ..config("lists in two pages", Alone, 1, MATCHED) },
        Config {
            pages: true,
            begin: Begin::Approving,
            ..config("lists in two pages in mid-approval", Alone, 1, LISTED)
        },
        Config { begin: Begin::Approving, ..config("any two acts of the tenant's in mid-approval", Alone, 2, TENANT) },
        Config {
            begin: Begin::Settled,
            ..config("somebody else's finalizer, any three disturbances", Alone, 3, FINALIZERS)
        },
        Config { etag: false, ..config("a vault that ignores the etag, any two decisions", Alone, 2, CANDIDATES) },
        Config { visits: Some(4), ..config("a second tenant comes", Tenants, 1, &[Group::Neighbour]) },
        Config {
            visits: Some(7),
            begin: Begin::Approving,
            ..config("any two acts of a second tenant's in mid-approval", Tenants, 2, &[Group::Neighbour])
        },
    ]
}

/// The deeper runs, up to a number of states.
#[must_use]
pub fn deep() -> Vec<Config> {
    use Layout::{Alone, Replicas, Rivals, Tenants};
    let deeper = |config: Config| Config { states: 8_000_000, rest_one_in: 512, ..config };
    vec![
        deeper(config("one process, any two disturbances", Alone, 2, Group::ALL)),
        deeper(config("two replicas, as they like", Replicas, 0, &[])),
        deeper(Config { visits: Some(1), ..config("a second replica, any one disturbance", Replicas, 1, Group::ALL) }),
        deeper(config("two rivals, any one disturbance", Rivals, 1, Group::ALL)),
        deeper(config("one process, any three disturbances of the approval", Alone, 3, APPROVAL)),
        deeper(config("one process, any two disturbances of the protocol", Alone, 2, PROTOCOL)),
        deeper(Config { etag: false, ..config("a vault that ignores the etag", Alone, 2, APPROVAL) }),
        deeper(Config { pages: true, ..config("lists in two pages, any one disturbance", Alone, 1, Group::ALL) }),
        deeper(Config {
            pages: true,
            visits: Some(1),
            ..config("a second replica, lists in two pages", Replicas, 0, &[])
        }),
        deeper(Config {
            begin: Begin::Approving,
            ..config("any three acts of the tenant's in mid-approval", Alone, 3, TENANT)
        }),
        deeper(config("a second tenant and strangers", Tenants, 2, &[Group::Neighbour, Group::Copy, Group::Owner])),
    ]
}

/// What a late write of another process can do to the next object of a name; its story is in `docs/reliability.md`.
#[must_use]
pub fn late_delete() -> Config {
    Config {
        begin: Begin::LateDelete,
        strict: true,
        visits: Some(0),
        rest_one_in: 0,
        ..config("a late DELETE after the fence was waived", Layout::Replicas, 2, &[Group::Create, Group::Refusals])
    }
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
    [main(), deep(), words(), walks(), vec![late_delete()]].concat().into_iter().chain(rules).collect()
}

/// Every class of failure, at every call.
#[must_use]
pub fn words() -> Vec<Config> {
    let groups = [Group::Reads, Group::Refusals];
    let run =
        Config { failures: all_failures(), impatient: true, ..config("every failure", Layout::Alone, 1, &groups) };
    vec![Config { begin: Begin::Manual, name: "every failure, approval by hand", ..run.clone() }, run]
}

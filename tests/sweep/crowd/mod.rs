//! Many objects at once under the shipped controller, with kube's own watches: several tenants, two
//! SignalRs, two vaults, rivals for one link, people who come and go; for an hour any call and any
//! event may meet a fault by chance. Then the faults stop, everything has to become what the
//! ground truth says, and rest.
//!
//! `CROWDS=<n>` runs more of them, `SEED=<n>` one. What happens by chance in the operator itself (nonces,
//! jitter, the order of maps) is not repeated, so the story of a crowd that failed is written to a file;
//! with `SHOW=1` all are.

mod acts;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use azure_sim::config::Timings;
use serde_json::Value;
use testkit::scene::condition;
use tokio::time::Instant;

use crate::boundary::Boundary;
use crate::calls::Strike;
use crate::circumstances::Circumstances;
use crate::judge;
use crate::matrix::{panics, paused, quiet_panics, say};
use crate::process::processes;
use crate::stage::{self, LINKS, NAMESPACE, Stage};

/// Another tenant's namespace.
const OTHER: &str = "fabrikam";
const FIRST: &str = "first-signalr";
const SECOND: &str = "second-signalr";
const RED: &str = "red-kv";
const BLUE: &str = "blue-kv";
/// How long faults strike, and people act.
const TROUBLE: Duration = Duration::from_secs(3600);
/// How long a process has an empty budget from its start on, where other namespaces flood it.
const FLOODED: Duration = Duration::from_secs(1200);
/// From then on, everything has come to rest by this time: a wait that faults have lengthened is
/// half an hour at most, and one behind the other on one SignalR.
const PEACE: Duration = Duration::from_secs(3 * 3600);
/// People look and act this often.
const LOOK: Duration = Duration::from_secs(15);
/// At rest nothing is written for so long.
const REST: Duration = Duration::from_secs(3600);

const TIMINGS: Timings = Timings {
    create_ms: 40_000,
    delete_ms: 20_000,
    appear_ms: 5_000,
    approve_ms: 10_000,
    propagation_ms: 15_000,
    busy_ms: 5_000,
    linger_ms: 2_000,
    hidden_ms: 0,
    latency_ms: 0,
};

/// One of the objects.
#[derive(Debug, Clone, Copy)]
struct Member {
    namespace: &'static str,
    name: &'static str,
    signalr: &'static str,
    vault: &'static str,
    link: &'static str,
    automatic: bool,
}

const fn member(
    (namespace, name): (&'static str, &'static str),
    signalr: &'static str,
    vault: &'static str,
    link: &'static str,
    automatic: bool,
) -> Member {
    Member { namespace, name, signalr, vault, link, automatic }
}

/// The link that two of them claim.
const SHARED: &str = "shared";
const MEMBERS: &[Member] = &[
    member((NAMESPACE, "a"), FIRST, RED, "link-a", true),
    member((NAMESPACE, "b"), FIRST, RED, "link-b", true),
    member((NAMESPACE, "c"), FIRST, BLUE, "link-c", false),
    member((NAMESPACE, "d"), SECOND, RED, "link-d", true),
    member((NAMESPACE, "rival"), SECOND, BLUE, SHARED, true),
    member((OTHER, "a"), FIRST, RED, "other-a", true),
    member((OTHER, "b"), SECOND, BLUE, "other-b", false),
    member((OTHER, "rival"), SECOND, BLUE, SHARED, true),
];

impl Member {
    fn is(&self, object: &Value) -> bool {
        object["metadata"]["namespace"] == self.namespace && object["metadata"]["name"] == self.name
    }

    fn key(&self) -> (&'static str, &'static str) {
        (self.namespace, self.name)
    }
}

struct Crowd {
    stage: Stage,
    /// Who is there, and not on its way out; at the end all are.
    wanted: BTreeSet<(&'static str, &'static str)>,
}

/// How many there are, unless `CROWDS` says so.
const CROWDS: u64 = 25;

/// Many objects at once, and any fault at any time.
#[test]
fn crowds() {
    quiet_panics();
    let count = std::env::var("CROWDS").map_or(CROWDS, |count| count.parse().expect("CROWDS is a number"));
    let mut problems = Vec::new();
    let (mut calls, mut strikes) = (0, 0);
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..count).collect::<Vec<u64>>(),
    };
    for &seed in &seeds {
        let outcome = paused(crowd(seed));
        calls += outcome.calls;
        strikes += outcome.strikes;
        if !outcome.problems.is_empty() || std::env::var_os("SHOW").is_some() {
            let story = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crowd-{seed}.log"));
            std::fs::write(&story, outcome.log.join("\n")).unwrap();
            problems.extend(outcome.problems.iter().map(|problem| format!("{}: {problem}", story.display())));
        }
    }
    say(&format!("crowds: {}, {calls} calls, {strikes} of them struck", seeds.len()));
    assert!(strikes > 100 * seeds.len(), "hardly any fault struck");
    assert_eq!(panics(), 0, "the operator panicked");
    let count = problems.len();
    problems.truncate(20);
    assert!(count == 0, "{count} problems, such as\n{}", problems.join("\n"));
}

/// What became of a crowd.
struct Outcome {
    problems: Vec<String>,
    log: Vec<String>,
    calls: usize,
    strikes: usize,
}

/// One crowd.
async fn crowd(seed: u64) -> Outcome {
    let circumstances = Circumstances { strike: Strike::Random, slow: true, seed, ..Circumstances::default() };
    let boundary = Boundary::new(TIMINGS, circumstances, false);
    // In every second one the budget is empty: each write waits before what authorises it is read.
    let flooded = if seed % 2 == 1 { FLOODED } else { Duration::ZERO };
    let mut crowd = Crowd { stage: Stage(boundary.clone()), wanted: BTreeSet::new() };
    crowd.begin();
    tokio::select! {
        () = processes(&boundary, flooded) => {}
        () = crowd.live() => {}
    }
    let mut calls = boundary.calls();
    Outcome {
        problems: std::mem::take(&mut calls.problems),
        log: std::mem::take(&mut calls.log),
        calls: calls.count,
        strikes: calls.strikes,
    }
}

impl Crowd {
    fn boundary(&self) -> &Arc<Boundary> {
        &self.stage.0
    }

    fn begin(&mut self) {
        self.stage.begin_with(&[NAMESPACE, OTHER], &[FIRST, SECOND], &[RED, BLUE]);
        self.stage.permit_in(&[NAMESPACE, OTHER]);
        for member in MEMBERS {
            self.create(*member);
        }
    }

    fn objects(&self) -> Vec<Value> {
        self.boundary().kubernetes.objects(LINKS)
    }

    async fn live(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < TROUBLE {
            tokio::time::sleep(LOOK).await;
            self.act();
            self.react();
        }
        self.boundary().calls().disarm();
        self.boundary().note("the faults have stopped");
        let begun = Instant::now();
        while let Err(why) = self.expected() {
            if begun.elapsed() > PEACE {
                return self.boundary().problem(format!("L: not at rest: {why}"));
            }
            tokio::time::sleep(LOOK).await;
            self.react();
            self.restore();
        }
        let took = begun.elapsed().as_secs();
        // The last words are written, and waits that were longer are over.
        tokio::time::sleep(REST).await;
        let before = self.boundary().calls().said();
        tokio::time::sleep(REST).await;
        let after = self.boundary().calls().said();
        if after != before {
            self.boundary().problem(format!("L: {before:?} writes and Events became {after:?} at rest"));
        }
        if let Err(why) = self.expected() {
            self.boundary().problem(format!("L: it did not stay so: {why}"));
        }
        self.boundary().note(format!("at rest {took} s after the faults"));
    }

    /// Every member is there and works, or another one owns its link; and no link is left that
    /// belongs to nobody.
    fn expected(&self) -> Result<(), String> {
        let objects = self.objects();
        let mut rivals = Vec::new();
        for member in MEMBERS {
            let (namespace, name) = member.key();
            let object = objects.iter().find(|object| member.is(object));
            let object = object.ok_or_else(|| format!("{namespace}/{name} is gone"))?;
            let ready = condition(object, "Ready").unwrap_or_default();
            let reason = ready["reason"].as_str().unwrap_or_default();
            // A status can be forged: what is on its way out does not work.
            let stays = object["metadata"]["deletionTimestamp"].is_null();
            let seen = stays && object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let (uid, id) = (object["metadata"]["uid"].as_str().unwrap_or_default(), stage::link_id(object));
            let own = self.boundary().azure.look(|world| {
                let link = world.link(&id)?;
                Some(judge::marker(link)?.uid == uid && link.status.as_deref() == Some("Approved"))
            });
            match (seen, reason, own) {
                (true, "Approved", Some(true)) => {}
                (true, "OwnershipConflict", Some(false)) if member.link == SHARED => {}
                _ => {
                    let message = &ready["message"];
                    return Err(format!("{namespace}/{name} is {reason} ({message}; seen: {seen}, own: {own:?})"));
                }
            }
            if member.link == SHARED {
                rivals.push(reason.to_owned());
            }
        }
        if rivals.iter().filter(|reason| *reason == "Approved").count() != 1 {
            return Err(format!("S14: the rivals are {rivals:?}"));
        }
        match judge::at_rest(self.boundary(), false).first() {
            Some(problem) => Err((*problem).to_owned()),
            None => Ok(()),
        }
    }
}

//! One run of a scenario: passes when they are due, people when it is their turn, a new process
//! after a crash; until all is as expected and rests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azure_sim::config::Timings;
use futures::FutureExt as _;
use serde_json::Value;
use signalr_private_link_core::action::ActionKind;
use signalr_private_link_operator::azure::CallKind;
use signalr_private_link_operator::metrics::Format;
use signalr_private_link_operator::reconcile::ObjectKey;
use strum::VariantArray as _;
use tokio::time::Instant;

use crate::boundary::Boundary;
use crate::calls::Strike;
use crate::circumstances::Circumstances;
use crate::judge;
use crate::process::Process;
use crate::scenarios::Scenario;
use crate::stage::{LINKS, NAMESPACE, Stage};

/// What became of it.
pub struct Life {
    /// The numbers of the calls that the operator made, without those of passes that only repeat the
    /// calls of the two before.
    pub calls: Vec<usize>,
    /// The most passes that changed something, from a disturbance (the fault, and what people did
    /// after it) until nothing did any more or people did the next thing. Passes that only look,
    /// while Azure takes its time, do not count.
    pub passes: usize,
    /// The call that met the fault; `None` when the life had fewer calls.
    pub struck: Option<String>,
    pub problems: Vec<String>,
    /// Actions taken and calls made, by name.
    pub labels: BTreeSet<&'static str>,
    pub log: Vec<String>,
    /// What the last process shows of itself.
    pub metrics: String,
}

/// Azure's order of events, with fewer polls of the same state than its real times would give.
const TIMINGS: Timings = Timings {
    create_ms: 12_000,
    delete_ms: 8_000,
    appear_ms: 2_000,
    approve_ms: 10_000,
    propagation_ms: 15_000,
    busy_ms: 5_000,
    linger_ms: 0,
    hidden_ms: 0,
    latency_ms: 0,
};
/// People look this often whether it is their turn.
const LOOK: Duration = Duration::from_secs(30);
/// By then every life has ended.
const LONGEST: Duration = Duration::from_secs(3 * 3600);
/// One that takes more spins.
const MOST: usize = 1_000;
/// After the end: late effects would show.
const AFTERMATH: Duration = Duration::from_secs(300);
/// By then the object has said what the aftermath changed.
const SETTLING: usize = 5;

/// Passes that change nothing, at rest.
const QUIET: usize = 100;

/// What a watch would tell the controller about.
type Version = (Value, Value, Value);

struct World<'a> {
    scenario: &'a Scenario,
    circumstances: Circumstances,
    stage: Stage,
    process: Process,
    due: BTreeMap<ObjectKey, Instant>,
    seen: BTreeMap<ObjectKey, Version>,
    /// Events that the watch has yet to deliver.
    events: Vec<(Instant, ObjectKey)>,
    listed: Instant,
    /// Objects whose last pass wrote nothing.
    silent: BTreeSet<ObjectKey>,
    passes: usize,
    /// Passes that changed something since the last disturbance.
    changes: usize,
    /// The most of them between two disturbances, since the fault.
    longest: usize,
    labels: BTreeSet<&'static str>,
    next_step: usize,
}

/// Runs a scenario.
pub async fn live(scenario: &Scenario, circumstances: Circumstances) -> Life {
    let boundary = Boundary::new(TIMINGS, circumstances, scenario.stranger_may_slip);
    let stage = Stage(boundary.clone());
    stage.begin();
    (scenario.setup)(&stage);
    let process = Process::start(&boundary, circumstances);
    let mut world = World {
        scenario,
        circumstances,
        stage,
        process,
        due: BTreeMap::new(),
        seen: BTreeMap::new(),
        events: Vec::new(),
        listed: Instant::now(),
        silent: BTreeSet::new(),
        passes: 0,
        changes: 0,
        longest: 0,
        labels: BTreeSet::new(),
        next_step: 0,
    };
    world.list();
    let begun = Instant::now();
    while !world.rests() {
        if begun.elapsed() > LONGEST || world.passes > MOST {
            let expected = (scenario.expected)(&world.stage).err().unwrap_or_default();
            let step = world.next_step;
            boundary.problem(format!("not at rest after {} passes (step {step}): {expected}", world.passes));
            break;
        }
        world.turn().await;
    }
    world.note_stretch();
    let calls = calls(&boundary.calls().log);
    world.aftermath().await;
    world.note_labels();
    let struck = boundary.calls().struck.clone();
    let mut calls_made = boundary.calls();
    Life {
        calls,
        passes: world.longest,
        struck,
        problems: std::mem::take(&mut calls_made.problems),
        labels: world.labels,
        metrics: world.process.metrics.encode(Format::Text).unwrap_or_default(),
        log: std::mem::take(&mut calls_made.log),
    }
}

/// The calls of a life, by number: of passes in a row over one object that make the same calls, such as
/// those that wait for an operation, only the first two.
fn calls(log: &[String]) -> Vec<usize> {
    let mut passes: Vec<(&str, Vec<(usize, &str)>)> = Vec::new();
    for line in log {
        if let Some((_, key)) = line.split_once(" over ") {
            passes.push((key, Vec::new()));
        }
        let call = line.split_once("  call ").and_then(|(_, rest)| rest.split_once(": "));
        if let (Some((number, label)), Some((_, pass))) = (call, passes.last_mut()) {
            pass.push((number.parse().unwrap(), label));
        }
    }
    let same = |(key, calls): &(&str, Vec<(usize, &str)>), (other, others): &(&str, Vec<(usize, &str)>)| {
        key == other && calls.iter().map(|c| c.1).eq(others.iter().map(|c| c.1))
    };
    let repeats = |at: usize| at >= 2 && same(&passes[at], &passes[at - 1]) && same(&passes[at], &passes[at - 2]);
    (0..passes.len()).filter(|at| !repeats(*at)).flat_map(|at| passes[at].1.iter().map(|c| c.0)).collect()
}

impl World<'_> {
    fn boundary(&self) -> &std::sync::Arc<Boundary> {
        &self.stage.0
    }

    /// All steps are done, everything is as expected, and the last pass of each object was silent,
    /// or was to be its last.
    fn rests(&self) -> bool {
        self.next_step == self.scenario.steps.len()
            && !self.boundary().calls().lasts()
            && self.seen.keys().all(|key| self.silent.contains(key) || !self.due.contains_key(key))
            && (self.scenario.expected)(&self.stage).is_ok()
            && self.there().len() == self.seen.len()
    }

    /// People act, the watch tells, and the object that is due is passed over.
    async fn turn(&mut self) {
        while let Some(step) = self.scenario.steps.get(self.next_step)
            && (step.when)(&self.stage)
        {
            (step.act)(&self.stage);
            self.next_step += 1;
            self.disturb();
            if step.wakes_all {
                self.list();
            }
        }
        self.watch();
        while let Ok(key) = self.process.woken.try_recv() {
            if self.seen.contains_key(&key) {
                self.due.insert(key, Instant::now());
            }
        }
        let next = self.due.iter().min_by_key(|(_, at)| **at).map(|(key, at)| (key.clone(), *at));
        let now = Instant::now();
        let event = self.events.iter().map(|(at, _)| *at).min().unwrap_or(now + LOOK);
        match next {
            Some((key, at)) if at <= now => {
                self.due.remove(&key);
                self.pass(&key).await;
            }
            Some((_, at)) => tokio::time::sleep_until(at.min(now + LOOK).min(event)).await,
            None => tokio::time::sleep_until(event.min(now + LOOK)).await,
        }
        if self.boundary().calls().lasts() {
            self.disturb();
        }
    }

    fn disturb(&mut self) {
        self.note_stretch();
        self.changes = 0;
        self.silent.clear();
    }

    /// Without a fault all stretches count, with one those after it.
    fn note_stretch(&mut self) {
        if self.boundary().calls().may_strike() {
            return;
        }
        self.longest = self.longest.max(self.changes);
    }

    /// All objects, as the watch shows them, and the version of each that makes an event.
    fn there(&self) -> BTreeMap<ObjectKey, Version> {
        let mut all = BTreeMap::new();
        self.boundary().kubernetes.visit(LINKS, |object| {
            let metadata = &object["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            let version = (metadata["uid"].clone(), metadata["generation"].clone(), metadata["annotations"].clone());
            all.insert(ObjectKey { namespace: NAMESPACE.to_owned(), name }, version);
        });
        all
    }

    /// A list, as at the start and after 410: every object is due.
    fn list(&mut self) {
        self.listed = Instant::now();
        self.seen = self.there();
        self.due = self.seen.keys().map(|key| (key.clone(), Instant::now())).collect();
    }

    /// The watch, as the controller filters it: new objects, generations and annotations.
    fn watch(&mut self) {
        let now = Instant::now();
        if self.circumstances.watch.lists_every().is_some_and(|period| now - self.listed >= period) {
            self.list();
        }
        let there = self.there();
        for (key, version) in &there {
            if self.seen.get(key) != Some(version) {
                let delays = self.circumstances.watch.delays(self.passes);
                self.events.extend(delays.iter().map(|delay| (now + *delay, key.clone())));
            }
        }
        for (_, key) in self.events.extract_if(.., |(at, _)| *at <= now) {
            self.due.insert(key, now);
        }
        self.due.retain(|key, _| there.contains_key(key));
        self.seen = there;
    }

    async fn pass(&mut self, key: &ObjectKey) {
        let boundary = self.boundary().clone();
        let writes = boundary.calls().writes;
        let strikes = boundary.calls().strikes;
        self.passes += 1;
        boundary.note(format!("pass {} over {key}", self.passes));
        let crashed = tokio::select! {
            biased;
            () = boundary.crashed.notified() => true,
            again = self.process.pass(key) => {
                boundary.note(format!("    {}; again after {again:?}", self.stage.reason(&key.name)));
                if let Some(again) = again {
                    let at = Instant::now() + again;
                    self.due.entry(key.clone()).and_modify(|due| *due = at.min(*due)).or_insert(at);
                }
                false
            }
        };
        if boundary.calls().writes == writes {
            self.silent.insert(key.clone());
        } else {
            self.silent.remove(key);
            self.changes += 1;
        }
        if boundary.calls().strikes != strikes {
            self.longest = 0;
            self.changes = 0;
            self.silent.clear();
        }
        if crashed {
            boundary.note("the process is gone; another one starts");
            // Two of its requests may have met their fault at once.
            let _ = boundary.crashed.notified().now_or_never();
            self.silent.clear();
            self.note_labels();
            self.process = Process::start(&boundary, self.circumstances);
            self.events.clear();
            self.list();
        }
    }

    /// Late effects show and are told; then one more pass over everything writes nothing, and no
    /// link is left that belongs to nobody (S16).
    async fn aftermath(&mut self) {
        let boundary = self.boundary().clone();
        boundary.calls().disarm();
        tokio::time::sleep(AFTERMATH).await;
        let mut wrote = true;
        for _ in 0..SETTLING {
            wrote = self.all_pass().await;
            if !wrote {
                break;
            }
            tokio::time::sleep(AFTERMATH).await;
        }
        if wrote || self.all_pass().await {
            boundary.problem("one more pass wrote something");
        }
        // In peace a hundred passes, and an hour and a half, change nothing either.
        let peace = if self.circumstances.strike == Strike::Never { QUIET } else { 0 };
        for _ in 0..peace {
            tokio::time::sleep(LOOK * 2).await;
            if self.all_pass().await {
                boundary.problem("something was written at rest");
                break;
            }
        }
        if let Err(why) = (self.scenario.expected)(&self.stage) {
            boundary.problem(format!("it did not stay so: {why}"));
        }
        for problem in judge::at_rest(&boundary, self.scenario.leaves_link) {
            boundary.problem(problem);
        }
    }

    /// One pass over every object; whether anything was written, or an Event made.
    async fn all_pass(&mut self) -> bool {
        let boundary = self.boundary().clone();
        let before = boundary.calls().said();
        for key in self.there().into_keys() {
            boundary.note(format!("one more pass over {key}"));
            self.process.pass(&key).await;
        }
        boundary.calls().said() != before
    }

    /// What the process has done so far, from its own metrics.
    fn note_labels(&mut self) {
        let metrics = self.process.metrics.encode(Format::Text).unwrap_or_default();
        // All series are there from the start, with 0.
        let counted: Vec<&str> = metrics.lines().filter(|line| !line.ends_with(" 0")).collect();
        let names = ActionKind::VARIANTS.iter().map(<&'static str>::from);
        let names = names.chain(CallKind::VARIANTS.iter().map(<&'static str>::from));
        self.labels.extend(names.filter(|name| {
            let value = format!("\"{name}\"");
            counted.iter().any(|line| line.contains(&value))
        }));
    }
}

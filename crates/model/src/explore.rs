//! Breadth first, level by level, on all processors: the first violation has a shortest story.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::act::Act;
use crate::space::Space;
use crate::state::{Violation, World};

/// Into so many parts the states that were seen are divided, so that threads seldom wait for each other.
const PARTS: usize = 256;

/// A fingerprint is a hash already.
#[derive(Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// From where a state was reached first, and by which of the things that could happen there.
type Seen = HashMap<u64, (u64, u16), BuildHasherDefault<AsItIs>>;

/// What an exploration found.
#[derive(Debug)]
pub struct Found {
    /// Distinct states.
    pub states: usize,
    /// Steps between them.
    pub steps: u64,
    /// The longest of the shortest ways to a state.
    pub depth: u32,
    /// Whether all states were visited; else it ended at its limit.
    pub complete: bool,
    /// From how many states it was run to rest.
    pub rested: u64,
    /// The most passes that changed something until all was at rest.
    pub most_passes: u32,
    /// How long it took.
    pub took: Duration,
    /// The first violation, and what happened until then.
    pub violation: Option<Trace>,
}

/// How a violation came about.
#[derive(Debug)]
pub struct Trace {
    /// What must not happen, and did.
    pub violation: Violation,
    /// What happened.
    pub acts: Vec<Act>,
    /// After so many of them nobody disturbed any more.
    pub disturbed: usize,
}

struct Search<'a> {
    space: &'a Space,
    seen: Vec<Mutex<Seen>>,
    states: AtomicUsize,
    steps: AtomicU64,
    rested: AtomicU64,
    most_passes: AtomicU32,
    stop: AtomicBool,
    violation: Mutex<Option<(Violation, u64, Vec<Act>)>>,
}

impl Search<'_> {
    /// Whether the state is new.
    fn enter(&self, state: u64, from: u64, by: u16) -> bool {
        let Some(part) = self.seen.get((state >> 48) as usize % PARTS) else { return false };
        let is_new = match part.lock().unwrap_or_else(PoisonError::into_inner).entry(state) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert((from, by));
                true
            }
        };
        if is_new {
            self.states.fetch_add(1, Ordering::Relaxed);
        }
        is_new
    }

    fn came_from(&self, state: u64) -> Option<(u64, u16)> {
        let part = self.seen.get((state >> 48) as usize % PARTS)?;
        part.lock().unwrap_or_else(PoisonError::into_inner).get(&state).copied()
    }

    fn found(&self, violation: Violation, state: u64, rest: Vec<Act>) {
        let mut found = self.violation.lock().unwrap_or_else(PoisonError::into_inner);
        found.get_or_insert((violation, state, rest));
        self.stop.store(true, Ordering::Relaxed);
    }

    /// All that can follow from these states, as far as it is new.
    fn expand(&self, level: &[(u64, World)]) -> Vec<(u64, World)> {
        let mut next = Vec::new();
        let mut steps = 0;
        for (state, world) in level {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            for (by, act) in (0u16..).zip(self.space.acts(world)) {
                let Some(after) = self.space.after(world, act) else { continue };
                steps += 1;
                let reached = self.space.fingerprint(&after);
                if !self.enter(reached, *state, by) {
                    continue;
                }
                if let Some(violation) = after.broken {
                    self.found(violation, reached, vec![]);
                    break;
                }
                let one_in = self.space.config.rest_one_in;
                if one_in > 0 && reached.is_multiple_of(one_in) {
                    self.run_to_rest(&after, reached);
                }
                next.push((reached, after));
            }
        }
        self.steps.fetch_add(steps, Ordering::Relaxed);
        next
    }

    fn run_to_rest(&self, world: &World, state: u64) {
        self.rested.fetch_add(1, Ordering::Relaxed);
        match self.space.run_to_rest(world, state & 1 << 40 == 0) {
            Ok(passes) => {
                self.most_passes.fetch_max(passes, Ordering::Relaxed);
            }
            Err((violation, acts)) => self.found(violation, state, acts),
        }
    }

    fn story(&self, mut state: u64, begin: u64) -> Vec<Act> {
        let mut way = Vec::new();
        while state != begin {
            let Some((from, by)) = self.came_from(state) else { break };
            way.push(by);
            state = from;
        }
        let mut world = self.space.begin();
        let mut acts = Vec::new();
        for by in way.into_iter().rev() {
            let Some(act) = self.space.acts(&world).get(usize::from(by)).copied() else { break };
            let Some(after) = self.space.after(&world, act) else { break };
            acts.push(act);
            world = after;
        }
        acts
    }
}

/// Explores a space until there is nothing new, a violation is found, or its limit of states is reached; a level that
/// was begun is ended.
#[must_use]
pub fn explore(space: &Space) -> Found {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let search = Search {
        space,
        seen: (0..PARTS).map(|_| Mutex::new(Seen::default())).collect(),
        states: AtomicUsize::new(0),
        steps: AtomicU64::new(0),
        rested: AtomicU64::new(0),
        most_passes: AtomicU32::new(0),
        stop: AtomicBool::new(false),
        violation: Mutex::new(None),
    };
    let world = space.begin();
    let begin = space.fingerprint(&world);
    search.enter(begin, begin, 0);
    let mut level = vec![(begin, world)];
    let (mut depth, mut complete) = (0, true);
    while !level.is_empty() && !search.stop.load(Ordering::Relaxed) {
        if search.states.load(Ordering::Relaxed) >= space.config.states {
            complete = false;
            break;
        }
        let share = level.len().div_ceil(threads).max(1);
        let parts: Vec<Vec<_>> = std::thread::scope(|scope| {
            let handles: Vec<_> = level.chunks(share).map(|part| scope.spawn(|| search.expand(part))).collect();
            handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
        });
        level = parts.into_iter().flatten().collect();
        depth += u32::from(!level.is_empty());
    }
    let violation = search.violation.lock().unwrap_or_else(PoisonError::into_inner).take();
    let violation = violation.map(|(violation, state, rest)| {
        let mut acts = search.story(state, begin);
        let disturbed = acts.len();
        acts.extend(rest);
        Trace { violation, acts, disturbed }
    });
    Found {
        states: search.states.load(Ordering::Relaxed),
        steps: search.steps.load(Ordering::Relaxed),
        depth,
        complete: complete && violation.is_none(),
        rested: search.rested.load(Ordering::Relaxed),
        most_passes: search.most_passes.load(Ordering::Relaxed),
        took: begun.elapsed(),
        violation,
    }
}

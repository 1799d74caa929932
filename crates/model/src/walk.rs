//! Random walks: longer than breadth first reaches, and with disturbances of every kind at once. The number of a walk is its
//! seed, so that it can be made again.

use std::mem::{Discriminant, discriminant};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use rand::{RngExt as _, SeedableRng as _};

use crate::act::Act;
use crate::explore::Trace;
use crate::space::Space;
use crate::state::World;
use crate::wire::hash;

/// What walks found.
#[derive(Debug)]
pub struct Walked {
    /// How many there were.
    pub walks: u64,
    /// How many things happened in all of them, before they went to rest.
    pub acts: u64,
    /// How long it took.
    pub took: Duration,
    /// A violation, with no act that could be left out.
    pub violation: Option<Trace>,
}

/// How many walks the environment variable `WALKS` asks for in each configuration.
#[must_use]
pub fn wanted() -> Option<u64> {
    std::env::var("WALKS").ok()?.parse().ok()
}

/// Goes so many walks on all processors, until one of them finds a violation.
#[must_use]
pub fn walk(space: &Space, walks: u64) -> Walked {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, acts, violation) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(None));
    let go = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= walks {
                break;
            }
            let (count, result) = space.walk(number);
            acts.fetch_add(count, Ordering::Relaxed);
            if let Err(trace) = result {
                next.store(walks, Ordering::Relaxed);
                violation.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trace);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(go);
        }
    });
    let violation = violation.into_inner().unwrap_or_else(PoisonError::into_inner);
    let violation = violation.map(|trace| space.shrink(trace));
    Walked { walks, acts: acts.into_inner(), took: begun.elapsed(), violation }
}

impl Space {
    /// One walk, and from its end to rest. How many things happened, and how a violation came about.
    fn walk(&self, number: u64) -> (u64, Result<(), Trace>) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(hash(&(self.config.name, number)));
        let (length, calm) = (random.random_range(20..300), random.random_range(3..40));
        let mut walker = Walker { rarity: random.random_range(1..10), weights: Vec::new(), random };
        let mut world = self.begin();
        let mut acts = Vec::new();
        for _ in 0..length {
            if world.broken.is_some() || !world.has_numbers() {
                break;
            }
            let (disturbances, others): (Vec<_>, Vec<_>) =
                self.acts(&world).iter().partition(|act| act.is_disturbance());
            let disturbs = walker.random.random_ratio(1, calm);
            let act = walker.choose(if disturbs { &disturbances } else { &others });
            let Some((act, after)) = act.and_then(|act| Some((act, self.after(&world, act)?))) else { continue };
            acts.push(act);
            world = after;
        }
        (acts.len() as u64, self.verdict(&world, acts))
    }
}

impl World {
    /// Uids, creations and names are small numbers, and some stand for others.
    fn has_numbers(&self) -> bool {
        self.uids < 8 && self.nonces < 24 && self.has_room()
    }
}

/// On each walk other kinds of acts happen often, seldom, or never. If all were as likely on every walk, hardly one would meet
/// what needs some of the same kind in a row, and none of another.
struct Walker {
    random: Xoshiro256PlusPlus,
    /// One kind of disturbance in so many happens at all.
    rarity: u32,
    weights: Vec<(Discriminant<Act>, u32)>,
}

impl Walker {
    fn weight(&mut self, act: &Act) -> u32 {
        let kind = discriminant(act);
        if let Some((_, weight)) = self.weights.iter().find(|(known, _)| *known == kind) {
            return *weight;
        }
        let happens = !act.is_disturbance() || self.random.random_ratio(1, self.rarity);
        let weight = if happens { 6u32.pow(self.random.random_range(0..3)) } else { 0 };
        self.weights.push((kind, weight));
        weight
    }

    /// The kind is chosen first, so that one with many acts leaves room for the others.
    fn choose(&mut self, acts: &[Act]) -> Option<Act> {
        let mut kinds = Vec::new();
        for act in acts {
            let kind = (discriminant(act), self.weight(act));
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let (kind, _) = kinds.choose_weighted(&mut self.random, |(_, weight)| *weight).ok()?;
        acts.iter().copied().filter(|act| discriminant(act) == *kind).choose(&mut self.random)
    }
}

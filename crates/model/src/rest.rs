//! Liveness, checked as safety: from a state that was reached the disturbances stop, everybody goes on fairly, and all has
//! to come to rest as the truth justifies.

use crate::act::Act;
use crate::space::Space;
use crate::state::{Object, Violation, World};

/// After so many rounds without rest something goes on for ever.
const ROUNDS: u32 = 160;
/// After so many rounds in which only time goes on all is at rest.
const QUIET: u32 = 40;
/// No pass takes more steps.
const STEPS: u32 = 12;

/// A world on its way to rest, and what happened there.
struct Resting<'a> {
    space: &'a Space,
    world: World,
    acts: Vec<Act>,
    /// Whether what is under way to Azure lands, or never does.
    lands: bool,
}

impl Space {
    /// How many passes changed something until all was at rest. `lands` says whether what is under way to Azure lands.
    ///
    /// # Errors
    /// What is wrong on the way, or at rest, and what happened until then.
    pub fn run_to_rest(&self, from: &World, lands: bool) -> Result<u32, (Violation, Vec<Act>)> {
        self.rest(from, lands).1
    }

    /// The world in which all that can happen to this one without anybody's doing has happened.
    #[must_use]
    pub fn at_rest(&self, from: &World) -> World {
        let (budget, visits) = (from.budget, from.visits);
        World { budget, visits, ..self.rest(from, true).0 }
    }

    fn rest(&self, from: &World, lands: bool) -> (World, Result<u32, (Violation, Vec<Act>)>) {
        let world = World { budget: 0, visits: None, ..from.clone() };
        let mut resting = Resting { space: self, world, acts: vec![], lands };
        let result = resting.run();
        let Resting { world, acts, .. } = resting;
        (world, result.map_err(|violation| (violation, acts)))
    }
}

impl Resting<'_> {
    fn run(&mut self) -> Result<u32, Violation> {
        let (mut changing, mut quiet) = (0, 0);
        for _ in 0..ROUNDS {
            let mut moved = self.settle_azure();
            for at in 0..self.space.workers() {
                let changed = self.whole_pass(at);
                changing += u32::from(changed);
                moved |= changed;
            }
            if let Some(violation) = self.world.broken {
                return Err(violation);
            }
            let has_time = self.happens(Act::Advance);
            quiet = if moved { 0 } else { quiet + 1 };
            // A pass that was half done had read what was there before. Time alone goes on where somebody tries the same
            // again and again in vain.
            if (!has_time && quiet > 2) || quiet >= QUIET {
                self.world.judge_rest();
                return self.world.broken.map_or(Ok(changing), Err);
            }
        }
        Err(Violation { name: "L", what: "it does not come to rest" })
    }

    /// Whether it does; after a violation nothing does, so that the story ends there.
    fn happens(&mut self, act: Act) -> bool {
        if self.world.broken.is_some() {
            return false;
        }
        let Some(after) = self.space.after(&self.world, act) else { return false };
        self.world = after;
        self.acts.push(act);
        true
    }

    /// Azure goes on until there is nothing for it to do.
    fn settle_azure(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..24 {
            let lands = self.lands;
            let next = self.space.acts(&self.world).into_iter().find(|act| match act {
                Act::Step(_) | Act::Page(..) | Act::Advance | Act::WatchDelivers(_) => false,
                Act::Land(_) => lands,
                _ => true,
            });
            if !next.is_some_and(|act| self.happens(act)) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Whether it changed something.
    fn whole_pass(&mut self, at: u8) -> bool {
        let before = self.visible();
        for step in 0..STEPS {
            let flying = (0u8..).zip(&self.world.flights).find(|(_, f)| f.awaited && f.worker == at);
            let act = flying.map_or(Act::Step(at), |(flight, _)| Act::Answer(flight));
            let idle = |world: &World| world.workers.get(usize::from(at)).is_none_or(|worker| worker.held.is_none());
            if !self.happens(act) || (idle(&self.world) && step > 0) {
                break;
            }
        }
        before != self.visible()
    }

    /// What others can see: Kubernetes and Azure.
    fn visible(&self) -> ([Option<Object>; 2], u64) {
        (self.world.objects, crate::wire::hash(&(self.world.link, self.world.beside, &self.world.vault)))
    }
}

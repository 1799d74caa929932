//! What happened once more: from the acts themselves, or from their text.

use crate::act::Act;
use crate::catalog;
use crate::explore::Trace;
use crate::space::{Config, Layout, Space};
use crate::state::World;

impl Space {
    /// What comes of these acts, one after the other. `is` tells which act is meant; one that cannot happen is passed over,
    /// and counted.
    ///
    /// # Errors
    /// How a violation comes about, with the acts that happened and no others.
    pub fn replay<T>(&self, wanted: &[T], is: impl Fn(&T, &Act) -> bool) -> Result<usize, Trace> {
        let mut world = self.begin();
        let mut acts = Vec::new();
        for wanted in wanted {
            let Some(act) = self.acts(&world).into_iter().find(|act| is(wanted, act)) else { continue };
            let Some(after) = self.after(&world, act) else { continue };
            acts.push(act);
            world = after;
            if world.broken.is_some() {
                break;
            }
        }
        let passed_over = wanted.len() - acts.len();
        self.verdict(&world, acts).map(|()| passed_over)
    }

    /// What is wrong in this world, or on its way to rest.
    pub(crate) fn verdict(&self, world: &World, acts: Vec<Act>) -> Result<(), Trace> {
        let disturbed = acts.len();
        let trace = |violation, rest| Trace { violation, acts: [acts.clone(), rest].concat(), disturbed };
        if let Some(violation) = world.broken {
            return Err(trace(violation, vec![]));
        }
        // Two replicas that act for ever need not come to rest: each may tell what it alone has seen. Leadership ends that.
        if self.config.layout == Layout::Replicas {
            return Ok(());
        }
        let is_under_way = world.flights.iter().any(|flight| !flight.awaited);
        for lands in [true, false].into_iter().take(1 + usize::from(is_under_way)) {
            self.run_to_rest(world, lands).map_err(|(violation, rest)| trace(violation, rest))?;
        }
        Ok(())
    }

    /// The command that plays this again.
    #[must_use]
    pub fn command(&self, trace: &Trace) -> String {
        let text = text(&self.config, trace);
        format!("REPLAY='{text}' cargo test -p signalr-private-link-model replay -- --nocapture")
    }
}

/// The configuration by its name, and what happened until nobody disturbed any more.
#[must_use]
pub fn text(config: &Config, trace: &Trace) -> String {
    let acts: Vec<String> = trace.acts.iter().take(trace.disturbed).map(|act| format!("{act:?}")).collect();
    format!("{}: {}", name(config), acts.join("; "))
}

/// The configuration and the acts that a text names. An act is the one that is written so.
#[must_use]
pub fn read(text: &str) -> Option<(Config, Vec<&str>)> {
    let (wanted, acts) = text.split_once(": ")?;
    let config = catalog::all().into_iter().find(|config| name(config) == wanted)?;
    Some((config, acts.split("; ").collect()))
}

/// Whether an act is written so.
#[must_use]
pub fn is_written(text: &&str, act: &Act) -> bool {
    format!("{act:?}") == *text
}

fn name(config: &Config) -> String {
    match config.off {
        Some(rule) => format!("{} without {rule:?}", config.name),
        None => config.name.to_owned(),
    }
}

//! ARM asks to wait: each process remembers until when, by the kind of call, as `src/azure/gate.rs` does (R13).

use std::time::Duration;

use signalr_private_link_core::Failure;

use crate::space::{Rule, Space};
use crate::state::{SECONDS, Tick, World};
use crate::work::Write;

/// What ARM counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// GET.
    Reads,
    /// PUT.
    Writes,
    /// DELETE.
    Deletes,
}

/// Until when a process sends nothing, by [`Calls`].
pub type Gates = [Option<Tick>; 3];

impl Write {
    /// As what ARM counts it.
    #[must_use]
    pub const fn calls(&self) -> Calls {
        match self {
            Self::Delete { .. } => Calls::Deletes,
            Self::Put { .. } | Self::Decide { .. } => Calls::Writes,
        }
    }
}

impl Space {
    /// How a call ends that is not sent, for ARM has asked to wait.
    pub(crate) fn held_back(&self, world: &mut World, worker: u8, calls: Calls) -> Option<Failure> {
        let (process, _) = self.place(worker);
        let until = world.processes.get(usize::from(process))?.gates.get(calls as usize).copied().flatten()?;
        let left = until.checked_sub(world.now).filter(|left| *left > 0)?;
        if self.is_off(Rule::R13) {
            world.must_not("S13", "a call is sent before the time has passed for which ARM has asked to wait");
            return None;
        }
        Some(Failure::Throttled(Some(Duration::from_secs(u64::from(left) * SECONDS))))
    }

    /// ARM has refused a call of this process's; it may have asked to wait.
    pub(crate) fn refused(world: &mut World, process: u8, calls: Calls, failure: Failure) {
        let Failure::Throttled(asked) = failure else { return };
        let ticks = asked.map_or(1, |asked| (asked.as_secs() / SECONDS).max(1));
        let until = world.now.saturating_add(Tick::try_from(ticks).unwrap_or(Tick::MAX));
        let process = world.processes.get_mut(usize::from(process));
        if let Some(gate) = process.and_then(|process| process.gates.get_mut(calls as usize)) {
            *gate = (*gate).max(Some(until));
        }
    }
}

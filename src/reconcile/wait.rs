//! When an object is looked at again: one place turns what a pass found into a time.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::backoff::{self, Range};
use signalr_private_link_core::reason::{ReadyByReason, Severity};
use signalr_private_link_core::{Again, Reason, Report};

use super::{Context, ObjectMemory};

/// The least wait that a plan can ask for, at pace 1, unless the pass was a step (R13).
const SHORTEST: Duration = Duration::from_secs(1);
/// How soon a pass is made again whose write found something changed.
const AFTER_CHANGE: Range = Range { from: Duration::from_millis(200), to: Duration::from_secs(60) };
/// Waits that have grown to this, at pace 1, have a phase in common.
const IN_PHASE: Duration = Duration::from_secs(60);

/// When to look again, as a pass found it.
#[derive(Debug, Clone)]
pub(super) enum Look {
    /// Not before something changes.
    Never,
    /// After this time exactly; at once where it is none, for the pass was a step.
    After(Duration),
    /// The more often in a row, the later, and not before `least` has passed.
    Growing {
        range: Range,
        least: Duration,
        /// The SignalR or vault together with whose other objects one that waits for long is looked at, once in a period.
        parent: Option<String>,
    },
}

/// How often an object is looked at when all is well, and together with whose others.
pub(super) struct Rhythm<'a> {
    /// `syncPeriod`.
    pub period: Duration,
    /// The SignalR or the vault.
    pub parent: &'a str,
}

impl Look {
    /// A panic ended the pass.
    pub(super) const AFTER_PANIC: Self = Self::After(Duration::from_secs(60));
    /// Kubernetes did not let the pass happen.
    pub(super) const AFTER_KUBERNETES: Self = Self::growing(Range::seconds(1, 30));

    const fn growing(range: Range) -> Self {
        Self::Growing { range, least: Duration::ZERO, parent: None }
    }

    /// As the plan says. `progressed` tells that the pass has changed something: one that has not is no step
    /// towards anything, and is never followed by another at once (R13). Without a `rhythm` the object names no parent.
    pub(super) fn planned(
        again: Again,
        report: Option<&Report>,
        progressed: bool,
        rhythm: Option<Rhythm<'_>>,
        pace: f64,
    ) -> Self {
        let as_reason = |least| {
            let Some(report) = report else { return Self::Growing { range: AFTER_CHANGE, least, parent: None } };
            let range = scaled(report.range(rhythm.as_ref().map_or(IN_PHASE, |rhythm| rhythm.period)), pace);
            let is_long = report.reason == Reason::Approved || range.to >= IN_PHASE.mul_f64(pace);
            let parent = rhythm.as_ref().filter(|_| is_long).map(|rhythm| rhythm.parent.to_owned());
            Self::Growing { range, least, parent }
        };
        match again {
            Again::Never => Self::Never,
            Again::Now if progressed => Self::After(Duration::ZERO),
            // Nothing changed at all: the next pass sees what is there now.
            Again::Now => Self::growing(AFTER_CHANGE),
            Again::After(wait) => Self::After(wait.max(SHORTEST.mul_f64(pace))),
            Again::AsReasonAfter(least) => as_reason(least),
            Again::AsReason => as_reason(Duration::ZERO),
        }
    }
}

fn scaled(range: Range, pace: f64) -> Range {
    Range { from: range.from.mul_f64(pace), to: range.to.mul_f64(pace) }
}

impl Context {
    /// The time until the object is looked at again; `told` is the reason that its status now has.
    pub(super) fn wait(&self, memory: &mut ObjectMemory, look: Look, told: Option<Reason>) -> Option<Duration> {
        let attempt = memory.count_attempt(told, &self.metrics);
        let is_wrong =
            told.is_none_or(|reason| reason.severity() == Severity::Warning || reason.ready() == ReadyByReason::Kept);
        memory.standing.back_off(&self.metrics.links, is_wrong && matches!(look, Look::Growing { .. }));
        memory.is_in_phase = false;
        match look {
            Look::Never => None,
            Look::After(wait) => Some(wait),
            Look::Growing { range, least, parent } => {
                // One that works is looked at together with the others from the start.
                let settled = attempt > 0 || told == Some(Reason::Approved);
                let plateau = settled && backoff::delay(range, attempt, 0.0) >= range.to;
                let phase = parent.filter(|_| plateau).map(|parent| phase(&parent, range.to, (self.clock)()));
                memory.is_in_phase = phase.is_some();
                let wait = phase.unwrap_or_else(|| backoff::delay(range, attempt, (self.jitter)()));
                Some(wait.max(least))
            }
        }
    }
}

/// The time until the next common look at all objects of one parent that wait so long: its phase within the period
/// derives from the parent's id, so the objects of one parent look together, which takes one read, and those of different
/// ones do not.
fn phase(parent: &str, period: Duration, now: Timestamp) -> Duration {
    let period = period.max(Duration::from_millis(100));
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(parent);
    let offset = period.mul_f64((hash % 10_000) as f64 / 10_000.0);
    let now = Duration::try_from(now.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
    let into = Duration::from_nanos(((now + period - offset).as_nanos() % period.as_nanos()) as u64);
    let left = period - into;
    // The clock may have been slowed since the last look: that is no reason for two in a row.
    if left < period / 100 { left + period } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_one_parent_look_together() {
        let period = Duration::from_secs(600);
        let now = Timestamp::now();
        let (a, b) = (phase("a", period, now), phase("a", period, now));
        assert!(a.abs_diff(b) < Duration::from_secs(1) || a.abs_diff(b) > Duration::from_secs(590));
        for second in 0..600 {
            let wait = phase("a", period, now + jiff::SignedDuration::from_secs(second));
            assert!(wait >= period / 100 && wait <= period + period / 100, "{wait:?}");
        }
    }
}

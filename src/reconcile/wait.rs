//! When an object is looked at again: one place turns what a pass found into a time.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::backoff::{self, Range};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::reason::{ReadyByReason, Severity};
use signalr_private_link_core::{Again, Reason, Report};

use super::{Context, ObjectMemory};

/// The least wait that a plan can ask for, at pace 1, unless the pass was a step (R13).
const SHORTEST: Duration = Duration::from_secs(1);
/// How soon a pass that a panic ended is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(60);
/// How soon a pass is made again whose write found something changed.
const AFTER_CHANGE: Range = Range { from: Duration::from_millis(200), to: Duration::from_secs(60) };
/// How soon a pass is tried again that Kubernetes did not let happen.
const AFTER_KUBERNETES: Range = Range::seconds(1, 30);
/// Waits that have grown to this, at pace 1, have a phase in common.
const IN_PHASE: Duration = Duration::from_secs(60);

/// When to look again, as a pass found it.
#[derive(Debug, Clone)]
pub(super) enum Look {
    /// Not before something changes.
    Never,
    /// At once: the pass was a step.
    Now,
    /// After this time exactly.
    After(Duration),
    /// The more often in a row, the later, and not before `least` has passed.
    Growing {
        range: Range,
        least: Duration,
        /// The SignalR together with whose other objects one that waits for long is looked at.
        signalr: Option<String>,
    },
    /// Together with all other objects of this SignalR, once in a period.
    Settled { signalr: String, period: Duration },
}

impl Look {
    pub(super) const AFTER_PANIC: Self = Self::After(AFTER_PANIC);

    fn growing(range: Range) -> Self {
        Self::Growing { range, least: Duration::ZERO, signalr: None }
    }

    /// What was to be written, or read, had changed: the next pass sees what is there now.
    pub(super) fn after_change() -> Self {
        Self::growing(AFTER_CHANGE)
    }

    /// Kubernetes did not let the pass happen.
    pub(super) fn after_kubernetes() -> Self {
        Self::growing(AFTER_KUBERNETES)
    }

    /// As the reason says, for an object that names no SignalR.
    pub(super) fn after_reason(reason: Reason, pace: f64) -> Self {
        use signalr_private_link_core::reason::Wait;
        match reason.wait() {
            Wait::Within(range) => Self::growing(scaled(range, pace)),
            Wait::SyncPeriod => Self::after_kubernetes(),
        }
    }

    /// As the plan says. `progressed` tells that the pass has changed something: one that has not is no step
    /// towards anything, and is never followed by another at once (R13).
    pub(super) fn planned(
        again: Again,
        report: Option<&Report>,
        progressed: bool,
        desired: &Desired,
        pace: f64,
    ) -> Self {
        let signalr = || desired.link.signalr().key().to_owned();
        let as_reason = |least| match report {
            Some(report) if report.reason == Reason::Approved && least == Duration::ZERO => {
                Self::Settled { signalr: signalr(), period: desired.sync_period.mul_f64(pace) }
            }
            Some(report) => {
                let range = scaled(report.range(desired), pace);
                let long = range.to >= IN_PHASE.mul_f64(pace);
                Self::Growing { range, least, signalr: long.then(signalr) }
            }
            None => Self::Growing { range: AFTER_CHANGE, least, signalr: None },
        };
        match again {
            Again::Never => Self::Never,
            Again::Now if progressed => Self::Now,
            // Nothing changed at all.
            Again::Now => Self::after_change(),
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
        let (in_phase, least) = match &look {
            Look::Settled { signalr, period } => (Some((signalr, *period)), Duration::ZERO),
            Look::Growing { range, least, signalr } => {
                let plateau = attempt > 0 && backoff::delay(*range, attempt, 0.0) >= range.to;
                (signalr.as_ref().filter(|_| plateau).map(|signalr| (signalr, range.to)), *least)
            }
            _ => (None, Duration::ZERO),
        };
        memory.is_in_phase = in_phase.is_some();
        let is_wrong =
            told.is_none_or(|reason| reason.severity() == Severity::Warning || reason.ready() == ReadyByReason::Kept);
        memory.standing.back_off(&self.metrics.links, is_wrong && matches!(look, Look::Growing { .. }));
        if let Some((signalr, period)) = in_phase {
            return Some(phase(signalr, period, (self.clock)()).max(least));
        }
        match look {
            Look::Never => None,
            Look::Now | Look::Settled { .. } => Some(Duration::ZERO),
            Look::After(wait) => Some(wait),
            Look::Growing { range, least, .. } => Some(backoff::delay(range, attempt, (self.jitter)()).max(least)),
        }
    }
}

/// The time until the next common look at all objects of one SignalR that wait so long: its phase within the period
/// derives from the SignalR's id, so the objects of one SignalR look together, which takes one read, and different
/// SignalRs do not.
fn phase(signalr: &str, period: Duration, now: Timestamp) -> Duration {
    let period = period.max(Duration::from_millis(100));
    let mut hasher = DefaultHasher::new();
    signalr.hash(&mut hasher);
    let offset = period.mul_f64((hasher.finish() % 10_000) as f64 / 10_000.0);
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
    fn objects_of_one_signalr_look_together() {
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

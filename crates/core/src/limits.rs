//! How long what is waited for may last.

use std::time::Duration;

/// The operator's own waits and limits, all scaled alike by `--pace` for simulators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// What all waits are multiplied by: 1, or less for simulators.
    pub pace: f64,
    /// The least time between the two lists of rule M5.
    pub second_look: Duration,
    /// How long after `Succeeded` the vault may show no request of ours.
    pub connection_missing: Duration,
    /// How long a write that was already decided can still land (R7).
    pub fence: Duration,
    /// How long after the deletion was first seen a read must begin to prove that nobody can
    /// have decided a write since (R7).
    pub fence_read: Duration,
    /// How long a started process waits before it writes for an object that already carried the finalizer when this
    /// process first read it (R7).
    pub quarantine: Duration,
    /// How long a failed operation rests before the link is put again.
    pub failed_rest: Duration,
    /// How long an operation may run.
    pub operation: Duration,
    /// The least time for which what was said of Ready stays so although no read confirms it.
    pub ready_grace: Duration,
    /// How long lies between the two reads that prove a parent's absence (R11).
    pub absence: Duration,
    /// How long a missing right, or token, is waited for before it is a failure: an assignment of a role
    /// takes up to ten minutes.
    pub right_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::REAL
    }
}

impl Limits {
    /// What is left of a limit after `elapsed`; `None` when it has passed.
    #[must_use]
    pub fn left(limit: Duration, elapsed: Duration) -> Option<Duration> {
        limit.checked_sub(elapsed).filter(|left| !left.is_zero())
    }

    /// The limits in real time.
    pub const REAL: Self = Self {
        pace: 1.0,
        second_look: Duration::from_secs(30),
        connection_missing: Duration::from_secs(15 * 60),
        fence: Duration::from_secs(90),
        fence_read: Duration::from_secs(6),
        quarantine: Duration::from_secs(25),
        failed_rest: Duration::from_secs(5 * 60),
        operation: Duration::from_secs(30 * 60),
        ready_grace: Duration::from_secs(15 * 60),
        absence: Duration::from_secs(60),
        right_grace: Duration::from_secs(10 * 60),
    };

    /// The limits multiplied by `pace`, which lies above 0 and is at most 1.
    #[must_use]
    pub fn paced(pace: f64) -> Self {
        let Self {
            pace: _,
            second_look,
            connection_missing,
            fence,
            fence_read,
            quarantine,
            failed_rest,
            operation,
            ready_grace,
            absence,
            right_grace,
        } = Self::REAL;
        let pace = pace.clamp(0.0, 1.0);
        let scaled = |d: Duration| d.mul_f64(pace);
        Self {
            pace,
            second_look: scaled(second_look),
            connection_missing: scaled(connection_missing),
            fence: scaled(fence),
            fence_read: scaled(fence_read),
            quarantine: scaled(quarantine),
            failed_rest: scaled(failed_rest),
            operation: scaled(operation),
            ready_grace: scaled(ready_grace),
            absence: scaled(absence),
            right_grace: scaled(right_grace),
        }
    }

    /// How long an approval may stay unconfirmed: `confirmWithin`, scaled, but never below a
    /// minute, for ARM's dates have whole seconds.
    #[must_use]
    pub fn confirm_within(&self, within: Duration) -> Duration {
        within.mul_f64(self.pace).max(Duration::from_secs(60)).min(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::duration;

    /// `docs/reasons.md`, `docs/troubleshooting.md` and `docs/reliability.md` tell them to people.
    #[test]
    fn the_limits_in_real_time_are_those_that_are_documented() {
        let real = Limits::REAL;
        for (limit, told) in [
            (real.second_look, "30s"),
            (real.connection_missing, "15m"),
            (real.fence, "90s"),
            (real.quarantine, "25s"),
            (real.failed_rest, "5m"),
            (real.operation, "30m"),
            (real.ready_grace, "15m"),
            (real.absence, "1m"),
            (real.right_grace, "10m"),
        ] {
            assert_eq!(duration(limit), told);
        }
    }

    #[test]
    fn a_simulator_s_pace_scales_them_and_lengthens_none() {
        assert_eq!(Limits::paced(1.0), Limits::REAL);
        assert_eq!(Limits::paced(2.0), Limits::REAL);
        let quick = Limits::paced(0.1);
        assert_eq!((quick.pace, quick.second_look, quick.fence_read), (0.1, secs(3), Duration::from_millis(600)));
    }

    #[test]
    fn a_paced_approval_has_a_minute_to_be_confirmed_or_all_that_its_policy_gives() {
        assert_eq!(Limits::REAL.confirm_within(secs(3600)), secs(3600));
        assert_eq!(Limits::paced(0.1).confirm_within(secs(3600)), secs(360));
        assert_eq!(Limits::paced(0.001).confirm_within(secs(3600)), secs(60));
        assert_eq!(Limits::paced(0.001).confirm_within(secs(50)), secs(50));
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

//! When to look again: growing waits within the range that a reason allows.

use std::time::Duration;

/// The range of a wait: it begins with the first and grows to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first wait.
    pub from: Duration,
    /// The longest wait.
    pub to: Duration,
}

impl Range {
    /// A range in seconds.
    #[must_use]
    pub const fn seconds(from: u64, to: u64) -> Self {
        Self { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }
}

/// The factor by which each wait is longer than the one before.
const GROWTH: f64 = 1.5;

/// The wait before the next look.
///
/// `attempt` counts looks since the reason last changed, from 0. `jitter` is a random number
/// between 0 and 1: the wait is lengthened by up to a tenth, so that objects drift apart.
#[must_use]
pub fn delay(range: Range, attempt: u32, jitter: f64) -> Duration {
    let exponent = i32::try_from(attempt.min(64)).unwrap_or(64);
    let grown = range.from.as_secs_f64() * GROWTH.powi(exponent);
    let wait = grown.min(range.to.as_secs_f64());
    let lengthened = wait * (1.0 + 0.1 * jitter.clamp(0.0, 1.0));
    Duration::try_from_secs_f64(lengthened).unwrap_or(range.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stop_growing() {
        let range = Range::seconds(5, 30);
        assert_eq!(delay(range, 0, 0.0), Duration::from_secs(5));
        assert_eq!(delay(range, 1, 0.0), Duration::from_millis(7500));
        assert_eq!(delay(range, 50, 0.0), Duration::from_secs(30));
        assert_eq!(delay(range, u32::MAX, 1.0), Duration::from_secs(33));
        assert_eq!(delay(Range::seconds(0, 0), 3, f64::NAN), Duration::ZERO);
    }
}

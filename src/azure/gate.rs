//! Throttling: after a 429 nothing is sent to the same scope before `Retry-After` has passed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// ARM counts reads, writes and deletes apart, per subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    /// GET; polling an operation is one.
    Reads,
    /// PUT.
    Writes,
    /// DELETE.
    Deletes,
}

impl Bucket {
    pub(super) fn of(method: &reqwest::Method) -> Self {
        match *method {
            reqwest::Method::GET => Self::Reads,
            reqwest::Method::DELETE => Self::Deletes,
            _ => Self::Writes,
        }
    }
}

/// An absent `Retry-After` counts as this.
const DEFAULT: Duration = Duration::from_secs(10);
/// A longer `Retry-After` counts as this.
const LONGEST: Duration = Duration::from_secs(600);

/// Which scopes are closed, and until when.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<(String, Bucket), Instant>>);

impl Gates {
    /// How long the scope is closed yet.
    pub(super) fn closed(&self, subscription: &str, bucket: Bucket) -> Option<Duration> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        gates.retain(|_, until| *until > now);
        gates.get(&(subscription.to_ascii_lowercase(), bucket)).map(|until| *until - now)
    }

    /// Closes the scope; returns for how long.
    pub(super) fn close(&self, subscription: &str, bucket: Bucket, retry_after: Option<Duration>) -> Duration {
        let wait = retry_after.unwrap_or(DEFAULT).min(LONGEST);
        let until = Instant::now() + wait;
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = gates.entry((subscription.to_ascii_lowercase(), bucket)).or_insert(until);
        *gate = (*gate).max(until);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_when_its_time_has_passed() {
        let gates = Gates::default();
        gates.close("S", Bucket::Reads, Some(Duration::from_secs(6)));
        gates.close("s", Bucket::Reads, Some(Duration::from_secs(2)));
        assert_eq!(gates.closed("s", Bucket::Reads), Some(Duration::from_secs(6)));
        assert_eq!(gates.closed("s", Bucket::Writes), None);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(gates.closed("S", Bucket::Reads), None);
        assert_eq!(gates.close("s", Bucket::Deletes, Some(Duration::from_secs(99_999))), LONGEST);
        assert_eq!(gates.close("t", Bucket::Deletes, None), DEFAULT);
    }
}

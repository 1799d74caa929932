//! Throttling: nothing is sent to the same scope before `Retry-After` has passed, whatever answer it came with.

use std::collections::HashMap;
use std::time::Duration;

use signalr_private_link_core::backoff::{self, Range};
use tokio::time::Instant;

use crate::locked::Locked;

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

/// What is closed: what ARM counts together, or one resource that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// All calls of a kind in a subscription: a 429.
    Subscription(String, Bucket),
    /// All calls of a kind to one SignalR or vault: any other answer that carries `Retry-After`. What one
    /// resource asks for slows no other.
    Resource(String, Bucket),
}

impl Scope {
    pub(super) fn subscription(id: &str, bucket: Bucket) -> Self {
        Self::Subscription(id.to_ascii_lowercase(), bucket)
    }

    pub(super) fn resource(id: &str, bucket: Bucket) -> Self {
        let id = id.to_ascii_lowercase();
        let parent = id.split_once("/sharedprivatelinkresources/").map(|(signalr, _)| signalr.to_owned());
        Self::Resource(parent.unwrap_or(id), bucket)
    }
}

/// What counts where ARM asks to wait without a time, or with one that has passed: it grows, for as long as the
/// answers stay such.
const DEFAULT: Range = Range::seconds(10, 300);
/// A longer `Retry-After` counts as this.
const LONGEST: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy)]
struct Gate {
    until: Instant,
    /// Refusals in a row that named no time.
    unnamed: u32,
}

/// Which scopes are closed, and until when.
#[derive(Debug, Default)]
pub(super) struct Gates(Locked<HashMap<Scope, Gate>>);

impl Gates {
    /// How long one of these scopes is closed yet.
    pub(super) fn closed(&self, scopes: &[Scope]) -> Option<Duration> {
        let gates = self.0.lock();
        let now = Instant::now();
        let left = scopes.iter().filter_map(|scope| gates.get(scope)?.until.checked_duration_since(now));
        left.filter(|left| !left.is_zero()).max()
    }

    /// Closes a scope; returns for how long.
    pub(super) fn close(&self, scope: Scope, retry_after: Option<Duration>) -> Duration {
        let now = Instant::now();
        let mut gates = self.0.lock();
        // Of those that opened long ago nothing is left to remember.
        gates.retain(|_, gate| gate.until + LONGEST > now);
        let gate = gates.entry(scope).or_insert(Gate { until: now, unnamed: 0 });
        let wait = match retry_after.filter(|asked| !asked.is_zero()) {
            Some(asked) => asked.min(LONGEST),
            // One of several that were on their way at the same time says nothing new.
            None if gate.until > now => return gate.until - now,
            None => {
                let wait = backoff::delay(DEFAULT, gate.unnamed, 0.0);
                gate.unnamed = gate.unnamed.saturating_add(1);
                wait
            }
        };
        gate.until = gate.until.max(now + wait);
        wait
    }

    /// A call to these scopes went well: nothing is remembered of those that are open.
    pub(super) fn forget(&self, scopes: &[Scope]) {
        let mut gates = self.0.lock();
        let now = Instant::now();
        for scope in scopes {
            if gates.get(scope).is_some_and(|gate| gate.until <= now) {
                gates.remove(scope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(subscription: &str) -> Scope {
        Scope::subscription(subscription, Bucket::Reads)
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_opens_when_its_time_has_passed() {
        let gates = Gates::default();
        gates.close(reads("S"), Some(Duration::from_secs(6)));
        gates.close(reads("s"), Some(Duration::from_secs(2)));
        assert_eq!(gates.closed(&[reads("s")]), Some(Duration::from_secs(6)));
        assert_eq!(gates.closed(&[Scope::subscription("s", Bucket::Writes)]), None);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(gates.closed(&[reads("S")]), None);
        assert_eq!(gates.close(reads("s"), Some(Duration::from_secs(99_999))), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_refusals_counts_as_one() {
        let gates = Gates::default();
        for _ in 0..20 {
            assert_eq!(gates.close(reads("s"), None), Duration::from_secs(10));
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(gates.close(reads("s"), None), Duration::from_secs(15));
    }

    #[test]
    fn what_one_link_asks_for_its_signalr_asks_for() {
        let scope = |id: &str| Scope::resource(id, Bucket::Writes);
        assert_eq!(
            scope("/s/signalR/a/sharedPrivateLinkResources/x"),
            scope("/s/SIGNALR/a/sharedPrivateLinkResources/y")
        );
        assert_ne!(scope("/s/signalR/a"), scope("/s/signalR/b"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_and_one_that_has_passed_count_as_the_default_which_grows() {
        let gates = Gates::default();
        let mut waits = Vec::new();
        for asked in [None, Some(Duration::ZERO), None, Some(Duration::ZERO)] {
            let wait = gates.close(reads("s"), asked);
            waits.push(wait.as_millis());
            tokio::time::advance(wait).await;
        }
        assert_eq!(waits, [10_000, 15_000, 22_500, 33_750]);
        gates.forget(&[reads("s")]);
        assert_eq!(gates.close(reads("s"), None), Duration::from_secs(10), "a call went well in between");
    }
}

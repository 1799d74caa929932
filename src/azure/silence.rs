//! An Azure that does not answer: after some calls in a row, one call at a time finds out for all others whether that
//! is still so. Else each of ten thousand objects would wait for its own deadline, and what is told of them would be
//! hours old.

use std::collections::HashMap;
use std::time::Duration;

use signalr_private_link_core::backoff::{self, Range};
use tokio::time::Instant;

use super::client::DEADLINE;
use crate::locked::Locked;

/// So many calls without an answer are no accident.
const MANY: u32 = 3;
/// How long nothing is sent then, the longer the more probes have been lost.
const REST: Range = Range::seconds(5, 30);

#[derive(Debug, Clone, Copy)]
struct Silence {
    /// Calls in a row that got no answer.
    lost: u32,
    /// When the last of them was counted.
    counted_at: Instant,
    until: Instant,
}

impl Silence {
    /// How long nothing is sent yet, if so.
    fn left(&self, now: Instant) -> Option<Duration> {
        (self.lost >= MANY && self.until > now).then(|| self.until - now)
    }

    /// Nobody remembers it.
    fn is_over(&self, now: Instant) -> bool {
        self.until.max(self.counted_at) + REST.to < now
    }
}

/// Which services of which subscriptions do not answer.
#[derive(Debug, Default)]
pub(super) struct Silences(Locked<HashMap<String, Silence>>);

impl Silences {
    /// Whether nothing is to be sent yet, as far as it is known.
    pub(super) fn is_silent(&self, scope: &str) -> bool {
        self.0.lock().get(scope).is_some_and(|silence| silence.left(Instant::now()).is_some())
    }

    /// How long nothing is to be sent yet. The first that asks after that time finds out for all others.
    pub(super) fn rest(&self, scope: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut silences = self.0.lock();
        let silence = silences.get_mut(scope).filter(|silence| silence.lost >= MANY)?;
        if let Some(left) = silence.left(now) {
            return Some(left);
        }
        silence.until = now + DEADLINE;
        None
    }

    /// A call that was sent at `begun` got no answer. Once nothing is sent any more those that were under way count no
    /// further: one connection that breaks may take many calls along.
    pub(super) fn lose(&self, scope: &str, begun: Instant) {
        let now = Instant::now();
        let mut silences = self.0.lock();
        silences.retain(|other, silence| other == scope || !silence.is_over(now));
        let silence = silences.entry(scope.to_owned()).or_insert(Silence { lost: 0, counted_at: now, until: now });
        if silence.lost >= MANY && begun < silence.counted_at {
            return;
        }
        silence.lost = silence.lost.saturating_add(1);
        silence.counted_at = now;
        if let Some(probes) = silence.lost.checked_sub(MANY) {
            silence.until = now + backoff::delay(REST, probes, 0.0);
        }
    }

    /// A call got an answer, whatever it was.
    pub(super) fn end(&self, scope: &str) {
        self.0.lock().remove(scope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_call_finds_out_for_all_others() {
        let silences = Silences::default();
        let under_way = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        for _ in 0..MANY {
            assert_eq!(silences.rest("a"), None);
            silences.lose("a", Instant::now());
        }
        (0..10).for_each(|_| silences.lose("a", under_way));
        assert_eq!(silences.rest("a"), Some(Duration::from_secs(5)));
        assert!(silences.is_silent("a") && !silences.is_silent("b"));
        assert_eq!(silences.rest("b"), None, "another subscription does answer");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(silences.rest("a"), None, "this one finds out");
        assert_eq!(silences.rest("a"), Some(DEADLINE), "and all others do not wait for it");
        silences.lose("a", Instant::now());
        assert_eq!(silences.rest("a"), Some(Duration::from_millis(7_500)));
        silences.end("a");
        assert_eq!(silences.rest("a"), None);
        silences.lose("b", Instant::now());
        tokio::time::advance(REST.to * 2).await;
        silences.lose("c", Instant::now());
        assert_eq!(silences.0.lock().len(), 1, "nobody has asked b again");
    }
}

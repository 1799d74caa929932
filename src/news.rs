//! What would be said again and again, and is said once in a while.

use std::time::Duration;

use tokio::time::Instant;

use crate::locked::Locked;

/// When something was last said that is no news again for so many seconds.
#[derive(Debug, Default)]
pub struct News<const QUIET_SECONDS: u64>(Locked<Option<Instant>>);

impl<const QUIET_SECONDS: u64> News<QUIET_SECONDS> {
    /// Whether it is to be said now; then it is no news until the time has passed.
    pub fn is_due(&self) -> bool {
        let (mut last, now) = (self.0.lock(), Instant::now());
        let is_due = last.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(QUIET_SECONDS));
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_news_again_after_a_while() {
        let news = News::<10>::default();
        assert!(news.is_due() && !news.is_due());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!news.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(news.is_due() && !news.is_due());
    }
}

//! The simulator's time is tokio's, so a test that pauses tokio's clock pauses Azure.

use std::cell::Cell;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A time of day, and the instant that it was.
type Anchor = (Timestamp, Instant);

static REAL: LazyLock<Anchor> = LazyLock::new(|| (Timestamp::now(), Instant::now()));

thread_local! {
    static CHOSEN: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// From now on it is this time of day in this thread: a test whose runtime lives in one thread runs
/// alike each time.
pub fn set(time: Timestamp) {
    CHOSEN.set(Some((time, Instant::now())));
}

/// The time of day of tokio's clock: the real one, unless it is paused or was set.
#[must_use]
pub fn now() -> Timestamp {
    let (at, anchor) = CHOSEN.get().unwrap_or(*REAL);
    let now = Instant::now();
    let passed = |from: Instant, to: Instant| {
        SignedDuration::try_from(to.saturating_duration_since(from)).unwrap_or(SignedDuration::MAX)
    };
    at.saturating_add(passed(anchor, now)).and_then(|at| at.saturating_sub(passed(now, anchor))).unwrap_or(at)
}

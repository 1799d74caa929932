//! A pass, as log, trace and metrics tell of it: its number, by which its lines in the log are found, its span, and how it
//! ended.

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use signalr_private_link_core::Reason;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::spans;
use crate::metrics::{LinkMetrics, PassOutcome};

/// How many passes the process has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static NUMBER: u64;
}

/// The number of the pass that runs. None outside of passes; what several passes read together has the number of any of
/// these.
#[must_use]
pub fn number() -> Option<u64> {
    NUMBER.try_with(|number| *number).ok()
}

/// A pass that is under way.
pub struct Pass {
    number: u64,
    span: Span,
    begun: Instant,
}

impl Pass {
    /// A pass over this object begins. Passes count up from 1 in each process.
    #[must_use]
    pub fn begin(namespace: &str, name: &str) -> Self {
        let number = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
        Self { number, span: spans::pass(namespace, name, number), begun: Instant::now() }
    }

    /// Makes the pass; a panic ends this pass only, and nothing comes of it.
    pub fn make<T>(&self, object: &impl Display, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        let unbroken = AssertUnwindSafe(NUMBER.scope(self.number, work)).catch_unwind();
        unbroken.instrument(self.span.clone()).map(move |made| {
            if made.is_err() {
                tracing::error!(
                    object = %object, pass = self.number,
                    "a pass panicked; this is a bug of the operator, and the object is looked at again"
                );
            }
            made.ok()
        })
    }

    /// How it ended, and the reason that it told.
    pub fn end(self, links: &LinkMetrics, outcome: PassOutcome, told: Option<Reason>) {
        links.reconciled(outcome, self.begun.elapsed());
        spans::end_pass(&self.span, outcome.into(), told.map(Reason::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Metrics};

    #[tokio::test]
    async fn each_pass_has_a_number_of_its_own() {
        assert_eq!(number(), None);
        let (one, other) = (Pass::begin("contoso", "a"), Pass::begin("contoso", "b"));
        let both = futures::future::join(one.make(&"a", async { number() }), other.make(&"b", async { number() }));
        let (one, other) = both.await;
        assert!(one.flatten().is_some() && other.flatten().is_some() && one != other, "{one:?} {other:?}");
    }

    #[tokio::test]
    async fn a_panic_ends_its_pass_only_and_is_counted() {
        let (metrics, pass) = (Metrics::default(), Pass::begin("contoso", "a"));
        assert_eq!(pass.make(&"a", async { panic!("a bug") }).await, None::<()>);
        pass.end(&metrics.links, PassOutcome::Panicked, None);
        assert!(metrics.encode(Format::Text).unwrap().contains("signalr_private_link_panics_total 1\n"));
    }
}

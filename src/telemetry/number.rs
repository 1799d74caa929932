//! The number of a pass, by which its lines in the log are found.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many passes the process has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static NUMBER: u64;
}

/// Makes a pass under a number of its own: they count up from 1 in each process.
pub async fn numbered<T>(pass: impl Future<Output = T>) -> T {
    let number = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
    NUMBER.scope(number, pass).await
}

/// The number of the pass that runs. None outside of passes; what several passes read together has the number of any of
/// these.
#[must_use]
pub fn number() -> Option<u64> {
    NUMBER.try_with(|number| *number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_pass_has_a_number_of_its_own() {
        assert_eq!(number(), None);
        let both = futures::future::join(numbered(async { number() }), numbered(async { number() }));
        let (one, other) = both.await;
        assert!(one.is_some() && other.is_some() && one != other, "{one:?} {other:?}");
    }
}

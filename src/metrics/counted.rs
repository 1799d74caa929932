//! Gauges of things that come and go. Each thing holds its share of the gauge, and gives it back when it is dropped:
//! whatever becomes of an object, nothing is left of it in a gauge.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;

use crate::locked::Locked;

/// Something that is counted in a gauge for as long as this lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    pub(super) fn by(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// When those came that wait; a gauge shows the first of them, and 0 without any.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    pub gauge: Gauge,
    since: Locked<BTreeMap<i64, usize>>,
}

impl Oldest {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<i64, usize>)) {
        let mut since = self.since.lock();
        change(&mut since);
        self.gauge.set(since.keys().next().copied().unwrap_or_default());
    }
}

/// Something that waits for as long as this lives.
#[derive(Debug)]
pub struct Pending {
    second: i64,
    oldest: Arc<Oldest>,
}

impl Pending {
    pub(super) fn since(second: i64, oldest: &Arc<Oldest>) -> Self {
        oldest.change(|since| *since.entry(second).or_default() += 1);
        Self { second, oldest: oldest.clone() }
    }

    /// Since when it waits, in seconds of Unix time.
    #[must_use]
    pub const fn second(&self) -> i64 {
        self.second
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.oldest.change(|since| {
            let left = since.get(&self.second).copied().unwrap_or_default();
            if left > 1 {
                since.insert(self.second, left - 1);
            } else {
                since.remove(&self.second);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_is_gone() {
        let gauge = Gauge::default();
        let (first, second) = (Counted::by(&gauge), Counted::by(&gauge));
        assert_eq!(gauge.get(), 2);
        drop(first);
        assert_eq!(gauge.get(), 1);
        drop(second);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn the_first_of_those_that_still_wait_is_shown() {
        let oldest = Arc::new(Oldest::default());
        let waits = [30, 10, 10, 20].map(|second| Some(Pending::since(second, &oldest)));
        let [last, first, also_first, middle] = waits;
        let mut shown = Vec::new();
        for gone in [first, middle, also_first, last] {
            shown.push(oldest.gauge.get());
            drop(gone);
        }
        shown.push(oldest.gauge.get());
        assert_eq!(shown, [10, 10, 10, 30, 0]);
    }
}

//! Gauges of things that come and go. Each thing holds its share of the gauge, and gives it back when it is dropped:
//! whatever becomes of an object, nothing is left of it in a gauge.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use signalr_private_link_core::Reason;

use super::LinkMetrics;
use crate::locked::Locked;

/// Something that is counted in a gauge for as long as this lives.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

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

/// How many there are in each place; a gauge shows the sum.
#[derive(Debug, Default)]
pub(super) struct Summed {
    pub gauge: Gauge,
    counts: Locked<HashMap<String, usize>>,
}

impl Summed {
    pub fn set(&self, place: &str, count: usize) {
        self.change(|counts| {
            counts.remove(place);
            if count > 0 {
                counts.insert(place.to_owned(), count);
            }
        });
    }

    /// Forgets the places that are not kept.
    pub fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.change(|counts| counts.retain(|place, _| is_kept(place)));
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, usize>)) {
        let mut counts = self.counts.lock();
        change(&mut counts);
        self.gauge.set(counts.values().sum::<usize>().try_into().unwrap_or(i64::MAX));
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
pub(super) struct Pending {
    second: i64,
    oldest: Arc<Oldest>,
}

impl Pending {
    pub(super) fn since(second: i64, oldest: &Arc<Oldest>) -> Self {
        oldest.change(|since| *since.entry(second).or_default() += 1);
        Self { second, oldest: oldest.clone() }
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

/// As what an object is counted among all, for as long as this lives.
#[derive(Debug, Default)]
pub struct Standing {
    counted: Option<(Option<Reason>, Counted)>,
    pending: Option<Pending>,
    backs_off: Option<Counted>,
}

impl Standing {
    /// The object has this reason. If it waits for a person, it does so `since` then; where nobody tells, it waits on,
    /// or from now.
    pub fn show(&mut self, links: &LinkMetrics, reason: Option<Reason>, since: Option<Timestamp>) {
        if self.counted.as_ref().is_none_or(|(before, _)| *before != reason) {
            self.counted = Some((reason, links.count(reason)));
        }
        let before = self.pending.as_ref().map(|pending| pending.second);
        let waits = matches!(reason, Some(Reason::PendingApproval | Reason::ApprovalTimedOut));
        let second = since.map(Timestamp::as_second).or(before).unwrap_or_else(|| Timestamp::now().as_second());
        if before != waits.then_some(second) {
            self.pending = waits.then(|| links.wait_since(second));
        }
    }

    /// Whether the object waits longer each time, for something is wrong.
    pub fn back_off(&mut self, links: &LinkMetrics, backs_off: bool) {
        if self.backs_off.is_some() != backs_off {
            self.backs_off = backs_off.then(|| links.back_off());
        }
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
    fn the_sum_of_all_places_is_shown() {
        let summed = Summed::default();
        let shown: Vec<i64> = [("a", 0), ("a", 1), ("b", 2), ("a", 0), ("b", 0)]
            .into_iter()
            .map(|(place, count)| {
                summed.set(place, count);
                summed.gauge.get()
            })
            .collect();
        assert_eq!(shown, [0, 1, 3, 2, 0]);
        summed.set("a", 1);
        summed.set("b", 2);
        summed.keep(|place| place == "b");
        assert_eq!(summed.gauge.get(), 2);
        summed.keep(|_| false);
        assert!(summed.counts.lock().is_empty());
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

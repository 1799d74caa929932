//! Links, and the passes over them.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use signalr_private_link_core::Reason;
use signalr_private_link_core::action::ActionKind;
use signalr_private_link_core::marker::Verdict;

use super::counted::{Counted, Oldest, Pending, Summed};
use super::labels::{One, PassOutcome, all, counters, one};

/// A pass waits for others that want the same read, for ARM, and for its turn.
const SECONDS: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// The label of an object that has no reason yet.
pub const NO_REASON: &str = "None";

/// What is told of links, and of the passes over them.
pub struct LinkMetrics {
    reconciles: Family<One, Counter>,
    seconds: Histogram,
    actions: Family<One, Counter>,
    links: Family<One, Gauge>,
    in_backoff: Gauge,
    queue_depth: Gauge,
    waiting_for_lane: Gauge,
    decisions: Family<One, Counter>,
    unconfirmed_approvals: Counter,
    oldest_pending: Arc<Oldest>,
    orphans: Summed,
    status_writes: Counter,
    panics: Counter,
}

impl LinkMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let links = Family::<One, Gauge>::default();
        for reason in Reason::ALL.iter().map(|reason| reason.as_str()).chain([NO_REASON]) {
            drop(links.get_or_create(&[("reason", reason)]));
        }
        let actions = one("action", &all::<ActionKind>());
        let metrics = Self {
            reconciles: counters(
                registry,
                "reconcile",
                "Passes over an object, by how they ended",
                one("outcome", &all::<PassOutcome>()),
            ),
            seconds: Histogram::new(SECONDS),
            actions: counters(registry, "actions", "Effects that a pass set out to have, by kind", actions),
            links,
            in_backoff: Gauge::default(),
            queue_depth: Gauge::default(),
            waiting_for_lane: Gauge::default(),
            decisions: counters(
                registry,
                "approval_decisions",
                "Connections that the operator approved, and approvals that it took back",
                one("decision", &all::<Verdict>()),
            ),
            unconfirmed_approvals: Counter::default(),
            oldest_pending: Arc::default(),
            orphans: Summed::default(),
            status_writes: Counter::default(),
            panics: Counter::default(),
        };
        metrics.register(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        let seconds = self.seconds.clone();
        registry.register_with_unit("reconcile_duration", "How long a pass took", Unit::Seconds, seconds);
        let links = "Objects by the reason of their Ready condition; None before there is one";
        registry.register("links", links, self.links.clone());
        let oldest = "Since when the link waits that has waited longest for a person to approve it; 0 when none does";
        let gauge = self.oldest_pending.gauge.clone();
        registry.register_with_unit("oldest_pending_approval_timestamp", oldest, Unit::Seconds, gauge);
        for (name, help, gauge) in [
            (
                "orphaned_links",
                "Links with a marker of this operator's form whose object does not exist in this cluster; never deleted",
                &self.orphans.gauge,
            ),
            ("queue_depth", "Objects that are due and wait for a place", &self.queue_depth),
            (
                "objects_in_backoff",
                "Objects whose last pass found something wrong, and that wait longer each time",
                &self.in_backoff,
            ),
            ("waiting_for_lane", "Objects that wait for their turn to change a SignalR", &self.waiting_for_lane),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            (
                "unconfirmed_approvals",
                "Approvals that SignalR did not confirm, or that were left behind unconfirmed; any increase is worth a page",
                &self.unconfirmed_approvals,
            ),
            ("status_writes", "Writes of a link's status", &self.status_writes),
            ("panics", "Passes that panicked, each a bug of the operator", &self.panics),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    /// A pass ended.
    pub fn reconciled(&self, outcome: PassOutcome, took: Duration) {
        self.reconciles.get_or_create(&[("outcome", outcome.into())]).inc();
        self.seconds.observe(took.as_secs_f64());
        if outcome == PassOutcome::Panicked {
            self.panics.inc();
        }
    }

    /// A pass sets out to have an effect.
    pub fn act(&self, action: &'static str) {
        self.actions.get_or_create(&[("action", action)]).inc();
    }

    /// An object has this reason, for as long as what is returned lives.
    pub(super) fn count(&self, reason: Option<Reason>) -> Counted {
        let reason = reason.map_or(NO_REASON, Reason::as_str);
        Counted::by(&self.links.get_or_create(&[("reason", reason)]))
    }

    /// An object waits for a person since this second, for as long as what is returned lives.
    pub(super) fn wait_since(&self, second: i64) -> Pending {
        Pending::since(second, &self.oldest_pending)
    }

    /// An object waits longer each time, for as long as what is returned lives.
    pub(super) fn back_off(&self) -> Counted {
        Counted::by(&self.in_backoff)
    }

    /// The gauge of objects that are due.
    #[must_use]
    pub fn queue_depth(&self) -> Gauge {
        self.queue_depth.clone()
    }

    /// The gauge of objects that wait for their turn to change a SignalR.
    #[must_use]
    pub fn waiting_for_lane(&self) -> Gauge {
        self.waiting_for_lane.clone()
    }

    /// A connection was approved, or an approval taken back.
    pub fn decide(&self, verdict: Verdict) {
        self.decisions.get_or_create(&[("decision", verdict.into())]).inc();
    }

    /// An approval of ours must not stand.
    pub fn alarm(&self) {
        self.unconfirmed_approvals.inc();
    }

    /// How many links of a SignalR have a marker of the operator's form and no object.
    pub fn orphans(&self, signalr: &str, count: usize) {
        self.orphans.set(signalr, count);
    }

    /// Forgets what was counted on SignalRs that nobody looks at any more.
    pub fn keep_orphans(&self, is_looked_at: impl Fn(&str) -> bool) {
        self.orphans.keep(is_looked_at);
    }

    /// A status was written.
    pub fn write_status(&self) {
        self.status_writes.inc();
    }
}

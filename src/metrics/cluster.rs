//! The API server, and who leads.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{Code, One, Two, Verb, WatchKind, all, counters, one, two};

/// What is told of the cluster.
pub struct ClusterMetrics {
    requests: Family<Two, Counter>,
    watch_failures: Family<One, Counter>,
    leader: Gauge,
}

impl ClusterMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (verbs, codes) = (all::<Verb>(), all::<Code>());
        let answers = two(("verb", verbs.as_slice()), ("code", codes.as_slice()));
        let help = "Requests to the API server by verb and by the status of the answer; none without an answer";
        let requests = counters(registry, "kubernetes_requests", help, answers);
        let kinds = one("kind", &all::<WatchKind>());
        let watch_failures = counters(registry, "watch_failures", "Watches that ended in an error, by kind", kinds);
        let leader = Gauge::default();
        registry.register("leader", "Whether this replica works, 1, or waits for the lease, 0", leader.clone());
        Self { requests, watch_failures, leader }
    }

    /// The API server answered, or did not.
    pub fn answered(&self, verb: Verb, code: Code) {
        self.requests.get_or_create(&[("verb", verb.into()), ("code", code.into())]).inc();
    }

    /// A watch ended in an error.
    pub fn watch_failed(&self, kind: WatchKind) {
        self.watch_failures.get_or_create(&[("kind", kind.into())]).inc();
    }

    /// Whether this replica works from now on.
    pub fn lead(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}

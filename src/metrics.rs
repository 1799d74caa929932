//! Counters, with closed sets of labels: no object's name, no error's text.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmCall {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pass {
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    decision: &'static str,
}

/// The operator's metrics.
pub struct Metrics {
    registry: Registry,
    arm_calls: Family<ArmCall, Counter>,
    passes: Family<Pass, Counter>,
    decisions: Family<Decided, Counter>,
    orphans: Gauge,
    unconfirmed_approvals: Counter<u64, AtomicU64>,
    status_writes: Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("signalr_private_link");
        let (arm_calls, passes, decisions) = (
            Family::<ArmCall, Counter>::default(),
            Family::<Pass, Counter>::default(),
            Family::<Decided, Counter>::default(),
        );
        let (unconfirmed_approvals, status_writes) = (Counter::default(), Counter::default());
        registry.register("arm_calls", "Calls to Azure Resource Manager by operation and outcome", arm_calls.clone());
        registry.register("passes", "Passes by the action they took", passes.clone());
        registry.register("decisions", "Connections approved and approvals revoked", decisions.clone());
        registry.register(
            "unconfirmed_approvals",
            "Approvals that SignalR did not confirm, or that were left behind unconfirmed; any increase is worth a page",
            unconfirmed_approvals.clone(),
        );
        let orphans = Gauge::default();
        registry.register(
            "orphaned_links",
            "Links with a marker of this operator's form whose object does not exist in this cluster; never deleted",
            orphans.clone(),
        );
        registry.register("status_writes", "Writes of an object's status", status_writes.clone());
        Self { registry, arm_calls, passes, decisions, orphans, unconfirmed_approvals, status_writes }
    }
}

impl Metrics {
    /// A call to ARM ended.
    pub fn arm_call(&self, operation: &'static str, outcome: &'static str) {
        self.arm_calls.get_or_create(&ArmCall { operation, outcome }).inc();
    }

    /// A pass took an action.
    pub fn pass(&self, action: &'static str) {
        self.passes.get_or_create(&Pass { action }).inc();
    }

    /// A connection was approved, or an approval revoked.
    pub fn decision(&self, decision: &'static str) {
        self.decisions.get_or_create(&Decided { decision }).inc();
    }

    /// An approval of ours must not stand.
    pub fn unconfirmed_approval(&self) {
        self.unconfirmed_approvals.inc();
    }

    /// How many links have a marker of the operator's form and no object.
    pub fn orphans(&self, count: usize) {
        self.orphans.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A status was written.
    pub fn status_write(&self) {
        self.status_writes.inc();
    }

    /// All metrics as text, in the OpenMetrics format.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

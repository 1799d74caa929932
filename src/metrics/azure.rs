//! Azure Resource Manager, and tokens for it.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{One, TokenOutcome, Two, all, counters, one, two};
use crate::azure::CallKind;

/// A call ends within 20 s.
const SECONDS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// `ok`, and every [`label`](signalr_private_link_core::Failure::label) of a failure.
const OUTCOMES: [&str; 17] = [
    "ok",
    "throttled",
    "credential_unavailable",
    "unauthorized",
    "forbidden",
    "denied",
    "not_found",
    "unsupported_version",
    "busy",
    "invalid",
    "policy_denied",
    "locked",
    "subscription_disabled",
    "not_registered",
    "quota_exceeded",
    "transient",
    "unexpected",
];

/// What ARM counts apart.
const BUCKETS: [&str; 3] = ["reads", "writes", "deletes"];

/// What is told of calls to Azure.
pub struct AzureMetrics {
    requests: Family<Two, Counter>,
    seconds: Family<One, Histogram>,
    throttled_until: Family<One, Gauge>,
    remaining: Family<One, Gauge<f64, AtomicU64>>,
    token_requests: Family<One, Counter>,
    token_expiry: Gauge,
    credential_expiry: Gauge,
}

impl AzureMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let calls = all::<CallKind>();
        let outcomes = two(("operation", calls.as_slice()), ("outcome", OUTCOMES.as_slice()));
        let help = "Calls to Azure Resource Manager by how they ended, also those that were not sent because it had asked to wait";
        let requests = counters(registry, "arm_requests", help, outcomes);
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::<One, Histogram>::new_with_constructor(histogram);
        for call in one("operation", &calls) {
            drop(seconds.get_or_create(&call));
        }
        let help = "How long Azure Resource Manager took to answer a call that was sent";
        registry.register_with_unit("arm_request_duration", help, Unit::Seconds, seconds.clone());
        let throttled_until = Family::<One, Gauge>::default();
        let remaining = Family::<One, Gauge<f64, AtomicU64>>::default();
        for bucket in one("bucket", &BUCKETS) {
            drop(throttled_until.get_or_create(&bucket));
            // Not known, and not none.
            remaining.get_or_create(&bucket).set(f64::NAN);
        }
        let help =
            "Until when Azure Resource Manager asked to wait (429), by what it counts apart; 0 when it never did";
        registry.register_with_unit("arm_throttled_until_timestamp", help, Unit::Seconds, throttled_until.clone());
        let help =
            "How many calls Azure Resource Manager would still take, as its last answer told; NaN before one does";
        registry.register("arm_remaining_requests", help, remaining.clone());
        let outcomes = one("outcome", &all::<TokenOutcome>());
        let token_requests = counters(registry, "token_requests", "Requests for a token by how they ended", outcomes);
        let (token_expiry, credential_expiry) = (Gauge::default(), Gauge::default());
        let help = "When the token that is held expires; 0 without one";
        registry.register_with_unit("token_expiry_timestamp", help, Unit::Seconds, token_expiry.clone());
        let help = "When the client certificate expires that proves who the operator is; 0 where it is none, or was not read yet";
        registry.register_with_unit("credential_expiry_timestamp", help, Unit::Seconds, credential_expiry.clone());
        Self { requests, seconds, throttled_until, remaining, token_requests, token_expiry, credential_expiry }
    }

    /// A call to ARM ended.
    pub fn called(&self, call: CallKind, outcome: &'static str) {
        self.requests.get_or_create(&[("operation", call.into()), ("outcome", outcome)]).inc();
    }

    /// ARM answered a call, or did not.
    pub fn answered(&self, call: CallKind, took: Duration) {
        self.seconds.get_or_create(&[("operation", call.into())]).observe(took.as_secs_f64());
    }

    /// ARM asked to wait for so long.
    pub fn throttled(&self, bucket: &'static str, wait: Duration) {
        let until = second(SystemTime::now() + wait);
        let gauge = self.throttled_until.get_or_create(&[("bucket", bucket)]);
        gauge.set(gauge.get().max(until));
    }

    /// ARM told how many calls it would still take.
    pub fn remaining(&self, bucket: &'static str, left: f64) {
        self.remaining.get_or_create(&[("bucket", bucket)]).set(left);
    }

    /// A request for a token ended.
    pub fn asked_for_token(&self, outcome: TokenOutcome) {
        self.token_requests.get_or_create(&[("outcome", outcome.into())]).inc();
    }

    /// When the token expires that is held from now on, if one is.
    pub fn hold_token(&self, expires: Option<SystemTime>) {
        self.token_expiry.set(expires.map_or(0, second));
    }

    /// When the client certificate expires, in seconds of Unix time.
    pub fn credential_expires(&self, second: i64) {
        self.credential_expiry.set(second);
    }
}

/// Seconds of Unix time.
fn second(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use signalr_private_link_core::Failure;
    use signalr_private_link_core::failure::Level;

    use super::*;

    /// Every failure, as the compiler knows them.
    fn after(failure: Option<Failure>) -> Option<Failure> {
        Some(match failure {
            None => Failure::Throttled(None),
            Some(Failure::Throttled(_)) => Failure::CredentialUnavailable,
            Some(Failure::CredentialUnavailable) => Failure::Unauthorized,
            Some(Failure::Unauthorized) => Failure::Forbidden,
            Some(Failure::Forbidden) => Failure::Denied,
            Some(Failure::Denied) => Failure::NotFound(Level::Resource),
            Some(Failure::NotFound(_)) => Failure::UnsupportedVersion,
            Some(Failure::UnsupportedVersion) => Failure::Busy(None),
            Some(Failure::Busy(_)) => Failure::Invalid,
            Some(Failure::Invalid) => Failure::PolicyDenied,
            Some(Failure::PolicyDenied) => Failure::Locked,
            Some(Failure::Locked) => Failure::SubscriptionDisabled,
            Some(Failure::SubscriptionDisabled) => Failure::NotRegistered,
            Some(Failure::NotRegistered) => Failure::QuotaExceeded,
            Some(Failure::QuotaExceeded) => Failure::Transient(None),
            Some(Failure::Transient(_)) => Failure::Unexpected,
            Some(Failure::Unexpected) => return None,
        })
    }

    #[test]
    fn every_failure_is_an_outcome() {
        let failures = std::iter::successors(after(None), |failure| after(Some(*failure)));
        let labels: Vec<&str> = std::iter::once("ok").chain(failures.map(Failure::label)).collect();
        assert_eq!(labels, OUTCOMES);
    }
}

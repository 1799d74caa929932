//! The times of the Lease that replicas elect a leader with, and the election that has them.

use std::time::Duration;

use clap::Args;
use k8s_controller::LeaderElection;
use kube::Client;

/// How long what lasts, in whole seconds, as a Lease counts. The defaults are those of Kubernetes' own controllers.
#[derive(Debug, Clone, Args)]
pub struct LeaseTimes {
    /// After how many seconds without a renewal another replica takes over.
    #[arg(long, env = "LEASE_DURATION", value_name = "SECONDS", default_value_t = 15)]
    pub lease_duration: u32,
    /// For how many seconds the leader tries to renew before it ends; less than --lease-duration.
    #[arg(long, env = "LEASE_RENEW_DEADLINE", value_name = "SECONDS", default_value_t = 10)]
    pub lease_renew_deadline: u32,
    /// How many seconds lie between two renewals, or two looks of a replica that waits; less than
    /// --lease-renew-deadline.
    #[arg(long, env = "LEASE_RETRY_PERIOD", value_name = "SECONDS", default_value_t = 2)]
    pub lease_retry_period: u32,
}

impl LeaseTimes {
    /// Whether a leader ends before another one can begin (R9).
    ///
    /// # Errors
    /// The flags that contradict each other.
    pub fn check(&self) -> Result<(), String> {
        let Self { lease_duration, lease_renew_deadline, lease_retry_period } = *self;
        if lease_retry_period == 0 {
            return Err("--lease-retry-period 0: it has to be at least 1 second".to_owned());
        }
        for (long, longer, short, shorter) in [
            ("--lease-duration", lease_duration, "--lease-renew-deadline", lease_renew_deadline),
            ("--lease-renew-deadline", lease_renew_deadline, "--lease-retry-period", lease_retry_period),
        ] {
            if longer <= shorter {
                return Err(format!("{long} {longer} has to be longer than {short} {shorter}"));
            }
        }
        Ok(())
    }

    /// An election over this Lease, in the client's own namespace.
    #[must_use]
    pub fn election(&self, client: &Client, lease: &str, identity: &str) -> LeaderElection {
        let seconds = |number: u32| Duration::from_secs(number.into());
        LeaderElection::new(client.clone(), client.default_namespace(), lease, identity)
            .with_lease_duration(seconds(self.lease_duration))
            .with_renew_deadline(seconds(self.lease_renew_deadline))
            .with_retry_period(seconds(self.lease_retry_period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_let_two_lead_are_refused() {
        let check = |lease_duration, lease_renew_deadline, lease_retry_period| {
            LeaseTimes { lease_duration, lease_renew_deadline, lease_retry_period }.check()
        };
        assert!(check(15, 10, 2).is_ok() && check(3, 2, 1).is_ok());
        for (times, words) in [
            ((10, 10, 2), "--lease-duration 10 has to be longer than --lease-renew-deadline 10"),
            ((15, 2, 2), "--lease-renew-deadline 2 has to be longer than --lease-retry-period 2"),
            ((15, 10, 0), "--lease-retry-period 0"),
        ] {
            let refusal = check(times.0, times.1, times.2).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}

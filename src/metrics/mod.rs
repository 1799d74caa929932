//! What the operator tells of itself in numbers. The registry is told, and asks nobody.
//!
//! All series are there from the start, with 0: a rule sees also the first of what it counts. Labels have closed sets
//! of values, with no object's name and no error's text among them. `docs/metrics.md` is made of what stands here.

mod azure;
mod cluster;
mod counted;
mod labels;
mod links;
mod process;
mod text;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use azure::AzureMetrics;
pub use cluster::ClusterMetrics;
pub use counted::Standing;
pub use labels::{Code, PassOutcome, TokenOutcome, Verb, WatchKind};
pub use links::{LinkMetrics, NO_REASON};
pub use text::Format;

/// The commit that the operator was built from, where the build was told.
const REVISION: &str = match option_env!("REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The operator's metrics.
pub struct Metrics {
    registry: Registry,
    /// Links, and the passes over them.
    pub links: LinkMetrics,
    /// Azure Resource Manager, and tokens for it.
    pub azure: AzureMetrics,
    /// The API server, and who leads.
    pub cluster: ClusterMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let ours = registry.sub_registry_with_prefix("signalr_private_link");
        let build = Family::<labels::Two, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION")), ("revision", REVISION)]).set(1);
        ours.register("build_info", "1, with version and revision of the operator as labels", build);
        let (links, azure) = (LinkMetrics::new(ours), AzureMetrics::new(ours));
        let cluster = ClusterMetrics::new(ours);
        Self { registry, links, azure, cluster }
    }
}

impl Metrics {
    /// All metrics, as this format has them.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn encode(&self, format: Format) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => text::classic(&text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = Metrics::default().encode(Format::Text).unwrap();
        for series in [
            "signalr_private_link_reconcile_total{outcome=\"panicked\"} 0",
            "signalr_private_link_links{reason=\"PendingApproval\"} 0",
            "signalr_private_link_arm_requests_total{operation=\"put_connection\",outcome=\"throttled\"} 0",
            "signalr_private_link_arm_request_duration_seconds_count{operation=\"get_link\"} 0",
            "signalr_private_link_oldest_pending_approval_timestamp_seconds 0",
            "signalr_private_link_kubernetes_requests_total{verb=\"patch\",code=\"409\"} 0",
            "signalr_private_link_panics_total 0",
            "# TYPE signalr_private_link_panics_total counter",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} is missing:\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
        let few = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(few < 600, "{few} series");
    }

    #[test]
    fn open_metrics_name_a_counter_without_its_suffix_and_end() {
        let text = Metrics::default().encode(Format::OpenMetrics).unwrap();
        assert!(text.contains("# TYPE signalr_private_link_panics counter\n"));
        assert!(text.contains("\nsignalr_private_link_panics_total 0\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}

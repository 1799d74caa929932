//! Logs, to standard error, and traces, to whom they are asked for.

mod action;
#[cfg(not(feature = "otlp"))]
mod no_otlp;
#[cfg(feature = "otlp")]
mod otlp;
mod pass;
mod requests;
pub mod spans;
mod watch;

use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;

pub use action::{Call, action, note_call};
#[cfg(not(feature = "otlp"))]
pub use no_otlp::{Traces, traceparent};
#[cfg(feature = "otlp")]
pub use otlp::{Traces, traceparent};
pub use pass::{Pass, number};
pub use requests::requests;
pub use watch::watch;

/// Something that is done with lines and spans.
type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// How targets of libraries begin whose lines below `warn` say what the operator's own do, or what only their authors
/// want to know.
const LIBRARIES: [&str; 13] = [
    "azure_core",
    "azure_identity",
    "h2",
    "hyper",
    "k8s_controller",
    "kube",
    "mio",
    "opentelemetry",
    "reqwest",
    "rustls",
    "tokio_util",
    "tower",
    "typespec",
];

/// Sets up logging, and traces where they are asked for. `level` was checked when the flags were read.
pub fn init(format: LogFormat, level: &str, traces: Option<&Traces>) {
    let lines = tracing_subscriber::fmt::layer::<Registry>().with_writer(std::io::stderr);
    let lines: Boxed = match format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).with_filter(filter(level)).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter(level)).boxed(),
    };
    let layers: Vec<Boxed> = std::iter::once(lines).chain(traces.map(Traces::layer)).collect();
    tracing_subscriber::registry().with(layers).init();
}

/// What is logged. A library that the filter does not name has no say below `warn`.
fn filter(level: &str) -> Targets {
    let asked: Targets = level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // The more verbose a level, the greater it is.
    let most = asked.default_level().unwrap_or(LevelFilter::OFF).min(LevelFilter::WARN);
    let is_named = |library: &str| asked.iter().any(|(target, _)| library.starts_with(target));
    let quiet: Vec<_> = LIBRARIES.into_iter().filter(|library| !is_named(library)).map(|l| (l, most)).collect();
    asked.with_targets(quiet).with_target(spans::TARGET, LevelFilter::OFF)
}

/// A time that has passed, in seconds to the millisecond, as every `duration` of the log is.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_quiet_unless_the_filter_names_them() {
        for (asked, target, expected) in [
            ("info", "signalr_private_link_operator::reconcile", Level::INFO),
            ("info", "azure_identity::managed_identity_credential", Level::WARN),
            ("info", "kube_runtime::watcher", Level::WARN),
            ("info", "k8s_controller::leader_election", Level::WARN),
            ("debug", "signalr_private_link_operator::azure::told", Level::DEBUG),
            ("debug", "hyper_util::client::legacy::connect", Level::WARN),
            ("error", "kube_client::client", Level::ERROR),
            ("info,kube=debug", "kube_client::client", Level::DEBUG),
            ("info,kube=debug", "rustls::client", Level::WARN),
            ("info,kube_client=debug", "kube_client::client", Level::DEBUG),
            ("info,kube_client=debug", "kube_runtime::watcher", Level::WARN),
            ("info,azure=debug", "azure_core::http", Level::DEBUG),
            ("debug,hyper=info", "hyper::proto", Level::INFO),
        ] {
            let filter = filter(asked);
            let most = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                .into_iter()
                .find(|level| filter.would_enable(target, level));
            assert_eq!(most, Some(expected), "{asked}: {target}");
        }
    }

    #[test]
    fn what_is_off_stays_off() {
        let only = filter("signalr_private_link_operator=info");
        assert!(!only.would_enable("kube_client::client", &Level::ERROR));
        assert!(!filter("off").would_enable("hyper::proto", &Level::ERROR));
        // Spans are never the log's: where there are no traces none is made.
        for level in ["trace", "spans=trace"] {
            assert!(!filter(level).would_enable(spans::TARGET, &Level::DEBUG), "{level}");
        }
    }

    #[test]
    fn a_duration_is_told_to_the_millisecond() {
        assert_eq!(seconds(Duration::from_micros(1_234_567)).to_string(), "1.235");
    }
}

//! The flags of traces.

use clap::Args;
use reqwest::Url;

/// Where traces go, and which.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// Traces are sent there: to a collector that takes OTLP over HTTP, at /v1/traces below this URL. Without it none are
    /// made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = collector)]
    pub otlp_endpoint: Option<Url>,
    /// How much of all passes is traced, from 0 to 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO", default_value = "1.0", value_parser = ratio)]
    pub trace_ratio: f64,
    /// Tell Azure which trace a call belongs to, in the header traceparent.
    #[arg(long, env = "PROPAGATE_TO_AZURE", value_parser = clap::builder::BoolishValueParser::new())]
    pub propagate_to_azure: bool,
}

fn collector(text: &str) -> Result<Url, String> {
    let expected = "expected a form like http://collector.observability:4318";
    let url = Url::parse(text).map_err(|error| format!("{error}; {expected}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none() {
        Ok(url)
    } else {
        Err(format!("it is no address of a collector for OTLP over HTTP; {expected}"))
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

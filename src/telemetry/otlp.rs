//! Traces over OTLP. A thread of the library's sends what passes leave in a queue of bounded length; what does not fit is
//! thrown away, so a collector that fails or hangs never makes a pass wait.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer as _, Registry};

use super::{Boxed, spans};
use crate::azure::Transport as _;
use crate::config::{TraceArgs, variable};
use crate::controller::NAME;
use crate::news::News;

/// A collector that takes longer has not taken the spans.
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// What is left at the end is given up after this time, within what Kubernetes gives a pod to end.
const END_DEADLINE: Duration = Duration::from_secs(3);

/// Makes traces, and sends them.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// The traces that are asked for, if any are. They are sent from this runtime.
    ///
    /// # Errors
    /// When a variable of OpenTelemetry's asks for something that is not supported.
    pub fn new(args: &TraceArgs, runtime: &Handle) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &args.otlp_endpoint else { return Ok(None) };
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(SEND_DEADLINE)
            .build()
            .context("the HTTP client of --otlp-endpoint cannot be set up")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { http, runtime: runtime.clone(), told: News::default() })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
            .with_timeout(SEND_DEADLINE)
            .build()
            .context("--otlp-endpoint cannot be used")?;
        let name = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| NAME.to_owned());
        let mut resource = Resource::builder()
            .with_service_name(name)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if let Some(host) = variable("HOSTNAME") {
            resource = resource.with_attribute(KeyValue::new("service.instance.id", host));
        }
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(args.trace_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// What makes traces of the operator's spans, and of nothing else.
    pub(super) fn layer(&self) -> Boxed {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(self.0.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(spans::TARGET, LevelFilter::DEBUG))
            .boxed()
    }

    /// Sends what is left. It blocks for some seconds at most, and the runtime has to live on meanwhile.
    pub fn end(self) {
        // That it was not sent has been said, or comes too late to be.
        let _ = self.0.shutdown_with_timeout(END_DEADLINE);
    }
}

/// The current span, as `traceparent` names it (W3C Trace Context).
pub fn traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
}

/// The way to the collector: the HTTP client that the operator has anyway.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    /// When it was last said that it fails.
    told: News<300>,
}

impl Collector {
    fn tell(&self, error: &str) {
        if self.told.is_due() {
            tracing::warn!(error, "traces could not be sent; passes go on without (said once in 5 min)");
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.http.clone();
        // The library's thread has no reactor: the runtime sends.
        let sending = self.runtime.spawn(async move { client.send(request).await });
        let answer = match sending.await {
            Ok(answer) => answer.map_err(|lost| lost.why),
            Err(_) => Err("the process ends".to_owned()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.tell(&format!("the collector answered {}", answer.status())),
            Err(why) => self.tell(why),
        }
        answer.map_err(HttpError::from)
    }
}

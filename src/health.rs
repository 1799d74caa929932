//! The two small servers: metrics, and whether the operator lives and is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Whether the operator is ready: its watches have listed everything once.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on it is.
    pub fn ready(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn status(&self) -> (StatusCode, &'static str) {
        if self.0.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the watches have not listed everything yet\n")
        }
    }
}

async fn serve(address: Option<SocketAddr>, flag: &str, router: Router) -> anyhow::Result<()> {
    let Some(address) = address else {
        return Ok(());
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{flag} {address} cannot be listened at; give another port, or 0 for nowhere"))?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, %address, "a server of the operator's ended");
        }
    });
    Ok(())
}

/// Serves /metrics.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve_metrics(address: Option<SocketAddr>, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let text = move || {
        let metrics = metrics.clone();
        async move {
            let content_type = [(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            match metrics.encode() {
                Ok(text) => (StatusCode::OK, content_type, text),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, String::new()),
            }
        }
    };
    serve(address, "--metrics-address", Router::new().route("/metrics", get(text))).await
}

/// Serves /livez and /readyz.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve_health(address: Option<SocketAddr>, readiness: Readiness) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness.status() }));
    serve(address, "--health-address", router).await
}

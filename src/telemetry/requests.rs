//! The requests to the API server, as metrics and traces tell of them, whoever makes them: passes, watches, Events, the
//! election. Only those of passes are in traces.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use tower::Service;
use tower::layer::{Layer, layer_fn};
use tracing::Instrument as _;

use super::spans;
use crate::metrics::{Code, Metrics, Verb};

/// The layer that tells of each request to this server.
pub fn requests<S>(metrics: Arc<Metrics>, server: &Uri) -> impl Layer<S, Service = Told<S>> + use<S> {
    let server: Arc<str> = server.host().unwrap_or_default().into();
    layer_fn(move |inner| Told { inner, metrics: metrics.clone(), server: server.clone() })
}

/// A service whose answers are told of.
#[derive(Clone)]
pub struct Told<S> {
    inner: S,
    metrics: Arc<Metrics>,
    server: Arc<str>,
}

impl<S, B, A> Service<Request<B>> for Told<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    A: 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<A>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, metrics) = (Verb::of(request.method(), request.uri()), self.metrics.clone());
        let span = spans::kubernetes(&self.server, request.method(), request.uri());
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        let told = move |answer: Result<Response<A>, S::Error>| {
            let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            metrics.cluster.answered(verb, status.map_or(Code::None, Code::of));
            spans::answered(&span, status);
            answer
        };
        answer.map(told).boxed()
    }
}

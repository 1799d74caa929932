//! Counts the requests to the API server, whoever makes them: passes, watches, Events, the election. Those of passes are
//! in their traces.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::metrics::{Code, Metrics, Verb};
use crate::telemetry::spans;

/// The layer that counts.
#[derive(Clone)]
pub(super) struct CountRequests {
    metrics: Arc<Metrics>,
    /// The API server's host.
    server: Arc<str>,
}

impl CountRequests {
    pub(super) fn new(metrics: Arc<Metrics>, server: &Uri) -> Self {
        Self { metrics, server: server.host().unwrap_or_default().into() }
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, metrics: self.metrics.clone(), server: self.server.clone() }
    }
}

/// A service whose answers are counted.
#[derive(Clone)]
pub(super) struct Counting<S> {
    inner: S,
    metrics: Arc<Metrics>,
    server: Arc<str>,
}

impl<S, B, A> Service<Request<B>> for Counting<S>
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
        let (verb, metrics) = (verb(request.method(), request.uri()), self.metrics.clone());
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

/// What a request asks for, in the words of roles.
fn verb(method: &Method, uri: &Uri) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ if uri.query().is_some_and(|query| query.contains("watch=true")) => Verb::Watch,
        _ if is_collection(uri.path()) => Verb::List,
        _ => Verb::Get,
    }
}

/// Whether a path is that of all objects of a kind, of one namespace or of all: `/api/v1/namespaces`,
/// `/apis/GROUP/VERSION/namespaces/NAMESPACE/KIND`.
fn is_collection(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let group = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return false,
    };
    let rest: Vec<&str> = parts.skip(group).collect();
    matches!(rest.as_slice(), [_] | ["namespaces", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_verb() {
        let group = "/apis/privatelink.signalr-operator.io/v1alpha1";
        let links = format!("{group}/namespaces/contoso/signalrsharedprivatelinks");
        for (method, path, expected) in [
            (Method::GET, format!("{links}/kv-pe"), Verb::Get),
            (Method::GET, links.clone(), Verb::List),
            (Method::GET, format!("{links}?&watch=true&timeoutSeconds=290"), Verb::Watch),
            (Method::GET, format!("{group}/approvalpolicies?&limit=1"), Verb::List),
            (Method::GET, "/api/v1/namespaces".into(), Verb::List),
            (Method::GET, "/api/v1/namespaces/contoso".into(), Verb::Get),
            (Method::GET, "/version".into(), Verb::Get),
            (Method::PATCH, format!("{links}/kv-pe/status"), Verb::Patch),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/contoso/events".into(), Verb::Create),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".into(), Verb::Update),
        ] {
            assert_eq!(verb(&method, &path.parse().unwrap()), expected, "{method} {path}");
        }
    }
}

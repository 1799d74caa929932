//! The real kube client over something in this process instead of a socket.

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use kube::client::Body;

/// What a connection can fail with.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A client whose requests `handle` answers.
pub fn kube_client<F, A>(handle: F) -> kube::Client
where
    F: Fn(Request<Bytes>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Response<Bytes>, Broken>> + Send + 'static,
{
    let service = tower::service_fn(move |request: Request<Body>| {
        let handle = handle.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            handle(Request::from_parts(parts, body)).await.map(|answer| answer.map(Body::from))
        }
    });
    kube::Client::new(service, "default")
}

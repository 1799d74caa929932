//! The real kube client over something in this process instead of a socket.

use std::future::Future;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use tower::util::BoxCloneService;

/// What a connection can fail with.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;
/// An answer's body: there as a whole, or in pieces, such as a watch's.
pub type AnswerBody = UnsyncBoxBody<Bytes, Broken>;
/// What the client takes for a connection to an API server.
pub type Connection = BoxCloneService<Request<Body>, Response<AnswerBody>, Broken>;

/// A connection whose requests `handle` answers.
pub fn connection<F, A>(handle: F) -> Connection
where
    F: Fn(Request<Bytes>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Response<AnswerBody>, Broken>> + Send + 'static,
{
    BoxCloneService::new(tower::service_fn(move |request: Request<Body>| {
        let handle = handle.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            handle(Request::from_parts(parts, body)).await
        }
    }))
}

/// A body that is there as a whole.
#[must_use]
pub fn whole(body: Bytes) -> AnswerBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes in pieces.
#[must_use]
pub fn in_pieces(pieces: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static) -> AnswerBody {
    StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync()
}

//! The simulator without sockets: the same answers, for tests that pause the clock.

use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

use crate::config::Config;
use crate::server::{self, Call};
use crate::sim::Sim;
use crate::world::World;
use crate::{control, reply::Reply};

/// A simulator in this process. Faults and latency, which belong to the network, it has none.
pub struct InProcess {
    sim: Sim,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

fn call(request: Request<Bytes>) -> Call {
    let (parts, body) = request.into_parts();
    Call { method: parts.method, uri: parts.uri, headers: parts.headers, body }
}

impl InProcess {
    /// A simulator whose URLs begin with `endpoint`.
    #[must_use]
    pub fn new(config: Config, endpoint: &str) -> Self {
        Self { sim: Sim::new(config, endpoint.to_owned(), None) }
    }

    /// Answers a request to ARM or the token endpoint.
    pub fn azure(&self, request: Request<Bytes>) -> Response<Bytes> {
        server::render(server::answer(&self.sim, &call(request)))
    }

    /// Sends a request to the control endpoint.
    ///
    /// # Errors
    /// The answer's body when it is refused.
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let body = Bytes::from(body.to_string());
        let request = Request::builder().method(method).uri(path).body(body);
        let request = request.map_err(|error| Value::String(error.to_string()))?;
        let Reply { status, body, .. } = control::handle(&self.sim, &call(request));
        let body = body.unwrap_or_default();
        if status < 300 { Ok(body) } else { Err(body) }
    }

    /// What there is now.
    pub fn look<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        at(&self.sim.state().world)
    }
}

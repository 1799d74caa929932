//! In place of traces, where they are not built in.

use tokio::runtime::Handle;

use super::Boxed;
use crate::config::TraceArgs;

/// There are none.
pub enum Traces {}

impl Traces {
    /// None.
    ///
    /// # Errors
    /// When some are asked for.
    pub fn new(args: &TraceArgs, _: &Handle) -> anyhow::Result<Option<Self>> {
        anyhow::ensure!(
            args.otlp_endpoint.is_none(),
            "--otlp-endpoint: this binary was built without traces; build it with --features otlp, or leave the flag out"
        );
        Ok(None)
    }

    pub(super) fn layer(&self) -> Boxed {
        match *self {}
    }

    /// Nothing is left.
    pub fn end(self) {
        match self {}
    }
}

/// No span has a name.
pub fn traceparent() -> Option<String> {
    None
}

//! What the API server does not let happen.

use std::fmt::Display;

use super::KubeFailure;
use crate::news::News;
use crate::telemetry::number;

/// When it was last said that the API server fails, which would be said for every object.
#[derive(Debug, Default)]
pub struct Outage(News<10>);

impl Outage {
    /// A pass failed. Another version is read by the next one, and is no failure of the API server's.
    pub fn tell(&self, object: &impl Display, doing: &str, error: &KubeFailure) {
        let pass = number();
        // A failure is rarely about one object: ten thousand of them would say the same.
        if *error != KubeFailure::Changed && self.0.is_due() {
            tracing::warn!(object = %object, pass, doing, %error, "API server request failed; will retry (said once in 10 s)");
        } else {
            tracing::debug!(object = %object, pass, doing, %error, "API server request failed; will retry");
        }
    }
}

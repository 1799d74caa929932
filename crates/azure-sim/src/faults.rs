//! Faults that the control endpoint sets: by method, path and count, before or after the effect.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reply::Reply;

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The request has no effect.
    #[default]
    Before,
    /// It has its effect, and the answer is lost or replaced.
    After,
}

/// What happens instead of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Effect {
    /// An error.
    Status {
        /// The status.
        status: u16,
        /// ARM's error code.
        #[serde(default)]
        code: String,
        /// ARM's message.
        #[serde(default)]
        message: String,
        /// `Retry-After`, word for word.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// The connection is closed without an answer.
    Reset,
    /// No answer ever comes.
    Hang,
    /// This body, word for word.
    Body {
        /// The status.
        status: u16,
        /// The text.
        body: String,
        /// How many times it is sent in a row.
        #[serde(default = "once")]
        repeat: usize,
    },
    /// The answer comes late.
    Delay {
        /// By this many milliseconds.
        milliseconds: u64,
    },
}

/// A fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The method; any without one.
    #[serde(default)]
    pub method: Option<String>,
    /// A part of the path, in any letter case; any without one.
    #[serde(default)]
    pub path: Option<String>,
    /// How many requests it strikes; 0 for all.
    #[serde(default = "one")]
    pub count: u64,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Before or after the effect.
    #[serde(default)]
    pub when: When,
    /// What happens.
    #[serde(flatten)]
    pub effect: Effect,
}

fn one() -> u64 {
    1
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that strikes this request, which counts as struck.
    pub fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let path = path.to_ascii_lowercase();
        let at = self.0.iter_mut().position(|fault| {
            let matches = fault.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(method))
                && fault.path.as_ref().is_none_or(|p| path.contains(&p.to_ascii_lowercase()));
            let passes = matches && fault.skip > 0;
            fault.skip -= u64::from(passes);
            matches && !passes
        })?;
        let fault = self.0.get_mut(at)?;
        let struck = fault.clone();
        match fault.count {
            0 => {}
            1 => drop(self.0.remove(at)),
            _ => fault.count -= 1,
        }
        Some(struck)
    }
}

impl Effect {
    /// The answer that is sent instead, where one is.
    pub(crate) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Status { status, code, message, retry_after } => {
                let reply = Reply::gateway(*status, code, message.clone());
                Some(match retry_after {
                    Some(wait) => reply.with("retry-after", wait),
                    None => reply,
                })
            }
            Self::Body { status, body, repeat } => Some(
                Reply { status: *status, headers: Vec::new(), body: Some(Value::String(body.repeat(*repeat))) }
                    .with("x-azure-sim-raw", "1"),
            ),
            Self::Reset | Self::Hang | Self::Delay { .. } => None,
        }
    }
}

fn once() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_strikes_as_often_as_it_says_and_not_before() {
        let mut faults = Faults::default();
        let fault = json!({"method": "put", "path": "/SharedPrivate", "count": 2, "skip": 1, "kind": "reset"});
        faults.add(serde_json::from_value(fault).unwrap());
        let mut strike = |method, path| faults.strike(method, path).is_some();
        assert!(!strike("GET", "/x/sharedPrivateLinkResources"));
        assert!(!strike("PUT", "/x/sharedPrivateLinkResources"), "skipped");
        assert!(strike("PUT", "/x/sharedPrivateLinkResources"));
        assert!(!strike("PUT", "/x/vaults"));
        assert!(strike("PUT", "/x/sharedprivatelinkresources"));
        assert!(!strike("PUT", "/x/sharedPrivateLinkResources"));
    }

    #[test]
    fn a_fault_that_waits_does_not_hide_another() {
        let mut faults = Faults::default();
        for fault in [json!({"skip": 1, "kind": "hang"}), json!({"kind": "reset"})] {
            faults.add(serde_json::from_value(fault).unwrap());
        }
        assert!(matches!(faults.strike("GET", "/x").unwrap().effect, Effect::Reset));
        assert!(matches!(faults.strike("GET", "/x").unwrap().effect, Effect::Hang));
        assert!(faults.strike("GET", "/x").is_none());
    }
}

//! Ground truth: who really opened what and who wrote it, for tests to judge by. No client of ARM
//! can read it.

use jiff::Timestamp;
use serde::Serialize;

/// A write that had an effect.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// When.
    pub at: Timestamp,
    /// `PUT` or `DELETE`.
    pub method: &'static str,
    /// `link` or `connection`.
    pub kind: &'static str,
    /// The key of the id.
    pub id: String,
    /// `arm` for a client of ARM, `control` for people outside.
    pub by: &'static str,
    /// For a connection: the state before and after.
    pub states: Option<(String, String)>,
    /// For a connection: whether a stranger opened it.
    pub stranger: bool,
}

/// All that was written, in order.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Truth {
    /// Each write.
    pub writes: Vec<Write>,
}

impl Truth {
    /// Approvals through ARM of connections that a stranger opened.
    #[must_use]
    pub fn strangers_approved(&self) -> usize {
        let approved = |w: &&Write| w.states.as_ref().is_some_and(|(_, after)| after == "Approved");
        self.writes.iter().filter(|w| w.by == "arm" && w.stranger).filter(approved).count()
    }
}

//! An action, as log and trace tell of it: how it ended, with the last call to ARM that it made.

use std::cell::Cell;
use std::fmt::Display;

use kube::api::ObjectMeta;
use signalr_private_link_core::Outcome;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{number, seconds, spans};

tokio::task_local! {
    static LAST: Cell<Call>;
}

/// How a call to ARM ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Which of the operator's calls it is.
    pub operation: Option<&'static str>,
    /// The status, where there was an answer.
    pub status: Option<u16>,
    /// What Microsoft's support asks for.
    pub correlation: Option<Box<str>>,
}

/// Does something, and tells of the last call to ARM that it made; of none, if it made none.
async fn follow_calls<T>(work: impl Future<Output = T>) -> (T, Call) {
    LAST.scope(Cell::default(), async {
        let made = work.await;
        (made, LAST.with(Cell::take))
    })
    .await
}

/// Takes down how a call ended, where somebody follows them.
pub fn note_call(call: Call) {
    let _ = LAST.try_with(|last| last.set(call));
}

/// Carries out an action of a pass over an object. One line tells of it, whatever came of it; the link's message, which
/// is the owner's, is no part of that.
pub async fn action(
    object: &impl Display,
    meta: &ObjectMeta,
    action: &'static str,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let (begun, span) = (Instant::now(), spans::write(action));
    let (ended, call) = follow_calls(work).instrument(span.clone()).await;
    let (outcome, error, why) = match &ended {
        Outcome::Applied(_) => ("applied", None, None),
        Outcome::NotApplied(error) => ("not_applied", Some(error), None),
        Outcome::Unknown(error) => ("unknown", Some(error), None),
        Outcome::Changed(what) => ("changed", None, Some(what.as_str())),
    };
    spans::end_write(&span, outcome, error.map(|error| error.failure.label()));
    let code = error.map(|error| &*error.code).filter(|code| !code.is_empty());
    tracing::info!(
        object = %object, uid = meta.uid, generation = meta.generation, pass = number(), action, outcome,
        operation = call.operation, status = call.status, code, correlation = call.correlation.as_deref(),
        error = error.map(tracing::field::display), why, duration = seconds(begun.elapsed()), "action finished"
    );
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(status: u16) -> Call {
        Call { status: Some(status), ..Call::default() }
    }

    #[tokio::test]
    async fn the_last_call_of_an_action_is_told() {
        let action = async {
            note_call(call(200));
            note_call(call(409));
        };
        assert_eq!(follow_calls(action).await, ((), call(409)));
        note_call(call(200));
        assert_eq!(follow_calls(async {}).await, ((), Call::default()), "an earlier call is none of its own");
    }
}

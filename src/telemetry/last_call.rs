//! The last call to ARM of an action, for the line that tells how the action ended.

use std::cell::Cell;

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
pub async fn follow_calls<T>(work: impl Future<Output = T>) -> (T, Call) {
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

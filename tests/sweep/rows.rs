//! The rows of the sweep, by the names of the faults that the operator has to survive.

use crate::boundary::Side;
use crate::circumstances::{Circumstances, Watch};
use crate::fault::{ABSURD, Fault, NULL, RetryAfter, SOON, TRUNCATED, refusal};
use crate::matrix::{every, special, usual, whole};
use crate::scenarios::{ONE, Scenario, automatic, manual, scenario};
use crate::stage::Stage;

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: $run:ident($($argument:expr),* $(,)?);)*) => {
        /// How many there are.
        pub const ROWS: usize = [$(stringify!($name)),*].len();
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                $run(stringify!($name), $($argument),*);
            }
        )*
    };
}

const fn garbage(name: &'static str, body: &'static str) -> Fault {
    Fault::Garbage { name, body }
}

fn watch(watch: Watch) -> Circumstances {
    Circumstances { watch, ..Circumstances::default() }
}

rows! {
    // At every call of every scenario: what the operator tells apart.
    crash: every(&[Fault::CrashBefore, Fault::CrashAfter]);
    answer_lost_though_applied: every(&[Fault::Reset { applied: true }]);
    answer_lost_not_applied: every(&[Fault::Reset { applied: false }]);
    hung_socket: every(&[Fault::Hang { applied: false }, Fault::Hang { applied: true }]);
    applied_late: every(&[Fault::Late]);
    refused: every(&[refusal(401, "ExpiredAuthenticationToken"), refusal(403, "AuthorizationFailed")]);
    conflict_409: every(&[refusal(409, "Conflict")]);
    precondition_failed_412: every(&[refusal(412, "PreconditionFailed")]);
    retry_after_in_seconds: every(&[Fault::Throttled(RetryAfter::Seconds(SOON))]);
    errors_500_and_502: every(&[
        refusal(500, "InternalServerError"),
        Fault::Status { status: 502, code: "BadGateway", applied: true },
    ]);
    truncated_body: every(&[TRUNCATED]);
    null_body: every(&[NULL]);
    unknown_enum_values: every(&[Fault::UnknownWords]);

    // At every call of the lives that nearly all objects have: the same in other words, and more.
    errors_503_and_504: usual(&[refusal(503, "ServiceUnavailable"), refusal(504, "GatewayTimeout")], 1);
    empty_body: usual(&[garbage("empty", "")], 1);
    html_body: usual(&[garbage("html", "<html><body>We'll be back soon</body></html>")], 1);
    nul_filled_body: usual(&[garbage("nul", "\0\0\0\0\0\0\0\0")], 1);
    retry_after_as_a_date: usual(&[Fault::Throttled(RetryAfter::Date(SOON))], 1);
    retry_after_absurd: usual(&[Fault::Throttled(RetryAfter::Seconds(ABSURD))], 1);
    retry_after_absent: usual(&[Fault::Throttled(RetryAfter::Absent)], 1);
    retry_after_zero: usual(&[Fault::Throttled(RetryAfter::Seconds(0))], 1);
    retry_after_in_the_past: usual(&[Fault::Throttled(RetryAfter::Past)], 1);
    retry_after_on_503: usual(&[Fault::Unavailable(RetryAfter::Seconds(SOON)), Fault::Unavailable(RetryAfter::Past)], 1);
    /// ARM's store is replicated, and says so now and then of groups that exist.
    false_404_of_the_group: usual(&[refusal(404, "ResourceGroupNotFound")], 1);
    false_404_of_the_parent: usual(&[refusal(404, "ParentResourceNotFound")], 1);
    false_404_of_the_version: usual(&[refusal(404, "InvalidResourceType")], 1);
    false_404_without_a_meaning: usual(&[refusal(404, "SomethingNew"), refusal(404, "")], 1);
    other_tenant_401: usual(&[refusal(401, "InvalidAuthenticationTokenTenant")], 1);
    denied_403: usual(&[refusal(403, "DenyAssignmentAuthorizationFailed")], 1);
    /// Five processes in a row die at their first request.
    crash_loop: usual(&[Fault::CrashBefore], 5);
    panic_in_one_pass: usual(&[Fault::Panic], 1);
    /// Three in a row.
    connection_reset: usual(&[Fault::Reset { applied: false }, Fault::Reset { applied: true }], 3);

    stale_cache: whole(Circumstances { stale_cache: true, ..Circumstances::default() });
    dropped_events: whole(watch(Watch::Dropping));
    duplicated_events: whole(watch(Watch::Duplicating));
    reordered_events: whole(watch(Watch::Reordering));
    relist_after_410: whole(watch(Watch::Relisting));
    /// With it, where the object is new: time travel to an earlier uid and its deletion.
    lagging_api_server: usual(&[Fault::Lagging], 1);
    recreated_under_the_same_name: special(Fault::Recreated, recreations());
    deleted_at_any_call: special(Fault::Deleted, deletions());
    status_wiped: usual(&[Fault::Wiped], 1);
    status_forged: usual(&[Fault::Forged], 1);
    api_server_away_for_30_minutes: usual(&[Fault::Away(Side::Kubernetes)], 1);
    azure_away_for_30_minutes: usual(&[Fault::Away(Side::Azure)], 1);
    permission_lost_and_restored: usual(&[Fault::Forbidden], 1);

    clock_skew: whole(Circumstances { clock_ahead: true, ..Circumstances::default() });
}

/// Whatever is on its way, an object that is deleted goes, and leaves no link behind.
fn deletions() -> Vec<Scenario> {
    fn rests(stage: &Stage) -> Result<(), String> {
        match stage.reason(ONE).as_str() {
            "gone" => stage.nothing_left(ONE),
            "PendingApproval" | "Approved" => Ok(()),
            reason => Err(reason.to_owned()),
        }
    }
    [("manual", scenario(manual, rests)), ("automatic", scenario(automatic, rests))]
        .map(|(name, scenario)| Scenario { name, ..scenario })
        .into()
}

/// What may come of an object that somebody tore away, finalizer and all, and made anew: its
/// namesake never takes, deletes or finalizes what was the other one's.
fn recreations() -> Vec<Scenario> {
    fn rests(stage: &Stage) -> Result<(), String> {
        let reason = stage.reason(ONE);
        match reason.as_str() {
            "PendingApproval" | "Approved" | "AlreadyExists" | "gone" => Ok(()),
            _ => Err(reason),
        }
    }
    let deleted = scenario(manual, rests)
        .then(|s| matches!(s.reason(ONE).as_str(), "PendingApproval" | "AlreadyExists"), |s| s.delete(ONE));
    [("manual", scenario(manual, rests)), ("automatic", scenario(automatic, rests)), ("deleted", deleted)]
        .map(|(name, scenario)| Scenario { name, ..scenario.leaving_link() })
        .into()
}

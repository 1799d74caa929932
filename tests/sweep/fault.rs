//! What can become of a call : it is injected before and after every call of every pass (docs/reliability.md).

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::boundary::Side;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the request leaves it.
    CrashBefore,
    /// It dies when the request has had its effect.
    CrashAfter,
    /// A bug: the pass panics.
    Panic,
    /// The connection is reset.
    Reset { applied: bool },
    /// No answer comes.
    Hang { applied: bool },
    /// No answer comes, and the effect comes when the caller has given up.
    Late,
    /// An error.
    Status { status: u16, code: &'static str, applied: bool },
    /// 429, with this `Retry-After`.
    Throttled(RetryAfter),
    /// 503, with this `Retry-After`.
    Unavailable(RetryAfter),
    /// It had its effect, and the answer is this.
    Garbage { name: &'static str, body: &'static str },
    /// It had its effect, and every word for a state in the answer is one that nobody knows.
    UnknownWords,
    /// The API server answers as it was before the object's last change; where the object is new,
    /// with the earlier one of its name.
    Lagging,
    /// Just before, somebody empties the object's status.
    Wiped,
    /// Just before, somebody writes a status that says that all is well.
    Forged,
    /// Just before, somebody deletes the object.
    Deleted,
    /// Just before, somebody tears the object away, finalizer and all, and makes it anew.
    Recreated,
    /// From now on this side cannot be reached, for half an hour.
    Away(Side),
    /// From now on this side of the struck call refuses everything, for half an hour.
    Forbidden,
}

/// How long an outage lasts.
pub const OUTAGE: Duration = Duration::from_secs(30 * 60);
/// How long one of many does.
pub const BRIEF: Duration = Duration::from_secs(30);

/// `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    Absent,
    Seconds(u64),
    /// As a date, so far ahead.
    Date(u64),
    /// As a date that has passed.
    Past,
}

/// An error without effect.
pub const fn refusal(status: u16, code: &'static str) -> Fault {
    Fault::Status { status, code, applied: false }
}

/// A body that begins well.
pub const TRUNCATED: Fault = Fault::Garbage { name: "truncated", body: "{\"id\": \"/subscriptions/000" };
pub const NULL: Fault = Fault::Garbage { name: "null", body: "null" };
/// `Retry-After`, in seconds.
pub const SOON: u64 = 17;
pub const ABSURD: u64 = 999_999;

/// What a call can meet by chance.
const ANY: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Panic,
    Fault::Reset { applied: false },
    Fault::Reset { applied: true },
    Fault::Reset { applied: true },
    Fault::Hang { applied: false },
    Fault::Hang { applied: true },
    Fault::Late,
    Fault::Late,
    refusal(401, "ExpiredAuthenticationToken"),
    refusal(403, "AuthorizationFailed"),
    refusal(409, "Conflict"),
    refusal(412, "PreconditionFailed"),
    refusal(500, "InternalServerError"),
    Fault::Status { status: 502, code: "BadGateway", applied: true },
    refusal(503, "ServiceUnavailable"),
    Fault::Throttled(RetryAfter::Seconds(SOON)),
    Fault::Throttled(RetryAfter::Date(SOON)),
    Fault::Throttled(RetryAfter::Seconds(ABSURD)),
    Fault::Throttled(RetryAfter::Absent),
    Fault::Throttled(RetryAfter::Seconds(0)),
    Fault::Throttled(RetryAfter::Past),
    Fault::Unavailable(RetryAfter::Seconds(SOON)),
    refusal(404, "ResourceGroupNotFound"),
    refusal(404, "InvalidResourceType"),
    TRUNCATED,
    NULL,
    Fault::UnknownWords,
    Fault::Lagging,
    Fault::Wiped,
    Fault::Forged,
    Fault::Away(Side::Kubernetes),
    Fault::Away(Side::Azure),
    Fault::Forbidden,
];

impl Fault {
    /// One of any kind.
    pub fn any(dice: &mut SmallRng) -> Self {
        ANY[dice.random_range(0..ANY.len())]
    }

    /// Whether a call to this side can meet it.
    pub fn strikes(self, side: Side) -> bool {
        match self {
            Self::UnknownWords => side == Side::Azure,
            Self::Lagging => side == Side::Kubernetes,
            Self::Away(away) => side == away,
            _ => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |applied: bool| if applied { "after" } else { "before" };
        match self {
            Self::CrashBefore => f.write_str("crash-before"),
            Self::CrashAfter => f.write_str("crash-after"),
            Self::Panic => f.write_str("panic"),
            Self::Reset { applied } => write!(f, "reset-{}", when(*applied)),
            Self::Hang { applied } => write!(f, "hang-{}", when(*applied)),
            Self::Late => f.write_str("late"),
            Self::Status { status, applied, .. } => write!(f, "{status}-{}", when(*applied)),
            Self::Throttled(after) => write!(f, "429-{after:?}"),
            Self::Unavailable(after) => write!(f, "503-{after:?}"),
            Self::Garbage { name, .. } => write!(f, "garbage-{name}"),
            Self::UnknownWords => f.write_str("unknown-words"),
            Self::Lagging => f.write_str("lagging"),
            Self::Wiped => f.write_str("wiped"),
            Self::Forged => f.write_str("forged"),
            Self::Deleted => f.write_str("deleted"),
            Self::Recreated => f.write_str("recreated"),
            Self::Away(side) => write!(f, "{side:?}-away"),
            Self::Forbidden => f.write_str("forbidden"),
        }
    }
}

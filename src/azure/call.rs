//! What a call to ARM is about, and how it can end.

use bytes::Bytes;
use jiff::Timestamp;
use signalr_private_link_core::{ArmError, Failure, Outcome};

use super::gate::Bucket;

/// What a call is about, for errors, permissions, throttling and metrics.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// As a phrase: `reading the links of contoso-signalr`.
    pub doing: String,
    /// The action that a role must grant.
    pub action: &'static str,
    /// The resource id whose scope it is needed at.
    pub scope: String,
    /// The subscription that ARM counts the call in.
    pub subscription: String,
    /// Which of the operator's calls it is, for metrics; none of them, where a person asks.
    pub call: Option<CallKind>,
}

/// What answers as a whole, or not at all: a service of Azure's in a subscription.
pub(super) fn service(call: Option<CallKind>, subscription: &str) -> String {
    let service = match call {
        Some(CallKind::ListConnections | CallKind::GetConnection | CallKind::PutConnection) => "vault",
        Some(_) => "signalr",
        None => "arm",
    };
    format!("{service} {}", subscription.to_ascii_lowercase())
}

impl About {
    pub(super) fn error(&self, failure: Failure, code: String, message: String) -> ArmError {
        ArmError {
            failure,
            code: code.into(),
            message: message.into(),
            doing: self.doing.as_str().into(),
            action: self.action,
            scope: self.scope.as_str().into(),
            caller: None,
        }
    }
}

/// The calls that the operator makes, for metrics and the tests that must not forget one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each name says it")]
pub enum CallKind {
    ListLinks,
    GetLink,
    PutLink,
    DeleteLink,
    GetOperation,
    ListReplicas,
    ListConnections,
    GetConnection,
    PutConnection,
}

/// The writes that the operator makes to ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// A link is put.
    Create,
    /// A link is deleted.
    Delete,
    /// A connection is approved or rejected.
    Decide,
}

impl WriteKind {
    pub(super) const fn bucket(self) -> Bucket {
        match self {
            Self::Create | Self::Decide => Bucket::Writes,
            Self::Delete => Bucket::Deletes,
        }
    }
}

/// A failed attempt, and what became of it all the same.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: ArmError,
    pub fate: Fate,
}

/// What became of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It had no effect.
    NotApplied,
    /// It may have reached its goal: the answer was lost, late or a 5xx.
    Unknown,
    /// It had no effect, and is to be decided on again: what authorises it had become too old, or an old
    /// token was refused and another one is asked for.
    DecideAgain,
}

impl From<Failed> for Outcome {
    fn from(Failed { error, fate }: Failed) -> Self {
        match fate {
            Fate::NotApplied => Self::NotApplied(error),
            Fate::Unknown => Self::Unknown(error),
            Fate::DecideAgain => Self::Changed(error.message.into()),
        }
    }
}

/// An answer with a success status.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Date`.
    pub date: Option<Timestamp>,
    /// `Azure-AsyncOperation`, or `Location` without one, byte for byte.
    pub operation: Option<String>,
    /// What Microsoft's support asks for.
    pub correlation: Option<Box<str>>,
    /// The body.
    pub body: Bytes,
}

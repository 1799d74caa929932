//! The effects a plan can have: one at most in a pass, each specific enough that carrying it out
//! makes no choices.

use jiff::Timestamp;

use crate::azure::Link;
use crate::failure::ArmError;
use crate::marker::{ApprovalRecord, Marker, NO_ENDPOINT, Nonce, Verdict, endpoint_hash};
use crate::policy::Policy;
use crate::resource_id::{ConnectionId, EndpointId};

/// One effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the finalizer durable, before anything is written to Azure.
    AddFinalizer,
    /// Remove the finalizer: Kubernetes deletes the object.
    RemoveFinalizer {
        /// A single GET has to show, just before, that no link of this object's is there (R11). Not asked
        /// for where the link is left alone on purpose.
        proven_by_get: bool,
    },
    /// PUT the link: it was absent, or is our own and failed.
    PutLink {
        /// Our own marker on the link that is put again, which it keeps; `None` where the link is absent.
        replaces: Option<Marker>,
        /// A link of the same SignalR on which Azure has been working for too long, if there is one.
        beside: Option<String>,
    },
    /// DELETE our own link.
    DeleteLink {
        /// The whole message that the link must still carry.
        message: String,
        /// What the read proved about late writes (R7).
        waives_fence: bool,
    },
    /// Set one connection `Approved`, or take an approval back.
    Decide(Box<Decision>),
}

/// A decision on a connection of the vault. It is carried out only if everything it rests on
/// reads the same just before the write: [`still_authorised`](crate::approval::still_authorised).
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Approve or revoke.
    pub verdict: Verdict,
    /// The connection.
    pub connection: ConnectionId,
    /// The endpoint that must still be the connection's. An approval always has one.
    pub endpoint: Option<EndpointId>,
    /// The description that the connection must still carry.
    pub description: String,
    /// The object that it is for.
    pub uid: String,
    /// The incarnation of the link that it is for.
    pub nonce: Nonce,
    /// A revocation that rests on SignalR having another link, or none: a link with this nonce, read just before,
    /// forbids it.
    pub presumes_link_gone: bool,
    /// The policy that permits it; a revocation needs none, and names the one that wants it.
    pub policy: Option<Policy>,
    /// Why, for the Event and the log.
    pub because: String,
}

impl Decision {
    /// What is written down of it on the connection, for an object at this path; `at` is ARM's own time.
    #[must_use]
    pub fn record(&self, object: String, at: Timestamp) -> ApprovalRecord {
        ApprovalRecord {
            at,
            verdict: self.verdict,
            object,
            endpoint_hash: self.endpoint.as_ref().map_or_else(|| NO_ENDPOINT.to_owned(), endpoint_hash),
            uid: self.uid.clone(),
            nonce: self.nonce.clone(),
        }
    }
}

/// The kinds of effects, for logs, metrics and the tests that must not forget one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each name says it")]
pub enum ActionKind {
    AddFinalizer,
    RemoveFinalizer,
    PutLink,
    DeleteLink,
    Approve,
    Revoke,
}

impl Action {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::AddFinalizer => ActionKind::AddFinalizer,
            Self::RemoveFinalizer { .. } => ActionKind::RemoveFinalizer,
            Self::PutLink { .. } => ActionKind::PutLink,
            Self::DeleteLink { .. } => ActionKind::DeleteLink,
            Self::Decide(decision) => match decision.verdict {
                Verdict::Approved => ActionKind::Approve,
                Verdict::Revoked => ActionKind::Revoke,
            },
        }
    }

    /// A short word for logs and metrics: a closed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.kind().into()
    }
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was accepted; the link as ARM answered with it, where it did.
    Applied(Option<Box<Link>>),
    /// It had no effect.
    NotApplied(ArmError),
    /// Whether it had an effect is not known: it is observed again, never repeated blindly.
    Unknown(ArmError),
    /// What authorised the write had changed by the time of the last reads before it.
    Changed(String),
}

/// A read that goes before a write failed, so nothing was written.
impl From<ArmError> for Outcome {
    fn from(error: ArmError) -> Self {
        Self::NotApplied(error)
    }
}

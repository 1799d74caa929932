//! What one object asks for, validated: later code cannot see an unparsed id.

use std::time::Duration;

use jiff::Timestamp;

use crate::marker::{self, Marker, NONCE_LENGTH, Nonce};
use crate::report::ConnectionFacts;
use crate::resource_id::{ConnectionId, LinkId, VaultId};

/// Who approves the connection on the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApprovalMode {
    /// A person.
    #[default]
    Manual,
    /// The operator, where an approval policy permits.
    Automatic,
}

/// Whether the operator may write to Azure for this object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ManagementPolicy {
    /// Create, repair and delete.
    #[default]
    Manage,
    /// Only read and report.
    ObserveOnly,
}

/// What to do about a link of that name that somebody else made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdoptionPolicy {
    /// Report `AlreadyExists`.
    #[default]
    FailIfExists,
    /// Take it as it is, if target and group are the same.
    Adopt,
}

/// What becomes of the link when the object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It is left alone.
    Detach,
}

/// Which Kubernetes object this is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectIdentity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: another object of the same name has another one.
    pub uid: String,
    /// When it was created; the older of two rivals goes first.
    pub created: Option<Timestamp>,
}

impl ObjectIdentity {
    /// `<namespace>/<name>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Who decided on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approver {
    /// The operator itself.
    Operator,
    /// Somebody else.
    External,
}

/// What `status` says of the approval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalFacts {
    /// When the request was first seen on the vault.
    pub requested_at: Option<Timestamp>,
    /// When it was approved, or first seen approved.
    pub approved_at: Option<Timestamp>,
    /// By whom.
    pub approved_by: Option<Approver>,
    /// When the operator decided to take its approval back.
    pub revoked_at: Option<Timestamp>,
    /// The policy that permitted it: `<name>@<generation>`.
    pub policy: Option<String>,
}

/// What the last pass wrote to `status`. Hints, never authority: all of it may be wiped or forged,
/// and no write to Azure rests on it alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// Whether `Ready` was True, False, or not said.
    pub ready: Option<bool>,
    /// Whether the link was ever seen in Azure.
    pub seen_in_azure: bool,
    /// The matched connection, to the letter; somebody may have forged it.
    pub connection: Option<ConnectionFacts>,
    /// What was said of the approval.
    pub approval: ApprovalFacts,
    /// Since when `Provisioned` is True.
    pub provisioned_since: Option<Timestamp>,
}

impl Remembered {
    /// Whether there is something in status about a connection or its approval.
    #[must_use]
    pub fn tells_of_connection(&self) -> bool {
        self.connection.is_some() || self.approval != ApprovalFacts::default()
    }
}

/// What one object asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The object.
    pub object: ObjectIdentity,
    /// The generation that this was read from.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries the operator's finalizer.
    pub finalizer: bool,
    /// Whether the `force-finalize` annotation names this object's own uid.
    pub force_finalize: bool,
    /// The link.
    pub link: LinkId,
    /// Its target.
    pub vault: VaultId,
    /// The target's group; `vault`.
    pub group_id: String,
    /// The user's text in the request message.
    pub request_text: String,
    /// Who approves.
    pub mode: ApprovalMode,
    /// How long `Pending` may last before it is `ApprovalTimedOut`.
    pub approval_timeout: Duration,
    /// Whether Azure may be written.
    pub management: ManagementPolicy,
    /// Whether a foreign link may be taken.
    pub adoption: AdoptionPolicy,
    /// What deletion does.
    pub deletion: DeletionPolicy,
    /// How often a settled link is read again.
    pub sync_period: Duration,
    /// The value of the `recreate-requested-at` annotation.
    pub recreate: Option<String>,
    /// What the last pass wrote.
    pub remembered: Remembered,
}

impl Remembered {
    /// The id of the matched connection, where it is one.
    #[must_use]
    pub fn connection_id(&self) -> Option<ConnectionId> {
        ConnectionId::parse(&self.connection.as_ref()?.id).ok()
    }

    /// Whether the matched connection was last seen Approved and Succeeded.
    #[must_use]
    pub fn is_connection_settled(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.state == "Approved" && c.provisioning == "Succeeded")
    }
}

impl Desired {
    /// Whether the link may be in Azure, or was: then its absence needs proof (R11).
    #[must_use]
    pub fn was_in_azure(&self) -> bool {
        self.finalizer || self.remembered.seen_in_azure
    }

    /// The tag that a link created now carries.
    #[must_use]
    pub fn tag(&self) -> String {
        marker::tag(self.recreate.as_deref())
    }

    /// The marker of a link that is created now; `nonce` are random bytes.
    #[must_use]
    pub fn marker(&self, nonce: [u8; NONCE_LENGTH]) -> Marker {
        Marker { uid: self.object.uid.clone(), nonce: Nonce::from_random(nonce), tag: self.tag() }
    }

    /// Whether the object, read once more, is the one that was decided on and asks for the same:
    /// same uid and generation, as alive as it was (R6, M6).
    #[must_use]
    pub fn still_asks_the_same_as(&self, live: &Self) -> bool {
        self.object.uid == live.object.uid
            && self.generation == live.generation
            && self.deleting == live.deleting
            && self.finalizer == live.finalizer
            && self.recreate == live.recreate
            && self.force_finalize == live.force_finalize
    }

    /// Whether the operator may have approved something for this object: a hint that makes it
    /// look twice, never one that lets it skip a look.
    #[must_use]
    pub fn may_have_approved(&self) -> bool {
        self.mode == ApprovalMode::Automatic || self.remembered.approval.approved_by == Some(Approver::Operator)
    }

    /// Whether the group that ARM answered with is the one asked for. Microsoft's own article
    /// sends `vault` and shows `vaults` in the answer.
    #[must_use]
    pub fn same_group(&self, answered: &str) -> bool {
        let [answered, asked] = [answered, &self.group_id].map(|group| group.trim_end_matches(['s', 'S']));
        answered.eq_ignore_ascii_case(asked)
    }
}

//! What Azure Resource Manager says of links, connections and operations, in the words of its own API.

use jiff::Timestamp;

use crate::marker::{ApprovalRecord, Marker};
use crate::resource_id::{ConnectionId, EndpointId, LinkId, VaultId};

/// `provisioningState` of a link or a connection. The enum is open on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioning {
    /// Done. A missing state counts as this (ARM's asynchronous API reference).
    Succeeded,
    /// The operation failed.
    Failed,
    /// The operation was canceled.
    Canceled,
    /// It is being deleted.
    Deleting,
    /// Anything else is in progress; the word is kept.
    InProgress(String),
}

impl Provisioning {
    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            None | Some("") => Self::Succeeded,
            Some(w) if w.eq_ignore_ascii_case("Succeeded") => Self::Succeeded,
            Some(w) if w.eq_ignore_ascii_case("Failed") => Self::Failed,
            Some(w) if w.eq_ignore_ascii_case("Canceled") => Self::Canceled,
            Some(w) if w.eq_ignore_ascii_case("Deleting") => Self::Deleting,
            Some(w) => Self::InProgress(w.to_owned()),
        }
    }

    /// Whether Azure is at work on it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::InProgress(_) | Self::Deleting)
    }

    /// Whether the last operation on it ended badly.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self, Self::Failed | Self::Canceled)
    }

    /// The word for `status`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Deleting => "Deleting",
            Self::InProgress(word) => word,
        }
    }
}

/// The state of a connection, as SignalR or the vault reports it. The enum is open on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Nobody decided yet.
    Pending,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Removed on the vault's side.
    Disconnected,
    /// In Azure's enum without a documented meaning.
    Timeout,
    /// Missing, null, or a word that is not known.
    Unknown,
}

impl ConnectionState {
    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        [Self::Pending, Self::Approved, Self::Rejected, Self::Disconnected, Self::Timeout]
            .into_iter()
            .find(|state| word.is_some_and(|w| w.eq_ignore_ascii_case(state.as_str())))
            .unwrap_or(Self::Unknown)
    }

    /// Whether somebody turned it down, or Azure gave it up.
    #[must_use]
    pub const fn is_turned_down(self) -> bool {
        matches!(self, Self::Rejected | Self::Disconnected | Self::Timeout)
    }

    /// The word for `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Disconnected => "Disconnected",
            Self::Timeout => "Timeout",
            Self::Unknown => "Unknown",
        }
    }
}

/// A shared private link as SignalR reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The id of its target, as ARM wrote it.
    pub target: String,
    /// Its group, as ARM wrote it.
    pub group_id: String,
    /// The whole request message.
    pub message: String,
    /// Where the provisioning stands.
    pub provisioning: Provisioning,
    /// Where the approval stands, by SignalR's own word.
    pub connection: ConnectionState,
    /// `systemData.createdAt`.
    pub created_at: Option<Timestamp>,
    /// `systemData.lastModifiedAt`.
    pub modified_at: Option<Timestamp>,
}

impl Link {
    /// Its marker, if that names this object.
    #[must_use]
    pub fn marker_of(&self, uid: &str) -> Option<Marker> {
        marker_of(&self.message, uid)
    }

    /// Whether the target is this vault.
    #[must_use]
    pub fn targets(&self, vault: &VaultId) -> bool {
        VaultId::parse(&self.target).is_ok_and(|target| target == *vault)
    }
}

/// The links of one SignalR, complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Links {
    /// All of them.
    pub links: Vec<Link>,
    /// The `Date` of the last page.
    pub date: Option<Timestamp>,
}

impl Links {
    /// The link of this name. Names are compared without case, as ARM does.
    #[must_use]
    pub fn named(&self, id: &LinkId) -> Option<&Link> {
        self.links.iter().find(|link| link.name.eq_ignore_ascii_case(id.name()))
    }

    /// Another link on which Azure is at work: a SignalR takes one change at a time.
    #[must_use]
    pub fn running_beside(&self, id: &LinkId) -> Option<&Link> {
        self.links.iter().find(|link| !link.name.eq_ignore_ascii_case(id.name()) && link.provisioning.is_running())
    }
}

/// A private endpoint connection as the vault reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The endpoint; `None` when it is missing or cannot be parsed: such a connection is never
    /// approved.
    pub endpoint: Option<EndpointId>,
    /// Its state on the vault.
    pub state: ConnectionState,
    /// The requester's message while pending, the approver's text afterwards.
    pub description: String,
    /// Where the last write stands.
    pub provisioning: Provisioning,
    /// The concurrency token, if it has one yet.
    pub etag: Option<String>,
}

impl Connection {
    /// The marker of the request, if that names this object.
    #[must_use]
    pub fn marker_of(&self, uid: &str) -> Option<Marker> {
        marker_of(&self.description, uid)
    }

    /// The operator's record of a decision, if that names this object.
    #[must_use]
    pub fn record_of(&self, uid: &str) -> Option<ApprovalRecord> {
        let parsed = self.description.contains(uid).then(|| ApprovalRecord::parse(&self.description));
        parsed.flatten().filter(|record| record.uid == uid)
    }
}

/// The marker at the end of a text, if that names this object. Each object looks at all texts of its parents, of which
/// most name others: those are not parsed.
fn marker_of(text: &str, uid: &str) -> Option<Marker> {
    text.contains(uid).then(|| Marker::parse(text)).flatten().filter(|marker| marker.uid == uid)
}

/// The connections of one vault, complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// All of them.
    pub connections: Vec<Connection>,
    /// The `Date` of the last page.
    pub date: Option<Timestamp>,
}

/// What the followed operation said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Not ended.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly, with ARM's own words.
    Failed(String),
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// It creates or updates the link.
    Put,
    /// It deletes the link.
    Delete,
}

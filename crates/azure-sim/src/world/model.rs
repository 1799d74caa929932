//! What there is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::truth::Truth;
use crate::config::{Quirks, Timings};

/// Names are compared without case everywhere in ARM.
#[must_use]
pub fn key(id: &str) -> String {
    id.trim_end_matches('/').to_ascii_lowercase()
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// By key of the id.
    pub(super) signalrs: BTreeMap<String, SignalR>,
    /// By key of the id.
    pub(super) vaults: BTreeMap<String, Vault>,
    /// When something happens next to which of them.
    pub(super) agenda: Agenda,
    /// Who really did what; no answer of ARM's shows it.
    pub truth: Truth,
    /// How long things take.
    pub timings: Timings,
    /// What answers look like.
    pub quirks: Quirks,
    /// Where SignalR's endpoints live.
    pub endpoint_subscription: String,
    /// How the next creations of a link end, by key of its id.
    pub outcomes: BTreeMap<String, Outcome>,
    /// The same for its deletions.
    pub deletion_outcomes: BTreeMap<String, Outcome>,
    /// What may not be changed.
    pub locks: Vec<Lock>,
    /// Whether a subscription is registered for a provider, by key of both; registered, where nothing is said.
    pub registrations: BTreeMap<String, String>,
}

/// A management lock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The id at and below which it holds.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// What it bars.
    pub level: Level,
}

/// What a lock bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Deletions.
    CanNotDelete,
    /// Every write.
    ReadOnly,
}

/// When something may happen by itself to a SignalR or a vault, by key of its id: so that time goes by for those only.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// What was changed may have something due at any time.
    changed: BTreeSet<String>,
    planned: BTreeSet<(Timestamp, String)>,
}

impl Agenda {
    /// Something is changed, or about to be.
    pub(super) fn change(&mut self, key: &str) {
        if !self.changed.contains(key) {
            self.changed.insert(key.to_owned());
        }
    }

    /// Something happens to it then.
    pub(super) fn plan(&mut self, at: Timestamp, key: &str) {
        self.planned.insert((at, key.to_owned()));
    }

    /// Those to which something may happen at `now`.
    pub(super) fn take_due(&mut self, now: Timestamp) -> BTreeSet<String> {
        let mut due = std::mem::take(&mut self.changed);
        while self.planned.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.planned.pop_first().map(|(_, key)| key));
        }
        due
    }
}

/// A SignalR.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalR {
    /// Its id as it was given.
    pub id: String,
    /// `Free_F1` takes no links.
    pub sku: String,
    /// Names of replicas; each gets a copy of every link, and so opens a connection of its own.
    pub replicas: Vec<String>,
    /// Said instead of the real state.
    pub provisioning_state: Option<String>,
    /// Writes are refused until then.
    pub busy_until: Option<Timestamp>,
    /// By key of the name.
    pub links: BTreeMap<String, Link>,
    /// By id.
    pub operations: BTreeMap<String, Operation>,
}

/// A shared private link resource.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The target's id.
    pub target: String,
    /// The group.
    pub group_id: String,
    /// The request message, if one was sent.
    pub message: Option<String>,
    /// `provisioningState`.
    pub provisioning: String,
    /// `status`.
    pub status: Option<String>,
    /// `systemData.createdAt`.
    pub created_at: Timestamp,
    /// `systemData.lastModifiedAt`.
    pub modified_at: Timestamp,
    /// When its request appears on the vault.
    pub appears: Option<Timestamp>,
    /// What SignalR is about to say.
    pub pending: Option<Pending>,
    /// Its deletion has ended, and it is gone then.
    pub gone_at: Option<Timestamp>,
}

/// A status that is on its way to SignalR.
#[derive(Debug, Clone, Serialize)]
pub struct Pending {
    /// When it arrives.
    pub at: Timestamp,
    /// What it says.
    pub status: String,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OperationKind {
    /// Creates or updates a link.
    Put,
    /// Deletes one.
    Delete,
}

/// How an operation ends.
#[derive(Debug, Clone, Serialize)]
pub enum Outcome {
    /// Well.
    Succeeded,
    /// `Failed` or `Canceled`, with a code and a message.
    Bad {
        /// The word.
        status: String,
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// Never.
    Never,
    /// Well, but the operation goes on saying that it runs.
    Untold,
    /// `Failed`, and nothing is left of the link.
    Vanishes {
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
}

/// A long-running operation on a SignalR.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: OperationKind,
    /// The key of the link's name.
    pub link: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ends.
    pub ends: Option<Timestamp>,
    /// How it ends.
    pub outcome: Outcome,
    /// Whether it has ended.
    pub ended: bool,
}

/// A key vault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vault {
    /// Its id as it was given.
    pub id: String,
    /// By key of the name.
    pub connections: BTreeMap<String, Connection>,
}

/// Who really opened a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Opener {
    /// A link, by key of its id.
    Link(String),
    /// A replica's copy of a link, by key of the link's id.
    Replica(String),
    /// Somebody else.
    Stranger,
}

/// A private endpoint connection on a vault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The endpoint's id.
    pub endpoint: Option<String>,
    /// The description.
    pub description: Option<String>,
    /// The state; `None` where a stranger's has none.
    pub status: Option<String>,
    /// `provisioningState`.
    pub provisioning: String,
    /// None until somebody writes it.
    pub etag: Option<String>,
    /// When a decision settles.
    pub settles: Option<Timestamp>,
    /// It is being removed, and gone then.
    pub removed_at: Option<Timestamp>,
    /// Who opened it.
    pub opened_by: Opener,
}

impl SignalR {
    /// Whether an operation is under way.
    #[must_use]
    pub fn updating(&self) -> bool {
        self.operations.values().any(|operation| !operation.ended)
    }

    /// When something happens to it next by itself.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let operations = self.operations.values().filter(|operation| !operation.ended).filter_map(|o| o.ends);
        let links = self.links.values();
        let links = links.flat_map(|l| [l.appears, l.gone_at, l.pending.as_ref().map(|pending| pending.at)]);
        operations.chain(links.flatten()).min()
    }
}

impl Vault {
    /// When something happens to it next by itself.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.connections.values().flat_map(|c| [c.settles, c.removed_at]).flatten().min()
    }
}

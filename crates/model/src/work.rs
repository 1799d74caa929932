//! What the processes of the operator have in hand: passes in progress, and writes on their way.

use std::sync::Arc;

use signalr_private_link_core::Plan;
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::observed::{Observed, Read, Rival};

use crate::gate::Gates;
use crate::memory::Known;
use crate::page::Page;
use crate::state::{Object, Pec, Policies, Spl, Tick};

/// A write that was sent to Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flight {
    /// The sender.
    pub worker: u8,
    /// Its process.
    pub process: u8,
    /// The object that it is for.
    pub uid: u8,
    /// What it does.
    pub write: Write,
    /// When it was sent.
    pub sent: Tick,
    /// Whether its sender still waits for the answer.
    pub awaited: bool,
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// PUT of the link.
    Put {
        /// Over a failed one.
        replaces: bool,
        /// The nonce that it carries.
        nonce: u8,
        /// The tag that it carries.
        tag: u8,
    },
    /// DELETE of the link.
    Delete {
        /// The creation that was seen just before.
        nonce: u8,
        /// Its owner.
        owner: u8,
    },
    /// PUT of a connection.
    Decide {
        /// Approve or revoke.
        verdict: Verdict,
        /// The connection as it was read just before.
        seen: Pec,
        /// For which creation.
        nonce: u8,
    },
}

/// A pass in progress: what it has read, and what it decided.
#[derive(Debug, Clone)]
pub struct Held {
    /// The object as it was read.
    pub object: Object,
    /// When it began.
    pub begun: Tick,
    /// The first page of the list that is being read.
    pub page: Option<Page>,
    /// When it read the list of links.
    pub listed: Tick,
    /// The link as it was listed.
    pub link: Option<Option<Spl>>,
    /// The link by a single GET.
    pub single: Option<Option<Spl>>,
    /// The connections as they were listed.
    pub vault: Option<Vec<Pec>>,
    /// The policies as they were read.
    pub policies: Option<Policies>,
    /// Which faults its reads met.
    pub faults: u32,
    /// What it asks for next.
    pub next: Option<Read>,
    /// The other objects that claim the link, as the watch showed them.
    pub rivals: Vec<Rival>,
    /// The shipped inputs.
    pub desired: Desired,
    /// The shipped inputs.
    pub observed: Observed,
    /// The shipped decision.
    pub plan: Option<Plan>,
}

/// One object in the hands of one process.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its process.
    pub process: u8,
    /// The place of its object.
    pub place: u8,
    /// What the process knows of the object.
    pub known: Option<Arc<Known>>,
    /// The uid that this is about.
    pub uid: u8,
    /// The pass in progress.
    pub held: Option<Arc<Held>>,
    /// It has sent a write and waits.
    pub sent: bool,
    /// The object has changed since this pass read it.
    pub stale: bool,
    /// The list that first showed the match showed it alone.
    pub first_alone: bool,
    /// The last list showed it alone.
    pub alone: bool,
    /// The last list showed another bearer of the marker.
    pub twin_shown: bool,
    /// With R3 off: the object as the watch last showed it.
    pub cache: Option<Object>,
}

/// One process of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// When it started.
    pub started: Tick,
    /// It was ended in good order, and is not started yet.
    pub is_down: bool,
    /// When a write to the link last ended with an unknown outcome.
    pub unknown: Option<Tick>,
    /// The same for the second tenant's link.
    pub unknown_beside: Option<Tick>,
    /// Whose write to the SignalR is on its way, or has just ended.
    pub occupant: Option<u8>,
    /// Until when ARM has asked it to send nothing.
    pub gates: Gates,
}

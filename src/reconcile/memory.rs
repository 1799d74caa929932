//! What the process remembers per object: fences, gates and attempts. No truth (R1): a restart
//! empties it, and that makes waits longer, never shorter.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use signalr_private_link_core::Reason;
use signalr_private_link_core::desired::Limits;
use signalr_private_link_core::marker::Nonce;
use signalr_private_link_core::observed::{Memory, Sighting};
use signalr_private_link_core::resource_id::{ConnectionId, LinkId};
use tokio::time::Instant;

use super::ObjectKey;
use crate::api::{FINALIZER, SignalRSharedPrivateLink};
use crate::azure::FollowedOperation;

/// One object's memory. It belongs to a uid: an object of the same name is another one.
struct Entry {
    uid: String,
    /// The object carried the finalizer when this process first read it: another process may
    /// have been writing for it.
    inherited: bool,
    deleting_since: Option<Instant>,
    fence_waived: bool,
    deleted_at: Option<Instant>,
    sighting: Option<(Sighting, Instant)>,
    appeared: HashMap<ConnectionId, Timestamp>,
    confirmed: Instant,
    confirmed_nonce: Option<Nonce>,
    revocation_tried: bool,
    /// An approval under this incarnation of the link was told of.
    audited: bool,
    in_progress_since: Option<Instant>,
    failed_since: Option<Instant>,
    refused_since: Option<Instant>,
    operation: Option<FollowedOperation>,
    /// A hash of generation and annotations: somebody may have asked to look at once.
    asked: u64,
    reason: Option<Reason>,
    attempt: u32,
}

impl Entry {
    fn new(uid: String, inherited: bool) -> Self {
        Self {
            uid,
            inherited,
            deleting_since: None,
            fence_waived: false,
            deleted_at: None,
            sighting: None,
            appeared: HashMap::new(),
            confirmed: Instant::now(),
            confirmed_nonce: None,
            revocation_tried: false,
            audited: false,
            in_progress_since: None,
            failed_since: None,
            refused_since: None,
            operation: None,
            asked: 0,
            reason: None,
            attempt: 0,
        }
    }
}

/// The memories of all objects.
pub struct Memories {
    started: Instant,
    entries: Mutex<HashMap<ObjectKey, Entry>>,
    /// When a write to a link last ended with an unknown outcome, by the link's id.
    unknown: Mutex<HashMap<String, Instant>>,
}

impl Default for Memories {
    fn default() -> Self {
        Self { started: Instant::now(), entries: Mutex::default(), unknown: Mutex::default() }
    }
}

impl Memories {
    fn with<T>(&self, key: &ObjectKey, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get_mut(key).map(change)
    }

    /// Notes that this object was read.
    pub fn meet(&self, key: &ObjectKey, object: &SignalRSharedPrivateLink) {
        let uid = object.uid().unwrap_or_default();
        let inherited = object.finalizers().iter().any(|f| f == FINALIZER);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry::new(uid.clone(), inherited));
        if entry.uid != uid {
            *entry = Entry::new(uid, inherited);
        }
        let mut hasher = DefaultHasher::new();
        (object.metadata.generation, object.annotations()).hash(&mut hasher);
        let asked = hasher.finish();
        if entry.asked != asked {
            entry.asked = asked;
            entry.attempt = 0;
        }
        if object.metadata.deletion_timestamp.is_some() {
            entry.deleting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Forgets an object that is gone, unless another one of its name has come since.
    pub fn forget(&self, key: &ObjectKey, uid: Option<&str>) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let another = entries.get(key).is_some_and(|e| uid.is_some_and(|uid| e.uid != uid && !e.uid.is_empty()));
        if !another {
            entries.remove(key);
        }
        !another
    }

    /// The memory as the plan sees it.
    pub fn recall(&self, key: &ObjectKey, limits: &Limits) -> Memory {
        let since = |start: Option<Instant>| start.map(|start| start.elapsed());
        let started = self.started;
        self.with(key, |e| Memory {
            deleting_for: since(e.deleting_since),
            fence_waived: e.fence_waived,
            quarantine: limits.quarantine.checked_sub(started.elapsed()).filter(|left| e.inherited && !left.is_zero()),
            deleted_for: since(e.deleted_at),
            late_write: None,
            late_write_told: false,
            sighting: None,
            unconfirmed_for: e.confirmed.elapsed(),
            in_progress_for: since(e.in_progress_since).unwrap_or_default(),
            failed_for: since(e.failed_since).unwrap_or_default(),
            refused_for: since(e.refused_since),
            signalr_busy: false,
            confirmed: e.confirmed_nonce.clone(),
            revocation_tried: e.revocation_tried,
            appeared: Vec::new(),
        })
        .unwrap_or_default()
    }

    /// Notes that a read confirmed Ready.
    pub fn confirmed(&self, key: &ObjectKey) {
        self.with(key, |e| e.confirmed = Instant::now());
    }

    /// Notes the nonce under which the link was read Approved (M7).
    pub fn approved_under(&self, key: &ObjectKey, nonce: &Nonce) {
        self.with(key, |e| {
            if e.confirmed_nonce.as_ref() != Some(nonce) {
                e.confirmed_nonce = Some(nonce.clone());
            }
        });
    }

    /// Notes that an approval is about to be taken back.
    pub fn revoking(&self, key: &ObjectKey) {
        self.with(key, |e| e.revocation_tried = true);
    }

    /// Notes that an approval is told of; whether it was before.
    pub fn audited(&self, key: &ObjectKey) -> bool {
        self.with(key, |e| std::mem::replace(&mut e.audited, true)).unwrap_or(true)
    }

    /// Notes which connections carry our message, and returns when each was first seen. Those
    /// that do not any more are forgotten.
    pub fn appeared(
        &self,
        key: &ObjectKey,
        connections: Vec<ConnectionId>,
        now: Timestamp,
    ) -> Vec<(ConnectionId, Timestamp)> {
        self.with(key, |e| {
            e.appeared.retain(|known, _| connections.contains(known));
            let first = |id: ConnectionId| {
                let at = *e.appeared.entry(id.clone()).or_insert(now);
                (id, at)
            };
            connections.into_iter().map(first).collect()
        })
        .unwrap_or_default()
    }

    /// The operation that is followed for the object.
    pub fn operation(&self, key: &ObjectKey) -> Option<FollowedOperation> {
        self.with(key, |e| e.operation.clone()).flatten()
    }

    /// Follows an operation, or stops following one.
    pub fn follow(&self, key: &ObjectKey, operation: Option<FollowedOperation>) {
        self.with(key, |e| {
            if operation.is_some() {
                e.in_progress_since = Some(Instant::now());
            }
            e.operation = operation;
        });
    }

    /// Notes what the link itself says of its progress.
    pub fn progress(&self, key: &ObjectKey, in_progress: bool, failed: bool, refused: bool) {
        let note = |since: &mut Option<Instant>, holds: bool| {
            if holds {
                since.get_or_insert_with(Instant::now);
            } else {
                *since = None;
            }
        };
        self.with(key, |e| {
            note(&mut e.in_progress_since, in_progress);
            note(&mut e.failed_since, failed);
            note(&mut e.refused_since, refused);
        });
    }

    /// Notes a DELETE, before it is sent: whether it rests on a read that waives the fence.
    pub fn deleting(&self, key: &ObjectKey, waives_fence: bool) {
        self.with(key, |e| e.fence_waived |= waives_fence);
    }

    /// Notes that Azure accepted a DELETE.
    pub fn deleted(&self, key: &ObjectKey) {
        self.with(key, |e| e.deleted_at = Some(Instant::now()));
    }

    /// Notes that there is no such link.
    pub fn absent(&self, key: &ObjectKey) {
        self.with(key, |e| {
            e.deleted_at = None;
            e.audited = false;
        });
    }

    /// Notes a PUT or DELETE of a link whose outcome is not known. That is remembered for the link
    /// and not for the object: another object may claim the link next.
    pub fn unknown_outcome(&self, link: &LinkId) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.insert(link.key().to_owned(), Instant::now());
    }

    /// How long an earlier write to the link may still land (R7), and whether that is one of this
    /// process. `rivals` says that other objects claim the link, for which a process before this one
    /// may have written.
    pub fn late_write(
        &self,
        key: &ObjectKey,
        link: &LinkId,
        rivals: bool,
        limits: &Limits,
    ) -> (Option<Duration>, bool) {
        let left = |since: Instant| limits.fence.checked_sub(since.elapsed()).filter(|left| !left.is_zero());
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.retain(|_, since| left(*since).is_some());
        let own = unknown.get(link.key()).copied().and_then(left);
        let inherited = rivals || self.with(key, |e| e.inherited).unwrap_or_default();
        (own.max(left(self.started).filter(|_| inherited)), own.is_some())
    }

    /// Compares a request that was the only match in a list, begun at `begun`, with the one seen
    /// before (M5). Returns the earlier one if it was the same. `None` as match forgets it.
    pub fn sight(&self, key: &ObjectKey, found: Option<Sighting>, begun: Instant) -> Option<Sighting> {
        self.with(key, |e| {
            let Some(found) = found else {
                e.sighting = None;
                return None;
            };
            match &e.sighting {
                Some((first, ended))
                    if first.connection == found.connection
                        && first.endpoint == found.endpoint
                        && first.message == found.message =>
                {
                    let age = begun.checked_duration_since(*ended).unwrap_or_default();
                    Some(Sighting { age, ..first.clone() })
                }
                _ => {
                    e.sighting = Some((found, Instant::now()));
                    None
                }
            }
        })
        .flatten()
    }

    /// Counts the attempts also for an object that could not be read yet.
    pub fn expect(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(key.clone()).or_insert_with(|| Entry::new(String::new(), false));
    }

    /// The next wait: counts attempts since the reason last changed. `None` as reason keeps
    /// counting.
    pub fn delay(
        &self,
        key: &ObjectKey,
        reason: Option<Reason>,
        wait: impl FnOnce(u32) -> Option<Duration>,
    ) -> Option<Duration> {
        let attempt = self.with(key, |e| {
            if reason.is_some() && e.reason != reason {
                e.reason = reason;
                e.attempt = 0;
            }
            let attempt = e.attempt;
            e.attempt = attempt.saturating_add(1);
            attempt
        });
        wait(attempt.unwrap_or_default())
    }
}

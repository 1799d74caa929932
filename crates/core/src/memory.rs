//! What a process learns about one object from its reads: the first of M5's two lists, the nonces
//! under which SignalR has said Approved (M7), and since when something lasts.
//!
//! None of it is truth (R1): a restart empties it, and each wait becomes longer, never shorter. The
//! shell keeps a [`Learned`] for each object and hands it the reads; a pass sees it as a [`Memory`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::approval::{self, Match};
use crate::azure::{ConnectionState, Connections, Link, Links, OperationKind, Provisioning};
use crate::desired::Desired;
use crate::failure::Failure;
use crate::limits::Limits;
use crate::marker::Nonce;
use crate::observed::{FailedOperation, Memory, Reading, Sighting};
use crate::report::ConnectionFacts;
use crate::resource_id::ConnectionId;

/// A moment on the monotonic clock: how long after the process started it was.
pub type Moment = Duration;

/// How many nonces are kept under which SignalR has said Approved; a link has one at a time.
const MAX_CONFIRMED: usize = 8;

/// What a process has learned about one object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Learned {
    /// The object carried the finalizer when this process first read it: another process may have
    /// been writing for it.
    inherited: bool,
    deleting_since: Option<Moment>,
    fence_waived: bool,
    deleted_at: Option<Moment>,
    accepted_at: Option<Moment>,
    begun_at: Option<Moment>,
    /// An operation of ours that failed, when that was seen, and how many have in a row.
    failed: Option<(OperationKind, String, Moment)>,
    failures: u32,
    heard_at: Moment,
    signalr_absent_since: Option<Moment>,
    vault_absent_since: Option<Moment>,
    /// The other link of the SignalR on which Azure is at work, and since when.
    other_running: Option<(String, Moment)>,
    running_since: Option<Moment>,
    failed_since: Option<Moment>,
    refused_since: Option<Moment>,
    forced_revocation_tried: bool,
    decided_at: Option<Moment>,
    confirmed: Vec<Nonce>,
    /// The first list that showed this only match, and when it had been read.
    sighting: Option<(Sighting, Moment)>,
    /// The same, as the list of this pass repeated it.
    repeated: Option<Sighting>,
    /// The connection that was first seen alone with the message of this nonce.
    candidate: Option<(Nonce, ConnectionId)>,
    appeared: Vec<(ConnectionId, Timestamp)>,
    shown: Option<Option<ConnectionFacts>>,
    vault_refused: bool,
    approval_ruled_out: bool,
}

impl Learned {
    /// Nothing yet, about an object that this process read for the first time `now`. `inherited` says that
    /// it carried the finalizer then.
    #[must_use]
    pub fn new(inherited: bool, now: Moment) -> Self {
        Self { inherited, heard_at: now, ..Self::default() }
    }

    /// The first list of M5, if it showed an only match.
    #[must_use]
    pub fn first_sighting(&self) -> Option<&Sighting> {
        self.sighting.as_ref().map(|(first, _)| first)
    }

    /// Whether another process may have been writing for the object.
    #[must_use]
    pub const fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The object was read, and is being deleted.
    pub fn see_deletion(&mut self, now: Moment) {
        self.deleting_since.get_or_insert(now);
    }

    /// A DELETE is about to be sent; whether it rests on a read that waives the fence (R7).
    pub fn begin_delete(&mut self, waives_fence: bool) {
        self.fence_waived |= waives_fence;
    }

    /// Azure accepted a DELETE.
    pub fn accept_delete(&mut self, now: Moment) {
        self.deleted_at = Some(now);
        self.begun_at = Some(now);
        self.failed = None;
    }

    /// A decision is about to be sent: from now on there may be an approval of ours.
    pub fn begin_decision(&mut self, now: Moment) {
        self.decided_at = Some(now);
        self.approval_ruled_out = false;
    }

    /// A forced end has tried to take an approval back, with whatever outcome.
    pub fn end_forced_revocation(&mut self) {
        self.forced_revocation_tried = true;
    }

    /// Azure accepted a PUT.
    pub fn accept_put(&mut self, now: Moment) {
        self.accepted_at = Some(now);
        self.begun_at = Some(now);
        self.failed = None;
        self.failed_since = None;
    }

    /// An operation of ours ended badly, with these words of ARM's.
    pub fn learn_failure(&mut self, kind: OperationKind, words: String, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.failed = Some((kind, words, now));
        self.accepted_at = None;
    }

    /// Learns from a read of the SignalR's links.
    pub fn learn_links(&mut self, desired: &Desired, links: &Reading<Arc<Links>>, now: Moment) {
        self.repeated = None;
        let links = match links {
            Reading::Known(links) => links,
            Reading::Failed(error) if error.failure.proves_absence() => {
                self.signalr_absent_since.get_or_insert(now);
                return;
            }
            _ => return,
        };
        self.signalr_absent_since = None;
        self.heard_at = now;
        let link = links.named(&desired.link);
        if let Some(link) = link.filter(|link| link.connection == ConnectionState::Approved)
            && let Some(marker) = link.marker_of(&desired.object.uid)
            && !self.confirmed.contains(&marker.nonce)
        {
            self.confirmed.push(marker.nonce);
            let surplus = self.confirmed.len().saturating_sub(MAX_CONFIRMED);
            self.confirmed.drain(..surplus);
        }
        match link {
            None => self.deleted_at = None,
            Some(link) => {
                self.accepted_at = None;
                if link.provisioning == Provisioning::Succeeded {
                    self.failures = 0;
                    // A deletion that failed leaves the link well, and its words still explain why it is there.
                    self.failed.take_if(|(kind, ..)| *kind == OperationKind::Put);
                }
            }
        }
        let note = |since: &mut Option<Moment>, holds: bool| *since = holds.then(|| since.unwrap_or(now));
        let is = |predicate: fn(&Link) -> bool| link.is_some_and(predicate);
        let other = links.running_beside(&desired.link).map(|other| other.name.clone());
        if other.as_ref() != self.other_running.as_ref().map(|(name, _)| name) {
            self.other_running = other.map(|name| (name, now));
        }
        note(&mut self.running_since, is(|l| l.provisioning.is_running()));
        note(&mut self.failed_since, is(|l| l.provisioning.has_failed()));
        note(&mut self.refused_since, is(|l| l.connection.is_turned_down()));
    }

    /// Learns from a read of the vault's connections that was begun at `begun` and ended `now`;
    /// `links` is what the same pass read before. `clock` is the time of day, for people.
    pub fn learn_connections(
        &mut self,
        desired: &Desired,
        limits: &Limits,
        links: &Reading<Arc<Links>>,
        vault: &Reading<Arc<Connections>>,
        (begun, now): (Moment, Moment),
        clock: Timestamp,
    ) {
        let vault = match vault {
            Reading::Known(vault) => vault,
            Reading::Failed(error) => {
                self.vault_refused =
                    matches!(error.failure, Failure::Forbidden | Failure::Denied | Failure::Unauthorized);
                if error.failure.proves_absence() {
                    self.vault_absent_since.get_or_insert(now);
                }
                return;
            }
            Reading::NotRead => return,
        };
        self.vault_refused = false;
        self.vault_absent_since = None;
        // Until then an approval of this process, or of one before it, may be on its way (R7).
        let fence = limits.fence;
        let alone = (!self.inherited || begun > fence) && self.decided_at.is_none_or(|at| begun >= at + fence);
        let approved = approval::approved_by_us(&desired.object.uid, vault).next().is_some();
        self.approval_ruled_out = alone && !approved;
        let link = match links {
            Reading::Known(links) => links.named(&desired.link),
            _ => None,
        };
        let Some(link) = link.filter(|link| link.provisioning == Provisioning::Succeeded) else {
            self.appeared.clear();
            return;
        };
        let own = link.marker_of(&desired.object.uid);
        self.note_appearances(link, own.as_ref().map(|own| (own.uid.as_str(), &own.nonce)), vault, clock);
        let memory = self.recall(limits, now);
        let found = approval::find(desired, link, own.as_ref(), vault, &memory);
        self.shown = Some(approval::matched(&found).and_then(ConnectionFacts::of));
        let Match::One(connection) = found else {
            self.sighting = None;
            return;
        };
        if let Some(own) = own
            && self.candidate.as_ref().is_none_or(|(nonce, _)| *nonce != own.nonce)
        {
            self.candidate = Some((own.nonce, connection.id.clone()));
        }
        let seen = Sighting {
            connection: connection.id.clone(),
            endpoint: connection.endpoint.clone(),
            message: link.message.clone(),
            at: clock,
            age: Duration::ZERO,
        };
        match &self.sighting {
            Some((first, ended)) if first.is_of(&seen) => {
                self.repeated = Some(Sighting { age: begun.saturating_sub(*ended), ..first.clone() });
            }
            _ => self.sighting = Some((seen, now)),
        }
    }

    /// When each connection that carries our message was first seen. Those that do not any more are
    /// forgotten.
    fn note_appearances(&mut self, link: &Link, own: Option<(&str, &Nonce)>, vault: &Connections, clock: Timestamp) {
        let ours = vault.connections.iter().filter(|c| match own {
            Some((uid, nonce)) => approval::is_bearer(c, uid, nonce),
            None => c.description == link.message && !link.message.is_empty(),
        });
        let mut appeared: Vec<_> = ours
            .map(|c| {
                let before = self.appeared.iter().find(|(id, _)| *id == c.id);
                (c.id.clone(), before.map_or(clock, |(_, at)| *at))
            })
            .collect();
        // In an order that does not hang on the list's: what is said of them must not change by itself.
        appeared.sort_by(|(a, first), (b, second)| first.cmp(second).then_with(|| a.key().cmp(b.key())));
        self.appeared = appeared;
    }

    /// What a pass that runs `now` sees of it.
    #[must_use]
    pub fn recall(&self, limits: &Limits, now: Moment) -> Memory {
        let since = |moment: Option<Moment>| moment.map(|moment| now.saturating_sub(moment));
        Memory {
            limits: *limits,
            deleting_for: since(self.deleting_since),
            fence_waived: self.fence_waived,
            quarantine: Limits::left(limits.quarantine, now).filter(|_| self.inherited),
            deleted_for: since(self.deleted_at),
            accepted_for: since(self.accepted_at),
            begun_ago: since(self.begun_at),
            sighting: self.repeated.clone(),
            candidate: self.candidate.clone(),
            heard_ago: now.saturating_sub(self.heard_at),
            signalr_absent_for: since(self.signalr_absent_since),
            vault_absent_for: since(self.vault_absent_since),
            others_running_for: since(self.other_running.as_ref().map(|(_, at)| *at)).unwrap_or_default(),
            failed_operation: self.failed.as_ref().map(|(kind, words, at)| FailedOperation {
                kind: *kind,
                words: words.clone(),
                ago: now.saturating_sub(*at),
                count: self.failures,
            }),
            running_for: since(self.running_since).unwrap_or_default(),
            failed_for: since(self.failed_since).unwrap_or_default(),
            refused_for: since(self.refused_since),
            confirmed: self.confirmed.clone(),
            forced_revocation_tried: self.forced_revocation_tried,
            appeared: self.appeared.clone(),
            shown: self.shown.clone(),
            vault_refused: self.vault_refused,
            approval_ruled_out: self.approval_ruled_out,
        }
    }
}

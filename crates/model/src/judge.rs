//! The invariants of `docs/reliability.md` that can be seen here, judged by the truth: when a write is sent, for that is
//! when its last look was taken (A1, A2); and when it lands, for what nobody may excuse.

use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::desired::ObjectIdentity;
use signalr_private_link_core::marker::Verdict;

use crate::finalizers::{Finalizer, Finalizers};
use crate::pass::bears;
use crate::space::{Rule, Space};
use crate::state::{DecidedBy, Object, Opener, Pec, Policies, Provision, Spl, Subscription, Text, World, is_second};
use crate::work::Held;

fn works(link: Spl) -> bool {
    link.provision == Provision::Succeeded && link.connection == ConnectionState::Approved
}

const fn bit(number: u8) -> u32 {
    1 << (number & 31)
}

impl World {
    /// The link of this object may be left behind.
    pub fn release(&mut self, uid: u8) {
        self.ghost.released |= bit(uid);
    }

    /// Somebody took the object out of the operator's hands.
    pub fn force(&mut self, uid: u8) {
        self.release(uid);
        self.ghost.forced |= bit(uid);
    }

    /// Whether its link may be left behind.
    #[must_use]
    pub fn is_released(&self, uid: u8) -> bool {
        self.ghost.released & bit(uid) != 0
    }

    pub(crate) fn is_forced(&self, uid: u8) -> bool {
        self.ghost.forced & bit(uid) != 0
    }

    fn living(&self, uid: u8) -> Option<&Object> {
        self.objects.iter().flatten().find(|object| object.uid == uid)
    }

    /// S16: an object is gone.
    pub fn judge_gone(&mut self, uid: u8) {
        if !self.is_released(uid) && self.link.is_some_and(|link| link.uid == uid) {
            self.must_not("S16", "the object is gone and its link is left");
        }
        let unwatched = self.vault.iter().any(|pec| {
            let unconfirmed = matches!(pec.text, Text::Record { verdict: Verdict::Approved, uid: owner, nonce, .. }
                if owner == uid && self.ghost.confirmed & bit(nonce) == 0);
            unconfirmed && pec.opener == Opener::Stranger && pec.state == ConnectionState::Approved
        });
        if unwatched && !self.is_forced(uid) && !self.ghost.alarmed {
            self.must_not("S1", "the object is gone, and a stranger that the operator approved stays approved");
        }
    }

    /// S5, S7, S16: a link is about to be put.
    pub fn judge_put(&mut self, uid: u8) {
        let forced = self.is_forced(uid);
        match self.living(uid).copied() {
            None => self.must_not("S16", "a link is put for an object that is gone"),
            Some(object) if !object.has_finalizer() && !forced => {
                self.must_not("S7", "a link is put before the finalizer is durable");
            }
            Some(object) if object.deleting => {
                self.must_not("S16", "a link is put for an object that is being deleted")
            }
            Some(object) if object.observe => self.must_not("S5", "a link is put for an object that only observes"),
            Some(_) => {}
        }
        if let Some(link) = self.link {
            if link.uid != uid {
                self.must_not("S5", "a link is put over somebody else's");
            } else if link.connection == ConnectionState::Approved {
                self.must_not("S5", "a link is put over one that is Approved");
            } else if link.provision != Provision::Failed {
                self.must_not("S5", "a link is put over one that has not failed");
            }
        }
    }

    /// S14: of those that claimed the link when the pass began, the elder creates it; whose it is puts it again.
    pub fn judge_claim(&mut self, held: &Held) {
        if self.link.is_some_and(|link| link.uid == held.object.uid) {
            return;
        }
        let age = |object: &ObjectIdentity| (object.created, object.uid.clone());
        let own = age(&held.desired.object);
        if held.rivals.iter().any(|rival| rival.manages && age(&rival.object) < own) {
            self.must_not("S14", "a link is put, and the object that claims it is not the eldest");
        }
    }

    /// S10: only our own finalizer is added or removed.
    pub fn judge_finalizers(&mut self, before: Finalizers, after: Finalizers) {
        if before.without(Finalizer::Ours) != after.without(Finalizer::Ours) {
            self.must_not("S10", "somebody else's finalizer was removed");
        }
    }

    /// S4: a link is about to be deleted.
    pub fn judge_delete(&mut self, link: &Spl, uid: u8) {
        if link.uid != uid {
            self.must_not("S4", "a link is deleted that is not the object's own");
        }
        match self.living(uid).copied() {
            Some(object) if !object.deleting && object.recreate == 0 => {
                self.must_not("S4", "a link is deleted, and nobody asked for it");
            }
            Some(object) if object.observe => self.must_not("S4", "a link is deleted for an object that only observes"),
            _ => {}
        }
    }

    /// S1, S2, M7: a connection is about to be decided on.
    pub fn judge_decision(&mut self, space: &Space, at: u8, seen: &Pec, verdict: Verdict, uid: u8, nonce: u8) {
        match verdict {
            Verdict::Approved => self.judge_approval(space, at, seen, uid, nonce),
            Verdict::Revoked => self.judge_revocation(at, seen, uid, nonce),
        }
    }

    fn judge_approval(&mut self, space: &Space, at: u8, seen: &Pec, uid: u8, nonce: u8) {
        if seen.state != ConnectionState::Pending {
            self.must_not("S2", "a connection is approved that is not Pending");
        }
        let asks = self.living(uid).is_some_and(|object| object.automatic && !object.observe && !object.deleting);
        // The second tenant's policy is always there, and permits any subscription.
        if !asks || (self.policies == Policies::Absent && !is_second(uid)) {
            self.must_not("S1", "a connection is approved that nobody asked or permitted to approve");
        }
        let on_the_vault = self.vault.iter().any(|pec| {
            matches!(pec.text, Text::Record { verdict: Verdict::Revoked, nonce: revoked, uid: owner, .. }
                if (revoked, owner) == (nonce, uid))
        });
        let known = self.ghost.revoked & bit(nonce) != 0 && self.ghost.wiped & bit(nonce) == 0;
        if known || on_the_vault {
            self.must_not("M7", "an approval under a nonce whose approval was taken back");
        }
        let worker = self.workers.get(usize::from(at));
        let (alone, twin_shown) = worker.map_or((false, true), |worker| (worker.alone, worker.twin_shown));
        if twin_shown {
            self.must_not("S1", "a connection is approved beside a twin that the list had shown");
        }
        let own = self.link.filter(|link| link.uid == uid && seen.opener == Opener::Link(link.nonce));
        if own.is_some() {
            return;
        }
        let copy = self.link.is_some_and(|link| {
            link.uid == uid && seen.text == Text::Message { uid: link.uid, nonce: link.nonce, tag: link.tag }
        });
        let permitted = seen.endpoint.subscription == Subscription::Microsoft || is_second(uid);
        let guarded = !matches!(space.config.off, Some(Rule::M5Lists | Rule::Nonce));
        if seen.opener == Opener::Stranger && copy && permitted && alone && guarded {
            space.reached.exception();
        } else {
            self.must_not("S1", "a connection is approved that is not the object's own");
        }
    }

    fn judge_revocation(&mut self, at: u8, seen: &Pec, uid: u8, nonce: u8) {
        let Text::Record { verdict: Verdict::Approved, at: approved, endpoint, uid: owner, .. } = seen.text else {
            return self.must_not("S2", "a connection is rejected that the operator did not approve");
        };
        if owner != uid {
            return self.must_not("M7", "an approval is taken back that was made for another object");
        }
        if seen.state != ConnectionState::Approved {
            return self.must_not("S2", "a connection is rejected that is not Approved");
        }
        let current = self.link.filter(|link| (link.uid, link.nonce) == (uid, nonce));
        if current.is_some_and(|link| link.connection == ConnectionState::Approved) {
            return self.must_not("M7", "an approval is taken back that SignalR confirms");
        }
        if seen.opener == Opener::Link(nonce)
            && self.ghost.confirmed & bit(nonce) != 0
            && self.link.is_some_and(|l| l.uid == uid && l.connection == ConnectionState::Approved)
        {
            return self.must_not("M7", "a connection that works is rejected");
        }
        let late = self.now.saturating_sub(approved) >= 6;
        let leaving = self.living(uid).is_none_or(|object| object.deleting);
        let worker = self.workers.get(usize::from(at));
        let candidate = worker.and_then(|worker| worker.known.as_ref()?.digest.candidate);
        let copied = worker.is_some_and(|worker| worker.twin_shown)
            || candidate.is_some_and(|(creation, name)| creation == nonce && name != seen.name)
            || worker
                .and_then(|w| w.held.as_ref()?.vault.as_ref())
                .is_some_and(|shown| shown.iter().any(|pec| pec.name != seen.name && bears(pec, uid, nonce)));
        if late || leaving || copied || current.is_none() || endpoint != seen.endpoint {
            return;
        }
        let listed = worker.and_then(|worker| worker.held.as_ref()?.link);
        let older = listed.is_some_and(|listed| listed.is_none_or(|link| link.nonce != nonce));
        if older {
            self.must_not("M7", "an approval is taken back upon a list of links that is older than the link");
        } else {
            self.must_not("M7", "an approval is taken back without a reason");
        }
    }

    /// S6: Ready turns True.
    pub fn judge_ready(&mut self, held: &Held) {
        let seen = held.link.flatten().or(held.single.flatten());
        if !seen.is_some_and(works) {
            self.must_not("S6", "Ready is True, and no read of this pass shows a link that works");
        }
    }

    /// A link was put late.
    pub fn judge_landed(&mut self, uid: u8) {
        if !self.lives(uid) && !self.is_released(uid) {
            self.must_not("S16", "a link appears whose object is gone");
        }
    }

    /// A decision landed late.
    pub fn judge_decided(&mut self, verdict: Verdict, uid: u8) {
        if verdict == Verdict::Approved && !self.lives(uid) && !self.is_forced(uid) {
            self.must_not("S1", "an approval takes effect for an object that is gone, and nobody watches it");
        }
    }

    /// What has to be true where everything rests.
    pub fn judge_rest(&mut self) {
        let held = self.policies == Policies::Hold || self.ghost.alarmed;
        let stranger = self.vault.iter().any(|pec| {
            let Text::Record { verdict: Verdict::Approved, nonce, uid, .. } = pec.text else { return false };
            // The second tenant's policy says Hold.
            if is_second(uid) {
                return false;
            }
            // The owner approved our own late request by hand as well, and SignalR said so: documented.
            let confirmed = self.ghost.confirmed & self.ghost.owner_approved & bit(nonce) != 0;
            let ours = pec.opener == Opener::Stranger && pec.decided == DecidedBy::Operator;
            ours && pec.state == ConnectionState::Approved && !confirmed && !self.is_forced(uid)
        });
        if stranger && !held {
            self.must_not("S1", "a stranger that the operator approved stays approved");
        }
        if self.objects.iter().flatten().any(|object| object.deleting && object.has_finalizer()) {
            self.must_not("L", "a deletion does not end");
        }
        for link in [self.link, self.beside].into_iter().flatten() {
            if !self.lives(link.uid) && link.uid != crate::state::FOREIGN && !self.is_released(link.uid) {
                self.must_not("S16", "at rest there is a link whose object is gone");
            }
            let told = self.living(link.uid).is_none_or(|object| object.observe || object.status.ready == Some(true));
            if works(link) && !told {
                self.must_not("L", "the link works, and Ready is not True");
            }
        }
        let optimist = self.objects.iter().flatten().any(|object| {
            let link = if is_second(object.uid) { self.beside } else { self.link };
            object.status.ready == Some(true) && !link.is_some_and(works)
        });
        if optimist {
            self.must_not("S6", "at rest Ready is True, and the link does not work");
        }
    }
}

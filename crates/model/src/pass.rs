//! A pass of the operator, cut into steps: the object is read; what the plan asks for is read; the last look is taken and
//! the write is sent; its answer is told ([`write`](crate::write)). What decides is the shipped `plan`, `still_authorised`,
//! `conclude` and `Learned`. The rest says what `src/reconcile` does between.

use std::sync::Arc;
use std::time::Duration;

use signalr_private_link_core::azure::{ConnectionState, Link};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::memory::{Learned, Moment};
use signalr_private_link_core::observed::{LateWrite, Memory, Observed, Permissions, Read, Reading, Rival, Sighting};
use signalr_private_link_core::{ArmError, Failure, Next, plan};

use crate::gate::Calls;
use crate::memory::{Known, moment};
use crate::page::{self, Cut};
use crate::rare::Inexact;
use crate::space::{Layout, Rule, Space};
use crate::state::{FENCE, LIMITS, Pec, Policies, Provision, SECONDS, Spl, Text, World};
use crate::wire;
use crate::work::Held;

/// Longer than any limit.
const EVER: Duration = Duration::from_secs(1_000_000);

impl World {
    pub(crate) fn knows(&mut self, worker: u8, lesson: impl FnOnce(&mut Learned, Moment)) {
        let now = self.now;
        let started = self.started(worker);
        if let Some(worker) = self.workers.get_mut(usize::from(worker))
            && let Some(known) = &worker.known
        {
            worker.known = Some(Arc::new(known.after(started, now, lesson)));
        }
    }

    fn started(&self, worker: u8) -> u16 {
        let process = self.workers.get(usize::from(worker)).map_or(0, |worker| worker.process);
        self.processes.get(usize::from(process)).map_or(0, |process| process.started)
    }
}

impl Space {
    fn recall(&self, world: &World, worker: u8) -> Memory {
        let now = moment(world.started(worker), world.now);
        let known = world.workers.get(usize::from(worker)).and_then(|worker| worker.known.as_ref());
        let mut memory =
            known.map_or(Memory { limits: LIMITS, ..Memory::default() }, |known| known.learned.recall(&LIMITS, now));
        match self.config.off {
            Some(Rule::R5) => memory.accepted_for = None,
            Some(Rule::R7) => {
                memory.deleting_for = memory.deleting_for.map(|_| EVER);
                memory.quarantine = None;
            }
            Some(Rule::R11) => {
                memory.signalr_absent_for = memory.signalr_absent_for.map(|_| EVER);
                memory.vault_absent_for = memory.vault_absent_for.map(|_| EVER);
            }
            Some(Rule::OneFalse404) => memory.signalr_absent_for = memory.signalr_absent_for.map(|_| EVER),
            Some(Rule::M5Lists) => {
                let first = known.and_then(|known| known.learned.first_sighting());
                memory.sighting = first.map(|first| Sighting { age: EVER, ..first.clone() });
            }
            Some(Rule::RejectionForgotten | Rule::PendingTwinsOnly) => memory.candidate = None,
            _ => {}
        }
        memory
    }

    /// As `Memories::late_write`.
    pub(crate) fn late_write(&self, world: &World, worker: u8, has_rivals: bool) -> Option<LateWrite> {
        if self.is_off(Rule::R5) || self.is_off(Rule::R7) {
            return None;
        }
        let (process, _) = self.place(worker);
        let process = world.processes.get(usize::from(process))?;
        let left = |since: u16| FENCE.checked_sub(world.now.saturating_sub(since)).filter(|left| *left > 0);
        let own = process.unknown.and_then(left);
        let known = world.workers.get(usize::from(worker)).and_then(|worker| worker.known.as_ref());
        let inherited = has_rivals || known.is_some_and(|known| known.learned.is_inherited());
        let earlier = left(process.started).filter(|_| inherited);
        let left = own.into_iter().chain(earlier).max()?;
        Some(LateWrite { left: Duration::from_secs(u64::from(left) * SECONDS), told: own.is_some() })
    }

    fn rivals(&self, world: &World, desired: &Desired) -> Vec<Rival> {
        let others = world.objects.iter().enumerate().filter_map(|(at, object)| {
            let object = self.wire.desired(object.as_ref()?, NAMES.get(at)?);
            let manages = object.management == signalr_private_link_core::desired::ManagementPolicy::Manage;
            Some(Rival { manages: manages && !object.deleting, object: object.object })
        });
        others.filter(|rival| rival.object.uid != desired.object.uid).collect()
    }

    pub(crate) fn is_busy(&self, world: &World, worker: u8) -> bool {
        let (process, _) = self.place(worker);
        let process = world.processes.get(usize::from(process));
        !self.is_off(Rule::R8) && process.is_some_and(|p| p.occupant.is_some_and(|other| other != worker))
    }

    /// The first step of a pass: a live read of the object. False when there is nothing to do.
    pub fn begin_pass(&self, world: &mut World, at: u8) -> bool {
        let (_, place) = self.place(at);
        let started = world.started(at);
        let now = world.now;
        let live = world.object(place).copied();
        let Some(worker) = world.workers.get_mut(usize::from(at)) else { return false };
        if self.is_off(Rule::R3) && worker.cache.is_none() {
            worker.cache = live;
        }
        let seen = if self.is_off(Rule::R3) { worker.cache } else { live };
        let Some(object) = seen else {
            let forgot = worker.known.take().is_some();
            worker.uid = 0;
            return forgot;
        };
        if worker.known.is_none() || worker.uid != object.uid {
            worker.known = Some(Arc::new(Known::new(object.has_finalizer(), started, now)));
            worker.uid = object.uid;
        }
        worker.stale = live != seen;
        if object.deleting {
            world.knows(at, Learned::see_deletion);
        }
        let name = NAMES.get(usize::from(place)).copied().unwrap_or_default();
        let mut desired = self.wire.desired(&object, name);
        if self.is_off(Rule::RejectionForgotten) || self.is_off(Rule::PendingTwinsOnly) {
            let decided =
                |name: u8| !world.vault.iter().any(|pec| pec.name == name && pec.state == ConnectionState::Pending);
            if object.status.connection.is_some_and(|(name, ..)| decided(name)) {
                desired.remembered.connection = None;
            }
        }
        let rivals = self.rivals(world, &desired);
        let observed = Observed {
            memory: self.recall(world, at),
            signalr_busy: self.is_busy(world, at),
            late_write: self.late_write(world, at, !rivals.is_empty()),
            rivals: if self.is_off(Rule::Elder) { vec![] } else { rivals.clone() },
            ..Observed::default()
        };
        let held = Held {
            object,
            begun: now,
            page: None,
            listed: now,
            link: None,
            single: None,
            vault: None,
            policies: None,
            faults: 0,
            next: None,
            rivals,
            desired,
            observed,
            plan: None,
        };
        self.go_on(world, at, held);
        true
    }

    /// Asks the plan what comes next, and ends a pass that has nothing to do but to say something.
    fn go_on(&self, world: &mut World, at: u8, mut held: Held) {
        match plan(&held.desired, &held.observed, wire::time(self.clock(world, at))) {
            Next::Read(read) => held.next = Some(read),
            Next::Plan(plan) => {
                held.next = None;
                if plan.action.is_none() {
                    self.end(world, at, &held, &plan, None);
                    return;
                }
                held.plan = Some(*plan);
            }
        }
        if let Some(worker) = world.workers.get_mut(usize::from(at)) {
            worker.held = Some(Arc::new(held));
        }
    }

    /// Makes the read that the plan asked for. `fault` is how it fails, `cut` how a list shows what changed between its pages.
    pub fn read(&self, world: &mut World, at: u8, fault: Option<Failure>, cut: Cut) {
        let Some(held) = world.workers.get(usize::from(at)).and_then(|worker| worker.held.clone()) else { return };
        let Some(read) = held.next else { return };
        let mut held = Held::clone(&held);
        let closed = self.held_back(world, at, Calls::Reads);
        if let (None, Some(fault)) = (closed, fault) {
            Self::refused(world, self.place(at).0, Calls::Reads, fault);
        }
        let fault = closed.or(fault);
        held.faults = held.faults << 4 | fault.map_or(0, fault_number);
        self.answer(world, at, &mut held, read, fault, cut);
        held.page = None;
        let Memory { deleting_for, quarantine, .. } = held.observed.memory;
        held.observed.memory = Memory { deleting_for, quarantine, ..self.recall(world, at) };
        // The policies and the replicas are read in the same step as what needs them.
        while let Next::Read(more @ (Read::Permissions | Read::Replicas)) =
            plan(&held.desired, &held.observed, wire::time(self.clock(world, at)))
        {
            self.answer(world, at, &mut held, more, None, Cut::Later);
        }
        self.go_on(world, at, held);
    }

    fn answer(&self, world: &mut World, at: u8, held: &mut Held, read: Read, fault: Option<Failure>, cut: Cut) {
        let failed = fault.map(ArmError::of);
        let gone = world.signalr_gone.then(|| ArmError::of(Failure::NotFound(Level::Parent)));
        match read {
            Read::Operation => held.observed.operation = Reading::Failed(ArmError::of(Failure::Transient(None))),
            Read::Links => {
                held.observed.links = match failed.or(gone) {
                    Some(error) => Reading::Failed(error),
                    None => {
                        let listed = page::links(world, held, cut);
                        // Of two that have its name the first counts.
                        held.link = Some(listed.first().copied());
                        held.listed = world.now;
                        let all = listed.iter().chain(&world.beside).map(|link| self.link_as_read(link));
                        Reading::Known(self.wire.links(all.collect(), world.now))
                    }
                };
                world.knows(at, |learned, now| learned.learn_links(&held.desired, &held.observed.links, now));
                self.settle_lane(world, at, held);
            }
            Read::Link => {
                held.observed.link = match failed.or(gone) {
                    Some(error) => Reading::Failed(error),
                    None => {
                        held.single = Some(world.link);
                        Reading::Known(world.link.map(|link| self.link_as_read(&link)))
                    }
                };
            }
            Read::Connections => {
                if self.is_off(Rule::Asleep) && !matches!(held.link, Some(Some(_))) {
                    held.observed.connections = Reading::Failed(ArmError::of(Failure::Transient(None)));
                    return;
                }
                let is_shown = failed.is_none();
                held.observed.connections = match failed {
                    Some(error) => Reading::Failed(error),
                    None => Reading::Known(Arc::new(self.vault_as_read(world, at, held, cut))),
                };
                let Held { desired, observed, page, .. } = &*held;
                let (links, vault) = (&observed.links, &observed.connections);
                let clock = wire::time(self.clock(world, at));
                let begun = page.as_ref().map(|page| moment(world.started(at), page.begun));
                world.knows(at, |learned, now| {
                    learned.learn_connections(desired, &LIMITS, links, vault, (begun.unwrap_or(now), now), clock);
                });
                // Beside no link that is Succeeded the operator compares nothing.
                let is_compared = held.link.flatten().is_some_and(|link| link.provision == Provision::Succeeded);
                if is_shown && is_compared {
                    self.note_lists(world, at);
                }
            }
            Read::Replicas => {
                let replicas = usize::from(world.replica && !self.is_off(Rule::M5Replicas));
                held.observed.replicas = failed.map_or(Reading::Known(replicas), Reading::Failed);
            }
            Read::Permissions => {
                held.policies = Some(world.policies);
                held.observed.permissions = Reading::Known(self.permissions(world.policies));
            }
        }
    }

    /// For the judge: whether each of the two lists showed the match alone.
    fn note_lists(&self, world: &mut World, at: u8) {
        let second = self.recall(world, at).sighting.is_some();
        let Some(worker) = world.workers.get_mut(usize::from(at)) else { return };
        if second {
            worker.alone &= worker.first_alone;
        } else {
            worker.first_alone = worker.alone;
        }
    }

    fn settle_lane(&self, world: &mut World, at: u8, held: &Held) {
        let (process, _) = self.place(at);
        let running = |link: &Spl| matches!(link.provision, Provision::Creating | Provision::Deleting);
        let ended = held.link.is_some_and(|link| !link.as_ref().is_some_and(running));
        if let Some(process) = world.processes.get_mut(usize::from(process))
            && ended
        {
            process.occupant.take_if(|occupant| *occupant == at);
        }
    }

    pub(crate) fn permissions(&self, policies: Policies) -> Permissions {
        let mut permissions = self.wire.permissions(policies, self.config.layout == Layout::Tenants);
        if self.is_off(Rule::M3) {
            permissions.policies.iter_mut().for_each(|p| p.endpoint_subscriptions = vec!["*".into()]);
        }
        permissions
    }

    pub(crate) fn link_as_read(&self, link: &Spl) -> Link {
        let mut link = *link;
        if self.is_off(Rule::M1) && link.uid == crate::state::FOREIGN {
            link.uid = 1;
        }
        let renewed = self.is_off(Rule::R12) || self.is_off(Rule::FailedRenewed);
        if renewed && link.provision == Provision::Failed && link.connection == ConnectionState::Approved {
            link.connection = ConnectionState::Pending;
        }
        if self.is_off(Rule::Nonce) {
            link.nonce = 0;
        }
        self.wire.link(&link)
    }

    pub(crate) fn pec_as_read(&self, pec: &Pec, link: Option<&Spl>) -> Pec {
        let mut pec = *pec;
        match &mut pec.text {
            Text::Message { uid, .. } if self.is_off(Rule::M1) && *uid == crate::state::FOREIGN => *uid = 1,
            Text::Message { nonce, .. } | Text::Record { nonce, .. } if self.is_off(Rule::Nonce) => *nonce = 0,
            _ => {}
        }
        if let (true, Some(link), ConnectionState::Pending) = (self.is_off(Rule::M2), link, pec.state) {
            pec.text = Text::Message { uid: link.uid, nonce: link.nonce, tag: link.tag };
        }
        pec
    }

    fn vault_as_read(
        &self,
        world: &mut World,
        at: u8,
        held: &mut Held,
        cut: Cut,
    ) -> signalr_private_link_core::azure::Connections {
        let link = held.link.flatten();
        let carries = |pec: &Pec| {
            matches!((pec.text, link), (Text::Message { uid, nonce, tag }, Some(link))
                if (uid, nonce, tag) == (link.uid, link.nonce, link.tag))
        };
        let ours = |pec: &Pec| pec.state == ConnectionState::Pending && carries(pec);
        let listed = page::connections(world, held, cut);
        if let Some(worker) = world.workers.get_mut(usize::from(at)) {
            worker.alone = are_one(listed.iter().filter(|pec| ours(pec)));
            let mut bears = listed.iter().filter(|pec| link.is_some_and(|link| bears(pec, link.uid, link.nonce)));
            worker.twin_shown = bears.next().is_some_and(|first| bears.any(|pec| pec.name != first.name));
        }
        let mut shown: Vec<Pec> = listed.iter().map(|pec| self.pec_as_read(pec, link.as_ref())).collect();
        if self.is_off(Rule::M5Twin) {
            let mut first = true;
            shown.retain(|pec| !ours(pec) || std::mem::take(&mut first));
        }
        if self.is_off(Rule::PendingTwinsOnly) || self.is_off(Rule::RejectionForgotten) {
            let pending = listed.iter().any(ours);
            shown.retain(|pec| !(pending && carries(pec) && pec.state != ConnectionState::Pending));
        }
        held.vault = Some(listed);
        self.wire.connections(&shown, world.now)
    }
}

/// Whether these are one connection, however often it is shown.
fn are_one<'a>(mut pecs: impl Iterator<Item = &'a Pec>) -> bool {
    pecs.next().is_some_and(|first| pecs.all(|pec| pec.name == first.name))
}

/// The objects' names.
pub const NAMES: [&str; 2] = ["kv-pe", "kv-pe-2"];

impl Text {
    /// The uid and the nonce whose marker this carries, or which it is a record about.
    pub(crate) fn bears(&self) -> Option<(u8, u8)> {
        match *self {
            Self::Message { uid, nonce, .. }
            | Self::Record { uid, nonce, .. }
            | Self::Inexact { uid, nonce, how: Inexact::Words, .. } => Some((uid, nonce)),
            Self::Inexact { .. } | Self::ByHand => None,
        }
    }
}

/// Whether a connection carries the marker of this creation, or a record about it.
#[must_use]
pub fn bears(pec: &Pec, owner: u8, creation: u8) -> bool {
    pec.text.bears() == Some((owner, creation))
}

fn fault_number(failure: Failure) -> u32 {
    match failure {
        Failure::Transient(_) => 1,
        Failure::Throttled(_) => 2,
        Failure::Forbidden => 3,
        Failure::NotFound(_) => 4,
        Failure::CredentialUnavailable => 5,
        Failure::Unauthorized => 6,
        _ => 7,
    }
}

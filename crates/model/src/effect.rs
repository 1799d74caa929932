//! What each thing that happens does to the world.

use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::{ArmError, Failure, Outcome};

use crate::act::Act;
use crate::rare;
use crate::space::{Rule, Space};
use crate::state::{
    DecidedBy, Endpoint, FENCE, FOREIGN, Flight, OUTSIDER, Object, Opener, Pec, Process, Provision, Spl, Status,
    Subscription, Text, World, Write,
};

impl World {
    /// Another version of the object; passes that others have begun on the earlier one find it changed.
    pub fn replace(&mut self, place: u8, object: Option<Object>, by: Option<u8>) {
        if let Some(slot) = self.objects.get_mut(usize::from(place)) {
            *slot = object;
        }
        for (at, worker) in (0u8..).zip(&mut self.workers) {
            worker.stale |= worker.place == place && worker.held.is_some() && Some(at) != by;
        }
    }

    pub(crate) fn edit(&mut self, place: u8, change: impl FnOnce(&mut Object)) {
        if let Some(mut object) = self.object(place).copied() {
            change(&mut object);
            self.replace(place, Some(object), None);
        }
    }

    fn edit_spec(&mut self, change: impl FnOnce(&mut Object)) {
        self.edit(0, |object| {
            change(object);
            object.generation += 1;
        });
    }

    pub(crate) fn open(&mut self, text: Text, subscription: Subscription, opener: Opener) {
        self.names += 1;
        let endpoint = Endpoint { name: self.names, subscription };
        let state = ConnectionState::Pending;
        self.vault.push(Pec { name: self.names, endpoint, state, text, opener, decided: DecidedBy::Nobody });
    }

    /// The link goes, and its endpoint with it.
    fn remove_link(&mut self) {
        if let Some(link) = self.link.take() {
            self.vault.retain(|pec| pec.opener != Opener::Link(link.nonce));
        }
    }

    pub(crate) fn pec(&mut self, name: u8) -> Option<&mut Pec> {
        self.vault.iter_mut().find(|pec| pec.name == name)
    }
}

impl Space {
    /// The world after this has happened; `None` where nothing comes of it.
    #[must_use]
    pub fn after(&self, before: &World, act: Act) -> Option<World> {
        let mut world = before.clone();
        world.budget -= u8::from(act.is_disturbance());
        let happened = match act {
            Act::Step(at) => self.step(&mut world, at),
            Act::Answer(at) => self.flown(&mut world, at, |space, world, flight| {
                let outcome = space.land(world, flight);
                space.answered(world, flight, &outcome);
            }),
            Act::Land(at) => self.flown(&mut world, at, |space, world, flight| {
                space.land(world, flight);
            }),
            Act::Refuse(at, failure) => self.flown(&mut world, at, |space, world, flight| {
                space.answered(world, flight, &Outcome::NotApplied(ArmError::of(failure)));
            }),
            Act::LoseAnswer(at) => self.lose_answer(&mut world, at),
            Act::ReadFails(at, failure) => {
                self.read(&mut world, at, Some(failure));
                true
            }
            Act::Crash(process) => {
                crash(&mut world, process);
                true
            }
            Act::WatchDelivers(at) => {
                let live = world.workers.get(usize::from(at)).map(|w| w.place).and_then(|p| world.object(p).copied());
                match world.workers.get_mut(usize::from(at)) {
                    Some(worker) if worker.cache != live => {
                        worker.cache = live;
                        true
                    }
                    _ => false,
                }
            }
            Act::Advance => self.advance(&mut world),
            _ => outside(&mut world, act, self),
        };
        happened.then_some(world)
    }

    fn step(&self, world: &mut World, at: u8) -> bool {
        let Some(worker) = world.workers.get(usize::from(at)) else { return false };
        match worker.held.as_ref().map(|held| held.next.is_some()) {
            None if at == 1 => {
                let may = world.visits != Some(0);
                world.visits = world.visits.map(|left| left.saturating_sub(1));
                return may && self.begin_pass(world, at);
            }
            None => return self.begin_pass(world, at),
            Some(true) => self.read(world, at, None),
            Some(false) => self.act(world, at),
        }
        true
    }

    fn flown(&self, world: &mut World, at: u8, end: impl FnOnce(&Self, &mut World, &Flight)) -> bool {
        if usize::from(at) >= world.flights.len() {
            return false;
        }
        let flight = world.flights.remove(usize::from(at));
        end(self, world, &flight);
        true
    }

    fn lose_answer(&self, world: &mut World, at: u8) -> bool {
        let Some(flight) = world.flights.get_mut(usize::from(at)) else { return false };
        flight.awaited = false;
        let flight = *flight;
        self.answered(world, &flight, &Outcome::Unknown(ArmError::of(Failure::Transient(None))));
        true
    }

    /// A write takes effect, or is refused.
    fn land(&self, world: &mut World, flight: &Flight) -> Outcome {
        match flight.write {
            Write::Put { replaces, nonce, tag } => self.land_put(world, flight, replaces, nonce, tag),
            Write::Delete { nonce, owner } => self.land_delete(world, flight, nonce, owner),
            Write::Decide { verdict, seen, nonce } => self.land_decision(world, flight, verdict, &seen, nonce),
        }
    }

    fn land_put(&self, world: &mut World, flight: &Flight, replaces: bool, nonce: u8, tag: u8) -> Outcome {
        if world.signalr_gone {
            return Outcome::NotApplied(ArmError::of(Failure::NotFound(Level::Parent)));
        }
        let fresh = Spl {
            uid: flight.uid,
            nonce,
            tag,
            provision: Provision::Creating,
            connection: ConnectionState::Pending,
            created: world.now,
            listed: true,
            requested: false,
            put_by: flight.process,
        };
        let put = match world.link {
            None => fresh,
            Some(link) if matches!(link.provision, Provision::Creating | Provision::Deleting) => {
                return Outcome::NotApplied(ArmError::of(Failure::Busy(None)));
            }
            Some(link) if replaces && (link.uid, link.nonce) == (flight.uid, nonce) => {
                Spl { provision: Provision::Creating, put_by: flight.process, ..link }
            }
            Some(link) => {
                if link.put_by == flight.process && !replaces {
                    world.must_not("S3", "a second creation lands on the first one of the same process");
                }
                self.reached.overtaken();
                // Azure keeps the endpoint that it has.
                for pec in &mut world.vault {
                    if pec.opener == Opener::Link(link.nonce) {
                        pec.opener = Opener::Link(nonce);
                    }
                }
                Spl { requested: link.requested, connection: link.connection, ..fresh }
            }
        };
        world.link = Some(put);
        world.judge_landed(flight.uid);
        Outcome::Applied(Some(Box::new(self.wire.link(&put))))
    }

    fn land_delete(&self, world: &mut World, flight: &Flight, nonce: u8, owner: u8) -> Outcome {
        let Some(mut link) = world.link.filter(|_| !world.signalr_gone) else { return Outcome::Applied(None) };
        if matches!(link.provision, Provision::Creating | Provision::Deleting) {
            return Outcome::NotApplied(ArmError::of(Failure::Busy(None)));
        }
        if (link.uid, link.nonce) != (owner, nonce) {
            if link.put_by == flight.process {
                world.must_not("S4", "a late DELETE hits the next link of the same process");
            }
            if link.uid != owner && link.put_by != OUTSIDER && self.config.strict {
                world.must_not("S4", "a late DELETE of another process hits the link of the next object");
            }
            self.reached.overtaken();
        }
        link.provision = Provision::Deleting;
        world.link = Some(link);
        Outcome::Applied(None)
    }

    fn land_decision(&self, world: &mut World, flight: &Flight, verdict: Verdict, seen: &Pec, nonce: u8) -> Outcome {
        let (now, enforced) = (world.now, self.config.etag);
        let Some(pec) = world.pec(seen.name) else {
            return Outcome::NotApplied(ArmError::of(Failure::NotFound(Level::Resource)));
        };
        if enforced && pec != seen {
            return Outcome::NotApplied(ArmError::of(Failure::Busy(None)));
        }
        pec.text = Text::Record { verdict, at: flight.sent.min(now), endpoint: seen.endpoint, uid: flight.uid, nonce };
        pec.decided = DecidedBy::Operator;
        pec.state = match verdict {
            Verdict::Approved => ConnectionState::Approved,
            Verdict::Revoked => ConnectionState::Rejected,
        };
        if verdict == Verdict::Revoked {
            world.ghost.revoked |= 1 << (nonce & 31);
        }
        world.judge_decided(verdict, flight.uid);
        Outcome::Applied(None)
    }
}

/// A process ends and is started anew. What it had sent may still land.
fn crash(world: &mut World, process: u8) {
    let now = world.now;
    for worker in world.workers.iter_mut().filter(|worker| worker.process == process) {
        (worker.known, worker.uid, worker.held) = (None, 0, None);
        (worker.sent, worker.stale) = (false, false);
        (worker.first_alone, worker.alone, worker.twin_shown) = (false, false, false);
    }
    for flight in world.flights.iter_mut().filter(|flight| flight.process == process) {
        flight.awaited = false;
    }
    if let Some(process) = world.processes.get_mut(usize::from(process)) {
        *process = Process { started: now, unknown: None, occupant: None };
    }
}

/// What Azure, people and strangers do.
fn outside(world: &mut World, act: Act, space: &Space) -> bool {
    match act {
        Act::Delete(place) => delete(world, place),
        Act::ToggleMode => world.edit_spec(|object| object.automatic = !object.automatic),
        Act::ToggleObserve => world.edit_spec(|object| object.observe = !object.observe),
        Act::Detach => world.edit_spec(|object| object.detach = true),
        Act::Recreate => world.edit(0, |object| object.recreate += 1),
        Act::Force => {
            world.edit(0, |object| object.force = true);
            if let Some(uid) = world.object(0).map(|object| object.uid) {
                world.force(uid);
            }
        }
        Act::Create => {
            world.uids += 1;
            let object = space.object(world.uids, world.now);
            world.replace(0, Some(object), None);
        }
        Act::Strip => strip(world),
        Act::Wipe => {
            world.edit(0, |object| object.status = Status::default());
            world.ghost.wiped |= world.ghost.revoked;
        }
        Act::Forge => {
            let named = world.vault.last().map(|pec| (pec.name, pec.endpoint, ConnectionState::Approved));
            world.edit(0, |object| {
                let before = object.status;
                object.status =
                    Status { ready: Some(true), connection: named, by_operator: Some(false), revoked: None, ..before };
            });
            world.ghost.wiped |= world.ghost.revoked;
        }
        _ => return azure(world, act, space) || vault(world, act, space),
    }
    true
}

fn delete(world: &mut World, place: u8) {
    let Some(object) = world.object(place).copied() else { return };
    if object.finalizer {
        world.replace(place, Some(Object { deleting: true, ..object }), None);
    } else {
        world.replace(place, None, None);
        world.judge_gone(object.uid);
    }
}

fn strip(world: &mut World) {
    let Some(object) = world.object(0).copied() else { return };
    world.force(object.uid);
    let left = Object { finalizer: false, ..object };
    world.replace(0, Some(left).filter(|object| !object.deleting), None);
}

fn azure(world: &mut World, act: Act, space: &Space) -> bool {
    if act == Act::SignalRComes {
        world.signalr_gone = false;
        return true;
    }
    if act == Act::ForeignLink {
        world.link = Some(Spl {
            uid: FOREIGN,
            nonce: 30,
            tag: 0,
            provision: Provision::Succeeded,
            connection: ConnectionState::Pending,
            created: world.now,
            listed: true,
            requested: false,
            put_by: OUTSIDER,
        });
        return true;
    }
    if act == Act::SignalRGoes {
        world.remove_link();
        world.signalr_gone = true;
        return true;
    }
    let (own, message) = (world.own_state(), world.message());
    let Some(link) = &mut world.link else { return false };
    match act {
        Act::OperationEnds => link.provision = Provision::Succeeded,
        Act::OperationFails => link.provision = Provision::Failed,
        Act::DeletionFails => link.provision = Provision::Succeeded,
        Act::ListCatchesUp => link.listed = true,
        Act::ListLags => link.listed = false,
        Act::DeletionEnds | Act::DeletedOutside => world.remove_link(),
        Act::Propagate => {
            link.connection = own;
            if own == ConnectionState::Approved {
                world.ghost.confirmed |= 1 << (link.nonce & 31);
            }
        }
        Act::Request | Act::ReplicaRequests => {
            let opener = if act == Act::Request { Opener::Link(link.nonce) } else { Opener::Replica };
            link.requested |= act == Act::Request;
            if let Some(message) = message.filter(|_| space.wire.connection_id(world.names + 1).is_some()) {
                world.open(message, Subscription::Microsoft, opener);
            }
        }
        _ => return false,
    }
    true
}

fn vault(world: &mut World, act: Act, space: &Space) -> bool {
    match act {
        Act::Decide(name, state, by_hand) => {
            let current = world.link.map(|link| Opener::Link(link.nonce));
            let Some(pec) = world.pec(name) else { return false };
            // Over the operator's own text a decision of the owner's leaves no trace: nobody could tell.
            let by_hand = by_hand || matches!(pec.text, Text::Record { .. });
            if by_hand {
                pec.text = Text::ByHand;
            }
            (pec.state, pec.decided) = (state, DecidedBy::Owner);
            if let Opener::Link(nonce) = pec.opener
                && Some(pec.opener) == current
                && state == ConnectionState::Approved
            {
                world.ghost.owner_approved |= 1 << (nonce & 31);
            }
        }
        Act::Remove(name) => world.vault.retain(|pec| pec.name != name),
        Act::Copy | Act::CopyElsewhere => {
            let Some(message) = world.message() else { return false };
            let elsewhere = act == Act::CopyElsewhere;
            let subscription = if elsewhere { Subscription::Elsewhere } else { Subscription::Microsoft };
            world.open(message, subscription, Opener::Stranger);
        }
        Act::Guess => {
            let next = Text::Message { uid: 1, nonce: world.nonces + 1, tag: 0 };
            let text = if space.is_off(Rule::Nonce) { next } else { Text::ByHand };
            world.open(text, Subscription::Microsoft, Opener::Stranger);
        }
        Act::Swap(name) => {
            world.names += 1;
            let endpoint = Endpoint { name: world.names, subscription: Subscription::Microsoft };
            let Some(pec) = world.pec(name) else { return false };
            pec.endpoint = endpoint;
        }
        Act::Policy(policies) => world.policies = policies,
        Act::Replica => world.replica = true,
        Act::Rare(what) => return rare::happens(world, what),
        _ => return false,
    }
    true
}

/// Writes that cannot land any more are forgotten.
pub fn expire(world: &mut World) {
    let now = world.now;
    world.flights.retain(|flight| now.saturating_sub(flight.sent) < FENCE);
}

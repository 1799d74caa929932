//! What each thing that happens does to the world.

use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::{ArmError, Failure, Outcome};

use crate::act::Act;
use crate::outside::outside;
use crate::page::Cut;
use crate::space::{Layout, Space};
use crate::state::{DecidedBy, FENCE, OUTSIDER, Object, Opener, Pec, Provision, Spl, Text, World};
use crate::work::{Flight, Write};

impl World {
    /// For the second tenant its own link is the one that steps are about.
    pub(crate) fn exchange_links(&mut self) {
        std::mem::swap(&mut self.link, &mut self.beside);
        for process in &mut self.processes {
            std::mem::swap(&mut process.unknown, &mut process.unknown_beside);
        }
    }

    /// A SignalR takes one change at a time.
    fn is_busy_beside(&self) -> bool {
        self.beside.is_some_and(|link| link.is_running())
    }

    /// Another version of the object; passes that others have begun on the earlier one find it changed.
    pub fn replace(&mut self, place: u8, object: Option<Object>, by: Option<u8>) {
        if let Some(slot) = self.objects.get_mut(usize::from(place)) {
            *slot = object;
        }
        for (at, worker) in (0u8..).zip(&mut self.workers) {
            worker.stale |= worker.place == place && worker.held.is_some() && Some(at) != by;
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
        let place = self.concerns(before, act);
        let other = place == 1 && self.config.layout == Layout::Tenants;
        if other {
            world.exchange_links();
        }
        let happened = self.happens(&mut world, act, place);
        if other {
            world.exchange_links();
        }
        happened.then_some(world)
    }

    /// Whose object, and link, it is about.
    fn concerns(&self, world: &World, act: Act) -> u8 {
        match act {
            Act::Step(at) | Act::Page(at, _) | Act::ReadFails(at, _) => self.place(at).1,
            Act::Answer(at) | Act::Land(at) | Act::Refuse(at, _) | Act::LoseAnswer(at) => {
                world.flights.get(usize::from(at)).map_or(0, |flight| self.place(flight.worker).1)
            }
            Act::Delete(place) => place,
            Act::Second(_) => 1,
            _ => 0,
        }
    }

    fn happens(&self, world: &mut World, act: Act, place: u8) -> bool {
        match act {
            Act::Second(act) => self.happens(world, *act, place),
            Act::Step(at) => self.step(world, at),
            Act::Page(at, cut) => {
                self.read(world, at, None, cut);
                true
            }
            Act::Answer(at) => self.flown(world, at, |space, world, flight| {
                let outcome = space.land(world, flight);
                space.answered(world, flight, &outcome);
            }),
            Act::Land(at) => self.flown(world, at, |space, world, flight| {
                space.land(world, flight);
            }),
            Act::Refuse(at, failure) => self.flown(world, at, |space, world, flight| {
                Self::refused(world, flight.process, flight.write.calls(), failure);
                space.answered(world, flight, &Outcome::NotApplied(ArmError::of(failure)));
            }),
            Act::LoseAnswer(at) => self.lose_answer(world, at),
            Act::ReadFails(at, failure) => {
                self.read(world, at, Some(failure), Cut::Later);
                true
            }
            Act::Crash(process) => {
                crash(world, process);
                true
            }
            Act::Ends(process) => {
                end_process(world, process);
                true
            }
            Act::Starts(process) => {
                start_process(world, process);
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
            Act::Advance => self.advance(world),
            _ => outside(world, act, place, self),
        }
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
            Some(true) if worker.held.as_ref().is_some_and(|held| self.begins_list(held)) => {
                self.read_first_page(world, at)
            }
            Some(true) => self.read(world, at, None, Cut::Later),
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
            _ if world.is_busy_beside() => return Outcome::NotApplied(ArmError::of(Failure::Busy(None))),
            None => fresh,
            Some(link) if link.is_running() => return Outcome::NotApplied(ArmError::of(Failure::Busy(None))),
            Some(link) if replaces && (link.uid, link.nonce) == (flight.uid, nonce) => {
                Spl { provision: Provision::Creating, put_by: flight.process, ..link }
            }
            Some(link) => {
                // Without the finalizer a process that has just started takes the object for a new one.
                if link.put_by == flight.process && !replaces && !world.is_forced(flight.uid) {
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
        if link.is_running() || world.is_busy_beside() {
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
    end_process(world, process);
    start_process(world, process);
}

fn end_process(world: &mut World, process: u8) {
    for worker in world.workers.iter_mut().filter(|worker| worker.process == process) {
        (worker.known, worker.uid, worker.held) = (None, 0, None);
        (worker.sent, worker.stale) = (false, false);
        (worker.first_alone, worker.alone, worker.twin_shown) = (false, false, false);
    }
    for flight in world.flights.iter_mut().filter(|flight| flight.process == process) {
        flight.awaited = false;
    }
    if let Some(process) = world.processes.get_mut(usize::from(process)) {
        (process.is_down, process.occupant) = (true, None);
        (process.unknown, process.unknown_beside, process.gates) = (None, None, [None; 3]);
    }
}

fn start_process(world: &mut World, process: u8) {
    let now = world.now;
    if let Some(process) = world.processes.get_mut(usize::from(process)) {
        (process.is_down, process.started) = (false, now);
    }
}

/// Writes that cannot land any more are forgotten.
pub fn expire(world: &mut World) {
    let now = world.now;
    world.flights.retain(|flight| now.saturating_sub(flight.sent) < FENCE);
}

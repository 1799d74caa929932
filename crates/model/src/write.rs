//! The end of a pass: the last look and the write, as `src/reconcile/execute.rs` has them, its answer, and what is told.

use std::sync::Arc;

use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{LastLook, still_authorised};
use signalr_private_link_core::azure::ConnectionState;
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::{Again, ArmError, Failure, Outcome, Plan, conclude};

use crate::finalizers::{Finalizer, Finalizers};
use crate::gate::Calls;
use crate::pass::NAMES;
use crate::space::{Rule, Space};
use crate::state::{LIMITS, Object, Pec, Provision, Spl, World};
use crate::wire;
use crate::work::{Flight, Held, Write};

fn changed(what: &str) -> Option<Outcome> {
    Some(Outcome::Changed(what.to_owned()))
}

/// As `Objects::add_finalizer` and `Objects::remove_finalizer` write the list: by what this pass has read of it.
fn patched(now: Finalizers, read: Finalizers, action: &Action) -> Finalizers {
    match (action, read.position(Finalizer::Ours)) {
        (Action::AddFinalizer, _) if read.is_empty() => Finalizers::default().and(Finalizer::Ours),
        (Action::AddFinalizer, _) => now.and(Finalizer::Ours),
        (_, Some(index)) => now.without_index(index),
        (_, None) => now,
    }
}

impl Space {
    /// The last look of a pass that has an effect, and the write.
    pub fn act(&self, world: &mut World, at: u8) {
        let Some(held) = world.workers.get(usize::from(at)).and_then(|worker| worker.held.clone()) else { return };
        let Some(plan) = held.plan.clone() else { return };
        let Some(action) = plan.action.clone() else { return };
        let outcome = match &action {
            Action::AddFinalizer => self.kubernetes(world, at, &held, &action, &plan),
            Action::RemoveFinalizer { proven_by_get } => {
                let off = self.is_off(Rule::R11) || self.is_off(Rule::OneFalse404);
                let there = world.link.is_some_and(|link| link.uid == held.object.uid);
                let closed = if *proven_by_get { self.held_back(world, at, Calls::Reads) } else { None };
                if let Some(closed) = closed {
                    Outcome::NotApplied(ArmError::of(closed))
                } else if *proven_by_get && !off && there {
                    Outcome::Changed("the link is still there".into())
                } else {
                    self.kubernetes(world, at, &held, &action, &plan)
                }
            }
            Action::PutLink { replaces, .. } => match self.put(world, at, &held, replaces.is_some()) {
                None => return,
                Some(outcome) => outcome,
            },
            Action::DeleteLink { waives_fence, .. } => match self.delete(world, at, &held, *waives_fence) {
                None => return,
                Some(outcome) => outcome,
            },
            Action::Decide(decision) => match self.decide(world, at, &held, decision) {
                None => return,
                Some(outcome) => outcome,
            },
        };
        self.reached.action(action.kind(), matches!(outcome, Outcome::Applied(_)));
        self.end(world, at, &held, &plan, Some(&outcome));
    }

    fn is_stale(&self, world: &World, at: u8) -> bool {
        !self.is_off(Rule::R4) && world.workers.get(usize::from(at)).is_none_or(|worker| worker.stale)
    }

    /// R4: a write to the object, on the very version that was read.
    fn kubernetes(&self, world: &mut World, at: u8, held: &Held, action: &Action, plan: &Plan) -> Outcome {
        let (_, place) = self.place(at);
        if self.is_stale(world, at) {
            return Outcome::Changed("the object changed".into());
        }
        let Some(mut object) = world.object(place).copied() else {
            return Outcome::Changed("the object is gone".into());
        };
        if object.uid != held.object.uid {
            world.must_not("S9", "a write to Kubernetes changed an object of another uid");
        }
        let before = object.finalizers;
        object.finalizers = patched(before, held.object.finalizers, action);
        world.judge_finalizers(before, object.finalizers);
        if *action == Action::AddFinalizer {
            world.replace(place, Some(object), Some(at));
        } else {
            if !object.deleting {
                world.must_not("S8", "the finalizer of a live object was removed");
            }
            let alarm = plan.alarm.is_some();
            world.ghost.alarmed |= alarm;
            if object.force || object.detach || object.observe {
                world.release(object.uid);
            }
            world.replace(place, Some(object).filter(|object| !object.finalizers.is_empty()), Some(at));
            world.judge_gone(object.uid);
        }
        Outcome::Applied(None)
    }

    /// R6: the object, read once more, asks for the same.
    fn same_object(&self, world: &World, at: u8, held: &Held) -> bool {
        let (_, place) = self.place(at);
        if self.is_off(Rule::R6) || self.is_off(Rule::R3) {
            return true;
        }
        world.object(place).is_some_and(|live| {
            let was = held.object;
            let same = |object: &Object| {
                (object.uid, object.generation, object.deleting, object.has_finalizer(), object.recreate, object.force)
            };
            same(live) == same(&was)
        })
    }

    fn put(&self, world: &mut World, at: u8, held: &Held, replaces: bool) -> Option<Outcome> {
        if self.is_busy(world, at) || self.flies_beside(world, at) {
            return changed("another change to the SignalR began");
        }
        if !self.same_object(world, at, held) {
            return changed("the object changed");
        }
        if self.late_write(world, at, false).is_some() {
            return changed("an earlier write to the link may still land");
        }
        if let Some(refused) = self.withhold(world, at, Calls::Writes) {
            return Some(refused);
        }
        if world.signalr_gone {
            return Some(Outcome::NotApplied(ArmError::of(Failure::NotFound(Level::Parent))));
        }
        let own = |link: &Spl| link.uid == held.object.uid;
        let renewed = self.is_off(Rule::R12) || self.is_off(Rule::FailedRenewed);
        let as_decided = match world.link {
            None => !replaces,
            Some(link) => {
                let works = link.connection == ConnectionState::Approved && !renewed;
                let turned_down = link.connection.is_turned_down();
                replaces && own(&link) && link.provision == Provision::Failed && !works && !turned_down
            }
        };
        if !as_decided && !self.is_off(Rule::R6) {
            return changed("the link is not what was decided on");
        }
        world.judge_put(held.object.uid);
        world.judge_claim(held);
        let renew = replaces && self.is_off(Rule::FailedRenewed);
        let (nonce, tag) = match world.link.filter(|_| replaces && !renew) {
            Some(link) => (link.nonce, link.tag),
            None => {
                world.nonces += 1;
                (world.nonces, held.object.recreate)
            }
        };
        self.send(world, at, held, Write::Put { replaces, nonce, tag });
        None
    }

    fn delete(&self, world: &mut World, at: u8, held: &Held, waives_fence: bool) -> Option<Outcome> {
        if self.is_busy(world, at) || self.flies_beside(world, at) {
            return changed("another change to the SignalR began");
        }
        if !self.same_object(world, at, held) {
            return changed("the object changed");
        }
        if let Some(refused) = self.withhold(world, at, Calls::Deletes) {
            return Some(refused);
        }
        let any = self.is_off(Rule::R6) || self.is_off(Rule::DeletesAnyMarker) || self.is_off(Rule::M1);
        let seen = held.link.flatten();
        let link = match world.link {
            Some(link) if any || seen.is_some_and(|seen| (seen.uid, seen.nonce) == (link.uid, link.nonce)) => link,
            _ => return changed("the link is not the one that was decided on"),
        };
        world.judge_delete(&link, held.object.uid);
        world.knows(at, |learned, _| learned.begin_delete(waives_fence));
        self.send(world, at, held, Write::Delete { nonce: link.nonce, owner: link.uid });
        None
    }

    /// R13: neither the last look nor the write is sent while ARM has asked to wait.
    fn withhold(&self, world: &mut World, at: u8, write: Calls) -> Option<Outcome> {
        let closed = self.held_back(world, at, Calls::Reads).or_else(|| self.held_back(world, at, write))?;
        Some(Outcome::NotApplied(ArmError::of(closed)))
    }

    /// R8: inside one process, a lane lets one write to the SignalR go at a time.
    fn flies_beside(&self, world: &mut World, at: u8) -> bool {
        let (process, _) = self.place(at);
        let beside = world.flights.iter().any(|flight| {
            let to_signalr = !matches!(flight.write, Write::Decide { .. });
            flight.awaited && to_signalr && flight.process == process && flight.worker != at
        });
        if beside && self.is_off(Rule::R8) {
            world.must_not("S13", "two writes of one process are on their way to one SignalR");
        }
        beside
    }

    fn decide(&self, world: &mut World, at: u8, held: &Held, decision: &Decision) -> Option<Outcome> {
        let (_, place) = self.place(at);
        world.knows(at, Learned::begin_decision);
        let now = world.now;
        if let Some(worker) = world.workers.get_mut(usize::from(at)) {
            let known = worker.known.as_deref().cloned().map(|known| Arc::new(known.with_decision(now)));
            worker.known = known;
        }
        if let Some(refused) = self.withhold(world, at, Calls::Writes) {
            return Some(refused);
        }
        let seen = match self.look_last(world, place, held, decision) {
            Ok(seen) => seen,
            Err(what) => return changed(what),
        };
        if held.object.force && decision.verdict == Verdict::Revoked {
            world.knows(at, |learned, _| learned.end_forced_revocation());
        }
        let nonce = wire::number_of(&decision.nonce);
        world.judge_decision(self, at, &seen, decision.verdict, held.object.uid, nonce);
        self.send(world, at, held, Write::Decide { verdict: decision.verdict, seen, nonce });
        None
    }

    /// The single reads before a decision, and the shipped judgement of them.
    fn look_last(&self, world: &World, place: u8, held: &Held, decision: &Decision) -> Result<Pec, &'static str> {
        if decision.verdict == Verdict::Revoked && self.is_off(Rule::M7) {
            return Err("M7 is off");
        }
        let name = wire::name_of(decision.connection.name());
        let Some(seen) = world.vault.iter().find(|pec| pec.name == name) else {
            return Err("the connection is gone");
        };
        if self.is_off(Rule::R6) {
            return Ok(*seen);
        }
        let object_name = NAMES.get(usize::from(place)).copied().unwrap_or_default();
        let live = world.object(place).map(|object| self.wire.desired(object, object_name));
        let (mut object, mut permissions) = (live, self.permissions(world.policies));
        let mut link = world.link.map(|link| self.link_as_read(&link));
        if self.is_off(Rule::M4) {
            link = held.link.flatten().map(|link| self.link_as_read(&link));
        }
        if self.is_off(Rule::M6) || self.is_off(Rule::R3) {
            object = Some(held.desired.clone());
        }
        if self.is_off(Rule::M6) {
            permissions = self.permissions(held.policies.unwrap_or(world.policies));
        }
        let Some(object) = object else { return Err("the object is gone") };
        let connection = self.wire.connection(&self.pec_as_read(seen, world.link.as_ref()));
        let last = LastLook {
            object: &object,
            link: link.as_ref(),
            permissions: &permissions,
            connection: connection.as_ref(),
        };
        let mut decision = decision.clone();
        decision.presumes_link_gone &= !self.is_off(Rule::OlderList);
        still_authorised(&held.desired, &decision, &last).map(|()| *seen)
    }

    fn send(&self, world: &mut World, at: u8, held: &Held, write: Write) {
        let (process, _) = self.place(at);
        let flight = Flight { worker: at, process, uid: held.object.uid, write, sent: world.now, awaited: true };
        world.flights.push(flight);
        if let Some(worker) = world.workers.get_mut(usize::from(at)) {
            worker.sent = true;
        }
    }

    /// The answer to the write that this worker waits for.
    pub fn answered(&self, world: &mut World, flight: &Flight, outcome: &Outcome) {
        let at = flight.worker;
        let Some(worker) = world.workers.get_mut(usize::from(at)) else { return };
        worker.sent = false;
        let Some(held) = worker.held.clone() else { return };
        let Some(plan) = held.plan.clone() else { return };
        let kind = plan.action.as_ref().map(Action::kind);
        if let Some(kind) = kind {
            self.reached.action(kind, matches!(outcome, Outcome::Applied(_)));
        }
        let to_signalr = !matches!(flight.write, Write::Decide { .. });
        let now = world.now;
        if let Some(process) = world.processes.get_mut(usize::from(flight.process)).filter(|_| to_signalr) {
            match outcome {
                Outcome::Applied(_) => process.occupant = Some(at),
                Outcome::Unknown(_) if !self.is_off(Rule::R5) => process.unknown = Some(now),
                _ => {}
            }
        }
        if matches!(outcome, Outcome::Applied(_)) {
            match flight.write {
                Write::Put { .. } => world.knows(at, Learned::accept_put),
                Write::Delete { .. } => world.knows(at, Learned::accept_delete),
                Write::Decide { .. } => {}
            }
        }
        self.end(world, at, &held, &plan, Some(outcome));
    }

    /// The end of a pass: what came of it is told, on the version that was read.
    pub(crate) fn end(&self, world: &mut World, at: u8, held: &Held, plan: &Plan, outcome: Option<&Outcome>) {
        let (_, place) = self.place(at);
        let plan = match outcome {
            Some(outcome) => conclude(&held.desired, &LIMITS, plan.clone(), outcome),
            None => plan.clone(),
        };
        world.ghost.alarmed |= plan.alarm.is_some();
        let stale = self.is_stale(world, at);
        if let Some(worker) = world.workers.get_mut(usize::from(at)) {
            (worker.held, worker.sent, worker.stale) = (None, false, false);
            (worker.alone, worker.twin_shown) = (false, false);
            if plan.again == Again::Never {
                (worker.known, worker.uid) = (None, 0);
            }
        }
        if plan.again == Again::Never {
            return;
        }
        let Some(report) = &plan.report else { return };
        self.reached.reason(report.reason);
        let Some(mut object) = world.object(place).copied().filter(|_| !stale) else { return };
        if object.uid != held.object.uid {
            world.must_not("S9", "status of an object of another uid was written");
        }
        let status = self.wire.told(&object.status, report, self.clock(world, at));
        if status.ready == Some(true) && object.status.ready != Some(true) {
            world.judge_ready(held);
        }
        if status != object.status {
            object.status = status;
            world.replace(place, Some(object), Some(at));
        }
    }
}

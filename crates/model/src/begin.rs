//! Where a run begins.

use signalr_private_link_core::azure::ConnectionState;

use crate::act::Act;
use crate::finalizers::{Finalizer, Finalizers};
use crate::space::{Begin, Layout, Space};
use crate::state::{Ghost, Object, Policies, Provision, Spl, Status, Tick, World};
use crate::work::{Flight, Process, Worker, Write};

/// More steps than an approval takes.
const STEPS: u32 = 200;

impl Space {
    /// A new object.
    #[must_use]
    pub fn object(&self, uid: u8, now: u16) -> Object {
        Object {
            uid,
            created: now,
            generation: 1,
            deleting: false,
            finalizers: Finalizers::default(),
            force: false,
            automatic: self.config.begin != Begin::Manual,
            observe: false,
            detach: false,
            recreate: 0,
            status: Status::default(),
        }
    }

    fn with_late_delete(&self, mut world: World) -> World {
        let [object, _] = &mut world.objects;
        let (Some(object), Some(link)) = (object, world.link) else { return world };
        object.deleting = true;
        world.flights.push(Flight {
            worker: 1,
            process: 1,
            uid: object.uid,
            write: Write::Delete { nonce: link.nonce, owner: link.uid },
            sent: world.now,
            awaited: false,
        });
        world
    }

    /// SignalR takes its time to send its request, and a stranger does not.
    fn with_copy_in_approval(&self, world: World) -> World {
        let mut world = World { budget: 1, ..world };
        for _ in 0..STEPS {
            if world.flights.iter().any(|flight| matches!(flight.write, Write::Decide { .. })) {
                break;
            }
            let was_held = world.workers.iter().any(|worker| worker.held.is_some());
            let act = match world.link.map(|link| link.provision) {
                _ if !world.flights.is_empty() => Act::Answer(0),
                Some(Provision::Creating) => Act::OperationEnds,
                Some(_) if world.vault.is_empty() => Act::Copy,
                _ => Act::Step(0),
            };
            let Some(after) = self.after(&world, act) else { break };
            world = after;
            if was_held && world.workers.iter().all(|worker| worker.held.is_none()) {
                self.advance(&mut world);
            }
        }
        World { budget: self.config.budget, ..world }
    }

    /// When the run begins: no process's clock is before the beginning of time.
    #[must_use]
    pub fn dawn(&self) -> Tick {
        self.config.clocks.iter().map(|ahead| ahead.min(&0).unsigned_abs()).max().unwrap_or_default()
    }

    /// Where the run begins.
    #[must_use]
    pub fn begin(&self) -> World {
        let worker = |at| Worker {
            process: self.place(at).0,
            place: self.place(at).1,
            known: None,
            uid: 0,
            held: None,
            sent: false,
            stale: false,
            first_alone: false,
            alone: false,
            twin_shown: false,
            cache: None,
        };
        let now = self.dawn();
        let process = Process {
            started: now,
            is_down: false,
            unknown: None,
            unknown_beside: None,
            occupant: None,
            gates: [None; 3],
        };
        let rivals = self.config.layout == Layout::Rivals;
        let first = now + u16::from(self.config.begin == Begin::SecondIsElder);
        let world = World {
            now: first,
            objects: [Some(self.object(1, first)), rivals.then(|| self.object(2, now))],
            link: None,
            beside: None,
            signalr_gone: false,
            vault: vec![],
            policies: Policies::Revoke,
            replica: false,
            processes: [process, process],
            workers: [worker(0), worker(1)],
            flights: vec![],
            budget: self.config.budget,
            visits: self.config.visits,
            uids: if rivals { 2 } else { 1 },
            nonces: 0,
            names: 0,
            ghost: Ghost::default(),
            broken: None,
        };
        match self.config.begin {
            Begin::Created | Begin::Manual | Begin::SecondIsElder => world,
            Begin::Unrequested => unrequested(world),
            Begin::Settled => self.at_rest(&world),
            Begin::LateDelete => self.with_late_delete(self.at_rest(&world)),
            Begin::Approving => self.with_copy_in_approval(world),
        }
    }
}

fn unrequested(mut world: World) -> World {
    let [object, _] = &mut world.objects;
    if let Some(object) = object {
        object.finalizers = object.finalizers.and(Finalizer::Ours);
        world.nonces = 1;
        world.link = Some(Spl {
            uid: object.uid,
            nonce: world.nonces,
            tag: object.recreate,
            provision: Provision::Succeeded,
            connection: ConnectionState::Pending,
            created: world.now,
            listed: true,
            requested: false,
            put_by: 0,
        });
    }
    world
}

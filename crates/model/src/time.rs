//! Time is an ordered set of deadlines: it goes on to the next one, and two worlds in which each wait has as long to go
//! are one world.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use signalr_private_link_core::Plan;
use signalr_private_link_core::action::Action;
use signalr_private_link_core::desired::ApprovalFacts;
use signalr_private_link_core::observed::Memory;
use signalr_private_link_core::report::{Fact, Report};

use crate::effect;
use crate::memory::AGES;
use crate::space::{Layout, Space};
use crate::state::{FENCE, Flight, Held, Object, Pec, SECONDS, Spl, Status, Text, Tick, World, Write};
use crate::wire;

/// The waits that are measured from a process's start: the fence has to have passed, and a read has to begin after it.
const STARTED: &[Tick] = &[1, FENCE, FENCE + 1];
/// From a write with an unknown outcome, and from one that may land late.
const LATE: &[Tick] = &[FENCE];
/// From the creation of a link.
const LINK: &[Tick] = &[FENCE];
/// From an approval of the operator's, by ARM's dates.
const APPROVED: &[Tick] = &[6, 24];

fn next(now: Tick, since: Tick, limits: &[Tick]) -> Option<Tick> {
    limits.iter().map(|limit| since.saturating_add(*limit)).filter(|at| *at > now).min()
}

fn age(now: Tick, since: Tick, limits: &[Tick]) -> Tick {
    let most = limits.iter().max().copied().unwrap_or_default();
    now.saturating_sub(since).min(most)
}

/// The limits of a configuration: `approval.timeout` is one of them only where people are impatient.
struct Waits {
    now: Tick,
    /// From `Provisioned`.
    provisioned: &'static [Tick],
    /// From a request, or an approval.
    asked: &'static [Tick],
    /// From the first of the two lists: status dates the request by it.
    sighting: &'static [Tick],
}

impl Waits {
    fn of(space: &Space, now: Tick) -> Self {
        if space.config.impatient {
            Self { now, provisioned: &[5, 24], asked: &[24], sighting: &[1, 24] }
        } else {
            Self { now, provisioned: &[5], asked: &[], sighting: &[1] }
        }
    }

    fn ages(&self) -> impl Iterator<Item = &'static [Tick]> {
        let sighting = self.sighting;
        (0..).zip(AGES).map(move |(at, limits)| if at == 9 { sighting } else { limits })
    }
}

impl Space {
    /// Time goes on to the next deadline; false when there is none.
    pub fn advance(&self, world: &mut World) -> bool {
        let now = world.now;
        let waits = Waits::of(self, now);
        let mut deadlines: Vec<Option<Tick>> = Vec::with_capacity(32);
        for process in world.processes.iter().take(usize::from(self.processes())) {
            deadlines.push(next(now, process.started, STARTED));
            deadlines.push(process.unknown.and_then(|at| next(now, at, LATE)));
        }
        for known in world.workers.iter().filter_map(|worker| worker.known.as_ref()) {
            for (since, limits) in known.digest.since.iter().zip(waits.ages()) {
                deadlines.push(since.and_then(|at| next(now, at, limits)));
            }
        }
        for object in world.objects.iter().flatten() {
            let status = &object.status;
            deadlines.push(status.provisioned.and_then(|at| next(now, at, waits.provisioned)));
            for asked in [status.requested, status.approved] {
                deadlines.push(asked.and_then(|at| next(now, at, waits.asked)));
            }
        }
        deadlines.extend(world.link.iter().map(|link| next(now, link.created, LINK)));
        deadlines.extend(world.flights.iter().map(|flight| next(now, flight.sent, LATE)));
        for pec in &world.vault {
            if let Text::Record { at, .. } = pec.text {
                deadlines.push(next(now, at, APPROVED));
            }
        }
        let Some(at) = deadlines.into_iter().flatten().min() else { return false };
        world.now = at;
        effect::expire(world);
        true
    }

    /// A number by which worlds are told apart. Two processes that work on one object are alike: which of them is which
    /// makes no difference.
    #[must_use]
    pub fn fingerprint(&self, world: &World) -> u64 {
        let mut hasher = DefaultHasher::new();
        let (h, waits) = (&mut hasher, Waits::of(self, world.now));
        for object in world.objects.iter().flatten() {
            hash_object(h, &waits, object, world.link.as_ref());
        }
        (world.objects.map(|object| object.is_some()), world.signalr_gone, world.policies, world.replica).hash(h);
        hash_link(h, world.now, world.link.as_ref());
        world.vault.iter().for_each(|pec| hash_pec(h, world.now, pec));
        let [a, b] = [self.hash_worker(&waits, world, 0), self.hash_worker(&waits, world, 1)];
        let alike = self.config.layout == Layout::Replicas && self.config.visits.is_none();
        (if alike { [a.min(b), a.max(b)] } else { [a, b] }).hash(h);
        (world.budget, world.visits, world.uids, world.nonces, world.names, world.ghost, world.broken).hash(h);
        hasher.finish()
    }

    fn hash_worker(&self, waits: &Waits, world: &World, at: u8) -> u64 {
        let mut hasher = DefaultHasher::new();
        let (h, now) = (&mut hasher, waits.now);
        if at >= self.workers() {
            return 0;
        }
        let Some(worker) = world.workers.get(usize::from(at)) else { return 0 };
        if let Some(process) = world.processes.get(usize::from(worker.process)) {
            age(now, process.started, STARTED).hash(h);
            (process.unknown.map(|at| age(now, at, LATE)), process.occupant.map(|other| other == at)).hash(h);
        }
        for flight in world.flights.iter().filter(|flight| flight.worker == at) {
            hash_flight(h, now, flight);
        }
        world.link.is_some_and(|link| link.put_by == worker.process).hash(h);
        (worker.uid, worker.sent, worker.stale, worker.first_alone, worker.alone, worker.twin_shown).hash(h);
        if let Some(cache) = &worker.cache {
            hash_object(h, waits, cache, world.link.as_ref());
        }
        if let Some(known) = &worker.known {
            let digest = &known.digest;
            for (since, limits) in digest.since.iter().zip(waits.ages()) {
                since.map(|at| age(now, at, limits)).hash(h);
            }
            (digest.flags, digest.failures, digest.sighting, digest.candidate, digest.confirmed, digest.shown).hash(h);
            // What the two lists showed matters between the second one and the decision.
            worker.held.as_ref().filter(|held| held.vault.is_some()).and(digest.repeated.map(|age| age.min(1))).hash(h);
        }
        if let Some(held) = &worker.held {
            hash_held(h, waits, world, held);
        }
        hasher.finish()
    }
}

fn hash_object(h: &mut DefaultHasher, waits: &Waits, object: &Object, link: Option<&Spl>) {
    let mut object = *object;
    object.status = status(waits, &object.status, link);
    // Compared with that of the rival only.
    object.created = u16::from(object.created > 0);
    object.hash(h);
}

/// A revocation counts against links that are not newer.
fn newer(waits: &Waits, link: Option<&Spl>, revoked: Tick) -> Tick {
    u16::from(link.is_some_and(|link| link.created > revoked)) << 1 | u16::from(revoked == waits.now)
}

fn status(waits: &Waits, status: &Status, link: Option<&Spl>) -> Status {
    let since = |at: Option<Tick>, limits| at.map(|at| age(waits.now, at, limits));
    Status {
        provisioned: since(status.provisioned, waits.provisioned),
        requested: since(status.requested, waits.asked),
        approved: since(status.approved, waits.asked),
        revoked: status.revoked.map(|at| newer(waits, link, at)),
        ..*status
    }
}

fn hash_link(h: &mut DefaultHasher, now: Tick, link: Option<&Spl>) {
    link.map(|link| Spl { created: age(now, link.created, LINK), put_by: 0, ..*link }).hash(h);
}

fn hash_pec(h: &mut DefaultHasher, now: Tick, pec: &Pec) {
    let mut pec = *pec;
    if let Text::Record { at, .. } = &mut pec.text {
        *at = age(now, *at, APPROVED);
    }
    pec.hash(h);
}

fn hash_flight(h: &mut DefaultHasher, now: Tick, flight: &Flight) {
    let mut flight = Flight { sent: age(now, flight.sent, LATE), worker: 0, process: 0, ..*flight };
    if let Write::Decide { seen, .. } = &mut flight.write
        && let Text::Record { at, .. } = &mut seen.text
    {
        *at = age(now, *at, APPROVED);
    }
    flight.hash(h);
}

/// A pass that is still reading is told apart by what it was handed, one that has decided by its decision.
fn hash_held(h: &mut DefaultHasher, waits: &Waits, world: &World, held: &Held) {
    let object = &held.object;
    (object.uid, object.generation, object.deleting, object.finalizer, object.force, object.recreate).hash(h);
    (object.automatic, object.observe, object.detach).hash(h);
    held.link.map(|link| link.map(|link| (link.uid, link.nonce, link.provision, link.connection))).hash(h);
    (held.next, held.policies, held.single.is_some()).hash(h);
    if let Some(plan) = &held.plan {
        for pec in held.vault.iter().flatten() {
            (pec.name, pec.text.bears()).hash(h);
        }
        return hash_plan(h, waits, world.link.as_ref(), plan);
    }
    status(waits, &object.status, world.link.as_ref()).hash(h);
    status(waits, &object.status, held.link.flatten().as_ref()).revoked.hash(h);
    let Memory { deleting_for, quarantine, .. } = &held.observed.memory;
    (deleting_for.map(|age| (age.as_secs() / SECONDS).min(8)), quarantine, held.faults).hash(h);
    (held.observed.late_write.map(|late| (late.left, late.told)), held.observed.signalr_busy).hash(h);
    held.observed.rivals.iter().for_each(|rival| (rival.manages, &rival.object.uid).hash(h));
    hash_link(h, held.listed, held.link.flatten().as_ref());
    // Its age counts against a revocation only.
    if let Some(single) = held.single.flatten() {
        hash_link(h, single.created, Some(&single));
        status(waits, &object.status, Some(&single)).revoked.hash(h);
    }
}

fn hash_plan(h: &mut DefaultHasher, waits: &Waits, link: Option<&Spl>, plan: &Plan) {
    (plan.alarm.is_some(), plan.again == signalr_private_link_core::Again::Never).hash(h);
    match &plan.action {
        None | Some(Action::AddFinalizer) => {}
        Some(Action::RemoveFinalizer { proven_by_get }) => proven_by_get.hash(h),
        Some(Action::PutLink { replaces, beside }) => (replaces.is_some(), beside).hash(h),
        Some(Action::DeleteLink { message, waives_fence }) => (message, waives_fence).hash(h),
        Some(Action::Decide(decision)) => {
            (decision.verdict, &decision.connection, &decision.endpoint, wire::number_of(&decision.nonce)).hash(h);
            // The description of an approved connection dates it; the connection itself is told apart by its age.
            decision.policy.as_ref().map(|policy| policy.generation).hash(h);
        }
    }
    plan.action.as_ref().map(Action::label).hash(h);
    if let Some(report) = &plan.report {
        hash_report(h, waits, link, report);
    }
}

fn hash_report(h: &mut DefaultHasher, waits: &Waits, link: Option<&Spl>, report: &Report) {
    report.reason.hash(h);
    if let Fact::Set(link) = &report.link {
        link.as_ref().map(|link| (&link.provisioning, link.connection)).hash(h);
    }
    if let Fact::Set(connection) = &report.connection {
        connection.as_ref().map(|facts| (&facts.id, &facts.endpoint, &facts.state)).hash(h);
    }
    if let Fact::Set(ApprovalFacts { requested_at, approved_at, approved_by, revoked_at, policy }) = &report.approval {
        for at in [requested_at, approved_at] {
            at.map(|at| age(waits.now, wire::tick(at), waits.asked)).hash(h);
        }
        (approved_by.map(|by| by as u8), revoked_at.map(|at| newer(waits, link, wire::tick(at))), policy).hash(h);
    }
}

//! Time is an ordered set of deadlines: it goes on to the next one, and two worlds in which each wait has as long to go
//! are one world.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use signalr_private_link_core::Plan;
use signalr_private_link_core::action::Action;
use signalr_private_link_core::desired::ApprovalFacts;
use signalr_private_link_core::observed::Memory;
use signalr_private_link_core::report::{Fact, Report};

use crate::effect;
use crate::memory::{AGES, DECIDED, Digest, SIGHTED};
use crate::space::{Layout, Space};
use crate::state::{FENCE, Object, Pec, SECONDS, Spl, Status, Text, Tick, World};
use crate::wire;
use crate::work::{Flight, Held, Write};

/// The waits that are measured from a process's start: the fence has to have passed, and a read has to begin after it.
const STARTED: &[Tick] = &[1, FENCE, FENCE + 1];
/// From a write with an unknown outcome, and from one that may land late.
const LATE: &[Tick] = &[FENCE];
/// From the creation of a link.
const LINK: &[Tick] = &[FENCE];
/// From an approval of the operator's, by ARM's dates.
const APPROVED: &[Tick] = &[6, 24];

/// Clocks are less apart than this; with the longest limit it takes six bits.
const APART: Tick = 32;

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
    /// The time of day in each process: what people wait for is measured by it.
    clocks: Vec<Tick>,
    /// From `Provisioned`.
    provisioned: &'static [Tick],
    /// From a request, or an approval.
    asked: &'static [Tick],
    /// From the first of the two lists: status dates the request by it.
    sighting: &'static [Tick],
}

impl Waits {
    fn of(space: &Space, world: &World) -> Self {
        let now = world.now;
        let clocks = (0..space.workers()).map(|at| space.clock(world, at)).collect();
        if space.config.impatient {
            Self { now, clocks, provisioned: &[5, 24], asked: &[24], sighting: &[1, 24] }
        } else {
            Self { now, clocks, provisioned: &[5], asked: &[], sighting: &[1] }
        }
    }

    /// What each age in [`Digest::since`](crate::memory::Digest) is measured by, for this worker, and its limits.
    fn ages(&self, worker: usize) -> impl Iterator<Item = (Tick, &'static [Tick])> {
        let (now, sighting) = (self.now, self.sighting);
        let clock = self.clocks.get(worker).copied().unwrap_or(now);
        (0..).zip(AGES).map(move |(at, limits)| if at == SIGHTED { (clock, sighting) } else { (now, limits) })
    }

    /// The next deadline of a time of day, by any process's clock.
    fn next(&self, since: Tick, limits: &[Tick]) -> Option<Tick> {
        let left = self.clocks.iter().filter_map(|clock| Some(next(*clock, since, limits)? - clock));
        left.min().map(|left| self.now + left)
    }

    /// The age of a time of day, by each process's clock. Another process's may be ahead.
    fn age(&self, since: Tick, limits: &[Tick]) -> Tick {
        let Some(most) = limits.iter().max() else { return 0 };
        let age = |clock: Tick| (clock + APART).saturating_sub(since).min(APART + most);
        self.clocks.iter().fold(0, |all, clock| all << 6 | age(*clock))
    }
}

impl Space {
    /// Time goes on to the next deadline; false when there is none.
    pub fn advance(&self, world: &mut World) -> bool {
        let now = world.now;
        let waits = Waits::of(self, world);
        let mut deadlines: Vec<Option<Tick>> = Vec::with_capacity(32);
        for process in world.processes.iter().take(usize::from(self.processes())) {
            deadlines.push(next(now, process.started, STARTED));
            for unknown in [process.unknown, process.unknown_beside] {
                deadlines.push(unknown.and_then(|at| next(now, at, LATE)));
            }
            deadlines.extend(process.gates.map(|until| until.filter(|until| *until > now)));
        }
        for (at, worker) in world.workers.iter().enumerate() {
            let Some(known) = &worker.known else { continue };
            for (since, (clock, limits)) in known.digest.since.iter().zip(waits.ages(at)) {
                deadlines.push(since.and_then(|at| Some(now + (next(clock, at, limits)? - clock))));
            }
        }
        for object in world.objects.iter().flatten() {
            let status = &object.status;
            deadlines.push(status.provisioned.and_then(|at| waits.next(at, waits.provisioned)));
            for asked in [status.requested, status.approved] {
                deadlines.push(asked.and_then(|at| waits.next(at, waits.asked)));
            }
        }
        deadlines.extend(world.link.iter().chain(&world.beside).map(|link| next(now, link.created, LINK)));
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
        let (h, waits) = (&mut hasher, Waits::of(self, world));
        for (at, object) in (0..).zip(&world.objects) {
            let Some(object) = object else { continue };
            let object = Object { created: u16::from(object.created > self.dawn()), ..*object };
            hash_object(h, &waits, &object, self.claimed(world, at));
        }
        (world.objects.map(|object| object.is_some()), world.signalr_gone, world.policies, world.replica).hash(h);
        hash_link(h, world.now, world.link.as_ref());
        hash_link(h, world.now, world.beside.as_ref());
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
        let link = self.claimed(world, worker.place);
        if let Some(process) = world.processes.get(usize::from(worker.process)) {
            age(now, process.started, STARTED).hash(h);
            for unknown in [process.unknown, process.unknown_beside] {
                unknown.map(|at| age(now, at, LATE)).hash(h);
            }
            (process.is_down, process.occupant.map(|other| other == at)).hash(h);
            process.gates.map(|until| until.and_then(|until| until.checked_sub(now)).filter(|left| *left > 0)).hash(h);
        }
        for flight in world.flights.iter().filter(|flight| flight.worker == at) {
            hash_flight(h, now, flight);
        }
        link.is_some_and(|link| link.put_by == worker.process).hash(h);
        (worker.uid, worker.sent, worker.stale, worker.first_alone, worker.alone, worker.twin_shown).hash(h);
        if let Some(cache) = &worker.cache {
            let cache = Object { created: u16::from(cache.created > self.dawn()), ..*cache };
            hash_object(h, waits, &cache, link);
        }
        if let Some(known) = &worker.known {
            let digest = &known.digest;
            for (since, (clock, limits)) in digest.since.iter().zip(waits.ages(usize::from(at))) {
                since.map(|at| age(clock, at, limits)).hash(h);
            }
            (digest.flags, digest.failures, digest.sighting, digest.candidate, digest.confirmed, digest.shown).hash(h);
            // What the two lists showed matters between the second one and the decision.
            worker.held.as_ref().filter(|held| held.vault.is_some()).and(digest.repeated.map(|age| age.min(1))).hash(h);
        }
        if let Some(held) = &worker.held {
            hash_held(h, waits, link, held);
            if let Some(page) = &held.page {
                let digest = worker.known.as_ref().map(|known| known.digest);
                let process = world.processes.get(usize::from(worker.process));
                let clock = page.begun + self.clock(world, at) - now;
                process.map(|process| age(page.begun, process.started, STARTED)).hash(h);
                digest.map(|digest| since_then(&digest, page.begun, clock)).hash(h);
                hash_link(h, now, page.link.as_ref());
                page.vault.iter().for_each(|pec| hash_pec(h, now, pec));
            }
        }
        hasher.finish()
    }

    /// The link that the object in this place claims.
    fn claimed<'w>(&self, world: &'w World, place: u8) -> Option<&'w Spl> {
        let beside = place == 1 && self.config.layout == Layout::Tenants;
        if beside { world.beside.as_ref() } else { world.link.as_ref() }
    }
}

/// What the first page of a list is compared with: the first of M5's two lists, and a decision that was sent.
fn since_then(digest: &Digest, begun: Tick, clock: Tick) -> [Option<Tick>; 2] {
    let since = |at: usize, now| Some(age(now, digest.since.get(at).copied()??, AGES.get(at)?));
    [since(SIGHTED, clock), since(DECIDED, begun)]
}

fn hash_object(h: &mut DefaultHasher, waits: &Waits, object: &Object, link: Option<&Spl>) {
    let mut object = *object;
    object.status = status(waits, &object.status, link);
    object.hash(h);
}

/// A revocation counts against links that are not newer.
fn newer(waits: &Waits, link: Option<&Spl>, revoked: Tick) -> Tick {
    u16::from(link.is_some_and(|link| link.created > revoked)) << 1 | u16::from(revoked == waits.now)
}

fn status(waits: &Waits, status: &Status, link: Option<&Spl>) -> Status {
    let since = |at: Option<Tick>, limits| at.map(|at| waits.age(at, limits));
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
fn hash_held(h: &mut DefaultHasher, waits: &Waits, link: Option<&Spl>, held: &Held) {
    let object = &held.object;
    (object.uid, object.generation, object.deleting, object.finalizers, object.force, object.recreate).hash(h);
    (object.automatic, object.observe, object.detach).hash(h);
    held.link.map(|link| link.map(|link| (link.uid, link.nonce, link.provision, link.connection))).hash(h);
    (held.next, held.policies, held.single.is_some()).hash(h);
    if let Some(plan) = &held.plan {
        for pec in held.vault.iter().flatten() {
            (pec.name, pec.text.bears()).hash(h);
        }
        return hash_plan(h, waits, link, plan);
    }
    status(waits, &object.status, link).hash(h);
    status(waits, &object.status, held.link.flatten().as_ref()).revoked.hash(h);
    let Memory { deleting_for, quarantine, .. } = &held.observed.memory;
    (deleting_for.map(|age| (age.as_secs() / SECONDS).min(8)), quarantine, held.faults).hash(h);
    (held.observed.late_write.map(|late| (late.left, late.told)), held.observed.signalr_busy).hash(h);
    held.rivals.iter().for_each(|rival| (rival.manages, &rival.object.uid).hash(h));
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
            at.map(|at| waits.age(wire::tick(at), waits.asked)).hash(h);
        }
        (approved_by.map(|by| by as u8), revoked_at.map(|at| newer(waits, link, wire::tick(at))), policy).hash(h);
    }
}

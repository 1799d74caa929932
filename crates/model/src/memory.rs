//! What a process knows of an object: the shipped [`Learned`], and the same as numbers, by which states are told apart.

use std::time::Duration;

use signalr_private_link_core::memory::{Learned, Moment};

use crate::state::{LIMITS, SECONDS, Tick};
use crate::wire;

/// The shipped memory of one object, with its digest.
#[derive(Debug, Clone)]
pub struct Known {
    /// As shipped.
    pub learned: Learned,
    /// The same as numbers.
    pub digest: Digest,
}

/// All of [`Learned`] that a decision can depend on. Times are ticks of the world's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Yes and no.
    pub flags: u8,
    /// See [`AGES`].
    pub since: [Option<Tick>; 12],
    /// The failed operations in a row.
    pub failures: u32,
    /// The first of M5's two lists: connection, and a hash of what it showed.
    pub sighting: Option<u64>,
    /// How long lies between the two lists.
    pub repeated: Option<u16>,
    /// The nonce, and the connection first seen alone with it.
    pub candidate: Option<(u8, u8)>,
    /// Nonces seen Approved.
    pub confirmed: u32,
    /// A hash of what the vault showed.
    pub shown: u64,
}

/// After how many ticks each age in [`Digest::since`] makes no difference any more, and at which it does: being deleted, deleted,
/// accepted, SignalR absent, vault absent, running, failed, turned down, decision sent, first sighting, operation
/// failed, another link running.
pub const AGES: [&[Tick]; 12] =
    [&[1, 3, 8], &[4], &[3], &[2], &[2], &[4, 8], &[4, 6, 8], &[6, 24], &[3], &[1], &[4, 6, 8], &[8]];

/// Where [`Digest::since`] tells when a decision was sent.
pub const DECIDED: usize = 8;
/// Where it tells the first sighting, by the time of day in the process.
pub const SIGHTED: usize = 9;

/// The moment of a process that started then.
#[must_use]
pub fn moment(started: Tick, now: Tick) -> Moment {
    Duration::from_secs(u64::from(now.saturating_sub(started)) * SECONDS)
}

fn ticks(age: Duration) -> Tick {
    Tick::try_from(age.as_secs() / SECONDS).unwrap_or(Tick::MAX)
}

impl Known {
    /// A memory that begins with this read.
    #[must_use]
    pub fn new(inherited: bool, started: Tick, now: Tick) -> Self {
        let known = Self { learned: Learned::new(inherited, moment(started, now)), digest: Digest::default() };
        known.digested(started, now, None)
    }

    /// The same, after it has learned something.
    #[must_use]
    pub fn after(&self, started: Tick, now: Tick, lesson: impl FnOnce(&mut Learned, Moment)) -> Self {
        let mut learned = self.learned.clone();
        lesson(&mut learned, moment(started, now));
        let decided = self.digest.since.get(DECIDED).copied().flatten();
        Self { learned, digest: Digest::default() }.digested(started, now, decided)
    }

    /// Takes note that a decision was sent: [`Learned`] does not tell that.
    #[must_use]
    pub fn with_decision(mut self, now: Tick) -> Self {
        if let Some(decided) = self.digest.since.get_mut(DECIDED) {
            *decided = Some(now);
        }
        self
    }

    fn digested(mut self, started: Tick, now: Tick, decided: Option<Tick>) -> Self {
        // As it reads a tick later: what began now then differs from what has not begun.
        let later = now.saturating_add(1);
        let memory = self.learned.recall(&LIMITS, moment(started, later));
        let then = |age: Option<Duration>| age.map(|age| later.saturating_sub(ticks(age)));
        let lasting = |age: Duration| then(Some(age).filter(|age| !age.is_zero()));
        let first = self.learned.first_sighting();
        let failed = memory.failed_operation.as_ref();
        let mut flags = 0u8;
        for flag in [
            self.learned.is_inherited(),
            memory.fence_waived,
            memory.forced_revocation_tried,
            memory.vault_refused,
            memory.approval_ruled_out,
            memory.shown.is_some(),
        ] {
            flags = flags << 1 | u8::from(flag);
        }
        self.digest = Digest {
            flags,
            since: [
                then(memory.deleting_for),
                then(memory.deleted_for),
                then(memory.accepted_for),
                then(memory.signalr_absent_for),
                then(memory.vault_absent_for),
                lasting(memory.running_for),
                lasting(memory.failed_for),
                then(memory.refused_for),
                decided,
                first.map(|first| wire::tick(first.at)),
                then(failed.map(|failed| failed.ago)),
                lasting(memory.others_running_for),
            ],
            failures: failed.map_or(0, |failed| failed.count),
            sighting: first.map(|first| wire::hash(&(&first.connection, &first.endpoint, &first.message))),
            repeated: memory.sighting.as_ref().map(|second| ticks(second.age)),
            candidate: memory.candidate.as_ref().map(|(nonce, id)| (wire::number_of(nonce), wire::name_of(id.name()))),
            confirmed: memory.confirmed.iter().fold(0, |all, nonce| all | 1 << (wire::number_of(nonce) & 31)),
            shown: memory.shown.flatten().map_or(0, |facts| wire::hash(&(facts.id, facts.endpoint, facts.state))),
        };
        self
    }
}

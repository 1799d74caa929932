//! What a whole run is like, beside its scenario.

use std::time::Duration;

use crate::calls::Strike;

/// What a whole run is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    pub strike: Strike,
    pub watch: Watch,
    /// The machine's clock is an hour ahead of Azure's.
    pub clock_ahead: bool,
    /// The watch's store is a minute behind.
    pub stale_cache: bool,
    /// Requests and answers take their time, so that what happens overlaps.
    pub slow: bool,
    /// What happens by chance depends on it.
    pub seed: u64,
}

impl Circumstances {
    pub fn struck(strike: Strike) -> Self {
        Self { strike, ..Self::default() }
    }
}

/// How faithfully the watch tells of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watch {
    /// At once, each one.
    #[default]
    Faithful,
    /// It loses every event; only its lists, every ten minutes, show what is there.
    Dropping,
    /// Each event comes three times.
    Duplicating,
    /// Every second event comes late, after those that followed it.
    Reordering,
    /// It expires (410) and lists again every 20 seconds.
    Relisting,
}

impl Watch {
    /// How long each delivery of an event takes; none, if it is lost.
    pub fn delays(self, passes: usize) -> &'static [Duration] {
        const AT_ONCE: Duration = Duration::ZERO;
        const SOON: Duration = Duration::from_secs(1);
        const LATE: Duration = Duration::from_secs(40);
        match self {
            Self::Faithful | Self::Relisting => &[AT_ONCE],
            Self::Dropping => &[],
            Self::Duplicating => &[AT_ONCE, SOON, LATE],
            Self::Reordering if passes.is_multiple_of(2) => &[LATE],
            Self::Reordering => &[AT_ONCE],
        }
    }

    pub fn lists_every(self) -> Option<Duration> {
        match self {
            Self::Dropping => Some(Duration::from_secs(600)),
            Self::Relisting => Some(Duration::from_secs(20)),
            Self::Faithful | Self::Duplicating | Self::Reordering => None,
        }
    }
}

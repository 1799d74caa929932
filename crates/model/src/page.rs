//! A list is read in two pages, and what changes between them may be seen as it was, as it is, twice, or not at all.
//! As `ArmClient::pages` puts a list together: all pages one after the other, with the `Date` of the last one.

use signalr_private_link_core::observed::Read;

use crate::space::Space;
use crate::state::{Pec, Spl, Tick, World};
use crate::work::Held;

/// What stood there when the first page was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Page {
    /// When that was.
    pub begun: Tick,
    /// The link, as lists show it.
    pub link: Option<Spl>,
    /// The vault's connections.
    pub vault: Vec<Pec>,
}

/// How a list shows what has changed since its first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// As it is: it stood on the second page both times.
    Later,
    /// As it was: it stood on the first page both times.
    Earlier,
    /// As it was and as it is: it has moved to the second page.
    Twice,
    /// Not at all: it has moved to the first page.
    Never,
}

impl Cut {
    /// The list of two states of it: what has not changed is shown, and once.
    fn list<T: Copy + PartialEq>(self, earlier: &[T], later: &[T]) -> Vec<T> {
        let new = || later.iter().filter(|one| !earlier.contains(one));
        match self {
            Self::Later => later.to_vec(),
            Self::Earlier => earlier.to_vec(),
            Self::Twice => earlier.iter().chain(new()).copied().collect(),
            Self::Never => earlier.iter().filter(|one| later.contains(one)).copied().collect(),
        }
    }
}

impl World {
    /// The link, as lists show it.
    #[must_use]
    pub fn listed(&self) -> Option<Spl> {
        self.link.filter(|link| link.listed)
    }

    fn page(&self) -> Page {
        Page { begun: self.now, link: self.listed(), vault: self.vault.clone() }
    }
}

impl Space {
    /// Whether the next step of this pass reads the first page of a list.
    pub(crate) fn begins_list(&self, held: &Held) -> bool {
        self.config.pages && held.page.is_none() && matches!(held.next, Some(Read::Links | Read::Connections))
    }

    /// Reads the first page.
    pub(crate) fn read_first_page(&self, world: &mut World, at: u8) {
        let page = world.page();
        let Some(worker) = world.workers.get_mut(usize::from(at)) else { return };
        if let Some(held) = &mut worker.held {
            std::sync::Arc::make_mut(held).page = Some(page);
        }
    }

    /// The other ways in which the list that this worker reads may show what has changed.
    pub(crate) fn cuts(&self, world: &World, at: u8) -> &'static [Cut] {
        let held = world.workers.get(usize::from(at)).and_then(|worker| worker.held.as_ref());
        let has_changed = held.is_some_and(|held| match (&held.page, held.next) {
            (Some(page), Some(Read::Links)) => page.link != world.listed(),
            (Some(page), Some(Read::Connections)) => page.vault != world.vault,
            _ => false,
        });
        if has_changed { &[Cut::Earlier, Cut::Twice, Cut::Never] } else { &[] }
    }
}

/// The link, as often as the list shows it.
pub(crate) fn links(world: &World, held: &Held, cut: Cut) -> Vec<Spl> {
    let later: Vec<Spl> = world.listed().into_iter().collect();
    let earlier = held.page.as_ref().map_or(later.clone(), |page| page.link.into_iter().collect());
    cut.list(&earlier, &later)
}

/// The connections, as often as the list shows them.
pub(crate) fn connections(world: &World, held: &Held, cut: Cut) -> Vec<Pec> {
    held.page.as_ref().map_or_else(|| world.vault.clone(), |page| cut.list(&page.vault, &world.vault))
}

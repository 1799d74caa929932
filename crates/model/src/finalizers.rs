//! The finalizers of an object: a list in which the operator's own is one of several.

/// Whose finalizer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Finalizer {
    Ours,
    Foreign,
}

/// The list, in its order: ours, and one of somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Finalizers([Option<Finalizer>; 2]);

impl Finalizers {
    fn list(self) -> impl Iterator<Item = Finalizer> {
        self.0.into_iter().flatten()
    }

    fn of(list: impl Iterator<Item = Finalizer>) -> Self {
        let mut all = list.fuse();
        Self([all.next(), all.next()])
    }

    /// Whether nothing holds the object.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.list().next().is_none()
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(self, wanted: Finalizer) -> bool {
        self.position(wanted).is_some()
    }

    /// Where it stands.
    #[must_use]
    pub fn position(self, wanted: Finalizer) -> Option<usize> {
        self.list().position(|one| one == wanted)
    }

    /// The one that stands there.
    #[must_use]
    pub fn at(self, index: usize) -> Option<Finalizer> {
        self.list().nth(index)
    }

    /// With one more, at the end.
    #[must_use]
    pub fn and(self, more: Finalizer) -> Self {
        Self::of(self.list().chain([more]))
    }

    /// With one more, at the beginning.
    #[must_use]
    pub fn after(self, first: Finalizer) -> Self {
        Self::of([first].into_iter().chain(self.list()))
    }

    /// Without the one that stands there.
    #[must_use]
    pub fn without_index(self, index: usize) -> Self {
        Self::of(self.list().enumerate().filter(|(at, _)| *at != index).map(|(_, one)| one))
    }

    /// Without this one.
    #[must_use]
    pub fn without(self, other: Finalizer) -> Self {
        Self::of(self.list().filter(|one| *one != other))
    }
}

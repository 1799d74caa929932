//! A value behind a lock that a panic does not poison: each change of such a value is whole, and a pass that
//! panics ends alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value that several tasks change, each for a moment.
#[derive(Debug, Default)]
pub struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    /// Puts a value behind a lock.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value, for as long as the guard lives; never held over an `await`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

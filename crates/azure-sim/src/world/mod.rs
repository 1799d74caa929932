//! The state of the simulated Azure, and how it moves by itself. Nothing here knows HTTP; the
//! time is an argument everywhere.

mod advance;
mod change;
mod model;
mod truth;

pub use change::Refusal;
pub use model::{
    Connection, Level, Link, Lock, Opener, Operation, OperationKind, Outcome, Pending, SignalR, Vault, World, key,
};
pub use truth::{Truth, Write};

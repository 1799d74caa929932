//! Approval from the attacker's side: T1 to T6 of the threat model, against the shipped decision.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attacks;
mod consistent;
mod model;
mod twins;

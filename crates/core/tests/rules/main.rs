//! The rules of the decision, beside those that have a table or a model of their own: a file for each part of it, all in
//! one binary, for `make mutants` builds it anew for each mutant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// The tables beside this directory use the rest of it.
#[allow(dead_code)]
#[path = "../world/mod.rs"]
mod world;

mod deletions;
mod functional;
mod last_look;
mod learned;
mod lives;
mod outcomes;
mod policies;
mod reports;
mod requests;
mod unconfirmed;

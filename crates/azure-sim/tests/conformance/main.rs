//! Holds the simulator against what is known of Azure: its OpenAPI definitions, recorded traffic,
//! and the rules that both leave out.
//!
//! Definitions and recordings are Microsoft's and not part of this repository. They are looked for
//! in `AZURE_FACTS_DIR`; without them those tests say so and pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod azure;
mod connections;
mod facts;
mod links;
mod recordings;
mod rules;
mod schema;
mod specifications;

//! A simulator of the part of Azure that a private link from SignalR to a key vault touches:
//! Azure Resource Manager for SignalR, vaults and the private endpoint connections between them,
//! and the token endpoint, over TLS on one loopback port; and a control endpoint on another, for
//! everything that people and time do in the real Azure.
//!
//! It behaves as recorded traffic shows, oddities included, and shares no code with the operator.
//! `docs/azure-sim.md` tells how to use it.

pub mod clock;
pub mod config;
pub mod faults;
pub mod identity;
pub mod server;
pub mod world;

mod arm;
mod assertion;
mod control;
mod entra;
mod in_process;
mod reply;
mod requests;
mod sim;
mod throttle;
mod tls;

pub use config::Config;
pub use in_process::InProcess;
pub use server::Server;

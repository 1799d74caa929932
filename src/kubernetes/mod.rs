//! The Kubernetes side: a client, live reads, and writes that are all conditional (R4).

mod client;
mod events;
mod objects;
mod outage;

pub use client::{connect, deadline};
pub use events::Events;
pub(crate) use objects::within;
pub use objects::{KubeFailure, NamespaceFacts, Objects, Written};
pub use outage::Outage;

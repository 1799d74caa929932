//! A Kubernetes operator that turns one manifest into a working private link from an Azure
//! SignalR Service to a key vault. `docs/architecture.md` tells how.

pub mod api;
pub mod azure;
pub mod config;
pub mod controller;
pub mod doctor;
pub mod health;
pub mod kubernetes;
pub mod lease;
mod locked;
pub mod metrics;
pub mod news;
pub mod operator;
pub mod permissions;
mod queue;
pub mod reconcile;
pub mod telemetry;

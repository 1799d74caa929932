//! Azure Resource Manager, as the operator speaks it: one attempt per call, a deadline, tokens to
//! the configured host only, and failures that are typed before anybody decides on them.

mod budget;
mod call;
mod certificate;
mod client;
mod cloud;
mod credential;
mod entra;
mod error;
mod gate;
mod key_vault;
mod look;
mod operation;
mod share;
mod signalr;
mod silence;
mod token;
mod told;
mod transport;

pub use budget::Turn;
pub use call::{Answer, CallKind, WriteKind};
pub use client::{ArmClient, ArmSetup, DEADLINE};
pub use cloud::{ApiVersions, Cloud, CloudSettings, CredentialKind, KEY_VAULT_API_VERSION, SIGNALR_API_VERSION};
pub use credential::token_source;
pub(crate) use error::causes;
pub use look::Look;
pub use operation::FollowedOperation;
pub use share::{Reads, Shared};
pub use token::TokenSource;
pub use transport::{Lost, Transport, http_client};

//! The two kinds that users write, and how a spec becomes what the core decides on.

mod approval_policy;
mod crd;
mod link;
mod parse;
mod status;
mod stored;
mod watched;

pub use approval_policy::{
    ApprovalPolicy, ApprovalPolicySpec, ApprovalPolicyStatus, NamespaceSelection, OnUnconfirmed,
};
pub use crd::crds;
pub use link::{
    AdoptionPolicy, ApprovalMode, ApprovalSpec, ApprovalStatus, DeletionPolicy, GroupId, KeyVaultConnectionStatus,
    ManagementPolicy, SignalRSharedPrivateLink, SignalRSharedPrivateLinkSpec, SignalRSharedPrivateLinkStatus,
    TargetReference,
};
pub(crate) use parse::forced_to_go;
pub use parse::{desired, policy};
pub use signalr_private_link_core::annotation::{
    FINALIZER, FLUX_RECONCILE_ANNOTATION, FORCE_FINALIZE_ANNOTATION, RECONCILE_ANNOTATION, RECREATE_ANNOTATION,
};
pub use status::{AsTold, render};
pub use stored::Stored;
pub use watched::Watched;

/// The API group of both kinds.
pub const GROUP: &str = "privatelink.signalr-operator.io";

//! The two kinds that users write, and how a spec becomes what the core decides on.

mod approval_policy;
mod crd;
mod link;
mod parse;
mod status;
mod stored;

pub use approval_policy::{
    ApprovalPolicy, ApprovalPolicySpec, ApprovalPolicyStatus, NamespaceSelection, OnUnconfirmed,
};
pub use crd::crds;
pub use link::{
    AdoptionPolicy, ApprovalMode, ApprovalSpec, ApprovalStatus, DeletionPolicy, GroupId, KeyVaultConnectionStatus,
    ManagementPolicy, SignalRSharedPrivateLink, SignalRSharedPrivateLinkSpec, SignalRSharedPrivateLinkStatus,
    TargetReference,
};
pub use parse::{desired, policy};
pub(crate) use parse::{forced_to_go, identity};
pub use status::{AsTold, render};
pub use stored::Stored;

/// The API group of both kinds.
pub const GROUP: &str = "privatelink.signalr-operator.io";
/// The operator's one finalizer.
pub const FINALIZER: &str = "privatelink.signalr-operator.io/azure-link";
/// Look now: any new value; echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "privatelink.signalr-operator.io/reconcile-requested-at";
/// Flux's annotation of the same meaning.
pub const FLUX_RECONCILE_ANNOTATION: &str = "reconcile.fluxcd.io/requestedAt";
/// Delete and create an own link that is Rejected, Disconnected or Failed, once per value.
pub const RECREATE_ANNOTATION: &str = "privatelink.signalr-operator.io/recreate-requested-at";
/// Let the object go without Azure; the value is the object's own uid.
pub const FORCE_FINALIZE_ANNOTATION: &str = "privatelink.signalr-operator.io/force-finalize";

//! The annotations by which people ask something of one object, and the operator's finalizer.

/// Look now: any new value; echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "privatelink.signalr-operator.io/reconcile-requested-at";
/// Flux's annotation of the same meaning.
pub const FLUX_RECONCILE_ANNOTATION: &str = "reconcile.fluxcd.io/requestedAt";
/// Delete and create an own link that is Rejected, Disconnected or Failed, once per value.
pub const RECREATE_ANNOTATION: &str = "privatelink.signalr-operator.io/recreate-requested-at";
/// Let the object go without Azure; the value is the object's own uid.
pub const FORCE_FINALIZE_ANNOTATION: &str = "privatelink.signalr-operator.io/force-finalize";
/// Holds an object until its link is deleted, or may stay.
pub const FINALIZER: &str = "privatelink.signalr-operator.io/azure-link";

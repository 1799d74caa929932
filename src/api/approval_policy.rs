//! `ApprovalPolicy`: what an administrator lets the operator approve.

// Each printer column repeats the keys of the others.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which links the operator may approve on the key vault's side. Nothing is approved
/// automatically unless one policy permits namespace, SignalR and key vault together.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privatelink.signalr-operator.io",
    version = "v1alpha1",
    kind = "ApprovalPolicy",
    plural = "approvalpolicies",
    shortname = "splap",
    category = "azure",
    status = "ApprovalPolicyStatus",
    derive = "PartialEq",
    doc = "What the operator may approve on key vaults, by namespace, SignalR, key vault and the subscription of the private endpoint. Written by administrators only.",
    printcolumn(name = "Confirm", type_ = "string", json_path = ".spec.confirmWithin"),
    printcolumn(name = "Unconfirmed", type_ = "string", json_path = ".spec.onUnconfirmed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPolicySpec {
    /// The namespaces whose links may be approved, by name or by label; either permits.
    #[x_kube(validation = Rule::new("(has(self.names) && size(self.names) > 0) || (has(self.selector) && ((has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0) || (has(self.selector.matchExpressions) && size(self.selector.matchExpressions) > 0)))").message("spec.namespaces permits nothing: give names, or a selector with at least one label or expression"))]
    pub namespaces: NamespaceSelection,
    /// Patterns for the SignalR's resource id. A * stands for any characters within one segment
    /// of the id; a last segment that is * alone stands for all the rest.
    #[serde(rename = "signalR")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 512), regex(pattern = r"^/subscriptions/[^/]+(/[^/]+)+$"))
    )]
    pub signal_r: Vec<String>,
    /// Patterns for the key vault's resource id, of the same form.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 512), regex(pattern = r"^/subscriptions/[^/]+(/[^/]+)+$"))
    )]
    pub key_vaults: Vec<String>,
    /// The subscriptions in which SignalR's own private endpoints live. The status of a link that
    /// a person approved names it. * permits any, which is seldom right.
    #[schemars(
        length(min = 1, max = 64),
        inner(
            length(max = 36),
            regex(pattern = r"^(\*|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$")
        )
    )]
    pub endpoint_subscriptions: Vec<String>,
    /// How long SignalR may take to confirm an approval, at least 15m.
    #[serde(default = "confirm_within")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('15m')").message(Message::Expression("'spec.confirmWithin ' + self + ' is too short; SignalR may take minutes to confirm, so it is at least 15m'".into())))]
    pub confirm_within: String,
    /// What to do when it does not: `Revoke` the approval, or `Hold` and only raise the alarm.
    #[serde(default)]
    pub on_unconfirmed: OnUnconfirmed,
}

fn confirm_within() -> String {
    "60m".to_owned()
}

/// Namespaces by name or by label.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelection {
    /// Names of namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub names: Vec<String>,
    /// Labels of namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What to do about an approval that SignalR does not confirm.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnUnconfirmed {
    /// Set the connection Rejected.
    #[default]
    Revoke,
    /// Only raise the alarm.
    Hold,
}

/// What the operator makes of the policy.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalPolicyStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

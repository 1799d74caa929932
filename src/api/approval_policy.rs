//! `ApprovalPolicy`: what an administrator lets the operator approve.

// Each printer column repeats the keys of the others.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a pattern may look like, so that it can match the id of such a resource, and does not
/// match all of them: with any subscription, the resource group or the resource has to be named.
macro_rules! pattern {
    ($provider:literal, $kind:literal) => {
        concat!(
            "(?i)^/subscriptions/(",
            guid!(),
            "(/resourceGroups)?/[*]|",
            guid!(),
            "/resourceGroups/[a-z0-9._()*-]*[a-z0-9_()*-]/",
            rest!($provider, $kind),
            "|[*]/resourceGroups/[a-z0-9._()*-]*[a-z0-9][a-z0-9_()*-]*/",
            rest!($provider, $kind),
            "|[*]/resourceGroups/[a-z0-9._()*-]*[a-z0-9_()*-]/providers/",
            $provider,
            "/",
            $kind,
            "/[a-z0-9*-]*[a-z0-9][a-z0-9*-]*)$"
        )
    };
}

macro_rules! guid {
    () => {
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    };
}

macro_rules! rest {
    ($provider:literal, $kind:literal) => {
        concat!("([*]|providers/([*]|", $provider, "/([*]|", $kind, "/[a-z0-9*-]+)))")
    };
}

macro_rules! signalr_pattern {
    () => {
        pattern!("microsoft[.]signalrservice", "signalr")
    };
}

macro_rules! vault_pattern {
    () => {
        pattern!("microsoft[.]keyvault", "vaults")
    };
}

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
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Links", type_ = "integer", json_path = ".status.permittedLinks"),
    printcolumn(name = "Warning", type_ = "string", json_path = ".status.warnings[0]", priority = 1),
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
    #[schemars(length(min = 1, max = 64), inner(length(max = 512)))]
    #[x_kube(validation = Rule::new(concat!("self.all(p, p.matches('", signalr_pattern!(), "'))")).message(Message::Expression(concat!("'spec.signalR ' + self.filter(p, !p.matches('", signalr_pattern!(), "'))[0] + ' can never match a SignalR, or matches everything; give /subscriptions/<guid>/*, /subscriptions/<guid>/resourceGroups/<name>/* or a whole id, with * for any characters within one segment after the subscription'").into())))]
    pub signal_r: Vec<String>,
    /// Patterns for the key vault's resource id, of the same form.
    #[schemars(length(min = 1, max = 64), inner(length(max = 512)))]
    #[x_kube(validation = Rule::new(concat!("self.all(p, p.matches('", vault_pattern!(), "'))")).message(Message::Expression(concat!("'spec.keyVaults ' + self.filter(p, !p.matches('", vault_pattern!(), "'))[0] + ' can never match a key vault, or matches everything; give /subscriptions/<guid>/*, /subscriptions/<guid>/resourceGroups/<name>/* or a whole id, with * for any characters within one segment after the subscription'").into())))]
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
    #[x_kube(validation = Rule::new("size(self) == 1 || !self.exists(s, s == '*')").message("spec.endpointSubscriptions has * beside ids: * permits endpoints in any subscription, so the ids would mean nothing; give * alone, or ids only"))]
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
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelection {
    /// Names of namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = Rule::new("self.all(n, n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))").message(Message::Expression("'spec.namespaces.names ' + self.filter(n, !n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))[0] + ' is not the name of a namespace, and names are no patterns; use spec.namespaces.selector for many'".into())))]
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
    /// The generation that this status is about; -1 before the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many links ask for automatic approval now and are permitted by this policy. Absent where the operator
    /// does not watch all namespaces, 0 where the policy cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted_links: Option<i64>,
    /// In which ways the policy is broader than one subscription, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Ready; Stalled only while it is True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

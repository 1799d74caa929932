//! `SignalRSharedPrivateLink`: one link from a SignalR to a key vault.

// Each printer column repeats the keys of the others.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What this link is to be. The SignalR, the key vault, the name, the group and the request
/// message cannot be changed: delete the object and create it again. Policies, mode, timeout and
/// period may change at any time.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "privatelink.signalr-operator.io",
    version = "v1alpha1",
    kind = "SignalRSharedPrivateLink",
    plural = "signalrsharedprivatelinks",
    namespaced,
    shortname = "spl",
    category = "azure",
    status = "SignalRSharedPrivateLinkStatus",
    derive = "PartialEq",
    doc = "A shared private link from an Azure SignalR Service to a key vault: requested, approved, and functional only when SignalR itself says Succeeded and Approved.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Provisioning", type_ = "string", json_path = ".status.provisioningState"),
    printcolumn(name = "Connection", type_ = "string", json_path = ".status.connectionState"),
    printcolumn(name = "Vault", type_ = "string", json_path = ".status.keyVaultName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "SignalR", type_ = "string", json_path = ".status.signalRName", priority = 1),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.approval.mode", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = Rule::new("has(self.spec.azureName) || self.metadata.name.matches('^[a-zA-Z][a-zA-Z0-9-]{1,61}[a-zA-Z0-9]$')").message(Message::Expression("'metadata.name ' + self.metadata.name + ' cannot be the name of the link in Azure (3 to 63 letters, digits and dashes, beginning with a letter, ending with a letter or digit); set spec.azureName'".into()))
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.azureName) == has(oldSelf.azureName) && (!has(self.azureName) || self.azureName == oldSelf.azureName)").message("spec.azureName is immutable; delete this object and create it again with the other name").field_path(".azureName"),
    validation = Rule::new("has(self.requestMessage) == has(oldSelf.requestMessage) && (!has(self.requestMessage) || self.requestMessage == oldSelf.requestMessage)").message("spec.requestMessage is immutable; delete this object and create it again with the other message").field_path(".requestMessage"),
    validation = Rule::new("self.groupId == oldSelf.groupId").message("spec.groupId is immutable; delete this object and create it again with the other group").field_path(".groupId"),
)]
pub struct SignalRSharedPrivateLinkSpec {
    /// The Azure SignalR Service that reaches the key vault over the link. Immutable.
    #[x_kube(
        validation = Rule::new("self.resourceId.lowerAscii() == oldSelf.resourceId.lowerAscii()").message("spec.signalR is immutable; delete this object and create it again for the other SignalR").field_path(".resourceId"),
        validation = Rule::new("self.resourceId.matches('(?i)^/subscriptions/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/resourceGroups/[-a-z0-9._()]{0,89}[-a-z0-9_()]/providers/Microsoft.SignalRService/signalR/[a-z][a-z0-9-]{1,61}[a-z0-9]$')").message(Message::Expression("'spec.signalR.resourceId ' + self.resourceId + ' is not the resource id of a SignalR; expected /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.SignalRService/signalR/<name>'".into())).field_path(".resourceId"),
    )]
    #[serde(rename = "signalR")]
    pub signal_r: TargetReference,
    /// The key vault that is reached; it may be in another subscription and resource group.
    /// Immutable.
    #[x_kube(
        validation = Rule::new("self.resourceId.lowerAscii() == oldSelf.resourceId.lowerAscii()").message("spec.keyVault is immutable; delete this object and create it again for the other key vault").field_path(".resourceId"),
        validation = Rule::new("self.resourceId.matches('(?i)^/subscriptions/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/resourceGroups/[-a-z0-9._()]{0,89}[-a-z0-9_()]/providers/Microsoft.KeyVault/vaults/[a-z][a-z0-9-]{1,22}[a-z0-9]$')").message(Message::Expression("'spec.keyVault.resourceId ' + self.resourceId + ' is not the resource id of a key vault; expected /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.KeyVault/vaults/<name>'".into())).field_path(".resourceId"),
    )]
    pub key_vault: TargetReference,
    /// The link's name in Azure: 3 to 63 letters, digits and dashes, beginning with a letter and
    /// ending with a letter or digit. Default: metadata.name. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z][a-zA-Z0-9-]{1,61}[a-zA-Z0-9]$"))]
    pub azure_name: Option<String>,
    /// The group of the target; `vault` is the only one today. Immutable.
    #[serde(default)]
    pub group_id: GroupId,
    /// Words for the vault's owner, at most 72 printable ASCII characters. The operator appends
    /// its ownership marker. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 72), regex(pattern = r"^[ -~]*$"))]
    pub request_message: Option<String>,
    /// Who approves the connection on the key vault, and how long that may take.
    #[serde(default)]
    pub approval: ApprovalSpec,
    /// `Manage` creates, repairs and deletes the link; `ObserveOnly` only reads and reports.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// What to do about a link of that name that exists already: `FailIfExists`, or `Adopt` one
    /// with the same target and group as it is.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// What becomes of the link when this object is deleted: `Delete` it, or `Detach` and leave
    /// it alone.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How often a settled link is read again, at least 1m.
    #[serde(default = "sync_period")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message(Message::Expression("'spec.syncPeriod ' + self + ' is too short; it is at least 1m'".into())))]
    pub sync_period: String,
}

/// A resource in Azure.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetReference {
    /// The resource id, in any letter case.
    #[schemars(length(max = 512))]
    pub resource_id: String,
}

/// Who approves the connection on the key vault.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSpec {
    /// `Manual`: a person approves, and the status tells them how. `Automatic`: the operator
    /// approves where an ApprovalPolicy permits it.
    #[serde(default)]
    pub mode: ApprovalMode,
    /// How long the request may be pending before the object is Stalled with ApprovalTimedOut;
    /// waiting goes on.
    #[serde(default = "approval_timeout")]
    #[schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message(Message::Expression("'spec.approval.timeout ' + self + ' is too short; it is at least 1m'".into())))]
    pub timeout: String,
}

impl Default for ApprovalSpec {
    fn default() -> Self {
        Self { mode: ApprovalMode::default(), timeout: approval_timeout() }
    }
}

fn approval_timeout() -> String {
    "24h".to_owned()
}

fn sync_period() -> String {
    "10m".to_owned()
}

/// The group of the target.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum GroupId {
    /// A key vault.
    #[default]
    #[serde(rename = "vault")]
    Vault,
}

/// Who approves.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ApprovalMode {
    /// A person approves.
    #[default]
    Manual,
    /// The operator approves where an ApprovalPolicy permits it.
    Automatic,
}

/// Whether Azure is written.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    /// Create, repair and delete.
    #[default]
    Manage,
    /// Only read and report.
    ObserveOnly,
}

/// What to do about a link that exists already.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum AdoptionPolicy {
    /// Report AlreadyExists.
    #[default]
    FailIfExists,
    /// Take it as it is.
    Adopt,
}

/// What becomes of the link on deletion.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It is left alone.
    Detach,
}

/// What was seen. A report, never an authority: whatever is wiped or forged here is restored from
/// Azure by the next pass.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalRSharedPrivateLinkStatus {
    /// The generation that this status is about; -1 before the first pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The id of the link in Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// provisioningState as SignalR reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning_state: Option<String>,
    /// The state of the connection as SignalR reports it: Pending, Approved, Rejected,
    /// Disconnected, Timeout or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_state: Option<String>,
    /// The SignalR's name.
    #[serde(default, rename = "signalRName", skip_serializing_if = "Option::is_none")]
    pub signal_r_name: Option<String>,
    /// The key vault's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_name: Option<String>,
    /// The matched connection on the key vault, from the moment it is matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_connection: Option<KeyVaultConnectionStatus>,
    /// What is known of the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalStatus>,
    /// The value of the reconcile annotation that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready, Provisioned, ConnectionApproved; Reconciling and Stalled only while they are True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A private endpoint connection on the key vault.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyVaultConnectionStatus {
    /// Its id.
    pub id: String,
    /// The id of its private endpoint.
    pub private_endpoint_id: String,
    /// Its state on the key vault.
    pub state: String,
    /// Its provisioning state on the key vault.
    pub provisioning_state: String,
}

/// What is known of the approval.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// When the key vault first showed the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// When it was approved, or first seen approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Time>,
    /// When the operator decided to take its approval back, as SignalR did not confirm it. Nothing is
    /// approved automatically for this link after that; recreate-requested-at is the way on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// Operator, or External for anybody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The policy that permitted it, with its generation: name@generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

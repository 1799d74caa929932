//! From what users wrote to what the core decides on: parsed and typed, with a sentence per
//! problem. The schema refuses most of it at admission already; an older object, or a schema that
//! was changed by hand, must not get further either.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt as _;
use signalr_private_link_core::desired::{self, ApprovalFacts, Approver, Desired, Remembered};
use signalr_private_link_core::policy::{OnUnconfirmed as CoreOnUnconfirmed, Policy, Requirement};
use signalr_private_link_core::report::ConnectionFacts;
use signalr_private_link_core::resource_id::{LinkId, SignalRId, VaultId};

use super::{
    AdoptionPolicy, ApprovalMode, ApprovalPolicy, ApprovalPolicySpec, DeletionPolicy, FINALIZER,
    FORCE_FINALIZE_ANNOTATION, GroupId, ManagementPolicy, OnUnconfirmed, RECREATE_ANNOTATION, SignalRSharedPrivateLink,
    SignalRSharedPrivateLinkSpec, SignalRSharedPrivateLinkStatus,
};

/// A duration as Kubernetes writes it (`90s`, `1h30m`). Like Go's, it has at most 2^63 nanoseconds. (kube's own
/// parser panics where an amount overflows.)
fn duration(field: &str, text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| format!("{field} {text:?} is not a duration; expected a form like 90s, 10m or 1h30m"))
}

fn parse_duration(text: &str) -> Option<Duration> {
    const MOST: f64 = (i64::MAX / 1_000_000_000) as f64;
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let (amount, unit) = rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit())?);
        let end = unit.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += amount.parse::<f64>().ok()? * factor;
        rest = next;
    }
    (!text.is_empty() && seconds <= MOST).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// What an object asks for.
///
/// # Errors
/// Every field that cannot be used, with its value and what is expected.
pub fn desired(object: &SignalRSharedPrivateLink) -> Result<Desired, Vec<String>> {
    let SignalRSharedPrivateLinkSpec {
        signal_r,
        key_vault,
        azure_name,
        group_id,
        request_message,
        approval,
        management_policy,
        adoption_policy,
        deletion_policy,
        sync_period,
    } = &object.spec;
    let annotation = |name: &str| object.annotations().get(name).cloned();
    let mut problems = Vec::new();
    let mut check = |problem: String| problems.push(problem);
    let name = azure_name.clone().unwrap_or_else(|| object.name_any());
    let link = SignalRId::parse(&signal_r.resource_id)
        .map_err(|error| check(format!("spec.signalR.resourceId: {error}")))
        .ok()
        .and_then(|signalr| {
            LinkId::new(&signalr, &name).map_err(|error| check(format!("spec.azureName {name:?}: {error}"))).ok()
        });
    let vault = VaultId::parse(&key_vault.resource_id)
        .map_err(|error| check(format!("spec.keyVault.resourceId: {error}")))
        .ok();
    // What matters to a living object only does not hold up a deletion.
    let deleting = object.metadata.deletion_timestamp.is_some();
    let mut period = |field: &str, text: &str| {
        let read = duration(field, text);
        if deleting { Some(read.unwrap_or_default()) } else { read.map_err(&mut check).ok() }
    };
    let approval_timeout = period("spec.approval.timeout", &approval.timeout);
    let period = period("spec.syncPeriod", sync_period);
    let request_text = request_message.clone().unwrap_or_default();
    if !deleting && (request_text.len() > 72 || !request_text.bytes().all(|b| (b' '..=b'~').contains(&b))) {
        check(format!("spec.requestMessage {request_text:?} is not at most 72 printable ASCII characters"));
    }
    let (Some(link), Some(vault), Some(approval_timeout), Some(sync_period), true) =
        (link, vault, approval_timeout, period, problems.is_empty())
    else {
        return Err(problems);
    };
    let uid = object.uid().unwrap_or_default();
    Ok(Desired {
        force_finalize: annotation(FORCE_FINALIZE_ANNOTATION).is_some_and(|value| value == uid),
        object: identity(object),
        generation: object.metadata.generation.unwrap_or_default(),
        deleting,
        finalizer: object.finalizers().iter().any(|f| f == FINALIZER),
        link,
        vault,
        group_id: match group_id {
            GroupId::Vault => "vault".to_owned(),
        },
        request_text,
        mode: match approval.mode {
            ApprovalMode::Manual => desired::ApprovalMode::Manual,
            ApprovalMode::Automatic => desired::ApprovalMode::Automatic,
        },
        approval_timeout,
        management: match management_policy {
            ManagementPolicy::Manage => desired::ManagementPolicy::Manage,
            ManagementPolicy::ObserveOnly => desired::ManagementPolicy::ObserveOnly,
        },
        adoption: match adoption_policy {
            AdoptionPolicy::FailIfExists => desired::AdoptionPolicy::FailIfExists,
            AdoptionPolicy::Adopt => desired::AdoptionPolicy::Adopt,
        },
        deletion: match deletion_policy {
            DeletionPolicy::Delete => desired::DeletionPolicy::Delete,
            DeletionPolicy::Detach => desired::DeletionPolicy::Detach,
        },
        sync_period,
        recreate: annotation(RECREATE_ANNOTATION),
        remembered: object.status.as_ref().map(remembered).unwrap_or_default(),
    })
}

/// Whether the object is being deleted and its owner wants it gone whatever becomes of Azure.
pub(crate) fn forced_to_go(object: &SignalRSharedPrivateLink) -> bool {
    let asked = object.annotations().get(FORCE_FINALIZE_ANNOTATION);
    object.metadata.deletion_timestamp.is_some() && asked.is_some() && asked == object.metadata.uid.as_ref()
}

/// Which object this is.
fn identity(object: &SignalRSharedPrivateLink) -> desired::ObjectIdentity {
    desired::ObjectIdentity {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// The hints in `status`; what cannot be read there was never said.
fn remembered(status: &SignalRSharedPrivateLinkStatus) -> Remembered {
    let condition = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind);
    let connection = status.key_vault_connection.as_ref();
    let approval = status.approval.clone().unwrap_or_default();
    Remembered {
        ready: condition("Ready").and_then(|c| match c.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }),
        seen_in_azure: status.provisioning_state.is_some(),
        connection: connection.map(|c| ConnectionFacts {
            id: c.id.clone(),
            endpoint: c.private_endpoint_id.clone(),
            state: c.state.clone(),
            provisioning: c.provisioning_state.clone(),
        }),
        approval: ApprovalFacts {
            requested_at: approval.requested_at.map(|time| time.0),
            approved_at: approval.approved_at.map(|time| time.0),
            revoked_at: approval.revoked_at.map(|time| time.0),
            approved_by: match approval.approved_by.as_deref() {
                Some("Operator") => Some(Approver::Operator),
                Some("External") => Some(Approver::External),
                _ => None,
            },
            policy: approval.policy,
        },
        provisioned_since: condition("Provisioned").filter(|c| c.status == "True").map(|c| c.last_transition_time.0),
    }
}

/// What a policy permits. A policy that cannot be understood permits nothing.
#[must_use]
pub fn policy(object: &ApprovalPolicy) -> Option<Policy> {
    let ApprovalPolicySpec { namespaces, signal_r, key_vaults, endpoint_subscriptions, confirm_within, on_unconfirmed } =
        &object.spec;
    Some(Policy {
        name: object.name_any(),
        generation: object.metadata.generation.unwrap_or_default(),
        namespaces: namespaces.names.clone(),
        selector: match &namespaces.selector {
            Some(selector) => Some(requirements(selector)?),
            None => None,
        },
        signalr: signal_r.clone(),
        vaults: key_vaults.clone(),
        endpoint_subscriptions: endpoint_subscriptions.clone(),
        confirm_within: duration("spec.confirmWithin", confirm_within).ok()?,
        on_unconfirmed: match on_unconfirmed {
            OnUnconfirmed::Revoke => CoreOnUnconfirmed::Revoke,
            OnUnconfirmed::Hold => CoreOnUnconfirmed::Hold,
        },
    })
}

/// A label selector's requirements; `None` for an operator that is not known.
fn requirements(selector: &LabelSelector) -> Option<Vec<Requirement>> {
    let labels = selector.match_labels.iter().flatten();
    let mut all: Vec<Requirement> =
        labels.map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()])).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let (key, values) = (expression.key.clone(), expression.values.clone().unwrap_or_default());
        all.push(match expression.operator.as_str() {
            "In" => Requirement::In(key, values),
            "NotIn" => Requirement::NotIn(key, values),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::DoesNotExist(key),
            _ => return None,
        });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubernetes_writes_them_and_no_amount_panics() {
        for (text, seconds) in
            [("90s", 90.0), ("1h30m", 5400.0), ("1.5h30m", 7200.0), ("500ms", 0.5), ("2562047h", 9.2e9)]
        {
            let read = duration("spec.syncPeriod", text).unwrap();
            assert!((read.as_secs_f64() - seconds).abs() / seconds < 0.01, "{text}: {read:?}");
        }
        let refused =
            ["", "5", "s", "-5s", "1h-5m", "99999999999999999999s", "1e9s", "1d", "5µs", "..s", "NaNs", "3000000h"];
        for text in refused {
            let why = duration("spec.syncPeriod", text).unwrap_err();
            assert!(why.contains("spec.syncPeriod") && why.contains(&format!("{text:?}")), "{why}");
        }
    }
}

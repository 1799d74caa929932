//! What is said of a failed call: the reason, ARM's own words, and the way out. ARM's words come before our
//! advice, so that a cut at the end never loses them.

use super::{Again, Plan};
use crate::desired::Desired;
use crate::failure::{ArmError, CONNECTION_APPROVER, Failure, LINK_MANAGER, Level};
use crate::message::sentence;
use crate::reason::Reason;
use crate::report::Report;

/// Which of the two services a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    SignalR,
    KeyVault,
}

/// The plan after a failed call: it is told and tried again.
pub(super) fn failed(desired: &Desired, error: &ArmError, service: Service) -> Plan {
    let (reason, message) = explain(desired, error, service);
    Plan::say(Report::new(reason, &message)).again(Again::failed(error.failure))
}

/// Which right is missing, unless ARM's own words say so: there is room for the command, or for saying it twice.
fn needs(error: &ArmError, arm_says: &str) -> String {
    let (arm_says, actions) = (arm_says.to_ascii_lowercase(), error.action.to_ascii_lowercase());
    let mut named = actions.split([' ', '(', ')']).filter(|word| word.contains('/'));
    let told = named.any(|action| arm_says.contains(action));
    if told { String::new() } else { format!("It needs {}. ", error.missing_right()) }
}

fn explain(desired: &Desired, error: &ArmError, service: Service) -> (Reason, String) {
    use Service::{KeyVault, SignalR};
    let arm_says = sentence(&error.to_string());
    let signalr = desired.link.signalr();
    let (reason, lead, advice) = match (error.failure, service) {
        (Failure::Throttled(_), _) => (
            Reason::Throttled,
            "ARM asks to slow down:".to_owned(),
            "The operator waits as long as ARM asks; nothing needs to be done.".to_owned(),
        ),
        (Failure::CredentialUnavailable, _) => (
            Reason::CredentialUnavailable,
            "Could not get an ARM token:".to_owned(),
            "Check the operator's AZURE_* settings and the credential.".to_owned(),
        ),
        (Failure::Unauthorized, SignalR) => (
            Reason::CredentialUnavailable,
            "ARM does not accept the operator's token:".to_owned(),
            "Check that tenant, audience and cloud belong together.".to_owned(),
        ),
        (Failure::Unauthorized, KeyVault) => (
            Reason::ApprovalNotAuthorized,
            format!("The key vault {} does not accept the operator's token:", desired.vault.name()),
            "SignalR's side does accept it: the vault is probably in another tenant, where only its owner can approve."
                .to_owned(),
        ),
        (Failure::NotFound(Level::Subscription), service) => (
            match service {
                SignalR => Reason::SignalRNotFound,
                KeyVault => Reason::KeyVaultNotFound,
            },
            "The subscription is not found, or not visible to the operator's identity:".to_owned(),
            format!(
                "Check {}, and the cloud and tenant that the operator is configured for.",
                match service {
                    SignalR => "spec.signalR.resourceId",
                    KeyVault => "spec.keyVault.resourceId",
                }
            ),
        ),
        (Failure::NotFound(_), SignalR) => (
            Reason::SignalRNotFound,
            format!("The SignalR {signalr} does not exist:"),
            "Create it, or correct spec.signalR.resourceId by deleting and re-creating this object.".to_owned(),
        ),
        (Failure::NotFound(_), KeyVault) => (
            Reason::KeyVaultNotFound,
            format!("The key vault {} does not exist (a soft-deleted vault looks the same):", desired.vault),
            "Create or recover it, or correct spec.keyVault.resourceId by deleting and re-creating this object."
                .to_owned(),
        ),
        (Failure::UnsupportedVersion, service) => (
            Reason::OperationFailed,
            "This cloud does not serve the API version that the operator asks for:".to_owned(),
            format!(
                "Nothing is wrong with this object: start the operator with {} set to one of those that ARM names.",
                match service {
                    SignalR => "--signalr-api-version",
                    KeyVault => "--key-vault-api-version",
                }
            ),
        ),
        (Failure::Forbidden, SignalR) => (
            Reason::AuthorizationFailed,
            "The operator's identity lacks a right on the SignalR:".to_owned(),
            format!(
                "{}Grant it with: {} (the role is in deploy/azure/roles; an assignment takes up to ten minutes).",
                needs(error, &arm_says),
                error.remedy(LINK_MANAGER)
            ),
        ),
        (Failure::Forbidden, KeyVault) => (
            Reason::ApprovalNotAuthorized,
            "The operator's identity lacks a right on the key vault:".to_owned(),
            format!(
                "{}Grant it with: {} (the role is in deploy/azure/roles; an assignment takes up to ten minutes; the Microsoft.KeyVault provider must be registered on the endpoint's subscription).",
                needs(error, &arm_says),
                error.remedy(CONNECTION_APPROVER)
            ),
        ),
        (Failure::Denied, service) => (
            match service {
                SignalR => Reason::AuthorizationFailed,
                KeyVault => Reason::ApprovalNotAuthorized,
            },
            "Azure refuses this whatever roles the operator's identity has:".to_owned(),
            "A deny assignment, a linked resource that it may not use, another tenant, or a rule of Azure's own stands against it; no role assignment on this scope helps."
                .to_owned(),
        ),
        (Failure::Busy(_), SignalR) => (
            Reason::WaitingForSignalR,
            format!("{} is busy with another change; the operator will retry.", signalr.name()),
            String::new(),
        ),
        (Failure::Busy(_), KeyVault) => (
            Reason::Approving,
            format!(
                "The key vault {} is busy with another change; the operator will retry.",
                desired.vault.name()
            ),
            String::new(),
        ),
        (Failure::Invalid, _) => (Reason::InvalidSpec, "ARM refuses the request:".to_owned(), String::new()),
        (Failure::PolicyDenied, _) => (
            Reason::PolicyDenied,
            "An Azure Policy refuses the change:".to_owned(),
            "Ask for an exemption, or change the policy.".to_owned(),
        ),
        (Failure::Locked, _) => (
            Reason::Locked,
            "A management lock refuses the change:".to_owned(),
            "Remove the lock.".to_owned(),
        ),
        (Failure::SubscriptionDisabled, _) => (
            Reason::OperationFailed,
            "The subscription is disabled:".to_owned(),
            "Re-enable it; if this is the wrong subscription, check the operator's cloud and tenant.".to_owned(),
        ),
        (Failure::NotRegistered, service) => {
            let (namespace, subscription) = match service {
                SignalR => ("Microsoft.SignalRService", signalr.subscription().to_owned()),
                KeyVault => ("Microsoft.KeyVault", desired.vault.subscription().to_owned()),
            };
            (
                Reason::OperationFailed,
                "The subscription is not registered for the resource provider:".to_owned(),
                format!(
                    "Register it with: az provider register --namespace {namespace} --subscription {subscription}."
                ),
            )
        }
        (Failure::QuotaExceeded, _) => (
            Reason::OperationFailed,
            "An Azure quota is exhausted:".to_owned(),
            "Remove links that are not needed, or ask Microsoft for more.".to_owned(),
        ),
        (Failure::Transient(_) | Failure::Unexpected, _) => {
            (Reason::TransientError, "That did not succeed; the operator will retry.".to_owned(), String::new())
        }
    };
    let message = [lead.as_str(), &arm_says, &advice].into_iter().filter(|part| !part.is_empty());
    (reason, message.collect::<Vec<_>>().join(" "))
}

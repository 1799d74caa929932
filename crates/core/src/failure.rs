//! Every way in which a call to ARM can end, typed, so that decisions never look at status codes.

use std::time::Duration;

use crate::message::shell;

/// Which level of a path ARM could not find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `SubscriptionNotFound`: more likely a wrong cloud or tenant in our settings than a fact.
    Subscription,
    /// `ResourceGroupNotFound`.
    ResourceGroup,
    /// `ParentResourceNotFound`: the SignalR or the vault.
    Parent,
    /// The resource itself.
    Resource,
}

/// The classes of failure that decisions distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Failure {
    /// 429; how long ARM asks to wait. 429 may also mean "busy".
    Throttled(Option<Duration>),
    /// No token could be had: the credential, the token endpoint, or its answer.
    CredentialUnavailable,
    /// 401 although a token was sent.
    Unauthorized,
    /// 403: a right is missing, which a role can grant.
    Forbidden,
    /// 403 that no role mends: a deny assignment, a linked scope, another tenant, Azure itself.
    Denied,
    /// 404 with a code that says what was not found. Not every level proves anything:
    /// see [`proves_absence`](Self::proves_absence).
    NotFound(Level),
    /// This cloud does not serve the resource type at the API version that was asked for.
    UnsupportedVersion,
    /// 409, 412: somebody else is writing; the resource group is being deleted. How long ARM asks to wait,
    /// if it does.
    Busy(Option<Duration>),
    /// 400 and its like: the request itself is refused.
    Invalid,
    /// Refused by an Azure Policy.
    PolicyDenied,
    /// Refused by a management lock.
    Locked,
    /// The subscription is disabled: nothing can be written in it.
    SubscriptionDisabled,
    /// The subscription is not registered for the resource provider.
    NotRegistered,
    /// A quota or limit is used up.
    QuotaExceeded,
    /// 408, 5xx, a network that did not answer in time, a body that cannot be read; how long ARM asks to
    /// wait, if it does.
    Transient(Option<Duration>),
    /// Anything else.
    Unexpected,
}

impl Failure {
    /// The class of an answer with an error status. `code` is ARM's error code, empty without one.
    #[must_use]
    pub fn classify(status: u16, code: &str, retry_after: Option<Duration>) -> Self {
        match (status, code) {
            (429, _) => Self::Throttled(retry_after),
            (401, _) => Self::Unauthorized,
            (_, "RequestDisallowedByPolicy") => Self::PolicyDenied,
            (_, "ScopeLocked") => Self::Locked,
            // Usually sent with 409, but no transient conflict: vscode-azureappservice#1646, neonKUBE#1670.
            (_, "ReadOnlyDisabledSubscription" | "DisabledSubscription") => Self::SubscriptionDisabled,
            (_, "MissingSubscriptionRegistration" | "SubscriptionNotRegistered") => Self::NotRegistered,
            (400..=499, code) if code.to_ascii_lowercase().contains("quota") => Self::QuotaExceeded,
            // Deny assignments: Azure/deployment-stacks#234; linked scopes and other tenants:
            // Azure/azure-cli-extensions#7143.
            (
                403,
                "DenyAssignmentAuthorizationFailed"
                | "LinkedAuthorizationFailed"
                | "LinkedAccessCheckFailed"
                | "RequestDisallowedByAzure"
                | "InvalidAuthenticationTokenTenant",
            ) => Self::Denied,
            (403, _) => Self::Forbidden,
            (400 | 404, "InvalidResourceType" | "NoRegisteredProviderFound" | "InvalidApiVersionParameter") => {
                Self::UnsupportedVersion
            }
            (404, "SubscriptionNotFound" | "InvalidSubscriptionId" | "MissingSubscription") => {
                Self::NotFound(Level::Subscription)
            }
            (404, "ResourceGroupNotFound") => Self::NotFound(Level::ResourceGroup),
            (404, "ParentResourceNotFound") => Self::NotFound(Level::Parent),
            (404, "ResourceNotFound" | "NotFound") => Self::NotFound(Level::Resource),
            // Somebody between us and ARM answers without a code of ARM's.
            (404, "") => Self::Transient(retry_after),
            (404, _) => Self::Unexpected,
            (409 | 412 | 423, _) => Self::Busy(retry_after),
            (408 | 500..=599, _) => Self::Transient(retry_after),
            (400..=499, _) => Self::Invalid,
            _ => Self::Unexpected,
        }
    }

    /// R11: whether this says that what was asked for, or what it is in, is not there. A subscription
    /// that is not found is more likely a wrong cloud or tenant in our own settings than a fact.
    #[must_use]
    pub fn proves_absence(self) -> bool {
        matches!(self, Self::NotFound(level) if level != Level::Subscription)
    }

    /// How long ARM asks to wait, if it does.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled(after) | Self::Transient(after) | Self::Busy(after) => after,
            _ => None,
        }
    }

    /// Whether it goes by without anybody's doing.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Transient(_) | Self::Unexpected | Self::CredentialUnavailable)
    }

    /// A short word for metrics: a closed set.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// A failed call: its class, and ARM's own words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {}{message}", if code.is_empty() { String::new() } else { format!("{code}: ") })]
pub struct ArmError {
    /// What decisions look at.
    pub failure: Failure,
    /// ARM's error code; empty where there is none.
    pub code: Box<str>,
    /// ARM's message with the id that Microsoft's support asks for, or what the network said.
    pub message: Box<str>,
    /// What was being done, as a phrase: `reading the links of contoso-signalr`.
    pub doing: Box<str>,
    /// The action that the call needs, as a role definition names it.
    pub action: &'static str,
    /// The resource id whose scope the action is needed at.
    pub scope: Box<str>,
    /// The object id of the identity that was refused, where its token tells.
    pub caller: Option<Box<str>>,
}

/// The shipped role that grants what the operator does on a SignalR
/// (`deploy/azure/roles/link-manager.json`).
pub const LINK_MANAGER: &str = "SignalR Shared Private Link Manager";
/// The shipped role that grants what the operator does on a vault
/// (`deploy/azure/roles/connection-approver.json`).
pub const CONNECTION_APPROVER: &str = "Key Vault Private Endpoint Connection Approver";

impl ArmError {
    /// A failure of which nothing is known but its class.
    #[must_use]
    pub fn of(failure: Failure) -> Self {
        Self {
            failure,
            code: "".into(),
            message: "".into(),
            doing: "".into(),
            action: "",
            scope: "".into(),
            caller: None,
        }
    }

    /// Which right is missing, as a phrase.
    #[must_use]
    pub fn missing_right(&self) -> String {
        format!("the action {} at the scope {}", self.action, self.scope)
    }

    /// The command that grants what is missing; `role` is one of the shipped roles.
    #[must_use]
    pub fn remedy(&self, role: &str) -> String {
        role_assignment(role, self.caller.as_deref(), &self.scope)
    }
}

/// The command that assigns a role to an identity, by its object id where that is known.
#[must_use]
pub fn role_assignment(role: &str, identity: Option<&str>, scope: &str) -> String {
    let identity = identity.unwrap_or("<object id of the operator's identity>");
    // With --assignee the command asks Microsoft Graph, and fails where that is not permitted:
    // Azure/azure-cli#17308.
    format!(
        "az role assignment create --assignee-object-id {identity} --assignee-principal-type ServicePrincipal --role \"{role}\" --scope {}",
        shell(scope)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_code_make_the_class() {
        let table: &[(u16, &str, Failure)] = &[
            (404, "SubscriptionNotFound", Failure::NotFound(Level::Subscription)),
            (404, "ResourceGroupNotFound", Failure::NotFound(Level::ResourceGroup)),
            (404, "ParentResourceNotFound", Failure::NotFound(Level::Parent)),
            (404, "ResourceNotFound", Failure::NotFound(Level::Resource)),
            (404, "NotFound", Failure::NotFound(Level::Resource)),
            (404, "", Failure::Transient(None)),
            (404, "SomethingNew", Failure::Unexpected),
            (404, "MissingSubscription", Failure::NotFound(Level::Subscription)),
            (404, "InvalidResourceType", Failure::UnsupportedVersion),
            (400, "NoRegisteredProviderFound", Failure::UnsupportedVersion),
            (403, "DenyAssignmentAuthorizationFailed", Failure::Denied),
            (403, "LinkedAuthorizationFailed", Failure::Denied),
            (409, "Conflict", Failure::Busy(None)),
            (409, "ConflictError", Failure::Busy(None)),
            (409, "ResourceGroupBeingDeleted", Failure::Busy(None)),
            (409, "ScopeLocked", Failure::Locked),
            (409, "ReadOnlyDisabledSubscription", Failure::SubscriptionDisabled),
            (409, "MissingSubscriptionRegistration", Failure::NotRegistered),
            (403, "QuotaExceeded", Failure::QuotaExceeded),
            (500, "QuotaServiceDown", Failure::Transient(None)),
            (412, "PreconditionFailed", Failure::Busy(None)),
            (403, "AuthorizationFailed", Failure::Forbidden),
            (403, "RequestDisallowedByPolicy", Failure::PolicyDenied),
            (401, "ExpiredAuthenticationToken", Failure::Unauthorized),
            (400, "BadRequest", Failure::Invalid),
            (429, "SubscriptionRequestsThrottled", Failure::Throttled(None)),
            (504, "GatewayTimeout", Failure::Transient(None)),
            (302, "", Failure::Unexpected),
        ];
        for (status, code, class) in table {
            assert_eq!(Failure::classify(*status, code, None), *class, "{status} {code}");
        }
    }

    /// Metrics have them as values of a label: a duration must not become part of one.
    #[test]
    fn the_label_of_a_class_is_one_word() {
        assert_eq!(Failure::QuotaExceeded.label(), "quota_exceeded");
        assert_eq!(Failure::NotFound(Level::Parent).label(), Failure::NotFound(Level::Resource).label());
        assert_eq!(Failure::Throttled(Some(Duration::from_secs(7))).label(), "throttled");
    }
}

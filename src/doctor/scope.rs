//! What ARM tells of a scope beside the resource itself: registrations, rights and locks. The operator needs to read
//! none of it, and the shipped roles do not let it: what may not be read is not known, and told as such.

use serde_json::Value;
use signalr_private_link_core::failure::{CONNECTION_APPROVER, LINK_MANAGER};
use signalr_private_link_core::message::shell;
use signalr_private_link_core::{ArmError, Failure};

use super::azure::Azure;
use super::resources::{grant, way_out};
use super::rights::{self, Permission};
use super::{Check, Finding};
use crate::azure::Look;

/// What is asked of a SignalR, or of a vault.
pub(super) struct Kind {
    pub(super) namespace: &'static str,
    /// The shipped role, and what is in it.
    role: &'static str,
    actions: &'static [&'static str],
    rights: Check,
    lock: Check,
    /// Whether the operator reads there whatever it is asked for: of a vault people can tell what it does not see.
    always_reads: bool,
    /// Whether the operator deletes something there.
    deletes: bool,
}

pub(super) const SIGNALR: Kind = Kind {
    namespace: "Microsoft.SignalRService",
    role: LINK_MANAGER,
    actions: rights::ON_SIGNALR,
    rights: Check::SignalrRights,
    lock: Check::SignalrLock,
    always_reads: true,
    deletes: true,
};
pub(super) const VAULT: Kind = Kind {
    namespace: "Microsoft.KeyVault",
    role: CONNECTION_APPROVER,
    actions: rights::ON_VAULT,
    rights: Check::VaultRights,
    lock: Check::VaultLock,
    always_reads: false,
    deletes: false,
};

/// A resource, and what it is in.
pub(super) struct Place<'a> {
    pub(super) id: &'a str,
    pub(super) subscription: &'a str,
    pub(super) group: &'a str,
}

/// What could not be read, though the operator itself has no need to. Where only a right is missing for that, nothing is
/// known to be wrong.
pub(super) fn unknown(check: Check, subject: &str, error: &ArmError, instead: &str) -> Finding {
    match error.failure {
        Failure::Forbidden | Failure::Denied => {
            let message =
                format!("it cannot be read: the action {} is missing, which only doctor would need", error.action);
            Finding::warning(check, subject, &message, &format!("ask as somebody who may: {instead}"))
        }
        _ => Finding::failed(check, subject, &error.to_string(), &way_out(error, "Reader")),
    }
}

/// Whether a subscription is registered for a provider: else ARM refuses what is written to its resources.
pub(super) async fn registration(azure: &Azure, namespace: &str, subscription: &str) -> Finding {
    let (check, subject) = (Check::ProviderRegistration, format!("{namespace} in {subscription}"));
    let (scope, az) =
        (format!("/subscriptions/{subscription}"), format!("--namespace {namespace} --subscription {subscription}"));
    let look = Look {
        doing: format!("reading the registration for {namespace}"),
        path: &format!("{scope}/providers/{namespace}"),
        api_version: "2021-04-01",
        action: "Microsoft.Resources/subscriptions/providers/read",
        scope: &scope,
    };
    let body = match azure.arm.look(&look).await {
        Ok((body, _)) => body,
        Err(error) => {
            return unknown(check, &subject, &error, &format!("az provider show {az} --query registrationState"));
        }
    };
    let state = body.get("registrationState").and_then(Value::as_str).unwrap_or("not told");
    let register = format!("az provider register {az}");
    match state {
        "Registered" => Finding::ok(check, &subject, state),
        "Registering" => Finding::warning(check, &subject, state, "wait some minutes"),
        _ => Finding::failed(check, &subject, state, &register),
    }
}

/// Whether the identity may do what the operator does, by ARM's own account; `writes` is whether it is going to.
pub(super) async fn rights(azure: &Azure, place: &Place<'_>, kind: &Kind, writes: bool) -> Finding {
    let (check, id) = (kind.rights, place.id);
    let look = Look {
        doing: format!("reading the permissions at {id}"),
        path: &format!("{id}/providers/Microsoft.Authorization/permissions"),
        api_version: "2022-04-01",
        action: "Microsoft.Authorization/permissions/read",
        scope: id,
    };
    let entries = match azure.arm.look_through(&look).await {
        Ok((entries, _)) => entries,
        Err(error) => {
            let caller = azure.caller.as_deref().unwrap_or("OBJECT_ID");
            let list = format!("az role assignment list --assignee {caller} --scope {} --include-inherited", shell(id));
            return unknown(check, id, &error, &list);
        }
    };
    // An entry that cannot be read grants nothing.
    let permissions: Vec<Permission> =
        entries.into_iter().map(|entry| serde_json::from_value(entry).unwrap_or_default()).collect();
    let missing = rights::missing(&permissions, kind.actions);
    let needs = |action: &&str| writes || (kind.always_reads && action.ends_with("/read"));
    if missing.is_empty() {
        Finding::ok(check, id, &format!("all {} actions of the role \"{}\" are granted", kind.actions.len(), kind.role))
    } else {
        let (message, grant) =
            (format!("not granted: {}", missing.join(", ")), grant(kind.role, azure.caller.as_deref(), id));
        if missing.iter().any(needs) {
            Finding::failed(check, id, &message, &grant)
        } else {
            let way_out = format!("needed only if the operator is to write there: {grant}");
            Finding::warning(check, id, &message, &way_out)
        }
    }
}

/// Whether an id is that of a scope or below it.
fn is_within(id: &str, scope: &str) -> bool {
    let (id, scope) = (id.to_ascii_lowercase(), scope.to_ascii_lowercase());
    id.strip_prefix(&scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A management lock: where it is, and its id.
struct Lock {
    id: String,
    scope: String,
    read_only: bool,
}

impl Lock {
    fn read(body: &Value) -> Option<Self> {
        let id = body.get("id")?.as_str()?;
        let end = id.to_ascii_lowercase().rfind("/providers/microsoft.authorization/locks/")?;
        let level = body.pointer("/properties/level")?.as_str()?;
        let scope = id.get(..end)?.to_owned();
        Some(Self { id: id.to_owned(), scope, read_only: level.eq_ignore_ascii_case("ReadOnly") })
    }
}

/// Whether a lock bars what the operator does; `below` are the links that are its own.
pub(super) async fn lock(azure: &Azure, place: &Place<'_>, kind: &Kind, below: &[&str]) -> Finding {
    let (check, id) = (kind.lock, place.id);
    let look = Look {
        doing: format!("reading the locks at {id}"),
        path: &format!("{id}/providers/Microsoft.Authorization/locks"),
        api_version: "2016-09-01",
        action: "Microsoft.Authorization/locks/read",
        scope: id,
    };
    match azure.arm.look_through(&look).await {
        Ok((bodies, _)) => judge(&bodies.iter().filter_map(Lock::read).collect::<Vec<_>>(), id, kind, below),
        Err(error) => {
            let (group, subscription) = (shell(place.group), place.subscription);
            unknown(check, id, &error, &format!("az lock list --resource-group {group} --subscription {subscription}"))
        }
    }
}

/// ARM tells of the locks at the resource, above it and below it; not all of those below concern the operator.
fn judge(locks: &[Lock], id: &str, kind: &Kind, below: &[&str]) -> Finding {
    let ids = || std::iter::once(id).chain(below.iter().copied());
    let concerned: Vec<&Lock> = locks.iter().filter(|lock| ids().any(|id| is_within(id, &lock.scope))).collect();
    let way_out = |lock: &Lock| format!("az lock delete --ids {}", shell(&lock.id));
    match (concerned.iter().find(|lock| lock.read_only), concerned.first()) {
        (Some(lock), _) => {
            let message = format!("a ReadOnly lock at {} bars every write", lock.scope);
            Finding::failed(kind.lock, id, &message, &way_out(lock))
        }
        (None, Some(lock)) if kind.deletes => {
            let message = format!("a CanNotDelete lock at {}: links cannot be deleted", lock.scope);
            let way_out = format!("before a link is to go: {}", way_out(lock));
            Finding::warning(kind.lock, id, &message, &way_out)
        }
        (None, Some(lock)) => {
            let message = format!("a CanNotDelete lock at {}; the operator deletes nothing there", lock.scope);
            Finding::ok(kind.lock, id, &message)
        }
        (None, None) => Finding::ok(kind.lock, id, "there is none"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_lock_concerns_what_is_below_it() {
        let group = "/subscriptions/s/resourceGroups/g";
        let id = format!("{group}/providers/Microsoft.SignalRService/signalR/a");
        let (own, other) =
            (format!("{id}/sharedPrivateLinkResources/own"), format!("{id}/sharedPrivateLinkResources/x"));
        let verdict = |scope: &str, level: &str, kind: &Kind| {
            let lock = format!("{}/providers/Microsoft.Authorization/locks/l", scope.to_uppercase());
            let lock = Lock::read(&json!({"id": lock, "properties": {"level": level}})).unwrap();
            judge(&[lock], &id, kind, &[own.as_str()]).verdict
        };
        for (scope, on_signalr, on_vault) in [
            (group, Verdict::Warning, Verdict::Ok),
            (id.as_str(), Verdict::Warning, Verdict::Ok),
            (own.as_str(), Verdict::Warning, Verdict::Ok),
            (other.as_str(), Verdict::Ok, Verdict::Ok),
        ] {
            assert_eq!(verdict(scope, "CanNotDelete", &SIGNALR), on_signalr, "{scope}");
            assert_eq!(verdict(scope, "CanNotDelete", &VAULT), on_vault, "{scope}");
            let read_only = if scope == other { Verdict::Ok } else { Verdict::Failed };
            assert_eq!(verdict(scope, "ReadOnly", &VAULT), read_only, "{scope}");
        }
        assert!(Lock::read(&json!({"id": id})).is_none());
        assert_eq!(judge(&[], &id, &SIGNALR, &[]).verdict, Verdict::Ok);
    }
}

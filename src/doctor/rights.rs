//! The rights that the operator uses, in the cluster and in Azure, and whether it has them.

use std::fmt;

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use serde::Deserialize;

use crate::api::GROUP;

/// One line of the table: what the operator does with a resource.
struct Right {
    group: &'static str,
    /// With a subresource behind a slash.
    resource: &'static str,
    verbs: &'static [&'static str],
    reach: Reach,
}

/// Where a right is needed.
enum Reach {
    /// In every namespace that is watched; in all of them, if none is named.
    Watched,
    /// In the whole cluster.
    Cluster,
    /// In the whole cluster, of the object of this name.
    One(&'static str),
    /// The watched namespaces themselves, by their names; all of them, if none is named.
    Namespaces,
    /// In the operator's own namespace, while replicas elect a leader. A right to create cannot be limited to a name.
    AnyLease,
    /// The Lease of the installation, by its name.
    Lease,
}

const LINKS: &str = "signalrsharedprivatelinks";
/// The definition whose deletion deletes all links.
const DEFINITION: &str = "signalrsharedprivatelinks.privatelink.signalr-operator.io";

/// Everything that the operator does in the cluster. The chart grants the same (`templates/rbac.yaml`).
const TABLE: &[Right] = &[
    Right { group: GROUP, resource: LINKS, verbs: &["get", "list", "watch", "patch"], reach: Reach::Watched },
    Right { group: GROUP, resource: "signalrsharedprivatelinks/status", verbs: &["patch"], reach: Reach::Watched },
    Right { group: "events.k8s.io", resource: "events", verbs: &["create", "patch"], reach: Reach::Watched },
    Right { group: GROUP, resource: "approvalpolicies", verbs: &["list", "watch"], reach: Reach::Cluster },
    Right { group: GROUP, resource: "approvalpolicies/status", verbs: &["patch"], reach: Reach::Cluster },
    Right { group: "", resource: "namespaces", verbs: &["get", "list", "watch"], reach: Reach::Namespaces },
    Right {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        verbs: &["get"],
        reach: Reach::One(DEFINITION),
    },
    Right { group: "coordination.k8s.io", resource: "leases", verbs: &["create"], reach: Reach::AnyLease },
    Right { group: "coordination.k8s.io", resource: "leases", verbs: &["get", "update"], reach: Reach::Lease },
];

/// One right, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The API group; empty for the core one.
    pub group: &'static str,
    /// The resource, with a subresource behind a slash.
    pub resource: &'static str,
    /// The verb.
    pub verb: &'static str,
    /// The namespace; none for all of them, or for what has none.
    pub namespace: Option<String>,
    /// The one object that it is about; none for any.
    pub name: Option<String>,
}

/// What an installation needs that watches these namespaces; `lease` is the namespace and the name of its Lease, where
/// replicas elect a leader.
#[must_use]
pub fn needed(watched: &[String], lease: Option<(&str, &str)>) -> Vec<Access> {
    let each = || -> Vec<Option<String>> {
        if watched.is_empty() { vec![None] } else { watched.iter().cloned().map(Some).collect() }
    };
    let places = |reach: &Reach| -> Vec<(Option<String>, Option<String>)> {
        match reach {
            Reach::Watched => each().into_iter().map(|namespace| (namespace, None)).collect(),
            Reach::Cluster => vec![(None, None)],
            Reach::One(name) => vec![(None, Some((*name).to_owned()))],
            Reach::Namespaces => each().into_iter().map(|name| (None, name)).collect(),
            Reach::AnyLease => lease.iter().map(|(namespace, _)| (Some((*namespace).to_owned()), None)).collect(),
            Reach::Lease => {
                lease.iter().map(|(place, name)| (Some((*place).to_owned()), Some((*name).to_owned()))).collect()
            }
        }
    };
    let mut all = Vec::new();
    for right in TABLE {
        for (namespace, name) in places(&right.reach) {
            all.extend(right.verbs.iter().copied().map(|verb| Access {
                group: right.group,
                resource: right.resource,
                verb,
                namespace: namespace.clone(),
                name: name.clone(),
            }));
        }
    }
    all
}

impl Access {
    /// The question for the API server.
    pub(super) fn attributes(&self) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (self.resource, None),
        };
        ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.to_owned()),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        }
    }

    /// The rule that grants it, and where that belongs.
    pub(super) fn rule(&self) -> String {
        let place = match &self.namespace {
            Some(namespace) => format!("a Role in the namespace {namespace}"),
            None => "a ClusterRole".to_owned(),
        };
        let names = self.name.as_ref().map(|name| format!(", resourceNames: [{name}]")).unwrap_or_default();
        let (group, resource, verb) = (self.group, self.resource, self.verb);
        format!("{place}: {{apiGroups: [\"{group}\"], resources: [{resource}]{names}, verbs: [{verb}]}}")
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// What the operator does on a SignalR: the actions of `deploy/azure/roles/link-manager.json`.
pub(super) const ON_SIGNALR: &[&str] = &[
    "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read",
    "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/write",
    "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/delete",
    "Microsoft.SignalRService/SignalR/operationStatuses/read",
    "Microsoft.SignalRService/SignalR/replicas/read",
];
/// What it does on a vault whose connections it approves: those of `deploy/azure/roles/connection-approver.json`.
pub(super) const ON_VAULT: &[&str] = &[
    "Microsoft.KeyVault/vaults/privateEndpointConnections/read",
    "Microsoft.KeyVault/vaults/privateEndpointConnections/write",
    "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action",
];

/// What one role assignment grants, as ARM tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Permission {
    actions: Option<Vec<String>>,
    not_actions: Option<Vec<String>>,
}

/// The actions of these that no assignment grants. What one assignment takes out of its own grant another one may still
/// give (Microsoft, "Understand Azure role definitions", NotActions).
pub(super) fn missing<'a>(permissions: &[Permission], needed: &[&'a str]) -> Vec<&'a str> {
    let any = |patterns: &Option<Vec<String>>, action: &str| {
        patterns.iter().flatten().any(|pattern| covers(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
    };
    let grants = |permission: &Permission, action: &str| {
        any(&permission.actions, action) && !any(&permission.not_actions, action)
    };
    needed.iter().copied().filter(|action| !permissions.iter().any(|permission| grants(permission, action))).collect()
}

/// Whether a pattern covers an action; `*` stands for any characters, slashes too.
fn covers(pattern: &str, action: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == action;
    };
    let Some(mut left) = action.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Each part as early as it can be: then most is left for the others.
    for part in parts {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn words(all: &[Access]) -> Vec<String> {
        all.iter().map(Access::to_string).collect()
    }

    #[test]
    fn every_namespace_that_is_watched_is_asked_about_and_nothing_else() {
        assert_eq!(DEFINITION, crate::api::SignalRSharedPrivateLink::crd_name());
        let everywhere = needed(&[], None);
        assert_eq!(everywhere.len(), 14);
        assert!(everywhere.iter().all(|access| access.namespace.is_none()));
        let some = needed(&["a".into(), "b".into()], Some(("home", "lease")));
        let words = words(&some);
        for expected in [
            "patch signalrsharedprivatelinks/status in b",
            "get namespaces a",
            "list approvalpolicies",
            "create leases in home",
            "update leases lease in home",
        ] {
            assert!(words.iter().any(|word| word == expected), "{expected}: {words:?}");
        }
        assert_eq!(some.len(), 2 * 7 + 3 + 2 * 3 + 1 + 3);
        let rule = some.last().unwrap().rule();
        let grant =
            "{apiGroups: [\"coordination.k8s.io\"], resources: [leases], resourceNames: [lease], verbs: [update]}";
        assert_eq!(rule, format!("a Role in the namespace home: {grant}"));
        let attributes = needed(&[], None).remove(4).attributes();
        assert_eq!(attributes.subresource.as_deref(), Some("status"));
        assert_eq!(attributes.resource.as_deref(), Some(LINKS));
    }

    #[test]
    fn the_actions_are_those_of_the_shipped_roles() {
        let roles = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/azure/roles");
        for (file, actions) in [("link-manager.json", ON_SIGNALR), ("connection-approver.json", ON_VAULT)] {
            let role: Value = serde_json::from_slice(&std::fs::read(roles.join(file)).unwrap()).unwrap();
            assert_eq!(role["Actions"], json!(actions), "{file}");
        }
    }

    #[test]
    fn a_pattern_covers_what_it_says() {
        for (pattern, action, covered) in [
            ("*", "a/b/c/read", true),
            ("*/read", "a/b/read", true),
            ("*/read", "a/b/readall", false),
            ("a/*", "a/b/write", true),
            ("a/*/write", "a/b/c/write", true),
            ("a/*/write", "a/write", false),
            ("a/*/b/*/c", "a/x/b/y/c", true),
            ("a/*/b/*/c", "a/x/c", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a*a", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(covers(pattern, action), covered, "{pattern} {action}");
        }
    }

    #[test]
    fn an_action_is_granted_where_one_assignment_grants_and_does_not_take_it_out_again() {
        let missing = |permissions: Value| {
            let permissions: Vec<Permission> = serde_json::from_value(permissions).unwrap();
            missing(&permissions, ON_VAULT).len()
        };
        let all = ["*"];
        let approval = ["microsoft.keyvault/vaults/privateendpointconnectionsAPPROVAL/action"];
        assert_eq!(missing(json!([])), 3);
        assert_eq!(missing(json!([{"actions": all}])), 0);
        assert_eq!(missing(json!([{"actions": all, "notActions": null}])), 0);
        assert_eq!(missing(json!([{"actions": ["*/READ"]}])), 2);
        assert_eq!(missing(json!([{"actions": all, "notActions": approval}])), 1);
        assert_eq!(missing(json!([{"actions": all, "notActions": approval}, {"actions": approval}])), 0);
        assert_eq!(missing(json!([{"actions": null, "notActions": all, "condition": null}])), 3);
    }
}

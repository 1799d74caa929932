//! What an administrator permits: approval policies, and how their patterns match.

use std::time::Duration;

use crate::desired::Desired;
use crate::resource_id::EndpointId;

/// What to do about an approval that SignalR never confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnconfirmed {
    /// Take it back: the connection is set `Rejected`.
    #[default]
    Revoke,
    /// Raise the alarm only.
    Hold,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of these values.
    In(String, Vec<String>),
    /// The label has none of these values, or is absent.
    NotIn(String, Vec<String>),
    /// The label is present.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
}

impl Requirement {
    fn holds(&self, labels: &[(String, String)]) -> bool {
        let value = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        match self {
            Self::In(key, values) => value(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => !value(key).is_some_and(|v| values.contains(v)),
            Self::Exists(key) => value(key).is_some(),
            Self::DoesNotExist(key) => value(key).is_none(),
        }
    }
}

/// An approval policy, as read live in the pass that rests on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its generation, named in Events and in `status`.
    pub generation: i64,
    /// Namespaces by name.
    pub namespaces: Vec<String>,
    /// Namespaces by label; `None` where no selector was given.
    pub selector: Option<Vec<Requirement>>,
    /// Patterns for the SignalR's id.
    pub signalr: Vec<String>,
    /// Patterns for the vault's id.
    pub vaults: Vec<String>,
    /// The subscriptions in which SignalR's own endpoints live; `*` for any.
    pub endpoint_subscriptions: Vec<String>,
    /// How long SignalR may take to confirm an approval.
    pub confirm_within: Duration,
    /// What to do when it does not.
    pub on_unconfirmed: OnUnconfirmed,
}

impl Policy {
    /// Whether namespace, SignalR and vault are permitted together.
    #[must_use]
    pub fn permits(&self, desired: &Desired, labels: &[(String, String)]) -> bool {
        self.permits_link(&desired.object.namespace, desired.link.signalr_key(), desired.vault.key(), labels)
    }

    /// The same for a namespace with these labels, and the ids of SignalR and vault in lower case.
    #[must_use]
    pub fn permits_link(&self, namespace: &str, signalr: &str, vault: &str, labels: &[(String, String)]) -> bool {
        let namespace = self.namespaces.iter().any(|name| name == namespace)
            || self.selector.as_ref().is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.holds(labels)));
        namespace
            && self.signalr.iter().any(|pattern| matches(pattern, signalr))
            && self.vaults.iter().any(|pattern| matches(pattern, vault))
    }

    /// Rule M3: whether the endpoint's subscription is one that the policy lists.
    #[must_use]
    pub fn lists_subscription_of(&self, endpoint: &EndpointId) -> bool {
        self.endpoint_subscriptions.iter().any(|s| s == "*" || s.eq_ignore_ascii_case(endpoint.subscription()))
    }

    /// In which ways the policy reaches beyond one subscription, as sentences for its author.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (field, patterns) in [("signalR", &self.signalr), ("keyVaults", &self.vaults)] {
            let mut subscriptions: Vec<&str> = patterns.iter().filter_map(|p| p.split('/').nth(2)).collect();
            subscriptions.sort_unstable_by_key(|s| s.to_ascii_lowercase());
            subscriptions.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
            if subscriptions.contains(&"*") {
                warnings.push(format!("spec.{field} permits any subscription that the operator's identity can reach."));
            } else if subscriptions.len() > 1 {
                warnings.push(format!("spec.{field} permits {} subscriptions.", subscriptions.len()));
            }
        }
        if self.endpoint_subscriptions.iter().any(|s| s == "*") {
            warnings.push(
                "spec.endpointSubscriptions permits private endpoints in any subscription, a stranger's included: a copied message is then stopped by nothing but being seen twice."
                    .to_owned(),
            );
        }
        warnings
    }

    /// `<name>@<generation>`, as `status` and Events write it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.generation)
    }
}

/// Whether an id in lower case matches a pattern, in any letter case.
///
/// Both are compared segment by segment. A `*` stands for any characters within one segment; a
/// last segment that is `*` alone stands for all the rest of the id. So no pattern matches across
/// a resource's name unless it ends in `/*`.
#[must_use]
pub fn matches(pattern: &str, key: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let mut wanted = pattern.split('/').peekable();
    let mut found = key.split('/').peekable();
    loop {
        match (wanted.next(), found.next()) {
            (Some("*"), Some(_)) if wanted.peek().is_none() => return true,
            (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// `*` stands for any number of characters. The first part has to be the beginning, the last part
/// the end; those between are found from the left, each after the one before.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == segment;
    };
    let Some(mut left) = segment.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part).and_then(|at| left.get(at + part.len()..)) {
            Some(after) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/0/resourcegroups/contoso/providers/microsoft.keyvault/vaults/contoso-kv";

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            (ID, true),
            (&ID.to_uppercase(), true),
            ("/subscriptions/0/resourceGroups/contoso/*", true),
            ("/subscriptions/0/resourceGroups/cont*/*", true),
            ("/subscriptions/0/resourceGroups/*/providers/Microsoft.KeyVault/vaults/contoso-kv", true),
            ("/subscriptions/0/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/c*-*v", true),
            ("/subscriptions/0/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/*-kv", true),
            ("*", true),
            // A star inside a segment never reaches across a slash.
            ("/subscriptions/0/*/contoso-kv", false),
            ("/subscriptions/0/resourceGroups/contoso*", false),
            ("/subscriptions/0/resourceGroups/con*", false),
            ("/subscriptions/0/resourceGroups/contos/*", false),
            ("/subscriptions/0/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso", false),
            ("/subscriptions/0/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv/", false),
            ("/subscriptions/0/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv/*", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, ID), expected, "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_without_a_final_star_has_as_many_segments_as_what_it_matches(
            pattern in "(/[a-b*]{0,3}){1,4}", key in "(/[a-b]{0,3}){1,5}",
        ) {
            if !pattern.ends_with("/*") && matches(&pattern, &key) {
                proptest::prop_assert_eq!(pattern.split('/').count(), key.split('/').count());
            }
        }

        #[test]
        fn a_star_matches_like_a_regular_expression(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p.split_first(), t.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => slow(rest, t) || t.split_first().is_some_and(|(_, t)| slow(p, t)),
                    (Some((a, p)), Some((b, t))) => a == b && slow(p, t),
                    _ => false,
                }
            }
            proptest::prop_assert_eq!(
                segment_matches(&pattern, &text),
                slow(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}

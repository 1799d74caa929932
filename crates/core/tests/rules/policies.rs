//! What an administrator's policy permits, and what it is warned about.

use signalr_private_link_core::observed::Reading;
use signalr_private_link_core::policy::{Policy, Requirement};

use crate::world::{SIGNALR, Scenario, VAULT, endpoint};

fn policy() -> Policy {
    let Reading::Known(permissions) = Scenario::new().answers.permissions else { panic!("no permissions") };
    permissions.policies[0].clone()
}

fn permits(policy: &Policy, labels: &[(&str, &str)]) -> bool {
    let labels: Vec<_> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    policy.permits(&Scenario::new().desired, &labels)
}

#[test]
fn namespace_signalr_and_vault_are_permitted_together_or_not_at_all() {
    assert!(permits(&policy(), &[]));
    let elsewhere = |id: &str| vec![id.replace("contoso", "other")];
    for policy in [
        Policy { namespaces: vec!["other".into()], ..policy() },
        Policy { namespaces: vec![], ..policy() },
        Policy { signalr: elsewhere(SIGNALR), ..policy() },
        Policy { signalr: vec![], ..policy() },
        Policy { vaults: elsewhere(VAULT), ..policy() },
        Policy { vaults: vec![], ..policy() },
    ] {
        assert!(!permits(&policy, &[]), "{policy:?}");
    }
}

/// As Kubernetes reads a selector, but that an empty one selects nothing here.
#[test]
fn a_namespace_is_permitted_by_name_or_by_its_labels() {
    let key = || "team".to_owned();
    let values = || vec!["a".to_owned(), "b".to_owned()];
    let cases = [
        (vec![], [false, false, false]),
        (vec![Requirement::In(key(), values())], [false, true, false]),
        (vec![Requirement::NotIn(key(), values())], [true, false, true]),
        (vec![Requirement::Exists(key())], [false, true, true]),
        (vec![Requirement::DoesNotExist(key())], [true, false, false]),
        (vec![Requirement::Exists(key()), Requirement::NotIn(key(), values())], [false, false, true]),
    ];
    for (selector, expected) in cases {
        let by_label = Policy { namespaces: vec![], selector: Some(selector), ..policy() };
        let labelled: [&[(&str, &str)]; 3] = [&[("other", "a")], &[("other", "x"), ("team", "b")], &[("team", "c")]];
        assert_eq!(labelled.map(|labels| permits(&by_label, labels)), expected, "{by_label:?}");
        let by_either = Policy { namespaces: policy().namespaces, ..by_label };
        assert!(permits(&by_either, &[]));
    }
}

/// M3.
#[test]
fn an_endpoint_s_subscription_is_listed_or_all_are() {
    let lists = |listed: &[&str]| {
        let endpoint_subscriptions = listed.iter().map(|s| (*s).to_owned()).collect();
        Policy { endpoint_subscriptions, ..policy() }.lists_subscription_of(&endpoint("ours"))
    };
    let ours = endpoint("ours").subscription().to_owned();
    assert!(lists(&[&ours]) && lists(&[&ours.to_uppercase()]) && lists(&["other", &ours]) && lists(&["*"]));
    assert!(!lists(&[]) && !lists(&["other"]) && !lists(&[&ours[1..]]) && !lists(&["**"]));
}

#[test]
fn a_policy_that_reaches_beyond_one_subscription_is_warned_about() {
    let warnings = |policy: Policy| policy.warnings();
    assert_eq!(warnings(policy()), Vec::<String>::new());
    let twice = vec![SIGNALR.to_owned(), SIGNALR.to_uppercase()];
    assert_eq!(
        warnings(Policy { signalr: twice, ..policy() }),
        Vec::<String>::new(),
        "letter case makes no second one"
    );
    let two = vec![VAULT.to_owned(), VAULT.replace("00000000-", "00000001-"), SIGNALR.to_owned()];
    assert_eq!(warnings(Policy { vaults: two, ..policy() }), ["spec.keyVaults permits 2 subscriptions."]);
    let any = vec!["/subscriptions/*".to_owned(), SIGNALR.to_owned()];
    assert_eq!(
        warnings(Policy { signalr: any, ..policy() }),
        ["spec.signalR permits any subscription that the operator's identity can reach."]
    );
    let strangers = warnings(Policy { endpoint_subscriptions: vec!["*".into()], ..policy() });
    assert!(strangers.len() == 1 && strangers[0].contains("a stranger's included"), "{strangers:?}");
}

#[test]
fn a_policy_is_named_with_its_generation() {
    assert_eq!(Policy { generation: 7, ..policy() }.reference(), "contoso@7");
}

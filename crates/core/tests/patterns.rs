//! What a policy's patterns match, as properties: never across a resource's name, never by case,
//! never by a trick in the id.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use signalr_private_link_core::policy::matches;
use signalr_private_link_core::resource_id::VaultId;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

fn id(group: &str, name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}")
}

/// One segment against one pattern, the slow and obvious way.
fn segment(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => segment(rest, text) || text.split_first().is_some_and(|(_, t)| segment(pattern, t)),
        (Some((a, p)), Some((b, t))) => a == b && segment(p, t),
        _ => false,
    }
}

prop_compose! {
    fn part()(text in "[ab*.-]{1,6}") -> String { text }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_pattern_matches_across_a_resource_name(
        group in "[ab.-]{0,4}[ab]", name in "[ab-]{0,4}[ab]", group_pattern in part(), name_pattern in part(),
    ) {
        let vault = VaultId::parse(&id(&group, &name)).unwrap();
        let expected = segment(group_pattern.as_bytes(), group.as_bytes())
            && segment(name_pattern.as_bytes(), name.as_bytes());
        prop_assert_eq!(matches(&id(&group_pattern, &name_pattern), vault.key()), expected);
    }

    #[test]
    fn a_longer_name_is_another_resource(name in "[a-z]{3,8}", more in "[a-z0-9-]{1,4}") {
        let longer = VaultId::parse(&id("contoso", &format!("{name}{more}"))).unwrap();
        let before = VaultId::parse(&id("contoso", &format!("{more}{name}"))).unwrap();
        prop_assert!(!matches(&id("contoso", &name), longer.key()));
        prop_assert!(!matches(&id("contoso", &name), before.key()));
        let group = VaultId::parse(&id(&format!("contoso{more}"), &name)).unwrap();
        let whole_group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/contoso/*");
        prop_assert!(!matches(&whole_group, group.key()));
    }

    #[test]
    fn letter_case_does_not_matter(group in "[a-zA-Z]{1,6}", name in "[a-zA-Z]{3,6}", pattern in "[a-zA-Z*]{1,4}") {
        let vault = VaultId::parse(&id(&group, &name)).unwrap();
        let upper = VaultId::parse(&id(&group, &name).to_uppercase()).unwrap();
        let pattern = id(&group, &pattern);
        prop_assert_eq!(matches(&pattern, vault.key()), matches(&pattern.to_uppercase(), upper.key()));
        prop_assert_eq!(matches(&pattern, vault.key()), matches(&pattern.to_lowercase(), vault.key()));
    }

    /// `..`, an encoded or a doubled slash, look-alikes and the like: with one of them the text is
    /// no id at all, so nothing is asked of any pattern.
    #[test]
    fn tricks_are_no_ids(
        trick in prop::sample::select(vec![
            "..", "/..", "/../contoso-kv", "%2f", "%2F..", "%2e%2e", "//", "/", "\\", "?", "#", ";", " ", "\n", "\0",
            "\u{430}", "\u{43e}", "\u{2215}", "\u{ff0f}", "\u{200b}", "\u{130}", "*",
        ]),
        at in 0usize..200,
    ) {
        let mut text = id("contoso", "contoso-kv");
        let at = (at % text.len()).max(1);
        text.insert_str(at, trick);
        if let Ok(vault) = VaultId::parse(&text) {
            // Two dots within a name are legal, and a name of their own.
            prop_assert_eq!(trick, "..");
            prop_assert!(!matches(&id("contoso", "contoso-kv"), vault.key()));
            prop_assert!(vault.key().split('/').all(|segment| segment != ".." && segment != "."));
        }
    }
}

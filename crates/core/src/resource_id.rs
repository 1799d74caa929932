//! ARM resource ids: parsed once, compared without case, rebuilt from their parts.
//!
//! ARM answers with another letter case than it was asked with (`signalR` in, `SignalR` out; the
//! case of resource groups may change too), so ids are never compared as text. A path is never
//! made by gluing user input together: an id is parsed into segments that are checked one by one,
//! and the path is rebuilt from those.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::Serialize;

/// Why a text is not the resource id that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not the resource id of a {kind}: {why}; expected {form}")]
pub struct InvalidId {
    /// The text as it was given, shortened to 256 characters.
    pub value: String,
    /// What was expected, for people: `SignalR`, `key vault`, ….
    pub kind: &'static str,
    /// Which part is wrong.
    pub why: String,
    /// The form that is accepted.
    pub form: &'static str,
}

/// What distinguishes one kind of id from another. All of them are
/// `/subscriptions/<guid>/resourceGroups/<name>/providers/<provider>/<type>/<name>[/<type>/<name>]`.
struct Shape {
    kind: &'static str,
    form: &'static str,
    provider: &'static str,
    types: &'static [&'static str],
}

/// The next segment, which has to be `expected` in any letter case.
fn keyword<'a>(segments: &mut impl Iterator<Item = &'a str>, expected: &str) -> Result<(), String> {
    match segments.next() {
        Some(found) if found.eq_ignore_ascii_case(expected) => Ok(()),
        Some(found) => Err(format!("{found:?} stands where {expected:?} belongs")),
        None => Err(format!("{expected:?} is missing")),
    }
}

/// The next segment, which has to satisfy `check`.
fn name<'a>(
    segments: &mut impl Iterator<Item = &'a str>,
    what: impl fmt::Display,
    check: impl Fn(&str) -> bool,
) -> Result<&'a str, String> {
    match segments.next() {
        Some(found) if check(found) => Ok(found),
        Some(found) => Err(format!("{found:?} is not {what}")),
        None => Err(format!("{what} is missing")),
    }
}

/// Whether the text is a GUID in its usual form of 8-4-4-4-12 hexadecimal digits.
#[must_use]
pub fn is_guid(text: &str) -> bool {
    let mut groups = text.split('-');
    [8usize, 4, 4, 4, 12]
        .into_iter()
        .all(|length| groups.next().is_some_and(|g| g.len() == length && g.bytes().all(|b| b.is_ascii_hexdigit())))
        && groups.next().is_none()
}

/// Resource groups: letters, digits, `.`, `_`, `-`, `(`, `)`; at most 90; no `.` at the end
/// (Microsoft's naming rules for Azure resources). Letters beyond ASCII are legal there and
/// refused here: look-alikes must not decide what is approved.
fn is_resource_group(text: &str) -> bool {
    (1..=90).contains(&text.len())
        && !text.ends_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-()".contains(&b))
}

/// Names of the resources used here. Each service is stricter; what matters is that no name can
/// hold a `/`, a `%` or be `..`.
fn is_resource_name(text: &str) -> bool {
    (1..=260).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphanumeric())
}

impl Shape {
    /// The id, rebuilt from its segments.
    fn rebuild(&self, text: &str) -> Result<String, InvalidId> {
        self.rebuild_segments(text).map_err(|why| InvalidId {
            value: text.chars().take(256).collect(),
            kind: self.kind,
            why,
            form: self.form,
        })
    }

    fn rebuild_segments(&self, text: &str) -> Result<String, String> {
        let mut rest = text.strip_prefix('/').ok_or("it does not begin with /")?.split('/');
        keyword(&mut rest, "subscriptions")?;
        let subscription = name(&mut rest, "a subscription's GUID", is_guid)?;
        keyword(&mut rest, "resourceGroups")?;
        let group = name(&mut rest, "a resource group's name", is_resource_group)?;
        keyword(&mut rest, "providers")?;
        keyword(&mut rest, self.provider)?;
        let mut path = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{}", self.provider);
        for kind in self.types {
            keyword(&mut rest, kind)?;
            let name = name(&mut rest, format_args!("a name of {kind}"), is_resource_name)?;
            path.extend(["/", kind, "/", name]);
        }
        match rest.next() {
            Some(more) => Err(format!("{more:?} follows where it should end")),
            None => Ok(path),
        }
    }
}

macro_rules! resource_id {
    ($(#[$doc:meta])* $type:ident, $shape:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $type {
            path: String,
            key: String,
        }

        impl $type {
            const SHAPE: Shape = $shape;

            /// Parses an id in any letter case.
            ///
            /// # Errors
            /// [`InvalidId`] names the part that is wrong and the form that is accepted.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                Self::SHAPE.rebuild(text).map(Self::rebuilt)
            }

            fn rebuilt(path: String) -> Self {
                Self { key: path.to_ascii_lowercase(), path }
            }

            fn segment(&self, number: usize) -> &str {
                self.path.split('/').nth(number).unwrap_or_default()
            }

            /// The path below the ARM endpoint, rebuilt from the parsed segments.
            #[must_use]
            pub fn path(&self) -> &str {
                &self.path
            }

            /// The id in lower case: equal for equal ids, fit for a map's key.
            #[must_use]
            pub fn key(&self) -> &str {
                &self.key
            }

            /// The subscription's GUID, in the letter case it was given in.
            #[must_use]
            pub fn subscription(&self) -> &str {
                self.segment(2)
            }

            /// The resource group's name.
            #[must_use]
            pub fn resource_group(&self) -> &str {
                self.segment(4)
            }

            /// The last name in the id: the resource's own.
            #[must_use]
            pub fn name(&self) -> &str {
                name_in(&self.path)
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.key == other.key
            }
        }
        impl Eq for $type {}
        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.key.hash(state);
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.path)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.path)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.path)
            }
        }
    };
}

resource_id!(
    /// An Azure SignalR Service.
    SignalRId,
    Shape {
        kind: "SignalR",
        form: "/subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.SignalRService/signalR/<name>",
        provider: "Microsoft.SignalRService",
        types: &["signalR"],
    }
);
resource_id!(
    /// A key vault.
    VaultId,
    Shape {
        kind: "key vault",
        form: "/subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.KeyVault/vaults/<name>",
        provider: "Microsoft.KeyVault",
        types: &["vaults"],
    }
);
resource_id!(
    /// A shared private link resource (SPL) on a SignalR.
    LinkId,
    Shape {
        kind: "shared private link",
        form: "<SignalR id>/sharedPrivateLinkResources/<name>",
        provider: "Microsoft.SignalRService",
        types: &["signalR", "sharedPrivateLinkResources"],
    }
);
resource_id!(
    /// A private endpoint connection (PEC) on a key vault.
    ConnectionId,
    Shape {
        kind: "private endpoint connection",
        form: "<vault id>/privateEndpointConnections/<name>",
        provider: "Microsoft.KeyVault",
        types: &["vaults", "privateEndpointConnections"],
    }
);
resource_id!(
    /// A private endpoint; for a link of SignalR's it lives in a subscription of Microsoft's.
    EndpointId,
    Shape {
        kind: "private endpoint",
        form: "/subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Network/privateEndpoints/<name>",
        provider: "Microsoft.Network",
        types: &["privateEndpoints"],
    }
);

/// The last name in a path.
fn name_in(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The path of what the resource at this path is on: its own type and name are left out.
fn parent(path: &str) -> &str {
    path.rsplitn(3, '/').last().unwrap_or_default()
}

impl LinkId {
    /// The link of that name on a SignalR.
    ///
    /// # Errors
    /// [`InvalidId`] when the name cannot stand in an id.
    pub fn new(signalr: &SignalRId, name: &str) -> Result<Self, InvalidId> {
        Self::parse(&format!("{}/sharedPrivateLinkResources/{name}", signalr.path()))
    }

    /// The SignalR that the link is on.
    #[must_use]
    pub fn signalr(&self) -> SignalRId {
        SignalRId::rebuilt(parent(&self.path).to_owned())
    }

    /// The [`key`](SignalRId::key) of that SignalR.
    #[must_use]
    pub fn signalr_key(&self) -> &str {
        parent(&self.key)
    }

    /// The name of that SignalR.
    #[must_use]
    pub fn signalr_name(&self) -> &str {
        name_in(parent(&self.path))
    }
}

impl ConnectionId {
    /// The vault that the connection is on.
    #[must_use]
    pub fn vault(&self) -> VaultId {
        VaultId::rebuilt(parent(&self.path).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";

    #[test]
    fn letter_case_does_not_matter() {
        let asked = SignalRId::parse(SIGNALR).unwrap();
        let answered = SignalRId::parse(&SIGNALR.to_uppercase()).unwrap();
        assert_eq!(asked, answered);
        assert_eq!(asked.path(), SIGNALR);
        assert_eq!(asked.name(), "contoso-signalr");
        assert_eq!(asked.resource_group(), "contoso");
    }

    #[test]
    fn a_link_knows_its_signalr() {
        let signalr = SignalRId::parse(SIGNALR).unwrap();
        let link = LinkId::new(&signalr, "kv-pe").unwrap();
        assert_eq!(link.signalr(), signalr);
        assert_eq!((link.name(), link.signalr_name(), link.signalr_key()), ("kv-pe", signalr.name(), signalr.key()));
        assert_eq!(link.path(), format!("{SIGNALR}/sharedPrivateLinkResources/kv-pe"));
    }

    #[test]
    fn a_connection_knows_its_vault() {
        let vault = SIGNALR.replace("SignalRService/signalR", "KeyVault/vaults");
        let connection = ConnectionId::parse(&format!("{vault}/privateEndpointConnections/ours")).unwrap();
        assert_eq!((connection.name(), connection.vault().name()), ("ours", "contoso-signalr"));
        assert_eq!(connection.vault().path(), vault);
    }

    #[test]
    fn a_subscription_is_a_guid() {
        let good = "0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6F";
        assert!(is_guid(good));
        for bad in [
            good.replace("0d9c", "0d9"),
            good.replace("0d9c", "0d9g"),
            good.replace("-9a3f-", "-9a3-f"),
            format!("{good}-0"),
            format!("{good}0"),
            good.replace('-', ""),
        ] {
            assert!(!is_guid(&bad), "{bad}");
        }
    }

    /// Microsoft's rules for the names of resource groups; of a resource's name only what keeps a path a path.
    #[test]
    fn names_are_what_azure_takes_as_names() {
        let (group, name) = ("g".repeat(90), "n".repeat(260));
        for good in ["a", "a.b", "-_.()x", "()", &group] {
            assert!(is_resource_group(good), "{good}");
        }
        for bad in ["", "a.", "a b", "a/b", "a%2f", "\u{456}", &format!("{group}g")] {
            assert!(!is_resource_group(bad), "{bad}");
        }
        for good in ["a", "a.b", "kv-pe", "..a", &name] {
            assert!(is_resource_name(good), "{good}");
        }
        for bad in ["", ".", "..", "-_", "a(b)", "a/b", "a%2f", "\u{456}", &format!("{name}n")] {
            assert!(!is_resource_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_refusal_of_an_id_says_which_part_is_wrong() {
        for (id, why) in [
            (SIGNALR.replace("subscriptions", "subs"), "\"subs\" stands where \"subscriptions\" belongs"),
            ("/subscriptions".to_owned(), "a subscription's GUID is missing"),
            (SIGNALR.replace("contoso-signalr", "a b"), "\"a b\" is not a name of signalR"),
            (SIGNALR.replace("/contoso-signalr", ""), "a name of signalR is missing"),
            (SIGNALR.replace("/signalR/contoso-signalr", ""), "\"signalR\" is missing"),
        ] {
            let refusal = SignalRId::parse(&id).unwrap_err();
            assert_eq!(refusal.why, why);
        }
    }

    #[test]
    fn what_could_leave_the_path_is_refused() {
        for bad in [
            "",
            "contoso",
            "/subscriptions/not-a-guid/resourceGroups/a/providers/Microsoft.SignalRService/signalR/b",
            &SIGNALR.replace("contoso-signalr", ".."),
            &SIGNALR.replace("contoso-signalr", "a%2fb"),
            &SIGNALR.replace("contoso-signalr", "a/b"),
            &SIGNALR.replace("contoso-signalr", "a?b=c"),
            &SIGNALR.replace("contoso-signalr", "s\u{0456}gnalr"),
            &SIGNALR.replace("resourceGroups/contoso", "resourceGroups//contoso"),
            &SIGNALR.replace("SignalRService", "KeyVault"),
            &format!("{SIGNALR}/"),
            &SIGNALR[1..],
        ] {
            let error = SignalRId::parse(bad).expect_err(bad).to_string();
            assert!(error.contains("signalR/<name>"), "{error}");
        }
    }
}

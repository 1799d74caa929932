//! Links that carry a marker of this operator's form, and no object: somebody removed a finalizer
//! by hand, or another cluster made them. They are counted and never touched.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use signalr_private_link_core::marker::Marker;
use signalr_private_link_core::observed::Links;

use super::Seen;

/// How many there are on each SignalR that is read.
#[derive(Default)]
pub struct Orphans(Mutex<HashMap<String, usize>>);

impl Orphans {
    /// Counts those in a complete list of a SignalR's links; returns how many there are on all.
    pub fn count(&self, signalr: &str, links: &Links, seen: &Seen) -> usize {
        let mut without: HashSet<String> =
            links.links.iter().filter_map(|link| Marker::parse(&link.message)).map(|marker| marker.uid).collect();
        seen(&mut |object| {
            if let Some(uid) = &object.metadata.uid {
                without.remove(uid);
            }
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if without.is_empty() {
            all.remove(signalr);
        } else {
            all.insert(signalr.to_owned(), without.len());
        }
        all.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use signalr_private_link_core::marker::{NONCE_LENGTH, Nonce};
    use signalr_private_link_core::observed::{ConnectionState, Link, Provisioning};

    use super::*;
    use crate::api::SignalRSharedPrivateLink;

    fn link(uid: &str) -> Link {
        let marker = Marker { uid: uid.into(), nonce: Nonce::from_random([1; NONCE_LENGTH]), tag: "000000".into() };
        Link {
            name: uid.into(),
            target: String::new(),
            group_id: String::new(),
            message: marker.message("x"),
            provisioning: Provisioning::Succeeded,
            connection: ConnectionState::Approved,
            created_at: None,
            modified_at: None,
        }
    }

    #[test]
    fn a_marker_without_an_object_is_counted() {
        let (here, gone) = ("0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f", "ffffffff-4a52-4a0e-9a3f-1c2b3a4d5e6f");
        let json = serde_json::json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
            "metadata": {"name": "kv-pe", "namespace": "contoso", "uid": here},
            "spec": {"signalR": {"resourceId": "x"}, "keyVault": {"resourceId": "y"}},
        });
        let object: SignalRSharedPrivateLink = serde_json::from_value(json).unwrap();
        let seen: Seen = Arc::new(move |visit| visit(&object));
        let orphans = Orphans::default();
        let foreign = Link { message: "somebody's".into(), ..link(gone) };
        let links = |links: Vec<Link>| Links { links, date: None };
        assert_eq!(orphans.count("a", &links(vec![link(here), foreign]), &seen), 0);
        assert_eq!(orphans.count("a", &links(vec![link(here), link(gone)]), &seen), 1);
        assert_eq!(orphans.count("b", &links(vec![link(gone)]), &seen), 2);
        assert_eq!(orphans.count("a", &links(vec![link(here)]), &seen), 1);
    }
}

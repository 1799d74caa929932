//! Links that carry a marker of this operator's form, and no object: somebody removed a finalizer
//! by hand, or another cluster made them. They are counted and never touched.

use std::collections::{HashMap, HashSet};

use signalr_private_link_core::azure::Links;
use signalr_private_link_core::marker::Marker;

use super::Index;
use crate::locked::Locked;

/// How many there are on each SignalR that is read.
#[derive(Default)]
pub struct Orphans(Locked<HashMap<String, usize>>);

impl Orphans {
    /// Counts those in a complete list of a SignalR's links; returns how many there are on all.
    pub fn count(&self, signalr: &str, links: &Links, index: &Index) -> usize {
        let uids: HashSet<String> =
            links.links.iter().filter_map(|link| Marker::parse(&link.message)).map(|marker| marker.uid).collect();
        let without = index.count_unknown(&uids);
        let mut all = self.0.lock();
        if without == 0 {
            all.remove(signalr);
        } else {
            all.insert(signalr.to_owned(), without);
        }
        all.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use signalr_private_link_core::azure::{ConnectionState, Link, Provisioning};
    use signalr_private_link_core::marker::{NONCE_LENGTH, Nonce};

    use super::*;

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
        let index = Index::new(1);
        index.apply(0, Event::Apply(serde_json::from_value(json).unwrap()));
        let orphans = Orphans::default();
        let foreign = Link { message: "somebody's".into(), ..link(gone) };
        let links = |links: Vec<Link>| Links { links, date: None };
        assert_eq!(orphans.count("a", &links(vec![link(here), foreign]), &index), 0);
        assert_eq!(orphans.count("a", &links(vec![link(here), link(gone)]), &index), 1);
        assert_eq!(orphans.count("b", &links(vec![link(gone)]), &index), 2);
        assert_eq!(orphans.count("a", &links(vec![link(here)]), &index), 1);
    }
}

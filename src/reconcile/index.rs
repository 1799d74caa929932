//! What the watches have shown, and as little of it as is needed: which object claims which link. A trigger and a
//! list of rivals, never a truth (R3).
//!
//! Several watches, one for each namespace that is watched, fill it. A list that a watch begins anew takes away what
//! it no longer shows, and of its own watch only; nothing is looked at before all of them have listed once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Resource as _, ResourceExt as _};
use signalr_private_link_core::desired::{ApprovalMode, Desired, ManagementPolicy, ObjectIdentity};
use signalr_private_link_core::observed::Rival;
use tokio::sync::Notify;

use super::ObjectKey;
use crate::api::{self, Watched};
use crate::locked::Locked;

/// What follows from an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody asks something of this object: it is new, or its spec or its annotations changed.
    Look(ObjectKey),
    /// The object of this uid is gone.
    Gone(ObjectKey, String),
}

/// An object, as it was shown last.
struct Entry {
    uid: String,
    /// A hash of what people ask for: generation and annotations.
    asked: u64,
    watch: usize,
    /// `None` where the spec cannot be used.
    claim: Option<Claim>,
}

/// Which link an object claims. Ids in lower case.
pub struct Claim {
    created: Option<Timestamp>,
    link: Box<str>,
    /// The SignalR.
    pub signalr: Box<str>,
    /// The key vault.
    pub vault: Box<str>,
    /// It would write: it manages, and is not being deleted.
    manages: bool,
    /// It asks for automatic approval, and is not being deleted.
    is_automatic: bool,
}

impl Claim {
    fn of(object: &Watched) -> Option<Self> {
        let desired = api::desired(object.0.as_ref().ok()?).ok()?;
        Some(Self {
            created: desired.object.created,
            link: desired.link.key().into(),
            signalr: desired.link.signalr_key().into(),
            vault: desired.vault.key().into(),
            manages: !desired.deleting && desired.management == ManagementPolicy::Manage,
            is_automatic: !desired.deleting && desired.mode == ApprovalMode::Automatic,
        })
    }
}

/// One watch.
#[derive(Default, Clone)]
struct Watch {
    /// What it has shown before, and not yet in the list that is under way.
    unseen: HashSet<ObjectKey>,
    has_listed: bool,
}

#[derive(Default)]
struct Shown {
    entries: HashMap<ObjectKey, Entry>,
    /// Each link and an object that claims it.
    by_link: BTreeSet<(Box<str>, ObjectKey)>,
    uids: HashSet<String>,
    watches: Vec<Watch>,
    is_listed: bool,
    /// Told when a claim comes, goes or changes.
    changed: Arc<Notify>,
}

/// The objects that the watches have shown. All clones show the same.
#[derive(Clone)]
pub struct Index(Arc<Locked<Shown>>);

fn key(object: &Watched) -> ObjectKey {
    ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// A hash of what people ask for: generation and annotations.
pub(super) fn asked(meta: &ObjectMeta) -> u64 {
    let asked = (meta.generation, meta.deletion_timestamp.is_some(), &meta.annotations);
    BuildHasherDefault::<DefaultHasher>::new().hash_one(asked)
}

impl Index {
    /// Nothing yet, of so many watches.
    #[must_use]
    pub fn new(watches: usize) -> Self {
        Self(Arc::new(Locked::new(Shown { watches: vec![Watch::default(); watches], ..Shown::default() })))
    }

    /// Takes an event of a watch; what follows from it.
    pub fn apply(&self, watch: usize, event: Event<Watched>) -> Vec<Change> {
        let mut shown = self.0.lock();
        match event {
            Event::Init => shown.begin_list(watch),
            Event::InitApply(object) | Event::Apply(object) => shown.show(watch, &object).into_iter().collect(),
            Event::InitDone => shown.end_list(watch),
            Event::Delete(object) => shown.delete(key(&object), object.uid().unwrap_or_default()),
        }
    }

    /// The first list of a watch is refused: that holds up no other watch.
    pub fn refuse(&self, watch: usize) -> Vec<Change> {
        let mut shown = self.0.lock();
        if shown.watches.len() > 1 {
            shown.watches.get_mut(watch).into_iter().for_each(|watch| watch.has_listed = true);
        }
        shown.complete()
    }

    /// Whether every watch has listed once.
    pub fn is_listed(&self) -> bool {
        self.0.lock().is_listed
    }

    /// Whether an object of this name is shown.
    pub fn shows(&self, key: &ObjectKey) -> bool {
        self.0.lock().entries.contains_key(key)
    }

    /// Whether an object claims a link of this SignalR.
    pub fn has_claim_on(&self, signalr: &str) -> bool {
        let below = format!("{signalr}/");
        let first = (below.clone().into(), ObjectKey::default());
        self.0.lock().by_link.range(first..).next().is_some_and(|(link, _)| link.starts_with(&below))
    }

    /// How many of these uids no object has.
    pub fn count_unknown(&self, uids: &HashSet<String>) -> usize {
        let shown = self.0.lock();
        uids.iter().filter(|uid| !shown.uids.contains(*uid)).count()
    }

    /// The other objects that claim the same link.
    pub fn rivals(&self, desired: &Desired) -> Vec<Rival> {
        let shown = self.0.lock();
        let first = (Box::from(desired.link.key()), ObjectKey::default());
        let claims = shown.by_link.range(first..).take_while(|(link, _)| **link == *desired.link.key());
        let rival = |(_, key): &(Box<str>, ObjectKey)| {
            let entry = shown.entries.get(key).filter(|entry| entry.uid != desired.object.uid)?;
            let claim = entry.claim.as_ref()?;
            let (namespace, name) = (key.namespace.clone(), key.name.clone());
            let object = ObjectIdentity { namespace, name, uid: entry.uid.clone(), created: claim.created };
            Some(Rival { object, manages: claim.manages })
        };
        claims.filter_map(rival).collect()
    }

    /// Shows each object that asks for automatic approval, and what it claims.
    pub fn each_automatic(&self, mut show: impl FnMut(&ObjectKey, &Claim)) {
        let shown = self.0.lock();
        let claims = shown.entries.iter().filter_map(|(key, entry)| Some((key, entry.claim.as_ref()?)));
        claims.filter(|(_, claim)| claim.is_automatic).for_each(|(key, claim)| show(key, claim));
    }

    /// Waits until a claim has come, gone or changed since the last wait.
    pub async fn changed(&self) {
        let changed = self.0.lock().changed.clone();
        changed.notified().await;
    }
}

impl Shown {
    /// A list begins; one that broke off before leaves nothing behind that this one does not show.
    fn begin_list(&mut self, watch: usize) -> Vec<Change> {
        let shown = self.entries.iter().filter(|(_, entry)| entry.watch == watch);
        let unseen = shown.map(|(key, _)| key.clone()).collect();
        if let Some(watch) = self.watches.get_mut(watch) {
            watch.unseen = unseen;
        }
        Vec::new()
    }

    fn show(&mut self, watch: usize, object: &Watched) -> Option<Change> {
        let (key, uid, asked) = (key(object), object.uid().unwrap_or_default(), asked(object.meta()));
        self.watches.get_mut(watch)?.unseen.remove(&key);
        if self.entries.get(&key).is_some_and(|entry| entry.uid == uid && entry.asked == asked) {
            return None;
        }
        self.remove(&key);
        let claim = Claim::of(object);
        if let Some(claim) = &claim {
            self.by_link.insert((claim.link.clone(), key.clone()));
        }
        self.uids.insert(uid.clone());
        self.entries.insert(key.clone(), Entry { uid, asked, watch, claim });
        self.changed.notify_one();
        self.is_listed.then_some(Change::Look(key))
    }

    /// An object is gone; another one may have its name by now.
    fn delete(&mut self, key: ObjectKey, uid: String) -> Vec<Change> {
        if self.entries.get(&key).is_some_and(|entry| entry.uid == uid) {
            self.remove(&key);
        }
        vec![Change::Gone(key, uid)]
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<String> {
        let entry = self.entries.remove(key)?;
        self.changed.notify_one();
        self.uids.remove(&entry.uid);
        if let Some(claim) = entry.claim {
            self.by_link.remove(&(claim.link, key.clone()));
        }
        Some(entry.uid)
    }

    /// A list is complete: what it did not show is gone.
    fn end_list(&mut self, watch: usize) -> Vec<Change> {
        let Some(watch) = self.watches.get_mut(watch) else { return Vec::new() };
        watch.has_listed = true;
        let unseen = std::mem::take(&mut watch.unseen);
        let gone = unseen.into_iter().filter_map(|key| self.remove(&key).map(|uid| Change::Gone(key, uid)));
        let gone: Vec<Change> = gone.collect();
        [gone, self.complete()].concat()
    }

    /// Once every watch has listed, each object is looked at: those of one SignalR one after the other, so that one
    /// read serves them all.
    fn complete(&mut self) -> Vec<Change> {
        if self.is_listed || !self.watches.iter().all(|watch| watch.has_listed) {
            return Vec::new();
        }
        self.is_listed = true;
        let mut all: Vec<_> =
            self.entries.iter().map(|(key, entry)| (entry.claim.as_ref().map(|claim| &claim.signalr), key)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, key)| Change::Look(key.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn object(name: &str, uid: &str, generation: i64) -> Watched {
        let subscription = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers";
        let object = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
            "metadata": {"name": name, "namespace": "contoso", "uid": uid, "generation": generation},
            "spec": {
                "signalR": {"resourceId": format!("{subscription}/Microsoft.SignalRService/signalR/s")},
                "keyVault": {"resourceId": format!("{subscription}/Microsoft.KeyVault/vaults/v")},
                "azureName": "kv-pe", "approval": {"mode": "Automatic"},
            },
        });
        serde_json::from_value(object).unwrap()
    }

    fn named(name: &str) -> Watched {
        object(name, &format!("uid-{name}"), 1)
    }

    fn list(watch: usize, names: &[&str]) -> Vec<(usize, Event<Watched>)> {
        let objects = names.iter().map(|name| (watch, Event::InitApply(named(name))));
        std::iter::once((watch, Event::Init)).chain(objects).chain([(watch, Event::InitDone)]).collect()
    }

    /// The changes as words, and the names that are left.
    fn run(index: &Index, events: Vec<(usize, Event<Watched>)>) -> (Vec<String>, Vec<String>) {
        let changes = events.into_iter().flat_map(|(watch, event)| index.apply(watch, event));
        let words = changes.map(|change| match change {
            Change::Look(key) => format!("look {}", key.name),
            Change::Gone(key, _) => format!("gone {}", key.name),
        });
        let words = words.collect();
        let mut left: Vec<String> = index.0.lock().entries.keys().map(|key| key.name.clone()).collect();
        left.sort();
        (words, left)
    }

    fn words(index: &Index, events: Vec<(usize, Event<Watched>)>) -> Vec<String> {
        run(index, events).0
    }

    fn left(events: Vec<(usize, Event<Watched>)>) -> Vec<String> {
        run(&Index::new(2), events).1
    }

    #[test]
    fn nothing_is_looked_at_before_all_watches_have_listed() {
        let index = Index::new(2);
        assert!(words(&index, list(0, &["a"])).is_empty() && !index.is_listed());
        assert!(words(&index, vec![(0, Event::Apply(named("b")))]).is_empty());
        assert_eq!(words(&index, list(1, &["c"])), ["look a", "look b", "look c"]);
        assert!(index.is_listed());
    }

    #[test]
    fn a_signalr_is_looked_at_while_an_object_claims_a_link_of_it() {
        let index = Index::new(1);
        let group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/g";
        let signalr = format!("{group}/providers/microsoft.signalrservice/signalr/s");
        let looked_at = || (index.has_claim_on(&signalr), index.has_claim_on(&signalr[..signalr.len() - 1]));
        assert_eq!(looked_at(), (false, false));
        words(&index, list(0, &["a", "b"]));
        assert_eq!(looked_at(), (true, false), "the other one's name is only the beginning");
        words(&index, vec![(0, Event::Delete(named("a")))]);
        assert_eq!(looked_at(), (true, false));
        words(&index, vec![(0, Event::Delete(named("b")))]);
        assert_eq!(looked_at(), (false, false));
    }

    #[test]
    fn only_what_somebody_asks_for_is_looked_at() {
        let index = Index::new(1);
        words(&index, list(0, &["a"]));
        assert!(index.changed().now_or_never().is_some());
        assert!(words(&index, vec![(0, Event::Apply(named("a")))]).is_empty(), "a status was written");
        assert!(index.changed().now_or_never().is_none());
        assert_eq!(words(&index, vec![(0, Event::Apply(object("a", "uid-a", 2)))]), ["look a"]);
        assert_eq!(words(&index, vec![(0, Event::Apply(object("a", "another", 2)))]), ["look a"]);
        assert_eq!(words(&index, list(0, &["a", "b"])), ["look a", "look b"], "the first object has come again");
    }

    #[test]
    fn a_watch_that_lists_again_takes_away_only_its_own() {
        let both = [list(0, &["a", "gone"]), list(1, &["b"])].concat();
        assert_eq!(left([both.clone(), list(0, &["a", "new"])].concat()), ["a", "b", "new"]);
        let deleted = vec![(0, Event::Delete(named("a")))];
        assert_eq!(left([both, deleted.clone(), list(1, &["b"])].concat()), ["b", "gone"]);
        // A deletion while the other's first list is still on its way.
        assert_eq!(left([list(0, &["a"]), deleted, list(1, &["b"])].concat()), ["b"]);
    }

    #[test]
    fn a_first_list_that_breaks_off_leaves_no_ghosts_and_a_deletion_that_was_held_back_no_hole() {
        let broken = vec![(0, Event::Init), (0, Event::InitApply(named("ghost")))];
        assert_eq!(left([broken, list(0, &["b"]), list(1, &[])].concat()), ["b"]);
        let again = vec![(0, Event::Delete(named("a"))), (0, Event::Apply(object("a", "another", 1)))];
        assert_eq!(left([list(0, &["a"]), again, list(1, &["b"])].concat()), ["a", "b"]);
        // A late deletion of an object whose name another one has by now.
        let late = vec![(0, Event::Apply(object("a", "another", 1))), (0, Event::Delete(named("a")))];
        assert_eq!(left([list(0, &["a"]), list(1, &[]), late].concat()), ["a"]);
    }

    #[test]
    fn a_namespace_that_may_not_be_listed_holds_up_no_other() {
        let index = Index::new(2);
        words(&index, list(0, &["a"]));
        assert_eq!(index.refuse(1), [Change::Look(ObjectKey { namespace: "contoso".into(), name: "a".into() })]);
        assert_eq!(index.refuse(1), [], "it is refused again and again");
        assert_eq!(words(&index, list(1, &["b"])), ["look b"]);
        // A single watch has nothing else to look at.
        let alone = Index::new(1);
        assert!(alone.refuse(0).is_empty() && !alone.is_listed());
    }

    #[test]
    fn rivals_are_those_that_claim_the_same_link() {
        let index = Index::new(1);
        words(&index, list(0, &["a", "b"]));
        let own = named("a").0.unwrap();
        let desired = api::desired(&own).unwrap();
        let rivals = index.rivals(&desired);
        assert_eq!(rivals.iter().map(|rival| rival.object.name.as_str()).collect::<Vec<_>>(), ["b"]);
        words(&index, vec![(0, Event::Delete(named("b")))]);
        assert!(index.rivals(&desired).is_empty());
        let uids = ["uid-a", "uid-b"].map(str::to_owned).into();
        assert_eq!(index.count_unknown(&uids), 1);
    }
}

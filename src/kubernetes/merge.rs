//! One watch out of several, one for each namespace that is watched.
//!
//! A store takes a watch's first list as all there is. With several watches into one store the
//! list of one would throw out the objects of the others, and they would never be looked at. So
//! the first lists become one, and a later list of one watch becomes single changes.

use std::collections::HashMap;

use futures::stream::SelectAll;
use futures::{Stream, StreamExt as _};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{Error, Event, Result};

/// Merges watches.
pub fn merge<K, S>(watches: Vec<S>) -> impl Stream<Item = Result<Event<K>>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Send + 'static,
    S: Stream<Item = Result<Event<K>>> + Send + Unpin + 'static,
{
    let mut merge = Merge::new(watches.len());
    let numbered = watches.into_iter().enumerate().map(|(at, watch)| watch.map(move |event| (at, event)));
    numbered.collect::<SelectAll<_>>().flat_map(move |(at, event)| {
        futures::stream::iter(match event {
            Ok(event) => merge.step(at, event).into_iter().map(Ok).collect(),
            Err(error) => {
                let refused = if is_forbidden(&error) { merge.refused(at) } else { Vec::new() };
                std::iter::once(Err(error)).chain(refused.into_iter().map(Ok)).collect::<Vec<_>>()
            }
        })
    })
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// What one watch has shown.
struct Shown<K: Resource<DynamicType = ()>> {
    known: HashMap<ObjectRef<K>, K>,
    /// The list that is being read.
    list: HashMap<ObjectRef<K>, K>,
    listed: bool,
}

struct Merge<K: Resource<DynamicType = ()>> {
    watches: Vec<Shown<K>>,
    begun: bool,
    /// All first lists are complete.
    done: bool,
    /// Deletions that came before that.
    deleted: Vec<K>,
}

impl<K: Resource<DynamicType = ()> + Clone> Merge<K> {
    fn new(watches: usize) -> Self {
        let shown = || Shown { known: HashMap::new(), list: HashMap::new(), listed: false };
        Self { watches: (0..watches).map(|_| shown()).collect(), begun: false, done: false, deleted: Vec::new() }
    }

    fn step(&mut self, at: usize, event: Event<K>) -> Vec<Event<K>> {
        let Some(watch) = self.watches.get_mut(at) else { return Vec::new() };
        match event {
            Event::Init => {
                // A list that broke off is begun again: what it has shown so far was there, and may be gone.
                for (key, object) in watch.list.drain() {
                    watch.known.entry(key).or_insert(object);
                }
                if std::mem::replace(&mut self.begun, true) { Vec::new() } else { vec![Event::Init] }
            }
            Event::InitApply(object) => {
                watch.list.insert(ObjectRef::from_obj(&object), object.clone());
                vec![self.changed(object)]
            }
            Event::InitDone => {
                let list = std::mem::take(&mut watch.list);
                let before = std::mem::replace(&mut watch.known, list);
                let gone =
                    before.into_iter().filter(|(key, _)| !watch.known.contains_key(key)).map(|(_, object)| object);
                self.deleted.extend(gone);
                watch.listed = true;
                let first = !self.done && self.watches.iter().all(|watch| watch.listed);
                self.done |= first;
                let mut events = if first { vec![Event::InitDone] } else { Vec::new() };
                if self.done {
                    events.extend(self.gone());
                }
                events
            }
            Event::Apply(object) => {
                watch.known.insert(ObjectRef::from_obj(&object), object.clone());
                vec![self.changed(object)]
            }
            Event::Delete(object) => {
                watch.known.remove(&ObjectRef::from_obj(&object));
                if self.done {
                    return vec![Event::Delete(object)];
                }
                self.deleted.push(object);
                Vec::new()
            }
        }
    }

    /// Deletions that were held back, but of what has come again since.
    fn gone(&mut self) -> Vec<Event<K>> {
        let deleted = std::mem::take(&mut self.deleted);
        let is_there = |object: &K| {
            let key = ObjectRef::from_obj(object);
            self.watches.iter().any(|watch| watch.known.contains_key(&key))
        };
        deleted.into_iter().filter(|object| !is_there(object)).map(Event::Delete).collect()
    }

    /// A watch whose first list is refused holds up no other.
    fn refused(&mut self, at: usize) -> Vec<Event<K>> {
        let several = self.watches.len() > 1;
        if let Some(watch) = self.watches.get_mut(at) {
            watch.listed |= several;
        }
        let first = !self.done && self.watches.iter().all(|watch| watch.listed);
        self.done |= first;
        if !first {
            return Vec::new();
        }
        let begin = if std::mem::replace(&mut self.begun, true) { None } else { Some(Event::Init) };
        begin.into_iter().chain([Event::InitDone]).chain(self.gone()).collect()
    }

    fn changed(&self, object: K) -> Event<K> {
        if self.done { Event::Apply(object) } else { Event::InitApply(object) }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt as _;
    use kube::runtime::reflector;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.namespace = Some("contoso".into());
        object
    }

    /// What a store holds after these events of two watches.
    fn store(events: Vec<(usize, Event<ConfigMap>)>) -> Vec<String> {
        let (store, mut writer) = reflector::store::<ConfigMap>();
        let mut merge = Merge::new(2);
        for (at, event) in events {
            for event in merge.step(at, event) {
                writer.apply_watcher_event(&event);
            }
        }
        let mut names: Vec<String> = store.state().iter().map(|object| object.name_any()).collect();
        names.sort();
        names
    }

    fn list(at: usize, names: &[&str]) -> Vec<(usize, Event<ConfigMap>)> {
        let objects = names.iter().map(|name| (at, Event::InitApply(object(name))));
        std::iter::once((at, Event::Init)).chain(objects).chain([(at, Event::InitDone)]).collect()
    }

    #[test]
    fn the_list_of_one_watch_keeps_the_objects_of_the_others() {
        assert_eq!(store([list(0, &["a"]), list(1, &["b", "c"])].concat()), ["a", "b", "c"]);
        // In any order of their events.
        let mixed = vec![
            (0, Event::Init),
            (1, Event::Init),
            (1, Event::InitApply(object("b"))),
            (0, Event::InitApply(object("a"))),
            (1, Event::InitDone),
            (1, Event::Apply(object("c"))),
            (0, Event::InitDone),
        ];
        assert_eq!(store(mixed), ["a", "b", "c"]);
    }

    #[test]
    fn a_first_list_that_breaks_off_leaves_no_ghosts_and_a_deletion_that_was_held_back_no_hole() {
        let broken = vec![(0, Event::Init), (0, Event::InitApply(object("ghost")))];
        assert_eq!(store([broken, list(0, &["b"]), list(1, &[])].concat()), ["b"]);
        let again = vec![(0, Event::Delete(object("a"))), (0, Event::Apply(object("a")))];
        assert_eq!(store([list(0, &["a"]), again, list(1, &["b"])].concat()), ["a", "b"]);
    }

    #[test]
    fn a_namespace_that_may_not_be_listed_holds_up_no_other() {
        let mut merge = Merge::<ConfigMap>::new(2);
        let names = |events: Vec<Event<ConfigMap>>| -> Vec<&'static str> {
            let name = |event| match event {
                Event::Init => "init",
                Event::InitApply(_) => "listed",
                Event::InitDone => "done",
                Event::Apply(_) => "applied",
                Event::Delete(_) => "deleted",
            };
            events.into_iter().map(name).collect()
        };
        for (at, event) in list(0, &["a"]) {
            merge.step(at, event);
        }
        assert_eq!(names(merge.refused(1)), ["done"]);
        assert_eq!(names(merge.refused(1)), Vec::<&str>::new(), "it is refused again and again");
        let later: Vec<_> = list(1, &["b"]).into_iter().flat_map(|(at, event)| names(merge.step(at, event))).collect();
        assert_eq!(later, ["applied"]);
    }

    #[test]
    fn a_watch_that_lists_again_takes_away_only_its_own() {
        let both = [list(0, &["a", "gone"]), list(1, &["b"])].concat();
        assert_eq!(store([both.clone(), list(0, &["a", "new"])].concat()), ["a", "b", "new"]);
        let deleted = vec![(0, Event::Delete(object("a")))];
        assert_eq!(store([both, deleted.clone(), list(1, &["b"])].concat()), ["b", "gone"]);
        // A deletion while the other's first list is still on its way.
        assert_eq!(store([list(0, &["a"]), deleted, list(1, &["b"])].concat()), ["b"]);
    }
}

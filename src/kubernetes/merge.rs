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
use kube::runtime::watcher::{Event, Result};

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
            Err(error) => vec![Err(error)],
        })
    })
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
                watch.list.clear();
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
                    events.extend(self.deleted.drain(..).map(Event::Delete));
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
    fn a_watch_that_lists_again_takes_away_only_its_own() {
        let both = [list(0, &["a", "gone"]), list(1, &["b"])].concat();
        assert_eq!(store([both.clone(), list(0, &["a", "new"])].concat()), ["a", "b", "new"]);
        let deleted = vec![(0, Event::Delete(object("a")))];
        assert_eq!(store([both, deleted.clone(), list(1, &["b"])].concat()), ["b", "gone"]);
        // A deletion while the other's first list is still on its way.
        assert_eq!(store([list(0, &["a"]), deleted, list(1, &["b"])].concat()), ["b"]);
    }
}

//! What the API server stores, and the rules by which it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use azure_sim::clock;
use serde_json::{Value, json};

use super::path::Path;
use super::{Answer, refuse};

/// Plural, namespace (empty for cluster scope), name.
pub(super) type Key = (&'static str, String, String);

/// What happened to an object, in the words of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One version of the store.
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) key: Key,
    pub(super) change: Change,
    pub(super) object: Arc<Value>,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    /// What watches are told, oldest first.
    pub(super) history: Vec<Version>,
    /// Watches that begin before this version have missed something.
    pub(super) compacted: u64,
    pub(super) version: u64,
    uids: u64,
    /// Two clusters give no uid twice.
    pub(super) cluster: u8,
}

fn finalizers(object: &Value) -> &[Value] {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether something keeps a deleted object. A namespace has finalizers of its own, in `spec`.
fn held(object: &Value) -> bool {
    let own = object.pointer("/spec/finalizers").and_then(Value::as_array);
    !finalizers(object).is_empty() || own.is_some_and(|all| !all.is_empty())
}

fn field(object: &mut Value, name: &str) -> Value {
    object.as_object_mut().and_then(|fields| fields.remove(name)).unwrap_or_default()
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let (Some(fields), false) = (object.as_object_mut(), value.is_null()) {
        fields.insert(name.to_owned(), value);
    }
}

fn put_meta(object: &mut Value, name: &str, value: Value) {
    if let Some(metadata) = object.pointer_mut("/metadata") {
        put(metadata, name, value);
    }
}

fn meta<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.pointer("/metadata").and_then(|metadata| metadata.get(name)).unwrap_or(&Value::Null)
}

fn seconds() -> Value {
    json!(clock::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn count_generation(object: &mut Value) {
    let generation = meta(object, "generation").as_i64().unwrap_or_default();
    put_meta(object, "generation", json!(generation + 1));
}

impl Store {
    /// Gives the object the next version and stores it, or takes it away.
    fn commit(&mut self, key: &Key, change: Change, mut object: Value) -> Arc<Value> {
        self.version += 1;
        put_meta(&mut object, "resourceVersion", json!(self.version.to_string()));
        let object = Arc::new(object);
        match change {
            Change::Deleted => self.objects.remove(key),
            _ => self.objects.insert(key.clone(), object.clone()),
        };
        self.history.push(Version { number: self.version, key: key.clone(), change, object: object.clone() });
        object
    }

    /// An object as it was before its last change, or its namesake before it.
    pub(super) fn previous(&self, key: &Key) -> Option<&Value> {
        let versions = self.history.iter().rev().filter(|version| version.key == *key);
        let earlier = versions.skip(1).find(|version| version.change != Change::Deleted);
        earlier.map(|version| &*version.object)
    }

    pub(super) fn get(&self, key: &Key) -> Answer {
        match self.objects.get(key) {
            Some(object) => Ok(object.clone()),
            None => refuse(404, "NotFound", format!("{} \"{}\" not found", key.0, key.2)),
        }
    }

    pub(super) fn create(&mut self, path: &Path, mut object: Value) -> Answer {
        if !path.namespace.is_empty() {
            let namespace = self.get(&("namespaces", String::new(), path.namespace.clone()))?;
            if !meta(&namespace, "deletionTimestamp").is_null() {
                return refuse(403, "Forbidden", format!("namespace {} is being terminated", path.namespace));
            }
        }
        let Some(name) = meta(&object, "name").as_str().map(str::to_owned) else {
            return refuse(422, "Invalid", "name or generateName is required");
        };
        let key = (path.kind.plural, path.namespace.clone(), name);
        if self.objects.contains_key(&key) {
            return refuse(409, "AlreadyExists", format!("{} \"{}\" already exists", key.0, key.2));
        }
        if path.kind.status {
            field(&mut object, "status");
        }
        if path.kind.plural == "namespaces" {
            put(&mut object, "spec", json!({"finalizers": ["kubernetes"]}));
        }
        self.uids += 1;
        let uid = format!("00000000-0000-4000-80{:02x}-{:012x}", self.cluster, self.uids);
        put_meta(&mut object, "uid", json!(uid));
        put_meta(&mut object, "creationTimestamp", seconds());
        put_meta(&mut object, "generation", json!(1));
        put_meta(&mut object, "namespace", if path.namespace.is_empty() { Value::Null } else { json!(path.namespace) });
        let api_version = match path.kind.group {
            "" => path.kind.version.to_owned(),
            group => format!("{group}/{}", path.kind.version),
        };
        put(&mut object, "apiVersion", json!(api_version));
        put(&mut object, "kind", json!(path.kind.kind));
        Ok(self.commit(&key, Change::Added, object))
    }

    /// Replaces an object by a changed one: the part that the request is about, and no other.
    pub(super) fn update(&mut self, path: &Path, key: &Key, mut wanted: Value) -> Answer {
        let before = self.get(key)?;
        for (name, asked) in [("resourceVersion", 409), ("uid", 409)] {
            let (is, was) = (meta(&wanted, name), meta(&before, name));
            if !is.is_null() && is != was {
                let message = "the object has been modified; please apply your changes to the latest version";
                return refuse(asked, "Conflict", message);
            }
        }
        let mut after;
        if path.status {
            after = Value::clone(&before);
            field(&mut after, "status");
            put(&mut after, "status", field(&mut wanted, "status"));
        } else {
            field(&mut wanted, "status");
            after = wanted;
            if let (true, Some(status)) = (path.kind.status, before.get("status")) {
                put(&mut after, "status", status.clone());
            }
            for kept in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
                put_meta(&mut after, kept, meta(&before, kept).clone());
            }
            let added = finalizers(&after).iter().any(|f| !finalizers(&before).contains(f));
            if added && !meta(&before, "deletionTimestamp").is_null() {
                return refuse(422, "Invalid", "no new finalizers can be added if the object is being deleted");
            }
            if finalizers(&after).is_empty()
                && let Some(metadata) = after.pointer_mut("/metadata")
            {
                field(metadata, "finalizers");
            }
            if path.kind.status && after.get("spec") != before.get("spec") {
                count_generation(&mut after);
            }
        }
        put_meta(&mut after, "resourceVersion", meta(&before, "resourceVersion").clone());
        if after == *before {
            return Ok(before);
        }
        let ends = !meta(&after, "deletionTimestamp").is_null() && !held(&after);
        Ok(self.commit(key, if ends { Change::Deleted } else { Change::Modified }, after))
    }

    pub(super) fn delete(&mut self, key: &Key, options: &Value) -> Answer {
        let there = self.get(key)?;
        let uid = options.pointer("/preconditions/uid").unwrap_or(&Value::Null);
        if !uid.is_null() && uid != meta(&there, "uid") {
            return refuse(409, "Conflict", "the UID in the precondition does not match the UID in record");
        }
        let mut object = Value::clone(&there);
        if !held(&object) {
            self.commit(key, Change::Deleted, object);
            return Ok(Arc::new(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})));
        }
        if !meta(&object, "deletionTimestamp").is_null() {
            return Ok(there);
        }
        put_meta(&mut object, "deletionTimestamp", seconds());
        put_meta(&mut object, "deletionGracePeriodSeconds", json!(0));
        count_generation(&mut object);
        Ok(self.commit(key, Change::Modified, object))
    }

    pub(super) fn list(&self, path: &Path) -> Value {
        let of_kind = self.objects.iter().filter(|(key, _)| path.covers(key));
        let items: Vec<&Value> = of_kind.map(|(_, object)| &**object).collect();
        json!({
            "kind": format!("{}List", path.kind.kind), "apiVersion": "v1",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        })
    }
}

//! A Kubernetes API server in this process, for tests that pause the clock: as much of the API as
//! the operator uses, and no watches. `kubernetes_suite` holds it against the real one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use azure_sim::clock;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Map, Value, json};

/// One kind that is served.
struct Kind {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    /// Whether `status` is a subresource, and spec changes count generations.
    status: bool,
}

const GROUP: &str = "privatelink.signalr-operator.io";
const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        version: "v1alpha1",
        plural: "signalrsharedprivatelinks",
        kind: "SignalRSharedPrivateLink",
        status: true,
    },
    Kind { group: GROUP, version: "v1alpha1", plural: "approvalpolicies", kind: "ApprovalPolicy", status: true },
    Kind { group: "", version: "v1", plural: "namespaces", kind: "Namespace", status: false },
    Kind { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event", status: false },
    Kind {
        group: "apiextensions.k8s.io",
        version: "v1",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        status: false,
    },
];

/// Plural, namespace (empty for cluster scope), name.
type Key = (&'static str, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    /// Each object before its last change.
    previous: BTreeMap<Key, Value>,
    version: u64,
    uids: u64,
}

/// The API server.
#[derive(Default)]
pub struct FakeKubernetes {
    state: Mutex<State>,
}

/// A refusal, as `Status` tells it.
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
}

type Answer = Result<Value, Refusal>;

fn refuse<T>(code: u16, reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, reason, message: message.into() })
}

/// What a path names.
struct Path {
    kind: &'static Kind,
    namespace: String,
    name: Option<String>,
    status: bool,
}

fn parse(path: &str) -> Option<Path> {
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, plural, rest @ ..] => (*namespace, [&[*plural], rest].concat()),
        all => ("", all.to_vec()),
    };
    let (plural, name, sub) = match rest.as_slice() {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, sub] => (*plural, Some(*name), Some(*sub)),
        _ => return None,
    };
    let kind = KINDS.iter().find(|k| k.group == group && k.version == version && k.plural == plural)?;
    let status = match sub {
        None => false,
        Some("status") if kind.status => true,
        Some(_) => return None,
    };
    Some(Path { kind, namespace: namespace.to_owned(), name: name.map(str::to_owned), status })
}

fn finalizers(object: &Value) -> &[Value] {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
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

impl State {
    fn next_version(&mut self) -> Value {
        self.version += 1;
        json!(self.version.to_string())
    }

    fn get(&self, key: &Key) -> Answer {
        match self.objects.get(key) {
            Some(object) => Ok(object.clone()),
            None => refuse(404, "NotFound", format!("{} \"{}\" not found", key.0, key.2)),
        }
    }

    fn create(&mut self, path: &Path, mut object: Value) -> Answer {
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
        self.uids += 1;
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.uids);
        put_meta(&mut object, "uid", json!(uid));
        put_meta(&mut object, "creationTimestamp", seconds());
        put_meta(&mut object, "generation", json!(1));
        put_meta(&mut object, "namespace", if path.namespace.is_empty() { Value::Null } else { json!(path.namespace) });
        let version = self.next_version();
        put_meta(&mut object, "resourceVersion", version);
        let api_version = match path.kind.group {
            "" => path.kind.version.to_owned(),
            group => format!("{group}/{}", path.kind.version),
        };
        put(&mut object, "apiVersion", json!(api_version));
        put(&mut object, "kind", json!(path.kind.kind));
        self.objects.insert(key, object.clone());
        Ok(object)
    }

    /// Replaces an object by a changed one: the part that the request is about, and no other.
    fn update(&mut self, path: &Path, key: &Key, mut wanted: Value) -> Answer {
        let before = self.get(key)?;
        for (name, asked) in [("resourceVersion", 409), ("uid", 409)] {
            let (is, was) = (meta(&wanted, name), meta(&before, name));
            if !is.is_null() && is != was {
                let message = "the object has been modified; please apply your changes to the latest version";
                return refuse(asked, "Conflict", message);
            }
        }
        let mut after = before.clone();
        if path.status {
            field(&mut after, "status");
            let status = field(&mut wanted, "status");
            put(&mut after, "status", status);
        } else {
            let status = field(&mut after, "status");
            field(&mut wanted, "status");
            after = wanted;
            if path.kind.status {
                put(&mut after, "status", status);
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
                self.count_generation(&mut after);
            }
        }
        put_meta(&mut after, "resourceVersion", meta(&before, "resourceVersion").clone());
        if after == before {
            return Ok(before);
        }
        let version = self.next_version();
        put_meta(&mut after, "resourceVersion", version);
        if !meta(&after, "deletionTimestamp").is_null() && finalizers(&after).is_empty() {
            self.objects.remove(key);
            self.previous.insert(key.clone(), before);
        } else {
            self.objects.insert(key.clone(), after.clone());
            self.previous.insert(key.clone(), before);
        }
        Ok(after)
    }

    fn count_generation(&mut self, object: &mut Value) {
        let generation = meta(object, "generation").as_i64().unwrap_or_default();
        put_meta(object, "generation", json!(generation + 1));
    }

    fn delete(&mut self, key: &Key, options: &Value) -> Answer {
        let mut object = self.get(key)?;
        let uid = options.pointer("/preconditions/uid").unwrap_or(&Value::Null);
        if !uid.is_null() && uid != meta(&object, "uid") {
            return refuse(409, "Conflict", "the UID in the precondition does not match the UID in record");
        }
        if finalizers(&object).is_empty() {
            self.objects.remove(key);
            self.previous.insert(key.clone(), object);
            return Ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}));
        }
        if meta(&object, "deletionTimestamp").is_null() {
            put_meta(&mut object, "deletionTimestamp", seconds());
            put_meta(&mut object, "deletionGracePeriodSeconds", json!(0));
            self.count_generation(&mut object);
            let version = self.next_version();
            put_meta(&mut object, "resourceVersion", version);
            if let Some(before) = self.objects.insert(key.clone(), object.clone()) {
                self.previous.insert(key.clone(), before);
            }
        }
        Ok(object)
    }

    fn list(&self, path: &Path) -> Value {
        let of_kind = self.objects.iter().filter(|((plural, namespace, _), _)| {
            *plural == path.kind.plural && (path.namespace.is_empty() || *namespace == path.namespace)
        });
        let items: Vec<Value> = of_kind.map(|(_, object)| object.clone()).collect();
        json!({
            "kind": format!("{}List", path.kind.kind), "apiVersion": "v1",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        })
    }
}

fn patched(object: &Value, content_type: &str, body: &Value) -> Answer {
    let mut object = object.clone();
    match content_type {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = match serde_json::from_value(body.clone()) {
                Ok(patch) => patch,
                Err(error) => return refuse(400, "BadRequest", error.to_string()),
            };
            match json_patch::patch(&mut object, &patch) {
                Ok(()) => Ok(object),
                // The real one says no more either.
                Err(_) => refuse(422, "Invalid", "the server rejected our request due to an error in our request"),
            }
        }
        "application/merge-patch+json" => {
            json_patch::merge(&mut object, body);
            Ok(object)
        }
        other => refuse(415, "UnsupportedMediaType", format!("{other} is not served by the fake")),
    }
}

impl FakeKubernetes {
    /// Answers a request.
    pub fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (code, value) = match self.answer(request) {
            Ok(value) => (if request.method() == Method::POST { 201 } else { 200 }, value),
            Err(Refusal { code, reason, message }) => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "code": code, "reason": reason, "message": message,
                });
                (code, status)
            }
        };
        let response = Response::builder().status(code).header("content-type", "application/json");
        response.body(Bytes::from(value.to_string())).unwrap_or_default()
    }

    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let Some(path) = parse(request.uri().path()) else {
            return refuse(404, "NotFound", "the server could not find the requested resource");
        };
        let content_type = request.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body: Value = match request.body().is_empty() {
            true => Value::Object(Map::new()),
            false => match serde_json::from_slice(request.body()) {
                Ok(body) => body,
                Err(error) => return refuse(400, "BadRequest", error.to_string()),
            },
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = path.name.clone() else {
            return match *request.method() {
                Method::GET => Ok(state.list(&path)),
                Method::POST => state.create(&path, body),
                _ => refuse(405, "MethodNotAllowed", "not served by the fake"),
            };
        };
        let key = (path.kind.plural, path.namespace.clone(), name);
        match *request.method() {
            Method::GET => state.get(&key),
            Method::DELETE => state.delete(&key, &body),
            Method::PUT => state.update(&path, &key, body),
            Method::PATCH => {
                let wanted = patched(&state.get(&key)?, content_type, &body)?;
                state.update(&path, &key, wanted)
            }
            _ => refuse(405, "MethodNotAllowed", "not served by the fake"),
        }
    }

    /// What is made of an object as it is stored.
    pub fn look<T>(
        &self,
        plural: &'static str,
        namespace: &str,
        name: &str,
        at: impl FnOnce(&Value) -> T,
    ) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.objects.get(&(plural, namespace.to_owned(), name.to_owned())).map(at)
    }

    /// An object as it was before its last change: also one of the same name that is gone.
    #[must_use]
    pub fn previous(&self, plural: &'static str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.previous.get(&(plural, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Shows all objects of a kind.
    pub fn visit(&self, plural: &'static str, mut visit: impl FnMut(&Value)) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = state.objects.iter().filter(|((p, _, _), _)| *p == plural);
        of_kind.for_each(|(_, object)| visit(object));
    }

    /// All objects of a kind.
    #[must_use]
    pub fn objects(&self, plural: &'static str) -> Vec<Value> {
        let mut all = Vec::new();
        self.visit(plural, |object| all.push(object.clone()));
        all
    }
}

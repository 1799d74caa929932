//! A Kubernetes API server in this process, for tests that pause the clock: as much of the API as
//! the operator uses. `kubernetes_suite` holds it against the real one.

mod path;
mod store;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response};
use serde_json::{Map, Value, json};

use store::Store;
pub use watch::Watch;

use crate::kube_client::{self, Connection};

/// The API server.
#[derive(Default)]
pub struct FakeKubernetes {
    store: Mutex<Store>,
    /// Wakes watches.
    changed: tokio::sync::watch::Sender<()>,
}

/// A refusal, as `Status` tells it.
struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
}

type Answer = Result<Arc<Value>, Refusal>;

fn refuse<T>(code: u16, reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, reason, message: message.into() })
}

/// A failure, as the API has it.
fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

fn patched(object: &Value, content_type: &str, body: &Value) -> Result<Value, Refusal> {
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
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of several: the uids of its objects are its own.
    #[must_use]
    pub fn of_cluster(cluster: u8) -> Self {
        let fake = Self::default();
        fake.store().cluster = cluster;
        fake
    }

    /// A connection to it.
    #[must_use]
    pub fn connection(self: &Arc<Self>) -> Connection {
        let fake = self.clone();
        kube_client::connection(move |request| {
            let answer = match fake.watch(&request) {
                Some(watch) => Response::new(kube_client::in_pieces(fake.stream(watch).map(Ok))),
                None => fake.handle(&request).map(kube_client::whole),
            };
            std::future::ready(Ok(answer))
        })
    }

    /// Answers a request that is not a [`watch`](Self::watch).
    pub fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (code, value) = match self.answer(request) {
            Ok(value) => (if request.method() == Method::POST { 201 } else { 200 }, value),
            Err(Refusal { code, reason, message }) => (code, Arc::new(status(code, reason, &message))),
        };
        let response = Response::builder().status(code).header("content-type", "application/json");
        response.body(Bytes::from(value.to_string())).unwrap_or_default()
    }

    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let Some(path) = path::parse(request.uri().path()) else {
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
        let mut store = self.store();
        let before = store.version;
        let answer = Self::carry_out(&mut store, request, &path, content_type, body);
        if store.version != before {
            self.changed.send_replace(());
        }
        answer
    }

    fn carry_out(
        store: &mut Store,
        request: &Request<Bytes>,
        path: &path::Path,
        content_type: &str,
        body: Value,
    ) -> Answer {
        let Some(name) = path.name.clone() else {
            return match *request.method() {
                Method::GET => Ok(Arc::new(store.list(path))),
                Method::POST => store.create(path, body),
                _ => refuse(405, "MethodNotAllowed", "not served by the fake"),
            };
        };
        let key = (path.kind.plural, path.namespace.clone(), name);
        match *request.method() {
            Method::GET => store.get(&key),
            Method::DELETE => store.delete(&key, &body),
            Method::PUT => store.update(path, &key, body),
            Method::PATCH => {
                let wanted = patched(&*store.get(&key)?, content_type, &body)?;
                store.update(path, &key, wanted)
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
        let store = self.store();
        store.objects.get(&(plural, namespace.to_owned(), name.to_owned())).map(|object| at(object))
    }

    /// An object as it was before its last change: also one of the same name that is gone.
    #[must_use]
    pub fn previous(&self, plural: &'static str, namespace: &str, name: &str) -> Option<Value> {
        let store = self.store();
        store.previous(&(plural, namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Shows all objects of a kind.
    pub fn visit(&self, plural: &'static str, mut visit: impl FnMut(&Value)) {
        let store = self.store();
        let of_kind = store.objects.iter().filter(|((p, _, _), _)| *p == plural);
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

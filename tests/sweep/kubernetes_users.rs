//! What people do to objects under the operator's hands, between two of its calls.

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::boundary::{Boundary, Side};
use crate::classify::{answer, error};
use crate::stage::{self, LINKS};

impl Boundary {
    /// The object as it was before its last change; nothing if it had none.
    pub fn past(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let (namespace, name) = stage::named(request.uri().path())?;
        if request.method() != Method::GET {
            return None;
        }
        let past = self.kubernetes.previous(LINKS, namespace, name);
        Some(match past {
            Some(object) => answer(200).body(Bytes::from(object.to_string())).unwrap(),
            None => error(Side::Kubernetes, 404, "NotFound"),
        })
    }

    /// Somebody writes the status of all links.
    pub fn meddle(&self, forge: bool) {
        for object in self.kubernetes.objects(LINKS) {
            let (meta, now) = (&object["metadata"], "2026-11-24T00:00:00Z");
            let condition = json!({
                "type": "Ready", "status": "True", "reason": "Approved", "message": "trust me",
                "lastTransitionTime": now, "observedGeneration": meta["generation"],
            });
            let forged = json!({
                "observedGeneration": meta["generation"], "conditions": [condition],
                "approval": {"requestedAt": now, "approvedAt": now, "approvedBy": "Operator", "policy": "p@1"},
            });
            let status = if forge { forged } else { json!(null) };
            self.people("PATCH", &format!("{}/status", stage::path_of(&object)), &json!({"status": status}));
        }
    }

    /// Somebody deletes an object, while a pass may be on its way.
    pub fn delete(&self, object: &Value) {
        self.tear(object);
        self.people("DELETE", &stage::path_of(object), &json!({}));
    }

    /// Somebody tears an object away, finalizer and all, and makes it anew.
    pub fn recreate(&self, object: &Value) {
        self.tear(object);
        let (path, metadata) = (stage::path_of(object), &object["metadata"]);
        self.people("PATCH", &path, &json!({"metadata": {"finalizers": null}}));
        self.people("DELETE", &path, &json!({}));
        let again = json!({"metadata": {"name": metadata["name"]}, "spec": object["spec"]});
        self.people("POST", &stage::siblings_of(object), &again);
    }

    /// What was read of the object before may be acted on for a moment (R6).
    fn tear(&self, object: &Value) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        self.note(format!("people: {} is torn away", stage::path_of(object)));
        self.calls().torn.entry(uid).or_insert_with(Instant::now);
    }

    /// A request of somebody else's reaches the API server.
    pub fn people(&self, method: &str, path: &str, body: &Value) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/merge-patch+json");
        self.kubernetes.handle(&request.body(Bytes::from(body.to_string())).unwrap())
    }
}

//! What people, GitOps tools and Azure itself do around the operator, and what they see.

use std::sync::Arc;

use azure_sim::world::{Connection, Link, Opener};
use serde_json::{Value, json};
use testkit::azure;
use testkit::scene::{LinkOptions, Scene, condition};

use crate::boundary::Boundary;

pub const LINKS: &str = "signalrsharedprivatelinks";
pub const POLICIES: &str = "approvalpolicies";
pub const NAMESPACE: &str = "contoso";
pub const DEFINITION: &str = "signalrsharedprivatelinks.privatelink.signalr-operator.io";
const GROUP: &str = "/apis/privatelink.signalr-operator.io/v1alpha1";
pub const SIGNALR: &str = "contoso-signalr";
pub const VAULT: &str = "contoso-kv";
/// Where SignalR's endpoints live, as the policies here say.
pub const ENDPOINTS: &str = "4d1c0ffe-0000-4000-8000-00000000cafe";

/// The id of the link that an object names.
pub fn link_id(object: &Value) -> String {
    let signalr = object["spec"]["signalR"]["resourceId"].as_str().unwrap_or_default();
    let name = object["spec"]["azureName"].as_str().or(object["metadata"]["name"].as_str()).unwrap_or_default();
    format!("{signalr}/sharedPrivateLinkResources/{name}")
}

/// The namespace and name of the object at a path.
pub fn named(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.strip_prefix(GROUP)?.split('/').skip(1);
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()) {
        ("namespaces", namespace, LINKS, name, None) => Some((namespace, name)),
        _ => None,
    }
}

fn objects_path(namespace: &str) -> String {
    format!("{GROUP}/namespaces/{namespace}/{LINKS}")
}

fn object_path(name: &str) -> String {
    format!("{}/{name}", objects_path(NAMESPACE))
}

/// Where the objects of an object's namespace are.
pub fn siblings_of(object: &Value) -> String {
    objects_path(object["metadata"]["namespace"].as_str().unwrap_or_default())
}

/// Where an object is.
pub fn path_of(object: &Value) -> String {
    format!("{}/{}", siblings_of(object), object["metadata"]["name"].as_str().unwrap_or_default())
}

pub struct Stage(pub Arc<Boundary>);

impl Stage {
    fn kubernetes(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.0.people(method, path, body);
        self.0.note(format!("people: {method} {path}: {}", answer.status()));
        assert!(answer.status().is_success(), "{method} {path}: {answer:?}");
        serde_json::from_slice(answer.body()).unwrap()
    }

    /// The namespace, the definition, a SignalR and a vault.
    pub fn begin(&self) {
        self.begin_with(&[NAMESPACE], &[SIGNALR], &[VAULT]);
    }

    pub fn begin_with(&self, namespaces: &[&str], signalrs: &[&str], vaults: &[&str]) {
        self.begin_cluster(namespaces);
        for name in signalrs {
            self.control("POST", "/signalr", &json!({"resourceId": azure::signalr(name)}));
        }
        for name in vaults {
            self.control("POST", "/vaults", &json!({"resourceId": azure::vault(name)}));
        }
    }

    /// The Kubernetes half of it.
    pub fn begin_cluster(&self, namespaces: &[&str]) {
        for name in namespaces {
            self.kubernetes("POST", "/api/v1/namespaces", &json!({"metadata": {"name": name}}));
        }
        let definition =
            json!({"metadata": {"name": DEFINITION, "finalizers": ["customresourcecleanup.apiextensions.k8s.io"]}});
        self.kubernetes("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    }

    pub fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        self.0.note(format!("people: {method} {path} {body}"));
        self.0.azure.control(method, path, body).unwrap()
    }

    fn post(&self, object: &Value) {
        self.kubernetes("POST", &siblings_of(object), object);
    }

    pub fn create(&self, name: &str, spec: Value) {
        let options = LinkOptions { spec, annotations: Value::Null };
        self.post(&Scene::manifest(NAMESPACE, name, SIGNALR, VAULT, &options));
    }

    /// An object with something more in its metadata.
    pub fn create_with(&self, name: &str, metadata: &Value) {
        let mut object = Scene::manifest(NAMESPACE, name, SIGNALR, VAULT, &LinkOptions::default());
        let (all, more) = (object["metadata"].as_object_mut().unwrap(), metadata.as_object().unwrap().clone());
        all.extend(more);
        self.post(&object);
    }

    pub fn change(&self, name: &str, spec: &Value) {
        self.kubernetes("PATCH", &object_path(name), &json!({"spec": spec}));
    }

    /// Somebody removes all finalizers.
    pub fn bare(&self, name: &str) {
        self.kubernetes("PATCH", &object_path(name), &json!({"metadata": {"finalizers": Value::Null}}));
    }

    pub fn terminate_namespace(&self) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}");
        self.kubernetes("DELETE", &path, &json!({}));
    }

    pub fn automatic(&self, name: &str) {
        self.create(name, json!({"approval": {"mode": "Automatic"}}));
    }

    pub fn delete(&self, name: &str) {
        self.kubernetes("DELETE", &object_path(name), &json!({}));
    }

    pub fn annotate(&self, name: &str, annotation: &str, value: &str) {
        let body = json!({"metadata": {"annotations": {annotation: value}}});
        self.kubernetes("PATCH", &object_path(name), &body);
    }

    pub fn permit(&self) {
        self.permit_in(&[NAMESPACE]);
    }

    pub fn permit_in(&self, namespaces: &[&str]) {
        self.policy("permit", json!({"namespaces": {"names": namespaces}}));
    }

    /// A policy that permits everything in the usual namespace; `more` is put over its spec.
    pub fn policy(&self, name: &str, more: Value) {
        let everything = format!("/subscriptions/{}/*", azure::SUBSCRIPTION);
        let mut policy = json!({"metadata": {"name": name}, "spec": {
            "namespaces": {"names": [NAMESPACE]}, "signalR": [everything], "keyVaults": [everything],
            "endpointSubscriptions": [ENDPOINTS], "confirmWithin": "15m",
        }});
        policy["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.kubernetes("POST", &format!("{GROUP}/{POLICIES}"), &policy);
    }

    pub fn forbid(&self) {
        self.kubernetes("DELETE", &format!("{GROUP}/{POLICIES}/permit"), &json!({}));
        self.0.calls().touch(POLICIES);
    }

    pub fn delete_definition(&self) {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{DEFINITION}");
        self.kubernetes("DELETE", &path, &json!({}));
    }

    /// Azure refuses requests of this kind, until people [`relent`](Self::relent).
    pub fn refuse(&self, kind: &'static str, status: u16, code: &'static str) {
        self.0.note(format!("people: {kind} is refused with {status} {code}"));
        self.0.calls().refused = Some((kind, status, code));
    }

    pub fn relent(&self) {
        self.0.note("people: nothing is refused any more");
        self.0.calls().refused = None;
    }

    /// Only what these patterns name is granted; nothing given, everything.
    pub fn grant(&self, actions: &[&str]) {
        let grants = json!([{"actions": actions, "scope": "/"}]);
        self.control("PUT", "/permissions", if actions.is_empty() { &Value::Null } else { &grants });
    }

    /// The vault's owner decides on the link's own request.
    pub fn owner(&self, verdict: &str, name: &str) {
        let own = Opener::Link(Self::azure_id(name).to_ascii_lowercase());
        let connection = self.connections().into_iter().find(|c| c.opened_by == own).unwrap();
        self.control("POST", &format!("/connections/{verdict}"), &json!({"id": Self::connection_id(&connection)}));
    }

    pub fn connection_id(connection: &Connection) -> String {
        format!("{}/privateEndpointConnections/{}", azure::vault(VAULT), connection.name)
    }

    pub fn azure_id(name: &str) -> String {
        format!("{}/sharedPrivateLinkResources/{name}", azure::signalr(SIGNALR))
    }

    fn look<T>(&self, name: &str, at: impl FnOnce(&Value) -> T) -> Option<T> {
        self.0.kubernetes.look(LINKS, NAMESPACE, name, at)
    }

    pub fn object(&self, name: &str) -> Option<Value> {
        self.look(name, Value::clone)
    }

    pub fn uid(&self, name: &str) -> String {
        self.object(name).and_then(|o| o["metadata"]["uid"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The reason of Ready, once the newest generation was looked at.
    pub fn reason(&self, name: &str) -> String {
        let reason = |object: &Value| {
            if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
                return "not seen yet".to_owned();
            }
            let ready = condition(object, "Ready").unwrap_or_default();
            ready["reason"].as_str().unwrap_or("nothing said").to_owned()
        };
        self.look(name, reason).unwrap_or_else(|| "gone".to_owned())
    }

    /// The status of Ready.
    pub fn ready(&self, name: &str) -> String {
        let status = |object: &Value| condition(object, "Ready").and_then(|c| c["status"].as_str().map(str::to_owned));
        self.look(name, status).flatten().unwrap_or_default()
    }

    pub fn link(&self, name: &str) -> Option<Link> {
        self.0.azure.look(|world| world.link(&Self::azure_id(name)).cloned())
    }

    pub fn provisioning(&self, name: &str) -> String {
        self.link(name).map(|link| link.provisioning).unwrap_or_default()
    }

    pub fn connections(&self) -> Vec<Connection> {
        let vault = azure::vault(VAULT).to_ascii_lowercase();
        self.0
            .azure
            .look(|world| world.vaults().get(&vault).map(|v| v.connections.values().cloned().collect()))
            .unwrap_or_default()
    }

    /// Whether the operator has sent such a request, whatever became of it.
    pub fn sent(&self, label: &str) -> bool {
        self.0.calls().log.iter().any(|line| line.contains(label))
    }

    /// How many such requests the operator has sent.
    pub fn count(&self, label: &str) -> usize {
        self.0.calls().log.iter().filter(|line| line.contains(": ") && line.ends_with(label)).count()
    }

    /// Whether a fault has struck: then a write may have been repeated for a reason.
    pub fn is_struck(&self) -> bool {
        self.0.calls().log.iter().any(|line| line.contains(" meets "))
    }

    /// The object says this.
    pub fn says(&self, name: &str, reason: &str) -> Result<(), String> {
        match self.reason(name) {
            found if found == reason => Ok(()),
            found => Err(format!("{name} is {found}, expected {reason}")),
        }
    }

    /// Object, link and request are gone.
    pub fn nothing_left(&self, name: &str) -> Result<(), String> {
        self.says(name, "gone")?;
        match self.link(name) {
            None => Ok(()),
            Some(link) => Err(format!("the link of {name} is left: {}", link.provisioning)),
        }
    }

    /// The object is gone, the link is there.
    pub fn link_left(&self, name: &str) -> Result<(), String> {
        self.says(name, "gone")?;
        self.link(name).map(drop).ok_or_else(|| format!("the link of {name} is gone"))
    }
}

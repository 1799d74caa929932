//! Live reads and conditional writes of the operator's own kinds.

use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use kube::api::{GetParams, ListParams, Patch, PatchParams, Request};
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};
use signalr_private_link_core::policy::Policy;
use signalr_private_link_core::{ArmError, Failure};

use crate::api::{self, ApprovalPolicy, FINALIZER, SignalRSharedPrivateLink, Stored};

/// Every call to the API server ends within this time (R6).
const DEADLINE: Duration = Duration::from_secs(20);

/// How a call to the API server failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeFailure {
    /// The object is not there.
    #[error("not found")]
    NotFound,
    /// The object is not the one that the write was meant for any more.
    #[error("changed meanwhile")]
    Changed,
    /// The operator's role lacks a right.
    #[error("403: {0}")]
    Forbidden(String),
    /// Anything else; the next pass tries again.
    #[error("{0}")]
    Other(String),
}

impl KubeFailure {
    /// Converts to an `ArmError`, so the plan treats it as a transient failure.
    #[must_use]
    pub fn to_arm(&self, doing: &str) -> ArmError {
        let message = format!("the API server: {self}").into();
        ArmError { message, doing: doing.into(), ..ArmError::of(Failure::Transient(None)) }
    }
}

impl From<kube::Error> for KubeFailure {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 404 => Self::NotFound,
            kube::Error::Api(status) if status.code == 409 => Self::Changed,
            // A `test` of the JSON Patch failed. A refusal by validation is a 422 too, and names the kind.
            kube::Error::Api(status) if status.code == 422 && !names_a_kind(status) => Self::Changed,
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(status.message.clone()),
            kube::Error::Api(status) => Self::Other(format!("{}: {}", status.code, status.message)),
            other => Self::Other(other.to_string()),
        }
    }
}

fn names_a_kind(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.kind.is_empty())
}

/// The call's answer, which has to be there by the deadline. The call is boxed: it would be the most of every pass, which is
/// allocated and moved whole.
pub(crate) async fn within<T>(call: impl Future<Output = kube::Result<T>> + Send) -> Result<T, KubeFailure> {
    match tokio::time::timeout(DEADLINE, call.boxed()).await {
        Ok(result) => result.map_err(KubeFailure::from),
        Err(_) => Err(KubeFailure::Other(format!("the API server did not answer within {} s", DEADLINE.as_secs()))),
    }
}

/// An object as a write has left it: the API server's answer, not decoded yet, for few look at it.
pub struct Written(String);

impl Written {
    /// The object.
    ///
    /// # Errors
    /// When the answer is none.
    pub fn object(&self) -> Result<Stored, KubeFailure> {
        Stored::read(&self.0).map_err(KubeFailure::Other)
    }
}

/// The operator's objects, read live.
#[derive(Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Objects as this client sees them.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends a request, and leaves the answer undecoded: it may be an object that this version of the operator cannot
    /// decode, or one that nobody looks at.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<String, KubeFailure> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        within(self.client.request_text(request)).await
    }

    /// The object as it is now, also one that this version of the operator cannot read; `None`
    /// when it is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Stored>, KubeFailure> {
        let requests = requests::<SignalRSharedPrivateLink>(Some(namespace));
        match self.send(requests.get(name, &GetParams::default())).await {
            Err(KubeFailure::NotFound) => Ok(None),
            answer => Stored::read(&answer?).map(Some).map_err(KubeFailure::Other),
        }
    }

    /// Makes the finalizer durable, on this very object and version.
    ///
    /// # Errors
    /// `Changed` when it is another object or version by now.
    pub async fn add_finalizer(&self, object: &SignalRSharedPrivateLink) -> Result<Written, KubeFailure> {
        let add = if object.finalizers().is_empty() {
            json!({"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]})
        } else {
            json!({"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER})
        };
        self.patch(object, None, vec![add]).await
    }

    /// Removes the finalizer where it stands, and nothing else: Kubernetes deletes the object.
    ///
    /// # Errors
    /// `Changed` when it is another object or version by now.
    pub async fn remove_finalizer(&self, object: &SignalRSharedPrivateLink) -> Result<(), KubeFailure> {
        let Some(index) = object.finalizers().iter().position(|f| f == FINALIZER) else {
            return Ok(());
        };
        let path = format!("/metadata/finalizers/{index}");
        let patch =
            vec![json!({"op": "test", "path": path, "value": FINALIZER}), json!({"op": "remove", "path": path})];
        self.patch(object, None, patch).await.map(drop)
    }

    /// Writes `status`, on this very object or policy and this version.
    ///
    /// # Errors
    /// `Changed` when it is another one or another version by now.
    pub async fn write_status<K>(&self, object: &K, status: &impl Serialize) -> Result<Written, KubeFailure>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let change = json!({"op": "add", "path": "/status", "value": status});
        self.patch(object, Some("status"), vec![change]).await
    }

    /// Changes an object, or this part of it, if it is still this one and of this version (R4).
    async fn patch<K>(&self, object: &K, part: Option<&str>, change: Vec<Value>) -> Result<Written, KubeFailure>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let mut operations = vec![
            json!({"op": "test", "path": "/metadata/uid", "value": object.uid()}),
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version()}),
        ];
        operations.extend(change);
        let patch: Patch<()> = serde_json::from_value(Value::Array(operations))
            .map(Patch::Json)
            .map_err(|error| KubeFailure::Other(format!("the patch cannot be made: {error}")))?;
        let (requests, parameters) = (requests::<K>(object.meta().namespace.as_deref()), PatchParams::default());
        let request = match part {
            None => requests.patch(&object.name_any(), &parameters, &patch),
            Some(part) => requests.patch_subresource(part, &object.name_any(), &parameters, &patch),
        };
        self.send(request).await.map(Written)
    }

    /// Whether the definition of the links itself is being deleted, which deletes all of them.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn definition_is_going(&self) -> Result<bool, KubeFailure> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let definition = within(definitions.get_metadata_opt(SignalRSharedPrivateLink::crd_name())).await?;
        Ok(definition.is_none_or(|definition| definition.metadata.deletion_timestamp.is_some()))
    }

    /// A namespace as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn namespace(&self, name: &str) -> Result<NamespaceFacts, KubeFailure> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = within(namespaces.get_metadata(name)).await?;
        Ok(NamespaceFacts {
            terminating: namespace.metadata.deletion_timestamp.is_some(),
            labels: namespace.labels().clone().into_iter().collect(),
        })
    }

    /// All policies as they are now; one that this version cannot read permits nothing, and harms no other.
    ///
    /// # Errors
    /// When they cannot be read: then nothing is known to be permitted.
    pub async fn policies(&self) -> Result<Vec<Policy>, KubeFailure> {
        let policies: Api<DeserializeGuard<ApprovalPolicy>> = Api::all(self.client.clone());
        let policies = within(policies.list(&ListParams::default())).await?;
        Ok(policies.items.iter().filter_map(|policy| api::policy(policy.0.as_ref().ok()?)).collect())
    }
}

/// What a namespace says about permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Whether it is being terminated.
    pub terminating: bool,
    /// Its labels.
    pub labels: Vec<(String, String)>,
}

/// Requests about the objects of a kind.
fn requests<K: kube::Resource<DynamicType = ()>>(namespace: Option<&str>) -> Request {
    Request::new(K::url_path(&(), namespace))
}

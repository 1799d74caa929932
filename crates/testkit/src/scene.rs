//! A cluster with the definitions installed, the simulator, and what is asked of both all the time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use azure_sim::Config;
use serde_json::{Value, json};

use crate::{Azure, Cluster, azure, eventually};

/// A real API server and the simulator.
pub struct Scene {
    /// The Kubernetes side.
    pub cluster: Cluster,
    /// The Azure side.
    pub azure: Azure,
}

/// Fields of a link beyond the names of SignalR and vault.
#[derive(Debug, Clone, Default)]
pub struct LinkOptions {
    /// Further fields of the spec, merged over the usual ones.
    pub spec: Value,
    /// Annotations.
    pub annotations: Value,
}

impl Scene {
    /// Starts both, and installs the definitions that `operator crds` prints.
    ///
    /// # Errors
    /// When either does not start.
    pub async fn start(operator: &Path, config: Config) -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        let azure = Azure::start(config, cluster.directory()).await?;
        Self::of(cluster, azure, operator)
    }

    /// A cluster and a simulator that run already; installs the definitions.
    ///
    /// # Errors
    /// When they cannot be installed.
    pub fn of(cluster: Cluster, azure: Azure, operator: &Path) -> anyhow::Result<Self> {
        let printed = Command::new(operator).arg("crds").output().context("the operator cannot be run")?;
        let crds = String::from_utf8(printed.stdout)?;
        cluster.apply(&crds).map_err(anyhow::Error::msg)?;
        cluster.until_defined()?;
        Ok(Self { cluster, azure })
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn namespace(&self, name: &str) -> anyhow::Result<()> {
        self.cluster.kubectl_ok(&["create", "namespace", name]).map(drop)
    }

    /// The manifest of a link.
    #[must_use]
    pub fn manifest(namespace: &str, name: &str, signalr: &str, vault: &str, options: &LinkOptions) -> Value {
        Self::manifest_of_ids(namespace, name, &azure::signalr(signalr), &azure::vault(vault), options)
    }

    /// The same, of a SignalR and a vault by their ids.
    #[must_use]
    pub fn manifest_of_ids(namespace: &str, name: &str, signalr: &str, vault: &str, options: &LinkOptions) -> Value {
        let mut spec = json!({
            "signalR": {"resourceId": signalr},
            "keyVault": {"resourceId": vault},
            "requestMessage": "please approve",
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), options.spec.as_object()) {
            spec.extend(more.clone());
        }
        let mut metadata = json!({"name": name, "namespace": namespace});
        if let (Some(metadata), false) = (metadata.as_object_mut(), options.annotations.is_null()) {
            metadata.insert("annotations".into(), options.annotations.clone());
        }
        json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1",
            "kind": "SignalRSharedPrivateLink",
            "metadata": metadata,
            "spec": spec,
        })
    }

    /// The manifest of an approval policy for one namespace, SignalR and vault; `more` is merged over its spec.
    #[must_use]
    pub fn policy(name: &str, namespace: &str, signalr: &str, vault: &str, more: &Value) -> Value {
        let mut spec = json!({
            "namespaces": {"names": [namespace]},
            "signalR": [azure::signalr(signalr)],
            "keyVaults": [azure::vault(vault)],
            "endpointSubscriptions": [azure::MICROSOFT],
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1",
            "kind": "ApprovalPolicy",
            "metadata": {"name": name},
            "spec": spec,
        })
    }

    /// The link object; `None` when it does not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn link(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Value>> {
        self.cluster.get(namespace, "spl", name)
    }

    /// Waits until the link's Ready condition has this reason; the object.
    ///
    /// # Errors
    /// When it does not happen in time, with what was seen last.
    pub async fn until_reason(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        eventually(&format!("{namespace}/{name} to be {reason}"), limit, || async {
            let Some(object) = self.link(namespace, name)? else {
                return Ok(Err("no object".into()));
            };
            let ready = condition(&object, "Ready");
            let found = ready.as_ref().and_then(|c| c.get("reason")).and_then(Value::as_str) == Some(reason);
            let settled = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
            Ok(if found && settled { Ok(object) } else { Err(ready.unwrap_or_default().to_string()) })
        })
        .await
    }

    /// Waits until the object is gone.
    ///
    /// # Errors
    /// When it does not happen in time.
    pub async fn until_gone(&self, namespace: &str, name: &str, limit: Duration) -> anyhow::Result<()> {
        eventually(&format!("{namespace}/{name} to be gone"), limit, || async {
            Ok(match self.link(namespace, name)? {
                None => Ok(()),
                Some(object) => Err(condition(&object, "Ready").unwrap_or_default().to_string()),
            })
        })
        .await
    }
}

/// A condition of an object.
#[must_use]
pub fn condition(object: &Value, kind: &str) -> Option<Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind)).cloned()
}

/// The message of the Ready condition.
#[must_use]
pub fn message(object: &Value) -> String {
    let ready = condition(object, "Ready").unwrap_or_default();
    ready.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
}

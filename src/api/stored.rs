//! An object as the API server stores it, whatever the installed definition let through: one that
//! this version of the operator cannot read (a newer definition knows more words) is told about
//! and can be let go, and stands in nobody else's way.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde_json::{Value, json};
use signalr_private_link_core::desired::Desired;

use super::{SignalRSharedPrivateLink, SignalRSharedPrivateLinkSpec, SignalRSharedPrivateLinkStatus, parse};

/// An object, and why its spec cannot be read if so.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The object; its spec is empty where it cannot be read.
    pub object: SignalRSharedPrivateLink,
    unreadable: Option<String>,
}

impl Stored {
    /// Reads an object.
    ///
    /// # Errors
    /// When not even its metadata can be read.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Ok(used) = serde_json::from_str::<Used>(text) {
            return Ok(Self { object: used.into(), unreadable: None });
        }
        let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let problem = match typed(&whole) {
            Ok(object) => return Ok(Self { object, unreadable: None }),
            Err(problem) => problem,
        };
        // What `status` says is a hint, and is written anew: one that cannot be read says nothing.
        if let Ok(object) = typed(&without(&whole, &["status"])) {
            return Ok(Self { object, unreadable: None });
        }
        let told = format!(
            "{problem}: this version of the operator cannot read that; correct the field, or run the version that the definition belongs to"
        );
        let rest = [&["spec"][..], &["spec", "status"]].iter().find_map(|fields| typed(&without(&whole, fields)).ok());
        rest.map(|object| Self { object, unreadable: Some(told) }).ok_or(problem)
    }

    /// What the object asks for.
    ///
    /// # Errors
    /// Every field that cannot be used, with its value and what is expected.
    pub fn desired(&self) -> Result<Desired, Vec<String>> {
        match &self.unreadable {
            Some(problem) => Err(vec![problem.clone()]),
            None => parse::desired(&self.object),
        }
    }
}

/// What of an object is used. The rest, managed fields above all, is most of its text, and is passed over.
#[derive(Deserialize)]
struct Used {
    metadata: UsedMetadata,
    spec: SignalRSharedPrivateLinkSpec,
    status: Option<SignalRSharedPrivateLinkStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsedMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl From<UsedMetadata> for ObjectMeta {
    fn from(used: UsedMetadata) -> Self {
        Self {
            name: used.name,
            namespace: used.namespace,
            uid: used.uid,
            resource_version: used.resource_version,
            generation: used.generation,
            creation_timestamp: used.creation_timestamp,
            deletion_timestamp: used.deletion_timestamp,
            finalizers: used.finalizers,
            annotations: used.annotations,
            ..Self::default()
        }
    }
}

impl From<Used> for SignalRSharedPrivateLink {
    fn from(Used { metadata, spec, status }: Used) -> Self {
        Self { metadata: metadata.into(), spec, status }
    }
}

/// The object with nothing in these fields.
fn without(whole: &Value, fields: &[&str]) -> Value {
    let mut rest = whole.clone();
    for field in fields {
        let nowhere = json!({"resourceId": ""});
        let empty = if *field == "spec" { json!({"signalR": nowhere, "keyVault": nowhere}) } else { Value::Null };
        if let Some(all) = rest.as_object_mut() {
            all.insert((*field).to_owned(), empty);
        }
    }
    rest
}

/// The object, or which field cannot be read and why.
fn typed(value: &Value) -> Result<SignalRSharedPrivateLink, String> {
    let mut track = serde_path_to_error::Track::new();
    SignalRSharedPrivateLink::deserialize(serde_path_to_error::Deserializer::new(value, &mut track))
        .map_err(|error| format!("{}: {error}", track.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(change: impl FnOnce(&mut Value)) -> Stored {
        let id = |provider: &str| {
            format!("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/{provider}/name")
        };
        let mut object = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
            "metadata": {"name": "kv-pe", "namespace": "contoso", "uid": "1", "resourceVersion": "7"},
            "spec": {
                "signalR": {"resourceId": id("Microsoft.SignalRService/signalR")},
                "keyVault": {"resourceId": id("Microsoft.KeyVault/vaults")},
            },
            "status": {"observedGeneration": 3, "conditions": []},
        });
        change(&mut object);
        Stored::read(&object.to_string()).unwrap()
    }

    #[test]
    fn an_object_that_cannot_be_read_names_the_field_and_keeps_the_rest() {
        assert!(stored(|_| {}).desired().is_ok());
        let newer = stored(|o| o["spec"]["managementPolicy"] = json!("Pause"));
        let problem = newer.desired().unwrap_err().join("");
        assert!(problem.starts_with("spec.managementPolicy: unknown variant `Pause`, expected"), "{problem}");
        assert_eq!(newer.object.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(newer.object.status.unwrap().observed_generation, Some(3));
    }

    #[test]
    fn a_status_that_cannot_be_read_says_nothing() {
        let forged = stored(|o| o["status"]["conditions"] = json!("none"));
        assert!(forged.object.status.is_none());
        let both = stored(|o| {
            o["status"]["conditions"] = json!("none");
            o["spec"]["syncPeriod"] = json!(7);
        });
        assert!(both.desired().is_err() && both.object.status.is_none());
    }
}

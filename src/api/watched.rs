//! An object as a watch shows it: what rivals and triggers are found by, and no more. `status` and the managed
//! fields, which are most of each event, are passed over unread.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use super::SignalRSharedPrivateLink;
use super::stored::UsedMetadata;

/// A watched object without its `status`; its metadata alone where the spec cannot be decoded, which does not stall the
/// others.
#[derive(Debug, Clone)]
pub struct Watched(pub Result<SignalRSharedPrivateLink, ObjectMeta>);

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Shown {
            metadata: UsedMetadata,
            #[serde(default)]
            spec: serde_json::Value,
        }
        let Shown { metadata, spec } = Shown::deserialize(deserializer)?;
        let metadata = ObjectMeta::from(metadata);
        Ok(Self(match serde_json::from_value(spec) {
            Ok(spec) => Ok(SignalRSharedPrivateLink { metadata, spec, status: None }),
            Err(_) => Err(metadata),
        }))
    }
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = <SignalRSharedPrivateLink as Resource>::Scope;

    fn kind(kind: &()) -> Cow<'_, str> {
        SignalRSharedPrivateLink::kind(kind)
    }

    fn group(kind: &()) -> Cow<'_, str> {
        SignalRSharedPrivateLink::group(kind)
    }

    fn version(kind: &()) -> Cow<'_, str> {
        SignalRSharedPrivateLink::version(kind)
    }

    fn plural(kind: &()) -> Cow<'_, str> {
        SignalRSharedPrivateLink::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => &object.metadata,
            Err(metadata) => metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => &mut object.metadata,
            Err(metadata) => metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api;

    #[test]
    fn a_spec_that_cannot_be_decoded_leaves_the_metadata_and_status_is_never_read() {
        let subscription = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers";
        let mut object = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
            "metadata": {"name": "kv-pe", "namespace": "contoso", "uid": "1", "managedFields": "nobody reads them"},
            "spec": {
                "signalR": {"resourceId": format!("{subscription}/Microsoft.SignalRService/signalR/s")},
                "keyVault": {"resourceId": format!("{subscription}/Microsoft.KeyVault/vaults/v")},
            },
            "status": "nobody reads it",
        });
        let read = |object: &serde_json::Value| serde_json::from_value::<Watched>(object.clone()).unwrap();
        assert!(api::desired(read(&object).0.as_ref().unwrap()).is_ok());
        for spec in [json!({"signalR": 7}), json!(null), json!([])] {
            object["spec"] = spec;
            let watched = read(&object);
            assert!(watched.0.is_err());
            assert_eq!(watched.meta().uid.as_deref(), Some("1"));
        }
        object["metadata"] = json!({"uid": 7});
        assert!(serde_json::from_value::<Watched>(object).is_err());
    }
}

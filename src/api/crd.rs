//! The CustomResourceDefinitions: what the derive makes, and what it cannot express.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::{ApprovalPolicy, SignalRSharedPrivateLink};

/// Both definitions, ready to be installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut link = SignalRSharedPrivateLink::crd();
    let mut policy = ApprovalPolicy::crd();
    for crd in [&mut link, &mut policy] {
        // An object without any status reads as settled to kstatus; ours never do.
        at(crd, &["status"], |status| status.default = Some(JSON(json!({"observedGeneration": -1}))));
        at(crd, &["status", "observedGeneration"], |generation| {
            generation.default = Some(JSON(json!(-1)));
        });
        // Conditions are merged by type, not replaced as a whole.
        at(crd, &["status", "conditions"], |conditions| {
            conditions.x_kubernetes_list_type = Some("map".into());
            conditions.x_kubernetes_list_map_keys = Some(vec!["type".into()]);
        });
        for list in [["spec", "signalR"], ["spec", "keyVaults"], ["spec", "endpointSubscriptions"]] {
            at(crd, &list, |patterns| {
                if patterns.type_.as_deref() == Some("array") {
                    patterns.x_kubernetes_list_type = Some("set".into());
                }
            });
        }
    }
    for crd in [&mut link, &mut policy] {
        for version in &mut crd.spec.versions {
            version.schema.iter_mut().filter_map(|s| s.open_api_v3_schema.as_mut()).for_each(unwrap_lines);
        }
    }
    vec![link, policy]
}

/// Doc comments are broken into lines where the source is; `kubectl explain` breaks them itself.
fn unwrap_lines(schema: &mut JSONSchemaProps) {
    if let Some(description) = &mut schema.description {
        *description = description.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(unwrap_lines);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        unwrap_lines(items);
    }
}

/// Changes the schema at a path of properties, in every version.
fn at(crd: &mut CustomResourceDefinition, path: &[&str], change: impl Fn(&mut JSONSchemaProps)) {
    for version in &mut crd.spec.versions {
        let root = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut());
        let found = path
            .iter()
            .try_fold(root, |schema, name| schema.map(|s| s.properties.as_mut().and_then(|p| p.get_mut(*name))));
        if let Some(Some(schema)) = found {
            change(schema);
        }
    }
}

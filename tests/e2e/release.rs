//! What a release of the chart gives the operator in the cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{Scene, chart};

/// A release of the chart without its Deployment, whose part the test's own process plays.
pub struct Release {
    pub namespace: &'static str,
    pub objects: Vec<Value>,
}

impl Release {
    pub fn install(scene: &Scene, namespace: &'static str, watched: &[&str]) -> Self {
        scene.namespace(namespace).unwrap();
        let values = json!({"crds": {"enabled": false}, "watchNamespaces": watched});
        let objects = chart::render("operator", namespace, &values).unwrap();
        let kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
        let objects: Vec<Value> =
            objects.into_iter().filter(|object| kinds.iter().any(|kind| object["kind"] == *kind)).collect();
        for object in &objects {
            scene.cluster.apply(&object.to_string()).unwrap();
        }
        Self { namespace, objects }
    }

    pub fn account() -> &'static str {
        "operator-signalr-private-link-operator"
    }

    /// What the operator's own roles grant: verb, resource, and name where the rule names one.
    pub fn granted(&self) -> BTreeSet<(String, String, String)> {
        let mut granted = BTreeSet::new();
        let people = [":view", ":edit", ":policy-admin"];
        let own = self.objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("Role"));
        for role in
            own.filter(|role| !people.iter().any(|end| role["metadata"]["name"].as_str().unwrap().ends_with(end)))
        {
            for rule in role["rules"].as_array().unwrap() {
                let words = |key: &str| -> Vec<String> {
                    let list = rule[key].as_array().cloned().unwrap_or_default();
                    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
                };
                let names = if rule["resourceNames"].is_array() { words("resourceNames") } else { vec![String::new()] };
                for resource in words("resources") {
                    let resource = format!("{}/{resource}", words("apiGroups")[0]);
                    for verb in words("verbs") {
                        granted.extend(names.iter().map(|name| (verb.clone(), resource.clone(), name.clone())));
                    }
                }
            }
        }
        granted
    }
}

/// The requests of a service account, and those of them that were denied.
pub fn audited(scene: &Scene, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    let user = format!("system:serviceaccount:{namespace}:{}", Release::account());
    let log = std::fs::read_to_string(scene.cluster.directory().join("audit.log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own: Vec<Value> =
        lines.filter(|line| line["user"]["username"] == *user && line["objectRef"].is_object()).collect();
    let denied = own.iter().filter(|line| line["annotations"]["authorization.k8s.io/decision"] != "allow");
    (own.clone(), denied.cloned().collect())
}

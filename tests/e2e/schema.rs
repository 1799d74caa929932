//! What the API server itself refuses, in the words that a user reads.

use serde_json::{Value, json};
use testkit::scene::{LinkOptions, Scene};

use crate::{run, scene};

fn base(namespace: &str, name: &str) -> Value {
    Scene::manifest(namespace, name, "schema-signalr", "schema-kv", &LinkOptions::default())
}

#[test]
fn defaults_stand_in_the_object() {
    run(async {
        let scene = scene().await;
        scene.namespace("defaults").unwrap();
        scene.cluster.apply(&base("defaults", "kv-pe").to_string()).unwrap();
        let object = scene.link("defaults", "kv-pe").unwrap().unwrap();
        assert_eq!(object["status"]["observedGeneration"], -1);
        let spec = &object["spec"];
        assert_eq!(spec["approval"], json!({"mode": "Manual", "timeout": "24h"}));
        for (field, value) in [
            ("groupId", "vault"),
            ("managementPolicy", "Manage"),
            ("adoptionPolicy", "FailIfExists"),
            ("deletionPolicy", "Delete"),
            ("syncPeriod", "10m"),
        ] {
            assert_eq!(spec[field], value, "{field}");
        }
    });
}

//! Many objects at once: one writer per SignalR, and a flood in one namespace delays nobody else.

use serde_json::Value;
use testkit::scene::{LinkOptions, Scene};
use testkit::{Azure, Operator};

use crate::{LIMIT, config, run, scene, settings_for};

#[test]
fn writes_to_one_signalr_are_serial_and_namespaces_take_turns() {
    run(async {
        let scene = scene().await;
        let azure = Azure::start(config(), scene.cluster.directory()).await.unwrap();
        let (signalr, vault, flood, quiet) = ("fair-signalr", "fair-kv", "fair-flood", "fair-quiet");
        azure.add(signalr, vault).await.unwrap();
        let apply = |ns: &str, name: &str| {
            let manifest = Scene::manifest(ns, name, signalr, vault, &LinkOptions::default());
            scene.cluster.apply(&manifest.to_string()).unwrap();
        };
        let all =
            [(flood, "one"), (flood, "two"), (flood, "three"), (flood, "four"), (flood, "five"), (quiet, "quiet")];
        for ns in [flood, quiet] {
            scene.namespace(ns).unwrap();
        }
        // All are there, the flood first, before anybody looks.
        all.iter().for_each(|(ns, name)| apply(ns, name));
        let mut settings = settings_for(scene, &azure, flood);
        let watched = settings.flags.iter().position(|flag| flag == flood).unwrap();
        settings.flags[watched] = format!("{flood},{quiet}");
        let _operator = Operator::start(&settings).unwrap();
        for (ns, name) in all {
            scene.until_reason(ns, name, "PendingApproval", LIMIT).await.unwrap();
        }
        let writes = azure.writes().await.unwrap();
        let puts: Vec<&str> =
            writes.iter().filter(|w| w["method"] == "PUT").map(|w| w["id"].as_str().unwrap()).collect();
        assert_eq!(puts.len(), all.len(), "{puts:?}");
        let turn = puts.iter().position(|id| id.ends_with("/quiet")).unwrap();
        assert!(turn <= 2, "the quiet namespace was served as number {turn}: {puts:?}");
        // The simulator, as Azure, refuses a second change while one is under way or has just ended.
        let requests = azure.control("GET", "/requests", &Value::Null).await.unwrap();
        let refused = requests.as_array().unwrap().iter().filter(|r| r["status"] == 409).count();
        assert_eq!(refused, 0, "conflicts of the operator's own making");
    });
}

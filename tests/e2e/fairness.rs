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
        let _operator = Operator::start(&settings_for(scene, &azure, &format!("{flood},{quiet}"))).unwrap();
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

/// ARM's documented limits are enforced, at the operator's pace.
#[test]
fn a_flood_on_signalrs_that_do_not_exist_provokes_no_429_and_leaves_others_as_quick() {
    const FLOOD: usize = 400;
    run(async {
        let scene = scene().await;
        let mut config = config();
        config.quirks.throttle_rate = 50;
        let azure = Azure::start(config, scene.cluster.directory()).await.unwrap();
        let (signalr, vault, flood, quiet) = ("budget-signalr", "budget-kv", "budget-flood", "budget-quiet");
        azure.add(signalr, vault).await.unwrap();
        for ns in [flood, quiet] {
            scene.namespace(ns).unwrap();
        }
        let nowhere = |number: usize| {
            let name = format!("link-{number}");
            Scene::manifest(flood, &name, &format!("nowhere-{number}"), vault, &LinkOptions::default())
        };
        let items: Vec<Value> = (0..FLOOD).map(nowhere).collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
        scene.cluster.with_manifest(&["create", "-f", "-"], &list.to_string()).unwrap();
        let _operator = Operator::start(&settings_for(scene, &azure, &format!("{flood},{quiet}"))).unwrap();
        let own = Scene::manifest(quiet, "quiet", signalr, vault, &LinkOptions::default());
        scene.cluster.apply(&own.to_string()).unwrap();
        scene.until_reason(quiet, "quiet", "PendingApproval", LIMIT).await.unwrap();
        let told = scene.link(flood, "link-0").unwrap().unwrap();
        assert!(told["status"].is_object(), "the flood is looked at as well: {told}");
        let requests = azure.control("GET", "/requests", &Value::Null).await.unwrap();
        let requests = requests.as_array().unwrap();
        let lists = requests.iter().filter(|r| r["status"] == 404).count();
        assert!(lists > 0, "the flood asks for SignalRs that do not exist");
        let refused = requests.iter().filter(|r| r["status"] == 429).count();
        assert_eq!(refused, 0, "of {} requests", requests.len());
    });
}

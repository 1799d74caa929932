//! What `integrations/argocd` holds: the customizations in Argo CD's own layout, and the same as a ConfigMap.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use signalr_private_link_core::Reason;
use signalr_private_link_operator::api::{ApprovalPolicy, GROUP, SignalRSharedPrivateLink};
use testkit::scene::condition;

use crate::judges::run_argo_tests;
use crate::{documents, integrations, is_made_of};

fn customizations() -> PathBuf {
    integrations("argocd/resource_customizations").join(GROUP)
}

/// Status and message of every health test, and the object that every action leaves, to the letter.
#[test]
fn argo_cds_own_tests_pass() {
    let count = run_argo_tests();
    assert!(count >= 20, "{count} tests");
}

/// The YAML files below a directory.
fn yaml(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

/// The objects that Argo CD's tests are about are of the kinds as they are today, with words that the operator says.
#[test]
fn the_objects_of_argo_cds_tests_are_ours() {
    let mut files = Vec::new();
    yaml(&customizations(), &mut files);
    files.retain(|file| file.parent().is_some_and(|parent| parent.ends_with("testdata")));
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let object = documents(&file).remove(0);
        let again = match object["kind"].as_str() {
            Some("SignalRSharedPrivateLink") => {
                let typed: SignalRSharedPrivateLink = serde_json::from_value(object.clone()).unwrap();
                if let Some(ready) = condition(&object, "Ready") {
                    assert!(Reason::ALL.iter().any(|reason| ready["reason"] == reason.as_str()), "{ready}");
                }
                serde_json::to_value(typed).unwrap()
            }
            Some("ApprovalPolicy") => {
                let typed: ApprovalPolicy = serde_json::from_value(object.clone()).unwrap();
                serde_json::to_value(typed).unwrap()
            }
            kind => panic!("{}: {kind:?}", file.display()),
        };
        // A field that is not read is not written again.
        assert_eq!(again["spec"], object["spec"], "{}", file.display());
        assert_eq!(again["status"], object["status"], "{}", file.display());
    }
}

/// Text as a block of YAML.
fn indented(file: &Path, by: usize) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let indent = " ".repeat(by);
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") }).collect()
}

/// `UPDATE=1 cargo test --test gitops` writes the ConfigMap.
#[test]
fn the_config_map_holds_the_scripts() {
    let mut made = String::from(
        "# Made of resource_customizations by UPDATE=1 cargo test --test gitops. Argo CD has a ConfigMap of this name already, with\n\
         # settings of its own: merge this into it.\n\
         #\n\
         #   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file argocd-cm.yaml\n\
         apiVersion: v1\n\
         kind: ConfigMap\n\
         metadata:\n  name: argocd-cm\n  namespace: argocd\n  labels:\n    app.kubernetes.io/name: argocd-cm\n    app.kubernetes.io/part-of: argocd\n\
         data:\n",
    );
    for kind in ["ApprovalPolicy", "SignalRSharedPrivateLink"] {
        let directory = customizations().join(kind);
        writeln!(made, "  resource.customizations.health.{GROUP}_{kind}: |").unwrap();
        made += &indented(&directory.join("health.lua"), 4);
        let actions = directory.join("actions");
        if !actions.exists() {
            continue;
        }
        writeln!(made, "  resource.customizations.actions.{GROUP}_{kind}: |\n    discovery.lua: |").unwrap();
        made += &indented(&actions.join("discovery.lua"), 6);
        made += "    definitions:\n";
        for action in ["reconcile", "recreate"] {
            writeln!(made, "      - name: {action}\n        action.lua: |").unwrap();
            made += &indented(&actions.join(action).join("action.lua"), 10);
        }
    }
    let file = integrations("argocd/argocd-cm.yaml");
    is_made_of(&file, &made);

    // What Argo CD reads out of it is what was tested.
    let data = &documents(&file)[0]["data"];
    let script = |path: &str| std::fs::read_to_string(customizations().join(path)).unwrap();
    for kind in ["ApprovalPolicy", "SignalRSharedPrivateLink"] {
        let health = &data[format!("resource.customizations.health.{GROUP}_{kind}")];
        assert_eq!(health.as_str(), Some(script(&format!("{kind}/health.lua")).as_str()), "{kind}");
    }
    let actions = data[format!("resource.customizations.actions.{GROUP}_SignalRSharedPrivateLink")].as_str().unwrap();
    let actions: Vec<Value> = serde_saphyr::from_multiple(actions).unwrap();
    let (discovery, definitions) = (&actions[0]["discovery.lua"], &actions[0]["definitions"]);
    assert_eq!(discovery.as_str(), Some(script("SignalRSharedPrivateLink/actions/discovery.lua").as_str()));
    for definition in definitions.as_array().unwrap() {
        let file = format!("SignalRSharedPrivateLink/actions/{}/action.lua", definition["name"].as_str().unwrap());
        assert_eq!(definition["action.lua"].as_str(), Some(script(&file).as_str()), "{file}");
    }
}

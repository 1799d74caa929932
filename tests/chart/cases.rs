//! Each file in `cases` is a set of values, and what has to come of it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{Cluster, tools};

use crate::{helm, readme};

/// A file in `cases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    values: Value,
    /// What is looked for in the rendering.
    #[serde(default)]
    expect: Vec<Expectation>,
    /// Words of the refusal, where nothing is rendered.
    refused: Option<String>,
}

/// One of these: something at a place of an object, a variable of the container, or that there is no such object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    #[serde(default = "deployment")]
    kind: String,
    /// How the object's name ends.
    #[serde(default)]
    name: String,
    /// A JSON pointer.
    at: Option<String>,
    /// A variable of the operator's container.
    env: Option<String>,
    /// The value there; nothing, where none is given.
    #[serde(default)]
    is: Value,
    /// An element of the list there.
    has: Option<Value>,
    #[serde(default)]
    absent: bool,
}

fn deployment() -> String {
    "Deployment".to_owned()
}

fn cases() -> Vec<(String, Case)> {
    let directory = tools::root().join("tests/chart/cases");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let case = |file: std::path::PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let case = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap());
        (name.clone(), case.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    files.into_iter().map(case).collect()
}

fn object<'o>(objects: &'o [Value], kind: &str, name: &str) -> Option<&'o Value> {
    let named = |object: &&Value| object.pointer("/metadata/name").unwrap().as_str().unwrap().ends_with(name);
    objects.iter().filter(|object| object["kind"] == kind).find(named)
}

fn found<'o>(object: &'o Value, expectation: &Expectation) -> &'o Value {
    let nothing = &Value::Null;
    let place = expectation.at.as_deref().unwrap_or("/spec/template/spec/containers/0/env");
    let found = object.pointer(place).unwrap_or(nothing);
    match &expectation.env {
        None => found,
        Some(name) => {
            let variable = found.as_array().unwrap().iter().find(|variable| variable["name"] == **name);
            variable.map_or(nothing, |variable| &variable["value"])
        }
    }
}

#[test]
fn every_set_of_values_renders_what_is_expected_or_is_refused_in_words() {
    let cases = cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    for (name, case) in cases {
        let rendered = helm::render(&case.values);
        if let Some(words) = &case.refused {
            let refusal = rendered.expect_err(&name);
            assert!(refusal.contains(words.as_str()), "{name}: {refusal}");
            continue;
        }
        let objects = helm::parse(&rendered.unwrap_or_else(|refusal| panic!("{name}: {refusal}")));
        assert!(!case.expect.is_empty(), "{name} expects nothing");
        for expectation in &case.expect {
            let object = object(&objects, &expectation.kind, &expectation.name);
            let about = format!("{name}: {} {} {:?}", expectation.kind, expectation.name, expectation.at);
            if expectation.absent {
                assert!(object.is_none(), "{about}");
                continue;
            }
            let found = found(object.unwrap_or_else(|| panic!("{about} is missing")), expectation);
            match &expectation.has {
                Some(element) => assert!(found.as_array().unwrap().contains(element), "{about}: {found}"),
                None => assert_eq!(*found, expectation.is, "{about}"),
            }
        }
    }
}

/// Argo CD and many people run Helm 3.
#[test]
fn helm_3_renders_and_refuses_alike() {
    let sorted = |rendered: &str| {
        let mut objects: Vec<String> = helm::parse(rendered).iter().map(Value::to_string).collect();
        objects.sort();
        objects
    };
    for (name, case) in cases() {
        match (helm::render(&case.values), helm::render_by_3(&case.values)) {
            (Ok(rendered), Ok(by_3)) => assert_eq!(sorted(&rendered), sorted(&by_3), "{name}"),
            (Err(_), Err(refusal)) => {
                let words = case.refused.unwrap_or_default();
                // The schema's own words differ.
                let place = words.trim_start_matches('/').replace('/', ".");
                assert!(
                    refusal.contains(&words) || refusal.contains(&place),
                    "{name}: {words} is missing in {refusal}"
                );
            }
            (by_4, by_3) => panic!("{name}: Helm 4 refuses {:?}, Helm 3 refuses {:?}", by_4.err(), by_3.err()),
        }
    }
}

/// The places of values that are no maps, or empty ones.
fn leaves(value: &Value, place: &str, into: &mut BTreeSet<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => {
            map.iter().for_each(|(key, value)| leaves(value, &format!("{place}/{}", key.replace('/', "~1")), into));
        }
        None => drop(into.insert(place.to_owned())),
    }
}

fn without(values: &Value, place: &str) -> Value {
    let mut less = values.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    less.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|map| map.remove(&key)).unwrap();
    less
}

/// No value is dead: each is set in some case, and makes a difference there.
#[test]
fn every_value_changes_something() {
    let mut unused: BTreeSet<String> = readme::places().map(|place| format!("/{}", place.replace('.', "/"))).collect();
    // For umbrella charts, whose conditions Helm itself reads.
    assert!(unused.remove("/enabled"));
    for (name, case) in cases() {
        let rendered = helm::render(&case.values);
        let mut set = BTreeSet::new();
        leaves(&case.values, "", &mut set);
        // Nothing is set, or what is none of this chart's values.
        set.retain(|place| !place.is_empty() && !place.starts_with("/global"));
        for place in set {
            if helm::render(&without(&case.values, &place)) == rendered {
                assert!(case.refused.is_some() || place == "/enabled", "{name}: {place} changes nothing");
            } else {
                // A map that is free in what it holds is one value.
                unused.retain(|value| place != *value && !place.starts_with(&format!("{value}/")));
            }
        }
    }
    assert!(unused.is_empty(), "values that no case shows to change anything: {unused:?}");
}

/// Flux appends the revision to the version, and a plus is not allowed in a label.
#[test]
fn labels_are_valid_with_a_plus_in_the_version() {
    let copy = tempfile::tempdir().unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(testkit::chart::directory()).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let chart = copy.path().join("signalr-private-link-operator");
    let file = chart.join("Chart.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("version: 0", "version: 0.1.0+build.5 #");
    std::fs::write(&file, text).unwrap();
    let objects = helm::parse(&helm::output(helm::command().args(["template", "test"]).arg(chart)).unwrap());
    for object in objects {
        for label in object["metadata"]["labels"].as_object().unwrap().values() {
            assert!(!label.as_str().unwrap().contains('+'), "{object}");
        }
    }
}

#[test]
fn the_chart_passes_helm_s_own_checks() {
    helm::output(helm::command().args(["lint", "--strict", "--quiet"]).arg(testkit::chart::directory())).unwrap();
}

/// No value lets tenants write what lets their own links be approved.
#[test]
fn no_role_that_is_added_to_others_writes_policies() {
    for (name, case) in cases() {
        let Ok(rendered) = helm::render(&case.values) else { continue };
        for role in helm::parse(&rendered).iter().filter(|object| object["kind"] == "ClusterRole") {
            let labels = role.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
            if !labels.keys().any(|label| label.contains("aggregate-to")) {
                continue;
            }
            for rule in role["rules"].as_array().unwrap() {
                let reads = ["get", "list", "watch"].map(Value::from);
                let writes = rule["verbs"].as_array().unwrap().iter().any(|verb| !reads.contains(verb));
                let policies = rule["resources"].as_array().unwrap().contains(&json!("approvalpolicies"));
                assert!(!(writes && policies), "{name}: {role}");
            }
        }
    }
}

/// A pod by itself is taken only where its priority class and its runtime class exist. In a Job it is judged alike
/// without them.
fn in_a_job(object: Value) -> Value {
    if object["kind"] != "Pod" {
        return object;
    }
    let template = json!({"metadata": {"labels": object["metadata"]["labels"]}, "spec": object["spec"]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": object["metadata"], "spec": {"template": template},
    })
}

/// All renderings, in a namespace that takes only pods that PodSecurity calls restricted, beside the definitions of the
/// Prometheus operator. A warning is an error.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_rendering() {
    let cluster = Cluster::start().await.unwrap();
    for kind in ["servicemonitors", "podmonitors", "prometheusrules"] {
        cluster.define(&format!("monitoring.coreos.com_{kind}")).unwrap();
    }
    for namespace in ["operators", "elsewhere", "team-a", "team-b"] {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
        });
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels},
        });
        cluster.apply(&object.to_string()).unwrap();
    }
    let arguments = ["apply", "--server-side", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
    for (name, case) in cases().into_iter().filter(|(_, case)| case.refused.is_none()) {
        let objects = helm::parse(&helm::render(&case.values).unwrap());
        let objects: Vec<Value> = objects.into_iter().map(in_a_job).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        cluster.with_manifest(&arguments, &list.to_string()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    }
}

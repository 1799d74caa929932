//! What the operator takes for granted about an API server, as assertions that run against the
//! real one and against [`FakeKubernetes`](crate::fake_kubernetes::FakeKubernetes) alike.

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events;
use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

const FINALIZER: &str = "example.com/suite";

fn links(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("privatelink.signalr-operator.io", "v1alpha1", "SignalRSharedPrivateLink");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind))
}

fn link(name: &str) -> anyhow::Result<DynamicObject> {
    let id = |provider: &str| {
        format!("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/{provider}/one")
    };
    let object = json!({
        "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
        "metadata": {"name": name, "finalizers": [FINALIZER]},
        "spec": {
            "signalR": {"resourceId": id("Microsoft.SignalRService/signalR")},
            "keyVault": {"resourceId": id("Microsoft.KeyVault/vaults")},
            "syncPeriod": "10m",
        },
        "status": {"conditions": [], "observedGeneration": 7},
    });
    Ok(serde_json::from_value(object)?)
}

fn patch(operations: Value) -> anyhow::Result<Patch<()>> {
    Ok(Patch::Json(serde_json::from_value(operations)?))
}

fn code<T>(result: kube::Result<T>) -> anyhow::Result<(u16, String)> {
    match result {
        Err(kube::Error::Api(status)) => Ok((status.code, status.reason.clone())),
        Err(other) => Err(other.into()),
        Ok(_) => anyhow::bail!("it was accepted"),
    }
}

fn expect<T>(what: &str, result: kube::Result<T>, expected: (u16, &str)) -> anyhow::Result<()> {
    let found = code(result).with_context(|| what.to_owned())?;
    ensure!(found == (expected.0, expected.1.to_owned()), "{what}: expected {expected:?}, found {found:?}");
    Ok(())
}

/// Runs all assertions in a namespace of its own. `forget` makes the server forget what happened,
/// if it does not do so by itself: the real one remembers nothing from before its start.
///
/// # Errors
/// The first one that does not hold.
pub async fn run(client: &Client, forget: impl FnOnce()) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "suite", "labels": {"team": "a"}}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    ensure!(namespaces.get("suite").await?.labels().get("team").is_some_and(|team| team == "a"), "labels");
    let api = links(client, "suite");
    creation(client, &api).await?;
    versions_and_generations(&api).await?;
    json_patches(&api).await?;
    status(&api).await?;
    deletion(&api).await?;
    watches(&api).await?;
    events(client, &api).await?;
    forget();
    forgotten(&api).await?;
    termination(client, &api).await
}

async fn creation(client: &Client, api: &Api<DynamicObject>) -> anyhow::Result<()> {
    ensure!(api.get_opt("one").await?.is_none(), "nothing is there yet");
    expect("a missing object", api.get("one").await, (404, "NotFound"))?;
    let made = api.create(&PostParams::default(), &link("one")?).await?;
    ensure!(made.uid().is_some() && made.resource_version().is_some(), "uid and version are given");
    ensure!(made.metadata.generation == Some(1), "the first generation is 1");
    // The definition's default may be there.
    ensure!(made.data.pointer("/status/observedGeneration") != Some(&json!(7)), "status is not taken from a creation");
    expect("a second one", api.create(&PostParams::default(), &link("one")?).await, (409, "AlreadyExists"))?;
    let elsewhere = links(client, "nowhere").create(&PostParams::default(), &link("one")?).await;
    expect("in a namespace that does not exist", elsewhere, (404, "NotFound"))?;
    ensure!(api.list(&ListParams::default()).await?.items.len() == 1, "it is listed");
    Ok(())
}

async fn versions_and_generations(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let first = api.get("one").await?;
    let annotate = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let annotated = api.patch("one", &PatchParams::default(), &annotate).await?;
    ensure!(annotated.resource_version() != first.resource_version(), "an annotation is a new version");
    ensure!(annotated.metadata.generation == Some(1), "and no new generation");
    let same = api.patch("one", &PatchParams::default(), &annotate).await?;
    ensure!(same.resource_version() == annotated.resource_version(), "what changes nothing is no new version");
    let edit = Patch::Merge(json!({"spec": {"syncPeriod": "20m"}}));
    let edited = api.patch("one", &PatchParams::default(), &edit).await?;
    ensure!(edited.metadata.generation == Some(2), "a change of the spec is a new generation");
    let mut stale = first;
    if let Some(period) = stale.data.pointer_mut("/spec/syncPeriod") {
        *period = json!("30m");
    }
    expect("an update of an old version", api.replace("one", &PostParams::default(), &stale).await, (409, "Conflict"))
}

async fn json_patches(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let object = api.get("one").await?;
    let (uid, version) = (object.uid(), object.resource_version());
    let parameters = PatchParams::default();
    let wrong_uid = patch(json!([
        {"op": "test", "path": "/metadata/uid", "value": "ffffffff-0000-4000-8000-000000000000"},
        {"op": "remove", "path": "/metadata/finalizers/0"},
    ]))?;
    expect("a test of another uid", api.patch("one", &parameters, &wrong_uid).await, (422, "Invalid"))?;
    let old_version = patch(json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "1"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/other"},
    ]))?;
    expect("a test of an old version", api.patch("one", &parameters, &old_version).await, (422, "Invalid"))?;
    let missing = patch(json!([{"op": "remove", "path": "/metadata/finalizers/7"}]))?;
    expect("what is not there cannot be removed", api.patch("one", &parameters, &missing).await, (422, "Invalid"))?;
    expect("of an object that is gone", api.patch("gone", &parameters, &missing).await, (404, "NotFound"))?;
    let good = patch(json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/other"},
    ]))?;
    let patched = api.patch("one", &parameters, &good).await?;
    ensure!(patched.finalizers() == [FINALIZER, "example.com/other"], "{:?}", patched.finalizers());
    ensure!(patched.metadata.generation == object.metadata.generation, "a finalizer is no new generation");
    expect("the same once more", api.patch("one", &parameters, &good).await, (422, "Invalid"))
}

async fn status(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let object = api.get("one").await?;
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Approved", "message": "m",
        "lastTransitionTime": "2026-11-24T00:00:00Z",
    });
    let write = |version: Option<String>, finalizers: Value| {
        patch(json!([
            {"op": "test", "path": "/metadata/uid", "value": object.uid()},
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/status", "value": {"conditions": [condition], "observedGeneration": 2}},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
            {"op": "replace", "path": "/spec/syncPeriod", "value": "40m"},
        ]))
    };
    let parameters = PatchParams::default();
    let stale = api.patch_status("one", &parameters, &write(Some("1".into()), json!([]))?).await;
    expect("a status on an old version", stale, (422, "Invalid"))?;
    let written = api.patch_status("one", &parameters, &write(object.resource_version(), json!([]))?).await?;
    let is = |object: &DynamicObject, path: &str, value: Value| object.data.pointer(path) == Some(&value);
    ensure!(is(&written, "/status/conditions/0/reason", json!("Approved")), "{:?}", written.data);
    ensure!(is(&written, "/spec/syncPeriod", json!("20m")), "a status write does not change the spec");
    ensure!(written.finalizers() == object.finalizers(), "nor the finalizers");
    ensure!(written.metadata.generation == object.metadata.generation, "nor the generation");
    ensure!(written.resource_version() != object.resource_version(), "it is a new version");
    let through_main = Patch::Merge(json!({"status": {"observedGeneration": 9}}));
    let unchanged = api.patch("one", &parameters, &through_main).await?;
    ensure!(is(&unchanged, "/status/observedGeneration", json!(2)), "status is written through its subresource only");
    Ok(())
}

async fn deletion(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let before = api.get("one").await?;
    let other = Preconditions { uid: Some("ffffffff-0000-4000-8000-000000000000".into()), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(other), ..DeleteParams::default() };
    expect("the deletion of another uid", api.delete("one", &parameters).await, (409, "Conflict"))?;
    api.delete("one", &DeleteParams::default()).await?;
    let deleting = api.get("one").await?;
    ensure!(deleting.metadata.deletion_timestamp.is_some(), "a finalizer keeps it");
    ensure!(
        deleting.metadata.generation == before.metadata.generation.map(|g| g + 1),
        "a deletion is a new generation: {:?} after {:?}",
        deleting.metadata.generation,
        before.metadata.generation
    );
    let again = api.delete("one", &DeleteParams::default()).await?;
    ensure!(again.left().is_some_and(|o| o.resource_version() == deleting.resource_version()), "twice is once");
    let add = patch(json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/late"}]))?;
    expect("a new finalizer by then", api.patch("one", &PatchParams::default(), &add).await, (422, "Invalid"))?;
    for left in [1, 0] {
        let remove = patch(json!([{"op": "remove", "path": "/metadata/finalizers/0"}]))?;
        api.patch("one", &PatchParams::default(), &remove).await?;
        ensure!(api.get_opt("one").await?.is_some() == (left > 0), "it goes with the last finalizer");
    }
    let recreated = api.create(&PostParams::default(), &link("one")?).await?;
    ensure!(recreated.uid() != before.uid(), "another object of the same name has another uid");
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("one", &PatchParams::default(), &bare).await?;
    api.delete("one", &DeleteParams::default()).await?;
    ensure!(api.get_opt("one").await?.is_none(), "without a finalizer it goes at once");
    expect("deleted twice", api.delete("one", &DeleteParams::default()).await, (404, "NotFound"))
}

async fn watches(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let watch = |version: String| async move {
        let parameters = WatchParams::default().timeout(60).disable_bookmarks();
        Ok::<_, anyhow::Error>(api.watch(&parameters, &version).await?.boxed())
    };
    let listed = api.list(&ListParams::default()).await?;
    ensure!(listed.items.is_empty(), "nothing is left");
    let begun = listed.metadata.resource_version.context("a list has a version")?;
    let mut live = watch(begun.clone()).await?;
    let made = api.create(&PostParams::default(), &link("watched")?).await?;
    let annotate = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let annotated = api.patch("watched", &PatchParams::default(), &annotate).await?;
    api.delete("watched", &DeleteParams::default()).await?;
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("watched", &PatchParams::default(), &bare).await?;
    // The same to who was there, and to who comes later and asks for what was missed.
    let mut late = watch(begun).await?;
    for (who, events) in [("live", &mut live), ("late", &mut late)] {
        let mut told = Vec::new();
        while told.len() < 4 {
            let event = events.try_next().await?.context("the watch ended")?;
            told.push(match event {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                other => anyhow::bail!("{who}: {other:?}"),
            });
        }
        let kinds: Vec<&str> = told.iter().map(|(kind, _)| *kind).collect();
        ensure!(kinds == ["added", "modified", "modified", "deleted"], "{who}: {kinds:?}");
        let versions: Vec<Option<String>> = told.iter().map(|(_, object)| object.resource_version()).collect();
        ensure!(versions.starts_with(&[made.resource_version(), annotated.resource_version()]), "{who}: {versions:?}");
        let numbers: Vec<u64> = versions.iter().flatten().filter_map(|version| version.parse().ok()).collect();
        ensure!(
            numbers.len() == 4 && numbers.is_sorted_by(|a, b| a < b),
            "{who}: each event is a version: {versions:?}"
        );
        ensure!(told.iter().all(|(_, object)| object.uid() == made.uid()), "{who}: it is the same object");
    }
    let now = api.list(&ListParams::default()).await?.metadata.resource_version.context("a list has a version")?;
    let mut ends = api.watch(&WatchParams::default().timeout(1).disable_bookmarks(), &now).await?.boxed();
    ensure!(ends.try_next().await?.is_none(), "a watch ends after its time");
    Ok(())
}

/// What was forgotten is not told as if nothing had been.
async fn forgotten(api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let mut watch = api.watch(&WatchParams::default().timeout(60), "1").await?.boxed();
    match watch.try_next().await?.context("the watch ended")? {
        WatchEvent::Error(status) => ensure!(status.code == 410 && status.reason == "Expired", "{status:?}"),
        other => anyhow::bail!("a watch from the beginning: {other:?}"),
    }
    Ok(())
}

/// The same Event twice is one, counted.
async fn events(client: &Client, api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let object = api.create(&PostParams::default(), &link("told")?).await?;
    let kind = GroupVersionKind::gvk("privatelink.signalr-operator.io", "v1alpha1", "SignalRSharedPrivateLink");
    let reference = object.object_ref(&ApiResource::from_gvk(&kind));
    let recorder = Recorder::new(client.clone(), Reporter { controller: "suite".to_owned(), instance: None });
    let event = Event {
        type_: EventType::Normal,
        reason: "Approved".to_owned(),
        note: Some("a note".to_owned()),
        action: "Approve".to_owned(),
        secondary: None,
    };
    for _ in 0..2 {
        recorder.publish(&event, &reference).await?;
    }
    let told: Api<events::v1::Event> = Api::namespaced(client.clone(), "suite");
    let told = told.list(&ListParams::default()).await?.items;
    let about: Vec<_> = told.iter().filter(|event| event.regarding.as_ref() == Some(&reference)).collect();
    ensure!(about.len() == 1, "one Event is made: {told:?}");
    ensure!(about.iter().all(|event| event.series.as_ref().is_some_and(|series| series.count == 2)), "{told:?}");
    Ok(())
}

/// In a namespace that is being terminated nothing is made, and what is there can still be written.
async fn termination(client: &Client, api: &Api<DynamicObject>) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete("suite", &DeleteParams::default()).await?;
    let going = namespaces.get("suite").await?;
    ensure!(going.metadata.deletion_timestamp.is_some(), "it goes once everything in it has gone");
    let late = api.create(&PostParams::default(), &link("late")?).await;
    expect("a new object by then", late, (403, "Forbidden"))?;
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("told", &PatchParams::default(), &bare).await?;
    api.delete("told", &DeleteParams::default()).await?;
    ensure!(api.get_opt("told").await?.is_none(), "what is there goes");
    Ok(())
}

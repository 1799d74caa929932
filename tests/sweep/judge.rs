//! The invariants S1 to S17 (docs/reliability.md) that a single request can break, checked as it is sent (Azure) or as
//! it takes effect (Kubernetes). The judge knows what the operator cannot: who opened what.

use std::collections::BTreeSet;
use std::time::Duration;

use azure_sim::world::{Link, Opener};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use signalr_private_link_core::Reason;
use signalr_private_link_core::marker::{ApprovalRecord, Marker};
use signalr_private_link_operator::api::{FINALIZER, RECREATE_ANNOTATION};

use crate::boundary::{Boundary, ENDPOINT};
use crate::calls::FRESH;
use crate::stage::{self, LINKS, POLICIES};

/// How long Azure takes at most to remove a connection.
const REMOVAL: Duration = Duration::from_secs(20);
/// How far behind its last word may be: a pass takes some calls of 20 s, and the word itself may come
/// late.
const PASS: Duration = Duration::from_secs(150);

/// The marker in a link's message.
pub fn marker(link: &Link) -> Option<Marker> {
    Marker::parse(link.message.as_deref()?)
}

fn by_uid(boundary: &Boundary, uid: &str) -> Option<Value> {
    let mut found = None;
    boundary.kubernetes.visit(LINKS, |object| {
        if object["metadata"]["uid"] == uid {
            found = Some(object.clone());
        }
    });
    found
}

fn finalized(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|f| f == FINALIZER))
}

fn deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// A request to Azure leaves the process.
pub fn azure(boundary: &Boundary, request: &Request<Bytes>) {
    let path = request.uri().path().to_ascii_lowercase();
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    if !request.uri().to_string().starts_with(ENDPOINT) {
        boundary.problem(format!("S11: a request to {:?}", request.uri().host()));
    }
    match (
        request.method(),
        path.contains("/sharedprivatelinkresources/"),
        path.contains("/privateendpointconnections/"),
    ) {
        (&Method::GET, true, _) => {
            let is_confirmed = boundary.azure.look(|world| world.link(&path).is_some_and(is_approved));
            boundary.calls().confirmed.insert(path, is_confirmed);
        }
        (&Method::GET, ..) => {}
        (&Method::PUT, true, _) => put_link(boundary, &path, &body),
        (&Method::DELETE, true, _) => delete_link(boundary, &path),
        (&Method::PUT, _, true) => decide(boundary, &path, &body),
        _ if path.contains("/oauth2/") => {}
        (method, ..) => boundary.problem(format!("a request that the operator has no reason to make: {method} {path}")),
    }
}

fn put_link(boundary: &Boundary, path: &str, body: &Value) {
    let message = body["properties"]["requestMessage"].as_str().unwrap_or_default();
    let Some(own) = Marker::parse(message) else {
        return boundary.problem("a link is put without a marker");
    };
    match by_uid(boundary, &own.uid) {
        Some(object) if !finalized(&object) => boundary.problem("S7: a link is put before the finalizer is durable"),
        Some(object) if deleting(&object) && boundary.calls().just_torn(&own.uid) => {}
        Some(object) if deleting(&object) => boundary.problem("S16: a link is put for an object that is being deleted"),
        Some(object) if object["spec"]["managementPolicy"] == "ObserveOnly" => {
            boundary.problem("S5: a link is put for an object that only observes");
        }
        Some(_) => {}
        None if boundary.calls().just_torn(&own.uid) => {}
        None => boundary.problem("S16: a link is put for an object that is gone"),
    }
    one_writer(boundary, path, &own.uid);
    if let Some(there) = boundary.azure.look(|world| world.link(path).cloned()) {
        let is_own = marker(&there).is_some_and(|m| m.uid == own.uid);
        if !(is_own && matches!(there.provisioning.as_str(), "Failed" | "Canceled")) {
            let whose = if is_own { "one" } else { "somebody else's" };
            boundary.problem(format!("S5: a link is put over {whose} that is {}", there.provisioning));
        }
        if is_approved(&there) && !boundary.calls().just_touched(path, FRESH) {
            boundary.problem("S5: a link is put over one that is Approved");
        }
    }
}

fn is_approved(link: &Link) -> bool {
    link.status.as_deref() == Some("Approved")
}

/// S14: while an object that claims a link lives and has put it, no other one puts it.
fn one_writer(boundary: &Boundary, path: &str, uid: &str) {
    let earlier = boundary.calls().writers.insert(path.to_owned(), uid.to_owned());
    let Some(other) = earlier.filter(|earlier| earlier != uid).and_then(|earlier| by_uid(boundary, &earlier)) else {
        return;
    };
    let claims = stage::link_id(&other).to_ascii_lowercase() == path
        && other["spec"]["managementPolicy"] != "ObserveOnly"
        && !deleting(&other);
    if claims {
        boundary.problem("S14: a second object puts a link");
    }
}

fn delete_link(boundary: &Boundary, path: &str) {
    let Some(there) = boundary.azure.look(|world| world.link(path).cloned()) else {
        return;
    };
    let owner = marker(&there).map(|marker| marker.uid).unwrap_or_default();
    match by_uid(boundary, &owner) {
        None if boundary.calls().just_torn(&owner) => {}
        None => boundary.problem("S4: a link is deleted that belongs to no object"),
        Some(object) if object["spec"]["managementPolicy"] == "ObserveOnly" => {
            boundary.problem("S4: a link is deleted for an object that only observes");
        }
        Some(object) if !deleting(&object) && object["metadata"]["annotations"][RECREATE_ANNOTATION].is_null() => {
            boundary.problem("S4: a link is deleted, and nobody asked for it");
        }
        Some(_) => {}
    }
}

fn decide(boundary: &Boundary, path: &str, body: &Value) {
    let state = &body["properties"]["privateLinkServiceConnectionState"];
    let (connection, opener) = boundary.azure.look(|world| {
        let connection = world.connection(path).cloned();
        let opener = connection.as_ref().and_then(|c| match &c.opened_by {
            Opener::Link(id) => world.link(id).and_then(marker),
            _ => None,
        });
        (connection, opener)
    });
    let Some(connection) = connection else {
        if boundary.calls().just_touched(path, FRESH + REMOVAL) {
            return;
        }
        return boundary.problem("S2: a write to a connection that does not exist");
    };
    let record = ApprovalRecord::parse(state["description"].as_str().unwrap_or_default());
    match state["status"].as_str() {
        Some("Approved") => {
            let pending = connection.status.as_deref() == Some("Pending");
            if !pending && !boundary.calls().just_touched(path, FRESH) {
                boundary.problem(format!("S2: a connection is approved that is {:?}", connection.status));
            }
            let uid = record.map(|record| record.uid).unwrap_or_default();
            asked_for(boundary, &uid);
            let own = opener.is_some_and(|m| m.uid == uid);
            if !own && !boundary.stranger_may_slip {
                boundary.problem("S1: a connection is approved that is not the object's own");
            }
        }
        Some("Rejected") => {
            let ours = ApprovalRecord::parse(connection.description.as_deref().unwrap_or_default());
            match ours {
                None => boundary.problem("S2: a connection is rejected that the operator did not approve"),
                Some(approval) => revoke(boundary, &connection.opened_by, opener.as_ref(), &approval),
            }
        }
        other => boundary.problem(format!("a connection is set to {other:?}")),
    }
}

/// Nothing is approved for an object that does not ask for it, or is going, nor without a policy for its namespace.
fn asked_for(boundary: &Boundary, uid: &str) {
    let object = by_uid(boundary, uid);
    let asks = |object: &Value| !deleting(object) && object["spec"]["approval"]["mode"] == "Automatic";
    if !object.as_ref().is_some_and(asks) && !boundary.calls().just_torn(uid) {
        boundary.problem("S1: a connection is approved that nobody asked to approve");
    }
    let Some(namespace) = object.map(|object| object["metadata"]["namespace"].clone()) else { return };
    let mut is_permitted = boundary.calls().just_touched(POLICIES, FRESH);
    boundary.kubernetes.visit(POLICIES, |policy| {
        let names = policy["spec"]["namespaces"]["names"].as_array();
        is_permitted |= names.is_some_and(|names| names.contains(&namespace));
    });
    if !is_permitted {
        boundary.problem("S1: a connection is approved that no policy permits to approve");
    }
}

/// M7: what SignalR confirms, as the last look showed, stays approved.
fn revoke(boundary: &Boundary, opened_by: &Opener, opener: Option<&Marker>, approval: &ApprovalRecord) {
    let Opener::Link(id) = opened_by else { return };
    let is_its_link = opener.is_some_and(|link| link.uid == approval.uid && link.nonce == approval.nonce);
    let is_confirmed = boundary.calls().confirmed.get(id).copied().unwrap_or(true);
    if is_its_link && is_confirmed && !boundary.calls().just_touched(id, FRESH) {
        boundary.problem("M7: an approval is taken back that SignalR confirms");
    }
}

/// A request to the API server takes effect.
pub fn kubernetes(
    boundary: &Boundary,
    request: &Request<Bytes>,
    apply: impl FnOnce() -> Response<Bytes>,
) -> Response<Bytes> {
    if request.method() == Method::GET {
        return apply();
    }
    let path = request.uri().path();
    // The header of every token.
    if String::from_utf8_lossy(request.body()).contains("eyJ") {
        boundary.problem("S12: a token is written to Kubernetes");
    }
    if path.ends_with("/events") || path.contains("/events/") {
        return apply();
    }
    conditional(boundary, request);
    let status = path.ends_with("/status");
    let Some((namespace, name)) = stage::named(path.trim_end_matches("/status")) else {
        if !(status && path.contains("/approvalpolicies/")) {
            boundary.problem(format!("S10: {} {path}", request.method()));
        }
        return apply();
    };
    let read = || boundary.kubernetes.look(LINKS, namespace, name, Value::clone);
    let before = read();
    let answer = apply();
    let after = read();
    let Some(before) = before.filter(|_| answer.status().is_success()) else {
        return answer;
    };
    if let Some(after) = &after {
        for field in ["spec", "apiVersion", "kind"] {
            if before[field] != after[field] {
                boundary.problem(format!("S10: {field} was changed"));
            }
        }
        for field in ["labels", "annotations", "ownerReferences"] {
            if before["metadata"][field] != after["metadata"][field] {
                boundary.problem(format!("S10: metadata.{field} was changed"));
            }
        }
        let others = |object: &Value| {
            let all = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            all.into_iter().filter(|f| f != FINALIZER).collect::<Vec<_>>()
        };
        if others(&before) != others(after) {
            boundary.problem("S10: a finalizer of somebody else's was changed");
        }
        if status {
            judge_status(boundary, &before, after);
        }
    }
    if finalized(&before) && !after.as_ref().is_some_and(finalized) && !deleting(&before) {
        boundary.problem("S8: the finalizer of a live object was removed");
    }
    answer
}

/// S9: a write says which object and version it is meant for.
fn conditional(boundary: &Boundary, request: &Request<Bytes>) {
    if request.method() != Method::PATCH {
        boundary.problem(format!("S10: {} {}", request.method(), request.uri().path()));
    }
    let patch: Vec<Value> = serde_json::from_slice(request.body()).unwrap_or_default();
    for tested in ["/metadata/uid", "/metadata/resourceVersion"] {
        if !patch.iter().any(|step| step["op"] == "test" && step["path"] == tested) {
            boundary.problem(format!("S9: a write that does not test {tested}"));
        }
    }
}

fn judge_status(boundary: &Boundary, before: &Value, after: &Value) {
    let generation = |object: &Value| object["status"]["observedGeneration"].as_i64().unwrap_or_default();
    if generation(after) < generation(before)
        || generation(after) > after["metadata"]["generation"].as_i64().unwrap_or(0)
    {
        boundary.problem(format!("S15: observedGeneration {} after {}", generation(after), generation(before)));
    }
    let conditions = |object: &Value| object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let was = conditions(before);
    if boundary.slow {
        let ready = conditions(after).into_iter().find(|condition| condition["type"] == "Ready").unwrap_or_default();
        boundary.note(format!("    {} says {}", stage::path_of(after), ready["reason"]));
    }
    for condition in conditions(after) {
        let text = |name: &str| condition[name].as_str().unwrap_or_default();
        let reason = text("reason");
        let well_formed = (reason == "Succeeded" || Reason::ALL.iter().any(|known| known.as_str() == reason))
            && matches!(text("status"), "True" | "False" | "Unknown")
            && text("message").len() <= 32768
            && !text("lastTransitionTime").is_empty();
        if !well_formed {
            boundary.problem(format!("S15: {condition}"));
        }
        let earlier = was.iter().find(|c| c["type"] == condition["type"]);
        if let Some(earlier) = earlier
            && earlier["status"] == condition["status"]
            && earlier["lastTransitionTime"] != condition["lastTransitionTime"]
        {
            boundary.problem(format!("S15: lastTransitionTime of {} changed without a flip", condition["type"]));
        }
        if text("type") == "Ready" && text("status") == "True" {
            let id = stage::link_id(after);
            let truth = boundary.azure.look(|world| world.link(&id).cloned());
            let holds = truth
                .as_ref()
                .is_some_and(|link| link.provisioning == "Succeeded" && link.status.as_deref() == Some("Approved"));
            if !holds && !boundary.calls().just_touched(&id, PASS) {
                boundary.problem(format!("S6: Ready is True, and SignalR says {truth:?}"));
            }
        }
    }
}

/// What is wrong with the links once everything rests: whose object is gone (S16), unless such may be
/// left, and of which an object has two (S3).
pub fn at_rest(boundary: &Boundary, leaves_link: bool) -> Vec<&'static str> {
    let owners: Vec<String> = boundary.azure.look(|world| {
        let links = world.signalrs().values().flat_map(|signalr| signalr.links.values());
        links.filter_map(marker).map(|marker| marker.uid).collect()
    });
    let mut problems = Vec::new();
    if !leaves_link && owners.iter().any(|owner| by_uid(boundary, owner).is_none()) {
        problems.push("S16: at rest there is a link whose object is gone");
    }
    if owners.iter().collect::<BTreeSet<_>>().len() < owners.len() {
        problems.push("S3: two links for one object");
    }
    problems
}

//! Requests and answers as the network sees them: words for requests, and answers that a fault
//! makes up.

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::json;

use crate::boundary::Side;
use crate::fault::RetryAfter;

/// ARM's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    Read,
    Write,
    Delete,
}

/// A word for a request, as the table of cells has it.
pub fn label(side: Side, request: &Request<Bytes>) -> String {
    let path = request.uri().path().to_ascii_lowercase();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let what = match side {
        Side::Kubernetes => {
            let kinds = ["signalrsharedprivatelinks", "approvalpolicies", "events", "customresourcedefinitions"];
            let kind = kinds.iter().find(|kind| parts.contains(kind)).unwrap_or(&"namespaces");
            if parts.last() == Some(&"status") { format!("{kind}/status") } else { (*kind).to_owned() }
        }
        Side::Azure if path.contains("/oauth2/") => "token".to_owned(),
        Side::Azure => {
            let is = |word: &&&str| parts.contains(*word);
            let words = [
                "operationstatuses",
                "operationresults",
                "replicas",
                "privateendpointconnections",
                "sharedprivatelinkresources",
            ];
            let word = words.iter().find(is).unwrap_or(&"?");
            if parts.last() == Some(word) { (*word).to_owned() } else { format!("{word}/one") }
        }
    };
    format!("{} {what}", request.method())
}

/// The bucket that a request to ARM falls into; the token endpoint is no part of ARM.
pub fn bucket(request: &Request<Bytes>) -> Option<Bucket> {
    match *request.method() {
        _ if request.uri().path().contains("/oauth2/") => None,
        Method::GET => Some(Bucket::Read),
        Method::DELETE => Some(Bucket::Delete),
        _ => Some(Bucket::Write),
    }
}

/// The SignalR or vault that a request to ARM writes to.
pub fn written_parent(request: &Request<Bytes>) -> Option<String> {
    let path = request.uri().path().to_ascii_lowercase();
    let children = ["/sharedprivatelinkresources/", "/privateendpointconnections/"];
    let parent = children.iter().find_map(|child| path.split_once(child))?.0;
    (request.method() != Method::GET).then(|| parent.to_owned())
}

pub fn answer(status: u16) -> http::response::Builder {
    let date = azure_sim::clock::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Response::builder().status(status).header("content-type", "application/json").header("date", date)
}

/// What a request leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    Write,
    Event,
}

pub fn effect(request: &Request<Bytes>, what: &str) -> Effect {
    match what {
        _ if what.ends_with(" events") => Effect::Event,
        _ if request.method() == Method::GET || what.ends_with("token") => Effect::None,
        _ => Effect::Write,
    }
}

pub fn retry_after(after: RetryAfter) -> Option<String> {
    match after {
        RetryAfter::Absent => None,
        RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
        RetryAfter::Date(seconds) => Some(date(i64::try_from(seconds).unwrap())),
        RetryAfter::Past => Some(date(-7)),
    }
}

/// The time of day so many seconds from now, as HTTP writes it.
fn date(seconds: i64) -> String {
    let at = azure_sim::clock::now() + jiff::SignedDuration::from_secs(seconds);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub fn unknown_words(body: Bytes) -> Bytes {
    let mut text = String::from_utf8_lossy(&body).into_owned();
    for word in ["Succeeded", "Creating", "Updating", "Deleting", "Pending", "Approved", "Rejected", "InProgress"] {
        text = text.replace(&format!(r#":"{word}""#), r#":"Sublimated""#);
    }
    Bytes::from(text)
}

pub fn error(side: Side, status: u16, code: &str) -> Response<Bytes> {
    let body = match side {
        Side::Azure => json!({"error": {"code": code, "message": "a fault of the test"}}),
        Side::Kubernetes => json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
            "reason": code, "message": "a fault of the test",
        }),
    };
    answer(status).body(Bytes::from(body.to_string())).unwrap()
}

//! Operations and their signed URLs: over 3,200 characters, opaque, to be used byte for byte.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::path::Path;
use super::{answered, time};
use crate::reply::Reply;
use crate::server::Call;
use crate::sim::Sim;
use crate::world::{Operation, OperationKind, Outcome};

/// ARM's URLs were measured at 3,244 to 3,268 characters (azure-cli's recordings of 2024).
const CERTIFICATE_LENGTH: usize = 2_900;

fn sign(sim: &Sim, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &sim.signing_key);
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// The URL of an operation; `segment` is `operationStatuses` or `operationResults`.
pub fn url(sim: &Sim, path: &Path, signalr: &str, segment: &str, id: &str, version: &str) -> String {
    let upper = sim.state().world.quirks.uppercase_groups;
    let resource = answered(upper, path, &format!("Microsoft.SignalRService/SignalR/{signalr}/{segment}/{id}"));
    // The certificate that ARM puts there is opaque; its letter case and its signs matter.
    let seed = sign(sim, &resource);
    let certificate: String = seed.chars().cycle().take(CERTIFICATE_LENGTH).collect();
    let signed = format!("{resource}?api-version={version}&t=638999999999999999&c={certificate}");
    format!("{}{signed}&s={}&h={}", sim.endpoint, sign(sim, &signed), sign(sim, &seed))
}

/// Whether the URL is one that was given out, to the letter.
pub fn genuine(sim: &Sim, call: &Call) -> bool {
    let Some((signed, rest)) = call.path_and_query().split_once("&s=") else {
        return false;
    };
    rest.split_once("&h=").is_some_and(|(signature, _)| signature == sign(sim, signed))
}

/// What `operationStatuses` answers: always 200.
pub fn status(sim: &Sim, path: &Path, signalr: &str, operation: &Operation) -> Reply {
    let upper = sim.state().world.quirks.uppercase_groups;
    let id = answered(
        upper,
        path,
        &format!("Microsoft.SignalRService/SignalR/{signalr}/operationStatuses/{}", operation.id),
    );
    let mut body = json!({"id": id, "name": operation.id, "startTime": time(operation.started)});
    let (word, error) = match (&operation.outcome, operation.ended) {
        (_, false) | (Outcome::Untold, _) => ("Running", None),
        (Outcome::Vanishes { code, message }, true) => ("Failed", Some(json!({"code": code, "message": message}))),
        (Outcome::Bad { status, code, message }, true) => {
            (status.as_str(), Some(json!({"code": code, "message": message})))
        }
        (_, true) => ("Succeeded", None),
    };
    if let Some(object) = body.as_object_mut() {
        object.insert("status".to_owned(), word.into());
        if let (true, Some(ends)) = (operation.ended, operation.ends) {
            object.insert("endTime".to_owned(), time(ends).into());
        }
        if let Some(error) = error {
            object.insert("error".to_owned(), error);
        }
    }
    Reply::json(200, body)
}

/// What `operationResults` answers: 202 while it runs, then as the call itself would have: with
/// the resource that was written (recorded by azure-cli on 2024-09-30), or 204 for a deletion.
pub fn result(operation: &Operation, link: Option<Value>, own_url: String) -> Reply {
    match (operation.ended, operation.kind) {
        (false, _) => Reply::empty(202).with("location", own_url),
        (true, OperationKind::Delete) => Reply::empty(204),
        (true, OperationKind::Put) => Reply { status: 200, headers: Vec::new(), body: link },
    }
}

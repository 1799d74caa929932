//! Objects in every state, with the status that the operator itself writes, and what a user wants to see of them.

use serde_json::{Value, json};
use signalr_private_link_core::reason::ReadyByReason;
use signalr_private_link_core::report::{Ready, Truth};
use signalr_private_link_core::{Reason, Report};
use signalr_private_link_operator::api::{self, ApprovalPolicy, AsTold, SignalRSharedPrivateLink};
use signalr_private_link_operator::permissions;
use testkit::scene::{LinkOptions, Scene};

use crate::documents;

const WORDS: &str = "A sentence that says what to do.";

/// What the three make of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub argo: &'static str,
    pub kstatus: &'static str,
    pub flux: &'static str,
}

const fn verdict(argo: &'static str, kstatus: &'static str, flux: &'static str) -> Verdict {
    Verdict { argo, kstatus, flux }
}

/// It works.
const WORKS: Verdict = verdict("Healthy", "Current", "Current");
/// It goes on by itself.
pub const GOES_ON: Verdict = verdict("Progressing", "InProgress", "InProgress");
/// It goes on when a person approves: neither healthy nor failed.
const WAITS: Verdict = verdict("Suspended", "InProgress", "InProgress");
/// Somebody has to do something about it.
const FAILED: Verdict = verdict("Degraded", "Failed", "Failed");
/// It is being deleted.
pub const GOES: Verdict = verdict("Progressing", "Terminating", "InProgress");

/// What a user wants to see of a link whose reason has been this one for a while.
const fn wanted(reason: Reason) -> Verdict {
    match reason {
        Reason::Approved => WORKS,
        Reason::Creating
        | Reason::WaitingForSignalR
        | Reason::WaitingForConnection
        | Reason::Approving
        | Reason::WaitingForPropagation
        | Reason::Throttled
        | Reason::TransientError
        | Reason::ObserveOnly => GOES_ON,
        Reason::PendingApproval => WAITS,
        Reason::Deleting | Reason::DeletionBlocked => GOES,
        Reason::ConnectionNotFound
        | Reason::ApprovalDenied
        | Reason::ApprovalAmbiguous
        | Reason::ApprovalNotAuthorized
        | Reason::ApprovalUnconfirmed
        | Reason::ApprovalTimedOut
        | Reason::Rejected
        | Reason::Disconnected
        | Reason::ConnectionTimedOut
        | Reason::SignalRNotFound
        | Reason::KeyVaultNotFound
        | Reason::AuthorizationFailed
        | Reason::CredentialUnavailable
        | Reason::AlreadyExists
        | Reason::OwnershipConflict
        | Reason::InvalidSpec
        | Reason::OperationFailed
        | Reason::OperationTimedOut
        | Reason::PolicyDenied
        | Reason::Locked => FAILED,
    }
}

/// An object, the row of the table that it stands for, and what is wanted.
pub struct State {
    pub name: String,
    pub object: Value,
    pub wanted: Verdict,
}

impl State {
    fn new(name: impl Into<String>, object: Value, wanted: Verdict) -> Self {
        Self { name: name.into(), object, wanted }
    }

    /// The same object after an edit that the operator has not seen.
    pub fn edited(&self) -> Self {
        let mut object = self.object.clone();
        let generation = object["metadata"]["generation"].as_i64().unwrap();
        object["metadata"]["generation"] = (generation + 1).into();
        let is_going = object["metadata"].get("deletionTimestamp").is_some();
        Self::new(format!("{}, edited", self.name), object, if is_going { GOES } else { GOES_ON })
    }

    /// The same object, being deleted; the operator has not seen that. Its finalizer holds it.
    pub fn deleted(&self) -> Self {
        let mut object = self.object.clone();
        delete(&mut object);
        Self::new(format!("{}, deleted", self.name), object, GOES)
    }
}

fn delete(object: &mut Value) {
    object["metadata"]["deletionTimestamp"] = "2026-11-25T08:00:00Z".into();
    object["metadata"]["finalizers"] = json!([api::FINALIZER]);
}

/// A link as the API server has it before the operator looks: the definition sets the status.
fn new_link() -> Value {
    let mut link = Scene::manifest("contoso", "kv-pe", "contoso-signalr", "contoso-kv", &LinkOptions::default());
    let metadata = json!({"generation": 3, "uid": "0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f", "creationTimestamp": "2026-11-24T08:00:00Z"});
    link["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    link["status"] = json!({"observedGeneration": -1});
    link
}

/// The link after a pass that says this, with the status that is written then. `lasting` says that the reason has been
/// the same for ten minutes, and that what was said of Ready before stands no longer.
fn told(link: &Value, report: &Report, lasting: bool) -> Value {
    let object: SignalRSharedPrivateLink = serde_json::from_value(link.clone()).unwrap();
    let desired = api::desired(&object).unwrap();
    let as_told = AsTold { ready_expired: lasting, lasting, now: jiff::Timestamp::UNIX_EPOCH };
    let status = api::render(&object, Some(&desired), report, as_told);
    serde_json::to_value(SignalRSharedPrivateLink { status: Some(status), ..object }).unwrap()
}

/// The states that a reason stands for.
fn of(reason: Reason) -> Vec<State> {
    let report = Report::new(reason, WORDS);
    let name = format!("[`{reason}`](reasons.md#{})", reason.as_str().to_lowercase());
    let state = |more: &str, object: Value, wanted: Verdict| State::new(format!("{name}{more}"), object, wanted);
    let new = new_link();
    let mut states = Vec::new();
    if reason.ready() == ReadyByReason::Kept {
        let ready = told(&new, &Report::new(Reason::Approved, WORDS), false);
        states.push(state(", where the link was Ready shortly before", told(&ready, &report, false), WORKS));
    }
    if reason.has_grace() {
        states.push(state(", for ten minutes", told(&new, &report, false), GOES_ON));
    }
    match reason {
        Reason::Deleting | Reason::DeletionBlocked => {
            let mut going = new.clone();
            delete(&mut going);
            states.push(state(", of an object that is deleted", told(&going, &report, true), wanted(reason)));
        }
        Reason::ObserveOnly => {
            let mut works = report.clone();
            works.ready = Ready::Is(Truth::True);
            states.push(state(", the link works", told(&new, &works, true), WORKS));
            states.push(state(", it does not", told(&new, &report, true), wanted(reason)));
        }
        _ if reason.has_grace() => states.push(state(", later", told(&new, &report, true), wanted(reason))),
        _ if reason.ready() == ReadyByReason::Kept => {
            states.push(state(", otherwise", told(&new, &report, true), wanted(reason)));
        }
        _ => states.push(state("", told(&new, &report, true), wanted(reason))),
    }
    if reason == Reason::Deleting {
        states.push(state(", of a link that is created once more", told(&new, &report, true), GOES_ON));
    }
    states
}

/// Every state of a link.
pub fn links() -> Vec<State> {
    let new = State::new("a new object", new_link(), GOES_ON);
    std::iter::once(new).chain(Reason::ALL.iter().flat_map(|reason| of(*reason))).collect()
}

/// Every state of an approval policy.
pub fn policies() -> Vec<State> {
    let mut manifest = documents(&testkit::tools::root().join("examples/approval-policy.yaml")).remove(0);
    manifest["metadata"]["generation"] = 2.into();
    manifest["status"] = json!({"observedGeneration": -1});
    let policy: ApprovalPolicy = serde_json::from_value(manifest.clone()).unwrap();
    let with = |status| serde_json::to_value(ApprovalPolicy { status: Some(status), ..policy.clone() }).unwrap();
    let mut unusable = policy.clone();
    unusable.spec.confirm_within = "soon".into();
    let unreadable = permissions::status_of_unreadable("unknown variant `Alert`", policy.metadata.generation);
    vec![
        State::new("a new ApprovalPolicy", manifest, GOES_ON),
        State::new("an ApprovalPolicy that is in force", with(permissions::status(&policy, Some(2))), WORKS),
        State::new("one that is in force and permits no link", with(permissions::status(&policy, Some(0))), WORKS),
        State::new("one in force whose links are not counted", with(permissions::status(&policy, None)), WORKS),
        State::new("one whose confirmWithin cannot be used", with(permissions::status(&unusable, None)), FAILED),
        State::new("one that this version of the operator cannot read", with(unreadable), FAILED),
    ]
}

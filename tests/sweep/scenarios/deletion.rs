//! The end of an object, with Azure in any mood.

use serde_json::json;
use signalr_private_link_operator::api::FORCE_FINALIZE_ANNOTATION;
use testkit::azure;

use super::{ONE, Scenario, automatic, delete, foreign, gone, left, manual, pending, ready, scenario};
use crate::stage::{SIGNALR, Stage};

super::scenarios! {
    deleted_at_birth,
    deleted_after_the_put,
    deleted_unconfirmed,
    detached,
    forced,
    right_to_delete_lost_and_restored,
    signalr_deleted_then_the_object,
    delete_finished_but_the_link_is_still_there,
    deletion_that_fails,
    deletion_that_never_ends,
    deletion_behind_a_creation_that_never_ends,
    lock_removed_later,
    subscription_disabled,
    resource_group_being_deleted,
    definition_deleted,
    foreign_link,
    adopted_link,
    another_finalizer_left,
    namespace_terminating,
}

fn deleted_at_birth() -> Scenario {
    scenario(manual, gone).then(|s| s.sent("PATCH signalrsharedprivatelinks"), delete)
}

fn deleted_after_the_put() -> Scenario {
    scenario(manual, gone).then(|s| s.sent("PUT sharedprivatelinkresources/one"), delete)
}

fn deleted_unconfirmed() -> Scenario {
    scenario(automatic, gone).then(|s| s.sent("PUT privateendpointconnections/one"), delete)
}

fn detached() -> Scenario {
    scenario(|s| s.create(ONE, json!({"deletionPolicy": "Detach"})), left).then(pending, delete).leaving_link()
}

fn may_not_delete(stage: &Stage) {
    stage.grant(&["*/read", "*/write", "*/action"]);
}

fn blocked(stage: &Stage) -> bool {
    stage.reason(ONE) == "DeletionBlocked"
}

fn forced() -> Scenario {
    scenario(manual, left)
        .then(pending, may_not_delete)
        .then(pending, delete)
        .then(blocked, |s| s.annotate(ONE, FORCE_FINALIZE_ANNOTATION, &s.uid(ONE)))
        .leaving_link()
}

fn right_to_delete_lost_and_restored() -> Scenario {
    scenario(manual, gone).then(pending, may_not_delete).then(pending, delete).then(blocked, |s| s.grant(&[]))
}

fn signalr_deleted_then_the_object() -> Scenario {
    scenario(manual, gone)
        .then(pending, |s| {
            s.control("DELETE", "/signalr", &json!({"resourceId": azure::signalr(SIGNALR)}));
        })
        .then(|s| s.reason(ONE) == "SignalRNotFound", delete)
}

fn delete_finished_but_the_link_is_still_there() -> Scenario {
    let setup = |s: &Stage| {
        s.control("PATCH", "/timings", &json!({"lingerMs": 100_000}));
        manual(s);
    };
    scenario(setup, gone).then(pending, delete)
}

fn deletions_end(stage: &Stage, outcome: &str) {
    let id = Stage::azure_id(ONE);
    let body = json!({"id": id, "outcome": outcome, "code": "InternalError", "message": "a bad day", "deletion": true});
    stage.control("POST", "/outcomes", &body);
}

fn deletion_that_fails() -> Scenario {
    scenario(manual, gone)
        .then(pending, |s| deletions_end(s, "Failed"))
        .then(pending, delete)
        .then(blocked, |s| deletions_end(s, "Succeeded"))
}

/// That it does not end is no reason to wait for ever without a word.
fn deletion_that_never_ends() -> Scenario {
    scenario(manual, left)
        .then(pending, |s| deletions_end(s, "Never"))
        .then(pending, delete)
        .then(blocked, |s| s.annotate(ONE, FORCE_FINALIZE_ANNOTATION, &s.uid(ONE)))
        .leaving_link()
}

fn deletion_behind_a_creation_that_never_ends() -> Scenario {
    let setup = |s: &Stage| {
        s.control("POST", "/outcomes", &json!({"id": Stage::azure_id(ONE), "outcome": "Never"}));
        manual(s);
    };
    scenario(setup, left)
        .then(|s| s.provisioning(ONE) == "Creating", delete)
        .then(blocked, |s| s.annotate(ONE, FORCE_FINALIZE_ANNOTATION, &s.uid(ONE)))
        .leaving_link()
}

/// Deletions are refused so until the object says that it is blocked.
fn refused(when: fn(&Stage) -> bool, refuse: fn(&Stage)) -> Scenario {
    scenario(manual, gone).then(pending, refuse).then(pending, delete).then(when, Stage::relent)
}

fn lock_removed_later() -> Scenario {
    refused(blocked, |s| s.refuse("DELETE sharedprivatelinkresources/one", 409, "ScopeLocked"))
}

fn subscription_disabled() -> Scenario {
    refused(blocked, |s| s.refuse("DELETE sharedprivatelinkresources/one", 409, "ReadOnlyDisabledSubscription"))
}

/// That is waiting, and no obstacle.
fn resource_group_being_deleted() -> Scenario {
    let waits = |s: &Stage| s.reason(ONE) == "Deleting" && s.sent("DELETE sharedprivatelinkresources/one");
    refused(waits, |s| s.refuse("DELETE sharedprivatelinkresources/one", 409, "ResourceGroupBeingDeleted"))
}

fn definition_deleted() -> Scenario {
    scenario(manual, left).then(pending, Stage::delete_definition).then(pending, delete).leaving_link()
}

fn foreign_link() -> Scenario {
    let setup = |s: &Stage| {
        foreign(s);
        manual(s);
    };
    scenario(setup, left).then(|s| s.reason(ONE) == "AlreadyExists", delete).leaving_link()
}

fn adopted_link() -> Scenario {
    let setup = |s: &Stage| {
        foreign(s);
        s.create(ONE, json!({"adoptionPolicy": "Adopt"}));
    };
    scenario(setup, left).then(ready, delete).leaving_link()
}

fn another_finalizer_left() -> Scenario {
    let only_theirs = |s: &Stage| match s.object(ONE).map(|object| object["metadata"]["finalizers"].clone()) {
        Some(finalizers) if finalizers == json!(["example.com/theirs"]) && s.link(ONE).is_none() => Ok(()),
        finalizers => Err(format!("{finalizers:?}")),
    };
    scenario(|s| s.create_with(ONE, &json!({"finalizers": ["example.com/theirs"]})), only_theirs).then(pending, delete)
}

/// The namespace controller deletes what is in it; nothing new is made meanwhile.
fn namespace_terminating() -> Scenario {
    scenario(manual, gone)
        .then(
            |s| s.sent("PATCH signalrsharedprivatelinks"),
            |s| {
                s.terminate_namespace();
                s.delete(ONE);
            },
        )
        .waking()
}

//! What SignalR, and people on its side, may do.

use serde_json::json;
use signalr_private_link_operator::api::RECREATE_ANNOTATION;
use testkit::azure;

use super::{ONE, Scenario, approve, automatic, edited, left, manual, pending, plant, ready, scenario, works};
use crate::stage::{SIGNALR, Stage};

super::scenarios! {
    busy_while_it_says_succeeded,
    updating_for_minutes,
    lro_that_never_ends,
    lro_failed_then_healed,
    lro_canceled_then_recreated,
    link_deleted_from_outside,
    link_edited_from_outside,
    request_message_edited_from_outside,
    operation_url_that_expires,
    ready_that_cannot_be_confirmed_turns_unknown,
    link_replaced_from_outside,
    signalr_deleted_and_recreated,
    sku_without_links,
    moved_to_a_tier_without_links,
    replicas,
    policy_denial,
    quota_used_up,
    two_objects_one_link,
    accepted_but_not_visible_yet,
    creation_that_leaves_nothing,
    failed_beside_approved,
    operation_that_never_ends_beside_its_link,
    stuck_sibling,
    azure_changes_the_link_by_itself,
}

fn signalr(stage: &Stage, change: serde_json::Value) {
    let mut body = json!({"resourceId": azure::signalr(SIGNALR)});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    stage.control("PATCH", "/signalr", &body);
}

fn waits_for_signalr(stage: &Stage) -> bool {
    stage.reason(ONE) == "WaitingForSignalR"
}

fn busy_while_it_says_succeeded() -> Scenario {
    let setup = |s: &Stage| {
        signalr(s, json!({"busyForMs": 150_000}));
        manual(s);
    };
    scenario(setup, works).then(pending, approve)
}

/// It refuses every change for ten minutes.
pub fn busy_for_ten_minutes() -> Scenario {
    let setup = |s: &Stage| {
        signalr(s, json!({"busyForMs": 600_000}));
        manual(s);
    };
    Scenario { name: "busy_for_ten_minutes", ..scenario(setup, |s| s.says(ONE, "PendingApproval")) }
}

fn updating_for_minutes() -> Scenario {
    let setup = |s: &Stage| {
        signalr(s, json!({"provisioningState": "Updating"}));
        manual(s);
    };
    scenario(setup, works)
        .then(waits_for_signalr, |s| signalr(s, json!({"provisioningState": "Succeeded"})))
        .then(pending, approve)
}

fn outcome(stage: &Stage, outcome: &str) {
    let body = json!({"id": Stage::azure_id(ONE), "outcome": outcome, "code": "InternalError", "message": "a bad day"});
    stage.control("POST", "/outcomes", &body);
}

fn lro_that_never_ends() -> Scenario {
    let setup = |s: &Stage| {
        outcome(s, "Never");
        manual(s);
    };
    scenario(setup, |s| s.says(ONE, "OperationTimedOut"))
}

fn failed(stage: &Stage) -> bool {
    stage.reason(ONE) == "OperationFailed" && stage.provisioning(ONE) != "Succeeded"
}

fn lro_failed_then_healed() -> Scenario {
    let setup = |s: &Stage| {
        outcome(s, "Failed");
        automatic(s);
    };
    scenario(setup, works).then(failed, |s| outcome(s, "Succeeded"))
}

fn lro_canceled_then_recreated() -> Scenario {
    let setup = |s: &Stage| {
        outcome(s, "Canceled");
        automatic(s);
    };
    scenario(setup, works).then(failed, |s| {
        outcome(s, "Succeeded");
        s.annotate(ONE, RECREATE_ANNOTATION, "1");
    })
}

fn link_deleted_from_outside() -> Scenario {
    scenario(automatic, works)
        .then(ready, |s| {
            s.control("POST", "/links/delete", &json!({"id": Stage::azure_id(ONE)}));
        })
        .usual()
}

fn link_edited_from_outside() -> Scenario {
    scenario(manual, |s| s.says(ONE, "AlreadyExists"))
        .then(pending, |s| edited(s, json!({"privateLinkResourceId": azure::vault("another-kv")})))
}

fn request_message_edited_from_outside() -> Scenario {
    scenario(manual, |s| s.says(ONE, "AlreadyExists"))
        .then(pending, |s| edited(s, json!({"requestMessage": "somebody else's"})))
}

/// Without its operation the link itself tells where it stands; only ARM's words are lost.
fn operation_url_that_expires() -> Scenario {
    let setup = |s: &Stage| {
        s.refuse("GET operationstatuses/one", 404, "NotFound");
        outcome(s, "Failed");
        manual(s);
    };
    scenario(setup, works).then(failed, |s| outcome(s, "Succeeded")).then(pending, approve)
}

fn ready_that_cannot_be_confirmed_turns_unknown() -> Scenario {
    let unknown = |s: &Stage| s.ready(ONE) == "Unknown";
    scenario(automatic, works)
        .then(ready, |s| s.refuse("GET sharedprivatelinkresources", 503, "ServiceUnavailable"))
        .then(unknown, Stage::relent)
}

/// Somebody else's link of the same name stands there now, and is theirs.
fn link_replaced_from_outside() -> Scenario {
    let theirs = |s: &Stage| {
        s.says(ONE, "AlreadyExists")?;
        let message = s.link(ONE).and_then(|link| link.message).unwrap_or_default();
        if message == "theirs" { Ok(()) } else { Err(format!("the link says {message}")) }
    };
    scenario(manual, theirs).then(pending, |s| {
        s.control("POST", "/links/delete", &json!({"id": Stage::azure_id(ONE)}));
        plant(s, "theirs");
    })
}

fn signalr_deleted_and_recreated() -> Scenario {
    scenario(automatic, works)
        .then(ready, |s| {
            s.control("DELETE", "/signalr", &json!({"resourceId": azure::signalr(SIGNALR)}));
        })
        .then(
            |s| s.reason(ONE) == "SignalRNotFound",
            |s| {
                s.control("POST", "/signalr", &json!({"resourceId": azure::signalr(SIGNALR)}));
            },
        )
}

fn sku_without_links() -> Scenario {
    let setup = |s: &Stage| {
        signalr(s, json!({"sku": "Free_F1"}));
        manual(s);
    };
    scenario(setup, works)
        .then(|s| s.reason(ONE) == "InvalidSpec", |s| signalr(s, json!({"sku": "Standard_S1"})))
        .then(pending, approve)
}

/// What Azure does to the link then is not known; once it is gone there is no way back but the tier.
fn moved_to_a_tier_without_links() -> Scenario {
    scenario(automatic, works)
        .then(ready, |s| {
            signalr(s, json!({"sku": "Free_F1"}));
            s.control("POST", "/links/delete", &json!({"id": Stage::azure_id(ONE)}));
        })
        .then(|s| s.reason(ONE) == "InvalidSpec", |s| signalr(s, json!({"sku": "Standard_S1"})))
}

fn replicas() -> Scenario {
    let setup = |s: &Stage| {
        s.control("POST", "/signalr", &json!({"resourceId": azure::signalr(SIGNALR), "replicas": ["eu"]}));
        automatic(s);
    };
    scenario(setup, |s| s.says(ONE, "ApprovalAmbiguous"))
}

/// Creations are refused so until the object gives this reason.
fn refused(refuse: fn(&Stage), when: fn(&Stage) -> bool) -> Scenario {
    scenario(refuse, works).then(when, Stage::relent).then(pending, approve)
}

fn policy_denial() -> Scenario {
    let refuse = |s: &Stage| {
        s.refuse("PUT sharedprivatelinkresources/one", 403, "RequestDisallowedByPolicy");
        manual(s);
    };
    refused(refuse, |s| s.reason(ONE) == "PolicyDenied")
}

fn quota_used_up() -> Scenario {
    let refuse = |s: &Stage| {
        s.refuse("PUT sharedprivatelinkresources/one", 409, "QuotaExceeded");
        manual(s);
    };
    refused(refuse, |s| s.reason(ONE) == "OperationFailed")
}

fn two_objects_one_link() -> Scenario {
    let setup = |s: &Stage| {
        manual(s);
        s.create("second", json!({"azureName": ONE.to_uppercase()}));
    };
    let second = |s: &Stage| {
        s.says(ONE, "gone")?;
        s.says("second", "Approved")?;
        left(s)
    };
    scenario(setup, second)
        .then(|s| pending(s) && s.reason("second") == "OwnershipConflict", |s| s.delete(ONE))
        .then(|s| s.reason("second") == "PendingApproval" && !s.connections().is_empty(), approve)
}

/// Azure accepts the link, and its reads do not show it for longer than the operation runs; both, and a request
/// that lands late, are within the 90 s of R7.
fn accepted_but_not_visible_yet() -> Scenario {
    let setup = |s: &Stage| {
        s.control("PATCH", "/timings", &json!({"hiddenMs": 30_000}));
        manual(s);
    };
    let once = |s: &Stage| {
        works(s)?;
        puts_at_most(s, 1)
    };
    scenario(setup, once).then(pending, approve)
}

/// At most so many links were put, faults aside.
fn puts_at_most(stage: &Stage, most: usize) -> Result<(), String> {
    let puts = stage.count("PUT sharedprivatelinkresources/one");
    if puts <= most || stage.is_struck() { Ok(()) } else { Err(format!("{puts} PUTs, expected {most} at most")) }
}

fn creation_that_leaves_nothing() -> Scenario {
    let setup = |s: &Stage| {
        outcome(s, "Vanishes");
        manual(s);
    };
    let rested = |s: &Stage| {
        works(s)?;
        puts_at_most(s, 3)
    };
    scenario(setup, rested)
        .then(|s| s.reason(ONE) == "OperationFailed" && s.link(ONE).is_none(), |s| outcome(s, "Succeeded"))
        .then(pending, approve)
}

/// R12: it works, and nothing about it is touched.
fn failed_beside_approved() -> Scenario {
    let left_alone = |s: &Stage| {
        s.says(ONE, "OperationFailed")?;
        puts_at_most(s, 1)?;
        let all = s.connections().iter().all(|c| c.status.as_deref() == Some("Approved"));
        if all { left_in_place(s) } else { Err("its own approval was taken back".to_owned()) }
    };
    scenario(automatic, left_alone).then(ready, |s| edited(s, json!({"provisioningState": "Failed"})))
}

fn left_in_place(stage: &Stage) -> Result<(), String> {
    stage.link(ONE).map(drop).ok_or_else(|| "the link is gone".to_owned())
}

fn operation_that_never_ends_beside_its_link() -> Scenario {
    let setup = |s: &Stage| {
        outcome(s, "Untold");
        manual(s);
    };
    scenario(setup, works).then(pending, approve)
}

/// Somebody else's link that stands still in the middle of a change.
fn stuck_sibling() -> Scenario {
    let setup = |s: &Stage| {
        let properties = json!({
            "requestMessage": "made by hand", "status": "Pending", "provisioningState": "Updating",
            "privateLinkResourceId": azure::vault("another-kv"),
        });
        s.control("POST", "/links", &json!({"id": Stage::azure_id("other"), "properties": properties}));
        manual(s);
    };
    scenario(setup, works).then(pending, approve)
}

fn azure_changes_the_link_by_itself() -> Scenario {
    let changed = |s: &Stage| s.reason(ONE) == "Creating" && s.provisioning(ONE) == "Moving";
    scenario(automatic, works)
        .then(ready, |s| edited(s, json!({"provisioningState": "Moving"})))
        .then(changed, |s| edited(s, json!({"provisioningState": "Succeeded"})))
}

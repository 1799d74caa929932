//! What happens on the vault's side: its owner, its life, and strangers.

use serde_json::json;
use signalr_private_link_operator::api::RECREATE_ANNOTATION;
use testkit::azure;

use super::{ONE, Scenario, approve, automatic, copy, manual, pending, ready, scenario, works};
use crate::stage::{Stage, VAULT};

super::scenarios! {
    rejected_then_recreated,
    removed_by_the_owner,
    soft_deleted_then_recovered_without_role_assignments,
    recreated_by_another_owner,
    vault_locked,
    vault_policy_denial,
    approval_that_never_reaches_signalr,
    copied_request,
    slipped_stranger,
    vault_in_another_tenant,
    copy_beside_a_request_that_was_turned_down,
    policy_that_cannot_be_read,
}

fn rejected_then_recreated() -> Scenario {
    scenario(manual, works)
        .then(pending, |s| s.owner("reject", ONE))
        .then(|s| s.reason(ONE) == "Rejected", |s| s.annotate(ONE, RECREATE_ANNOTATION, "1"))
        .then(pending, approve)
}

fn removed_by_the_owner() -> Scenario {
    scenario(manual, |s| s.says(ONE, "Disconnected")).then(pending, approve).then(ready, |s| {
        let connection = s.connections().remove(0);
        s.control("POST", "/connections/remove", &json!({"id": Stage::connection_id(&connection)}));
    })
}

fn vault(stage: &Stage, method: &str) {
    stage.control(method, "/vaults", &json!({"resourceId": azure::vault(VAULT)}));
}

/// Recovered, the vault lacks its role assignments and the request.
fn soft_deleted_then_recovered_without_role_assignments() -> Scenario {
    scenario(automatic, works)
        .then(|s| s.provisioning(ONE) == "Succeeded", |s| vault(s, "DELETE"))
        .then(
            |s| s.reason(ONE) == "KeyVaultNotFound" || s.reason(ONE) == "Disconnected",
            |s| {
                vault(s, "POST");
                s.grant(&["Microsoft.SignalRService/*"]);
                s.annotate(ONE, RECREATE_ANNOTATION, "1");
            },
        )
        .then(|s| s.reason(ONE) == "ApprovalNotAuthorized", |s| s.grant(&[]))
}

/// What was approved once is not approved again by itself: the vault is somebody else's.
fn recreated_by_another_owner() -> Scenario {
    scenario(automatic, |s| s.says(ONE, "Disconnected")).then(ready, |s| {
        vault(s, "DELETE");
        vault(s, "POST");
    })
}

const DECISION: &str = "PUT privateendpointconnections/one";

fn vault_locked() -> Scenario {
    let setup = |s: &Stage| {
        s.refuse(DECISION, 409, "ScopeLocked");
        automatic(s);
    };
    scenario(setup, works).then(|s| s.reason(ONE) == "Locked", Stage::relent)
}

fn vault_policy_denial() -> Scenario {
    let setup = |s: &Stage| {
        s.refuse(DECISION, 403, "RequestDisallowedByPolicy");
        automatic(s);
    };
    scenario(setup, works).then(|s| s.reason(ONE) == "PolicyDenied", Stage::relent)
}

fn taken_back(stage: &Stage) -> Result<(), String> {
    stage.says(ONE, "ApprovalUnconfirmed")?;
    let all = stage.connections().iter().all(|c| c.status.as_deref() == Some("Rejected"));
    if all { Ok(()) } else { Err("a connection is still approved".to_owned()) }
}

fn approval_that_never_reaches_signalr() -> Scenario {
    let setup = |s: &Stage| {
        s.control("PATCH", "/timings", &json!({"propagationMs": 3_600_000 * 24}));
        automatic(s);
    };
    scenario(setup, taken_back)
}

fn copied_request() -> Scenario {
    scenario(automatic, |s| s.says(ONE, "ApprovalAmbiguous")).then(|s| !s.connections().is_empty(), copy)
}

/// T3: our request comes late, the copy is alone in both lists and its endpoint is where SignalR's
/// are. SignalR never confirms, and the approval is taken back.
fn slipped_stranger() -> Scenario {
    let setup = |s: &Stage| {
        s.control("PATCH", "/timings", &json!({"appearMs": 3_600_000 * 24}));
        automatic(s);
    };
    let slipped = scenario(setup, taken_back).then(|s| s.provisioning(ONE) == "Succeeded", copy);
    Scenario { stranger_may_slip: true, ..slipped }
}

/// SignalR's side answers, the vault's does not: only its owner can approve.
fn vault_in_another_tenant() -> Scenario {
    let setup = |s: &Stage| {
        s.refuse("GET privateendpointconnections", 401, "InvalidAuthenticationTokenTenant");
        manual(s);
    };
    scenario(setup, works).then(pending, approve)
}

/// The owner turns ours down, and a copy stands beside it: it is never approved.
fn copy_beside_a_request_that_was_turned_down() -> Scenario {
    let turned_down = |s: &Stage| {
        s.says(ONE, "Rejected")?;
        let approved = s.connections().iter().any(|c| c.status.as_deref() == Some("Approved"));
        if approved { Err("a connection is approved".to_owned()) } else { Ok(()) }
    };
    scenario(automatic, turned_down).then(
        |s| !s.connections().is_empty(),
        |s| {
            copy(s);
            s.owner("reject", ONE);
        },
    )
}

/// A policy of a newer definition beside a good one.
fn policy_that_cannot_be_read() -> Scenario {
    let setup = |s: &Stage| {
        s.policy("a-newer", json!({"onUnconfirmed": "Alert"}));
        automatic(s);
    };
    scenario(setup, works)
}

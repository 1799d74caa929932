//! What GitOps tools, backups and people at kubectl do.

use serde_json::{Value, json};

use super::{ONE, Scenario, approve, automatic, delete, left, manual, pending, plant, ready, scenario, works};
use crate::stage::Stage;

super::scenarios! {
    pruned_and_created_again,
    object_before_its_policy,
    restored_from_a_backup_with_a_new_uid,
    link_of_an_object_that_is_gone,
    finalizer_removed_by_hand,
    object_that_cannot_be_decoded,
}

/// With the marker of an object that nobody knows.
const DEAD: &str = "please approve [k8s:0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f:abcdefghijklmnop:000000]";

fn pruned_and_created_again() -> Scenario {
    scenario(manual, works)
        .then(pending, delete)
        .then(|s| s.object(ONE).is_none(), manual)
        .then(pending, approve)
        .usual()
}

fn object_before_its_policy() -> Scenario {
    scenario(|s| s.automatic(ONE), works).then(|s| s.reason(ONE) == "ApprovalDenied", Stage::permit).waking()
}

/// The link carries the marker of the object that was backed up.
fn restored_from_a_backup_with_a_new_uid() -> Scenario {
    let setup = |s: &Stage| {
        plant(s, DEAD);
        manual(s);
    };
    scenario(setup, left)
        .then(|s| s.reason(ONE) == "AlreadyExists", |s| s.change(ONE, &json!({"adoptionPolicy": "Adopt"})))
        .then(ready, delete)
        .leaving_link()
}

/// Beside a link that works, one carries the marker of an object that nobody knows: it is counted,
/// and left alone.
fn link_of_an_object_that_is_gone() -> Scenario {
    let setup = |s: &Stage| {
        plant(s, DEAD);
        s.create("other", json!({"azureName": "other"}));
    };
    let untouched = |s: &Stage| {
        s.says("other", "PendingApproval")?;
        s.link(ONE).filter(|link| link.message.as_deref() == Some(DEAD)).map(drop).ok_or("touched".to_owned())
    };
    scenario(setup, untouched).leaving_link()
}

fn finalizer_removed_by_hand() -> Scenario {
    let back = |s: &Stage| {
        works(s)?;
        let finalizers = s.object(ONE).map(|o| o["metadata"]["finalizers"].clone()).unwrap_or_default();
        if finalizers.is_array() { Ok(()) } else { Err("no finalizer".to_owned()) }
    };
    scenario(automatic, back).then(|s| s.sent("PUT sharedprivatelinkresources/one"), |s| s.bare(ONE))
}

/// A newer definition let a word through; it is reported, the other object is not harmed, and the
/// correction is taken at once.
fn object_that_cannot_be_decoded() -> Scenario {
    let setup = |s: &Stage| {
        s.create("newer", json!({"azureName": "newer", "managementPolicy": "Pause"}));
        automatic(s);
    };
    let both = |s: &Stage| {
        works(s)?;
        s.says("newer", "PendingApproval")
    };
    scenario(setup, both).then(
        |s| ready(s) && s.reason("newer") == "InvalidSpec",
        |s| s.change("newer", &json!({"managementPolicy": Value::Null})),
    )
}

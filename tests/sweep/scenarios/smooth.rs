//! Lives that go as they should.

use serde_json::json;

use super::{Scenario, approve, automatic, delete, foreign, gone, left, manual, pending, ready, scenario, works};
use crate::scenarios::ONE;
use crate::stage::Stage;

super::scenarios! {
    manual_life,
    automatic_life,
    approved_by_hand_first,
    policy_goes_before_the_approval,
    observed_only,
}

fn manual_life() -> Scenario {
    scenario(manual, gone).then(pending, approve).then(ready, delete).usual()
}

fn automatic_life() -> Scenario {
    scenario(automatic, gone).then(ready, delete).usual()
}

fn approved_by_hand_first() -> Scenario {
    scenario(automatic, works).then(|s| !s.connections().is_empty(), approve)
}

fn policy_goes_before_the_approval() -> Scenario {
    scenario(automatic, |s| s.says(ONE, "ApprovalDenied"))
        .then(|s| s.sent("PUT sharedprivatelinkresources/one"), Stage::forbid)
        .waking()
}

fn observed_only() -> Scenario {
    let setup = |s: &Stage| {
        foreign(s);
        s.create(ONE, json!({"managementPolicy": "ObserveOnly"}));
    };
    scenario(setup, left).then(|s| s.reason(ONE) == "ObserveOnly", delete).leaving_link()
}

//! The operator's own identity.

use serde_json::Value;

use super::{ONE, Scenario, approve, manual, pending, ready, scenario, works};
use crate::stage::Stage;

super::scenarios! {
    object_before_its_credential,
    token_refused_in_the_middle_of_a_life,
}

fn object_before_its_credential() -> Scenario {
    let setup = |s: &Stage| {
        s.refuse("POST token", 401, "invalid_client");
        manual(s);
    };
    scenario(setup, works).then(|s| s.reason(ONE) == "CredentialUnavailable", Stage::relent).then(pending, approve)
}

fn token_refused_in_the_middle_of_a_life() -> Scenario {
    let forget = |s: &Stage| {
        s.control("DELETE", "/tokens", &Value::Null);
    };
    scenario(manual, works)
        .then(|s| s.sent("PUT sharedprivatelinkresources/one"), forget)
        .then(pending, approve)
        .then(ready, forget)
}

//! The lives that objects can have. Each names what people, GitOps tools and Azure do and when, and
//! what must come of it; each is a test of its own, in peace, before every fault strikes in it.

mod deletion;
mod gitops;
mod identity;
mod signalr;
mod smooth;
mod vault;

use serde_json::{Value, json};
use testkit::azure;

use crate::stage::{ENDPOINTS, Stage, VAULT};

/// The object of nearly all scenarios.
pub const ONE: &str = "kv-pe";

/// Something that people do once they see something.
pub struct Step {
    pub when: fn(&Stage) -> bool,
    pub act: fn(&Stage),
    /// A watch beside the links' own wakes all links: policies, namespaces.
    pub wakes_all: bool,
}

pub struct Scenario {
    pub name: &'static str,
    pub setup: fn(&Stage),
    pub steps: Vec<Step>,
    pub expected: fn(&Stage) -> Result<(), String>,
    /// A life that nearly all objects have.
    pub usual: bool,
    /// The links of an object that is gone may stay.
    pub leaves_link: bool,
    /// See [`Boundary`](crate::boundary::Boundary).
    pub stranger_may_slip: bool,
}

/// A life that begins with `setup` and has to end as `expected`.
pub fn scenario(setup: fn(&Stage), expected: fn(&Stage) -> Result<(), String>) -> Scenario {
    Scenario {
        name: "",
        setup,
        steps: Vec::new(),
        expected,
        usual: false,
        leaves_link: false,
        stranger_may_slip: false,
    }
}

impl Scenario {
    /// Next, once this is so, people do that.
    pub fn then(mut self, when: fn(&Stage) -> bool, act: fn(&Stage)) -> Self {
        self.steps.push(Step { when, act, wakes_all: false });
        self
    }

    /// The last step changes policies.
    pub fn waking(mut self) -> Self {
        if let Some(step) = self.steps.last_mut() {
            step.wakes_all = true;
        }
        self
    }

    pub fn usual(self) -> Self {
        Self { usual: true, ..self }
    }

    pub fn leaving_link(self) -> Self {
        Self { leaves_link: true, ..self }
    }
}

/// Each of these functions is a scenario, and a test that it ends well in peace.
macro_rules! scenarios {
    ($($name:ident,)*) => {
        pub fn all() -> Vec<$crate::scenarios::Scenario> {
            vec![$($crate::scenarios::Scenario { name: stringify!($name), ..$name() }),*]
        }

        mod in_peace {
            $(
                #[test]
                fn $name() {
                    $crate::matrix::in_peace(stringify!($name));
                }
            )*
        }
    };
}
use scenarios;

pub fn all() -> Vec<Scenario> {
    [smooth::all(), deletion::all(), signalr::all(), vault::all(), identity::all(), gitops::all()]
        .into_iter()
        .flatten()
        .collect()
}

/// From the manifest to Ready, with a person's approval.
pub fn approved_by_hand() -> Scenario {
    Scenario { name: "approved_by_hand", ..scenario(manual, works).then(pending, approve) }
}

pub use signalr::busy_for_ten_minutes;

/// From the manifest to Ready, with the operator's.
pub fn approved() -> Scenario {
    Scenario { name: "approved", ..scenario(automatic, works) }
}

/// An object whose approval is manual.
pub fn manual(stage: &Stage) {
    stage.create(ONE, Value::Null);
}

/// An object whose approval is automatic, and a policy that permits it.
pub fn automatic(stage: &Stage) {
    stage.permit();
    stage.automatic(ONE);
}

/// Ready, and not only by its own word: a status can be forged.
fn ready(stage: &Stage) -> bool {
    let link = stage.link(ONE);
    stage.reason(ONE) == "Approved" && link.is_some_and(|link| link.status.as_deref() == Some("Approved"))
}

/// The request is on the vault, and the object says so.
fn pending(stage: &Stage) -> bool {
    let requested = stage.connections().iter().any(|c| c.status.as_deref() == Some("Pending"));
    stage.reason(ONE) == "PendingApproval" && requested
}

fn approve(stage: &Stage) {
    stage.owner("approve", ONE);
}

fn delete(stage: &Stage) {
    stage.delete(ONE);
}

fn gone(stage: &Stage) -> Result<(), String> {
    stage.nothing_left(ONE)
}

fn left(stage: &Stage) -> Result<(), String> {
    stage.link_left(ONE)
}

fn works(stage: &Stage) -> Result<(), String> {
    stage.says(ONE, "Approved")
}

/// Somebody else's link of the same name, approved and working.
fn foreign(stage: &Stage) {
    plant(stage, "made by hand");
}

fn plant(stage: &Stage, message: &str) {
    let properties = json!({
        "requestMessage": message, "status": "Approved", "provisioningState": "Succeeded",
        "privateLinkResourceId": azure::vault(VAULT),
    });
    stage.control("POST", "/links", &json!({"id": Stage::azure_id(ONE), "properties": properties}));
}

fn edited(stage: &Stage, properties: Value) {
    stage.control("POST", "/links/edit", &json!({"id": Stage::azure_id(ONE), "properties": properties}));
}

/// A copy of the link's own request, from where SignalR's endpoints live.
fn copy(stage: &Stage) {
    let message = stage.link(ONE).and_then(|link| link.message);
    let body = json!({"vault": azure::vault(VAULT), "message": message, "endpointSubscription": ENDPOINTS});
    stage.control("POST", "/strangers", &body);
}

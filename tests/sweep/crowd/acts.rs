//! What people do in a crowd: tenants, the vaults' owner, GitOps, and others who have a hand in Azure.

use azure_sim::clock;
use azure_sim::world::Opener;
use serde_json::{Value, json};
use signalr_private_link_operator::api::RECREATE_ANNOTATION;
use testkit::azure;
use testkit::scene::{LinkOptions, Scene, condition};

use super::{Crowd, MEMBERS, Member};
use crate::stage;

/// What somebody does to an object or its link.
#[derive(Debug, Clone, Copy)]
enum Act {
    Delete,
    AskToLook,
    Change,
    /// Somebody deletes the link in Azure.
    DeleteLink,
    /// The vault's owner rejects the connection, or removes it.
    Reject,
    Remove,
    /// From now on its creation fails, until people have had enough of it.
    Fail,
}

const ACTS: &[Act] = &[
    Act::Delete,
    Act::Delete,
    Act::Delete,
    Act::AskToLook,
    Act::Change,
    Act::DeleteLink,
    Act::Reject,
    Act::Remove,
    Act::Fail,
];
/// One look in so many, people do something.
const ONE_IN: usize = 2;

impl Crowd {
    pub(super) fn create(&mut self, member: Member) {
        let mode = if member.automatic { "Automatic" } else { "Manual" };
        let options = LinkOptions {
            spec: json!({"azureName": member.link, "approval": {"mode": mode}, "syncPeriod": "10m"}),
            annotations: Value::Null,
        };
        let manifest = Scene::manifest(member.namespace, member.name, member.signalr, member.vault, &options);
        // As `kubectl apply` does: it may still be there, on its way out.
        if self.boundary().people("POST", &stage::siblings_of(&manifest), &manifest).status().is_success() {
            self.boundary().note(format!("people: {} is made", stage::path_of(&manifest)));
            self.wanted.insert(member.key());
        }
    }

    /// People do something, or nothing, while faults strike.
    pub(super) fn act(&mut self) {
        let Some(rolled) = self.boundary().calls().roll(0..MEMBERS.len() * ACTS.len() * ONE_IN) else {
            return;
        };
        let member = MEMBERS[rolled % MEMBERS.len()];
        let Some(object) = self.objects().into_iter().find(|object| member.is(object)) else {
            return self.create(member);
        };
        let Some(act) = ACTS.get(rolled / MEMBERS.len()) else { return };
        let id = stage::link_id(&object);
        self.boundary().note(format!("people: {act:?} {}", stage::path_of(&object)));
        match act {
            Act::Delete => {
                self.boundary().delete(&object);
                self.wanted.remove(&member.key());
            }
            Act::AskToLook => self.annotate(&object, "reconcile.fluxcd.io/requestedAt"),
            Act::Change => {
                let minutes = self.boundary().calls().roll(10..15).unwrap_or(10);
                let body = json!({"spec": {"syncPeriod": format!("{minutes}m")}});
                self.boundary().people("PATCH", &stage::path_of(&object), &body);
            }
            Act::DeleteLink => {
                let concerned = [self.own_connections(&id), vec![id.clone()]].concat();
                self.azure("/links/delete", &concerned, &json!({"id": id}));
            }
            Act::Reject | Act::Remove => {
                let path = if matches!(act, Act::Reject) { "/connections/reject" } else { "/connections/remove" };
                for connection in self.own_connections(&id) {
                    self.azure(path, &[id.clone(), connection.clone()], &json!({"id": connection}));
                }
            }
            Act::Fail => self.fail(&id, "Failed"),
        }
    }

    fn annotate(&self, object: &Value, annotation: &str) {
        let body = json!({"metadata": {"annotations": {annotation: clock::now().to_string()}}});
        self.boundary().people("PATCH", &stage::path_of(object), &body);
    }

    fn fail(&self, id: &str, outcome: &str) {
        let words = json!({"id": id, "outcome": outcome, "code": "InternalError", "message": "a bad day"});
        self.azure("/outcomes", &[id.to_owned()], &words);
    }

    /// Somebody does something in Azure that concerns links or connections; Azure may be too busy for it.
    fn azure(&self, path: &str, concerned: &[String], body: &Value) {
        let taken = self.boundary().azure.control("POST", path, body);
        self.boundary().note(format!("people: POST {path} {body}: {}", taken.is_ok()));
        if taken.is_ok() {
            concerned.iter().for_each(|id| self.boundary().calls().touch(id));
        }
    }

    fn own_connections(&self, link: &str) -> Vec<String> {
        self.connections(|opener, _| *opener == Opener::Link(link.to_ascii_lowercase()))
    }

    /// Connections on any vault, by who opened them and what their status is.
    fn connections(&self, wanted: impl Fn(&Opener, &str) -> bool) -> Vec<String> {
        self.boundary().azure.look(|world| {
            let all = world.vaults().iter().flat_map(|(id, vault)| vault.connections.values().map(move |c| (id, c)));
            all.filter(|(_, c)| wanted(&c.opened_by, c.status.as_deref().unwrap_or_default()))
                .map(|(id, c)| format!("{id}/privateEndpointConnections/{}", c.name))
                .collect()
        })
    }

    /// What people do about what they see: the owner approves what asks for a person's approval; who
    /// wants a link again whose connection was rejected or removed says so; and whatever made creations
    /// fail is over once somebody has read so.
    pub(super) fn react(&self) {
        let manual: Vec<String> = MEMBERS
            .iter()
            .filter(|member| !member.automatic)
            .map(|member| format!("{}/sharedprivatelinkresources/{}", azure::signalr(member.signalr), member.link))
            .map(|id| id.to_ascii_lowercase())
            .collect();
        let asks = |opener: &Opener, status: &str| {
            status == "Pending" && matches!(opener, Opener::Link(id) if manual.contains(id))
        };
        for id in self.connections(asks) {
            self.azure("/connections/approve", std::slice::from_ref(&id), &json!({"id": id}));
        }
        for object in self.objects() {
            let ready = condition(&object, "Ready").unwrap_or_default();
            let seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            match ready["reason"].as_str() {
                Some("Rejected" | "Disconnected") if seen && patient(&object) => {
                    self.annotate(&object, RECREATE_ANNOTATION);
                }
                Some("OperationFailed") => self.fail(&stage::link_id(&object), "Succeeded"),
                _ => {}
            }
        }
    }

    /// GitOps makes what was deleted anew.
    pub(super) fn restore(&mut self) {
        for member in MEMBERS {
            if !self.wanted.contains(&member.key()) {
                self.create(*member);
            }
        }
    }
}

/// Nobody asks for the same again within ten minutes.
fn patient(object: &Value) -> bool {
    let asked = object["metadata"]["annotations"][RECREATE_ANNOTATION].as_str();
    let asked = asked.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    asked.is_none_or(|at| clock::now().duration_since(at) > jiff::SignedDuration::from_mins(10))
}

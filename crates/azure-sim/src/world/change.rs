//! What clients and people do. Each either has its effect or is refused as Azure refuses it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::advance::after;
use super::advance::request;
use super::model::{Connection, Link, Opener, Operation, OperationKind, Outcome, Pending, SignalR, Vault, World, key};
use super::truth::{Truth, Write};
use crate::config::Config;

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The SignalR, the link, the vault or the connection is not there.
    Missing,
    /// 409: another change is under way.
    Busy,
    /// 409: the vault changed meanwhile.
    VaultBusy,
    /// 412: the etag is another one.
    Etag,
    /// 400, and why.
    Invalid(String),
}

impl World {
    /// Nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            signalrs: Default::default(),
            vaults: Default::default(),
            agenda: Default::default(),
            truth: Truth::default(),
            timings: config.effective_timings(),
            quirks: config.quirks.clone(),
            endpoint_subscription: config.endpoint_subscription.clone(),
            outcomes: Default::default(),
            deletion_outcomes: Default::default(),
            locks: Vec::new(),
            registrations: Default::default(),
        }
    }

    /// Whether a subscription is registered for a provider, in ARM's word.
    #[must_use]
    pub fn registration(&self, subscription: &str, namespace: &str) -> String {
        let state = self.registrations.get(&key(&format!("{subscription}/{namespace}")));
        state.map_or("Registered", String::as_str).to_owned()
    }

    /// From now on a subscription is registered for a provider, or not: in ARM's word.
    pub fn register(&mut self, subscription: &str, namespace: &str, state: &str) {
        self.registrations.insert(key(&format!("{subscription}/{namespace}")), state.to_owned());
    }

    /// All SignalRs, by key of the id.
    #[must_use]
    pub fn signalrs(&self) -> &BTreeMap<String, SignalR> {
        &self.signalrs
    }

    /// All vaults, by key of the id.
    #[must_use]
    pub fn vaults(&self) -> &BTreeMap<String, Vault> {
        &self.vaults
    }

    /// A SignalR by key of the id, to be changed.
    pub fn signalr_mut(&mut self, key: &str) -> Option<&mut SignalR> {
        self.agenda.change(key);
        self.signalrs.get_mut(key)
    }

    /// A vault by key of the id, to be changed.
    pub(super) fn vault_mut(&mut self, key: &str) -> Option<&mut Vault> {
        self.agenda.change(key);
        self.vaults.get_mut(key)
    }

    /// Adds a SignalR, or replaces it.
    pub fn add_signalr(&mut self, id: &str, sku: &str, replicas: Vec<String>) {
        let signalr = SignalR {
            id: id.trim_end_matches('/').to_owned(),
            sku: sku.to_owned(),
            replicas,
            provisioning_state: None,
            busy_until: None,
            links: Default::default(),
            operations: Default::default(),
        };
        self.signalrs.insert(key(id), signalr);
    }

    /// Removes a SignalR with its links and their connections; whether there was one.
    pub fn remove_signalr(&mut self, id: &str) -> bool {
        let Some(signalr) = self.signalrs.remove(&key(id)) else {
            return false;
        };
        for name in signalr.links.keys() {
            self.withdraw(&format!("{}/sharedprivatelinkresources/{name}", key(id)));
        }
        true
    }

    /// Adds a vault, or replaces it.
    pub fn add_vault(&mut self, id: &str) {
        let vault = Vault { id: id.trim_end_matches('/').to_owned(), connections: Default::default() };
        self.vaults.insert(key(id), vault);
    }

    /// Removes a vault; whether there was one. Links that led to it hear of that as of a removal of
    /// their connections (assumed; what SignalR says then is not known).
    pub fn remove_vault(&mut self, id: &str, now: Timestamp) -> bool {
        let Some(vault) = self.vaults.remove(&key(id)) else {
            return false;
        };
        let at = after(now, self.timings.propagation_ms);
        for connection in vault.connections.into_values() {
            if let Opener::Link(link) = connection.opened_by
                && let Some(link) = self.link_mut(&link)
            {
                link.pending = Some(Pending { at, status: "Disconnected".to_owned() });
            }
        }
        true
    }

    /// A link by its id.
    #[must_use]
    pub fn link(&self, id: &str) -> Option<&Link> {
        let id = key(id);
        let (signalr, name) = id.split_once("/sharedprivatelinkresources/")?;
        self.signalrs.get(signalr)?.links.get(name)
    }

    /// A link by its id, to be edited from outside.
    pub fn link_mut(&mut self, id: &str) -> Option<&mut Link> {
        let id = key(id);
        let (signalr, name) = id.split_once("/sharedprivatelinkresources/")?;
        self.signalr_mut(signalr)?.links.get_mut(name)
    }

    /// A SignalR as ARM sees it; reads do not show a link that was accepted moments ago, if so configured.
    #[must_use]
    pub fn as_read(&self, id: &str, now: Timestamp, by_a_read: bool) -> Option<SignalR> {
        let mut signalr = self.signalrs.get(id)?.clone();
        if by_a_read && self.timings.hidden_ms > 0 {
            signalr.links.retain(|_, link| after(link.created_at, self.timings.hidden_ms) <= now);
        }
        Some(signalr)
    }

    /// A connection by its id.
    #[must_use]
    pub fn connection(&self, id: &str) -> Option<&Connection> {
        let id = key(id);
        let (vault, name) = id.split_once("/privateendpointconnections/")?;
        self.vaults.get(vault)?.connections.get(name)
    }

    /// A connection by its id, to be edited from outside.
    pub fn connection_mut(&mut self, id: &str) -> Option<&mut Connection> {
        let id = key(id);
        let (vault, name) = id.split_once("/privateendpointconnections/")?;
        self.vault_mut(vault)?.connections.get_mut(name)
    }

    /// Begins to create or update a link; the operation.
    ///
    /// # Errors
    /// As Azure refuses.
    pub fn put_link(
        &mut self,
        signalr_id: &str,
        name: &str,
        (target, group_id, message): (&str, &str, Option<&str>),
        now: Timestamp,
    ) -> Result<Operation, Refusal> {
        let id = format!("{}/sharedprivatelinkresources/{}", key(signalr_id), key(name));
        let outcome = self.outcomes.get(&id).cloned().unwrap_or_else(|| self.natural_outcome(target));
        let timings = self.timings;
        let signalr = writable(self.signalr_mut(&key(signalr_id)), now)?;
        if signalr.sku == "Free_F1" {
            // The code and the words are not recorded anywhere; that it is refused is documented.
            return Err(Refusal::Invalid("Shared private link resources are not supported in the Free tier. Upgrade to the Standard or Premium tier.".into()));
        }
        let link = signalr.links.entry(key(name)).or_insert_with(|| Link {
            name: name.to_owned(),
            target: target.to_owned(),
            group_id: group_id.to_owned(),
            message: None,
            provisioning: "Creating".to_owned(),
            status: Some("Pending".to_owned()),
            created_at: now,
            modified_at: now,
            appears: None,
            pending: None,
            gone_at: None,
        });
        link.gone_at = None;
        link.provisioning = if link.created_at == now { "Creating" } else { "Updating" }.to_owned();
        link.target = target.to_owned();
        link.group_id = group_id.to_owned();
        link.message = message.map(str::to_owned);
        link.modified_at = now;
        let ends = (!matches!(outcome, Outcome::Never)).then(|| after(now, timings.create_ms));
        let operation = begin(signalr, OperationKind::Put, name, outcome, now, ends);
        self.wrote("PUT", "link", id, "arm", now);
        Ok(operation)
    }

    /// A link to a vault that does not exist cannot come up. Azure's words for it are not recorded.
    fn natural_outcome(&self, target: &str) -> Outcome {
        if !key(target).contains("/microsoft.keyvault/vaults/") || self.vaults.contains_key(&key(target)) {
            return Outcome::Succeeded;
        }
        Outcome::Bad {
            status: "Failed".into(),
            code: "CustomerError".into(),
            message: format!("The private link resource '{target}' was not found."),
        }
    }

    /// Begins to delete a link; `None` when there is none.
    ///
    /// # Errors
    /// As Azure refuses.
    pub fn delete_link(&mut self, signalr_id: &str, name: &str, now: Timestamp) -> Result<Option<Operation>, Refusal> {
        let delete_ms = self.timings.delete_ms;
        let id = format!("{}/sharedprivatelinkresources/{}", key(signalr_id), key(name));
        let outcome = self.deletion_outcomes.get(&id).cloned().unwrap_or(Outcome::Succeeded);
        let known = self.signalr_mut(&key(signalr_id)).ok_or(Refusal::Missing)?;
        if !known.links.contains_key(&key(name)) {
            return Ok(None);
        }
        let signalr = writable(Some(known), now)?;
        if let Some(link) = signalr.links.get_mut(&key(name)) {
            link.provisioning = "Deleting".to_owned();
        }
        let ends = (!matches!(outcome, Outcome::Never)).then(|| after(now, delete_ms));
        let operation = begin(signalr, OperationKind::Delete, name, outcome, now, ends);
        self.wrote("DELETE", "link", id, "arm", now);
        Ok(Some(operation))
    }

    /// Somebody else's link, made at once and without an operation.
    pub fn plant_link(&mut self, id: &str, link: Link) -> bool {
        let id = key(id);
        let Some((signalr, name)) = id.split_once("/sharedprivatelinkresources/") else {
            return false;
        };
        let Some(signalr) = self.signalr_mut(signalr) else {
            return false;
        };
        signalr.links.insert(name.to_owned(), link);
        true
    }

    /// A link vanishes at once, by somebody else's hand; whether there was one.
    pub fn remove_link(&mut self, id: &str) -> bool {
        let id = key(id);
        let Some((signalr, name)) = id.split_once("/sharedprivatelinkresources/") else {
            return false;
        };
        let removed = self.signalr_mut(signalr).and_then(|s| s.links.remove(name)).is_some();
        if removed {
            self.withdraw(&id);
        }
        removed
    }

    /// A stranger opens a connection; its id.
    pub fn stranger(&mut self, vault_id: &str, message: Option<String>, subscription: Option<&str>) -> Option<String> {
        let subscription = subscription.unwrap_or("bad00000-0000-4000-8000-000000000bad").to_owned();
        let vault = self.vault_mut(&key(vault_id))?;
        let connection = request(&subscription, message, Opener::Stranger);
        let id = format!("{}/privateEndpointConnections/{}", vault.id, connection.name);
        vault.connections.insert(key(&connection.name), connection);
        Some(id)
    }

    /// Decides on a connection. The answer says so at once, while it is still Updating; a vault
    /// takes one change at a time.
    ///
    /// # Errors
    /// As Azure refuses.
    pub fn decide(
        &mut self,
        id: &str,
        (status, description): (&str, Option<&str>),
        etag: Option<&str>,
        by: &'static str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (approve_ms, enforce) = (self.timings.approve_ms, self.quirks.enforce_etag);
        let id = key(id);
        let (vault, name) = id.split_once("/privateendpointconnections/").ok_or(Refusal::Missing)?;
        let vault = self.vault_mut(vault).ok_or(Refusal::Missing)?;
        if vault.connections.values().any(|c| c.settles.is_some() || c.removed_at.is_some()) {
            return Err(Refusal::VaultBusy);
        }
        let connection = vault.connections.get_mut(name).ok_or(Refusal::Missing)?;
        if enforce && etag.unwrap_or_default() != connection.etag.as_deref().unwrap_or_default() {
            return Err(Refusal::Etag);
        }
        if !["Pending", "Approved", "Rejected", "Disconnected"].contains(&status) {
            return Err(Refusal::Invalid(format!("The status '{status}' is not valid.")));
        }
        let before = connection.status.replace(status.to_owned()).unwrap_or_default();
        connection.description = description.map(str::to_owned);
        connection.etag = Some(Uuid::new_v4().simple().to_string());
        connection.provisioning = "Updating".to_owned();
        connection.settles = Some(after(now, approve_ms));
        let stranger = connection.opened_by == Opener::Stranger;
        let states = Some((before, status.to_owned()));
        self.truth.writes.push(Write { at: now, method: "PUT", kind: "connection", id, by, states, stranger });
        Ok(())
    }

    /// Begins to remove a connection; whether there is one.
    pub fn remove_connection(&mut self, id: &str, by: &'static str, now: Timestamp) -> bool {
        let approve_ms = self.timings.approve_ms;
        let Some(connection) = self.connection_mut(id) else {
            return false;
        };
        connection.provisioning = "Deleting".to_owned();
        if connection.removed_at.is_some() {
            return true;
        }
        connection.removed_at = Some(after(now, approve_ms));
        self.wrote("DELETE", "connection", key(id), by, now);
        true
    }

    fn wrote(&mut self, method: &'static str, kind: &'static str, id: String, by: &'static str, at: Timestamp) {
        self.truth.writes.push(Write { at, method, kind, id, by, states: None, stranger: false });
    }
}

/// The SignalR, if it takes a write now. `Succeeded` is no proof that it does
/// (azure-rest-api-specs issue 23068).
fn writable(signalr: Option<&mut SignalR>, now: Timestamp) -> Result<&mut SignalR, Refusal> {
    let signalr = signalr.ok_or(Refusal::Missing)?;
    let resting = signalr.busy_until.is_some_and(|until| until > now);
    let updating = signalr.provisioning_state.as_deref().is_some_and(|state| state != "Succeeded");
    if signalr.updating() || resting || updating { Err(Refusal::Busy) } else { Ok(signalr) }
}

fn begin(
    signalr: &mut SignalR,
    kind: OperationKind,
    link: &str,
    outcome: Outcome,
    started: Timestamp,
    ends: Option<Timestamp>,
) -> Operation {
    let id = Uuid::new_v4().to_string();
    let operation = Operation { id: id.clone(), kind, link: key(link), started, ends, outcome, ended: false };
    signalr.operations.insert(id, operation.clone());
    operation
}

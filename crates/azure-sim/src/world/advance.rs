//! What happens by itself as time goes by: operations end, requests appear on vaults, decisions
//! settle and reach SignalR.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;
use uuid::Uuid;

use super::model::{Connection, Opener, OperationKind, Outcome, Pending, SignalR, Vault, World, key};

pub(super) fn after(at: Timestamp, milliseconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(milliseconds)).unwrap_or(at)
}

/// The SignalRs and vaults to which something may happen, by key of their ids.
type Due = BTreeSet<String>;

fn has_come(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

impl World {
    /// Lets everything happen that is due at `now`. One step may make the next one due.
    pub fn advance(&mut self, now: Timestamp) {
        loop {
            let due = self.agenda.take_due(now);
            if due.is_empty() {
                return;
            }
            while self.end_operations(&due, now)
                || self.vanish(&due, now)
                || self.appear(&due, now)
                || self.settle(&due, now)
                || self.propagate(&due, now)
            {}
            for key in &due {
                let signalr = self.signalrs.get(key).and_then(SignalR::due);
                let vault = || self.vaults.get(key).and_then(Vault::due);
                if let Some(at) = signalr.or_else(vault) {
                    self.agenda.plan(at, key);
                }
            }
        }
    }

    fn end_operations(&mut self, due: &Due, now: Timestamp) -> bool {
        let mut changed = false;
        for id in due {
            let Some(signalr) = self.signalrs.get_mut(id) else { continue };
            for operation in signalr.operations.values_mut().filter(|o| !o.ended && has_come(o.ends, now)) {
                operation.ended = true;
                changed = true;
                let ended = operation.ends.unwrap_or(now);
                signalr.busy_until = Some(after(ended, self.timings.busy_ms));
                match (operation.kind, &operation.outcome) {
                    (OperationKind::Delete, Outcome::Succeeded) => {
                        if let Some(link) = signalr.links.get_mut(&operation.link) {
                            // As if nothing had happened, for as long as it lingers.
                            link.provisioning = "Succeeded".to_owned();
                            link.gone_at.get_or_insert(after(ended, self.timings.linger_ms));
                        }
                    }
                    (_, outcome) => {
                        let Some(link) = signalr.links.get_mut(&operation.link) else {
                            continue;
                        };
                        link.modified_at = ended;
                        link.provisioning = match outcome {
                            // A deletion that failed leaves the link as it was.
                            Outcome::Bad { status, .. } if operation.kind == OperationKind::Put => status.clone(),
                            Outcome::Vanishes { .. } => {
                                link.gone_at = Some(ended);
                                "Failed".to_owned()
                            }
                            _ => "Succeeded".to_owned(),
                        };
                        let opener = Opener::Link(format!("{id}/sharedprivatelinkresources/{}", operation.link));
                        let vault = self.vaults.get(&key(&link.target));
                        let has_appeared =
                            vault.is_some_and(|vault| vault.connections.values().any(|c| c.opened_by == opener));
                        if link.provisioning == "Succeeded" && !has_appeared {
                            link.appears = Some(after(ended, self.timings.appear_ms));
                        }
                    }
                }
            }
        }
        changed
    }

    fn vanish(&mut self, due: &Due, now: Timestamp) -> bool {
        let mut gone = Vec::new();
        for id in due {
            let Some(signalr) = self.signalrs.get_mut(id) else { continue };
            signalr.links.retain(|name, link| {
                let stays = !has_come(link.gone_at, now);
                if !stays {
                    gone.push(format!("{id}/sharedprivatelinkresources/{name}"));
                }
                stays
            });
        }
        for link in &gone {
            self.withdraw(link);
        }
        !gone.is_empty()
    }

    /// A link is gone, and with it what it opened on vaults.
    pub(super) fn withdraw(&mut self, link: &str) {
        for vault in self.vaults.values_mut() {
            vault
                .connections
                .retain(|_, c| !matches!(&c.opened_by, Opener::Link(id) | Opener::Replica(id) if id == link));
        }
    }

    fn appear(&mut self, due: &Due, now: Timestamp) -> bool {
        let mut requests = Vec::new();
        for id in due {
            let Some(signalr) = self.signalrs.get_mut(id) else { continue };
            let replicas = signalr.replicas.len();
            for link in signalr.links.values_mut().filter(|l| has_come(l.appears, now)) {
                link.appears = None;
                let link_id = format!("{id}/sharedprivatelinkresources/{}", key(&link.name));
                requests.push((key(&link.target), link.message.clone(), Opener::Link(link_id.clone())));
                for _ in 0..replicas {
                    requests.push((key(&link.target), link.message.clone(), Opener::Replica(link_id.clone())));
                }
            }
        }
        let changed = !requests.is_empty();
        for (vault, message, opener) in requests {
            let subscription = self.endpoint_subscription.clone();
            if let Some(vault) = self.vault_mut(&vault) {
                let connection = request(&subscription, message, opener);
                vault.connections.insert(key(&connection.name), connection);
            }
        }
        changed
    }

    fn settle(&mut self, due: &Due, now: Timestamp) -> bool {
        let mut told = Vec::new();
        let mut changed = false;
        for id in due {
            let Some(vault) = self.vaults.get_mut(id) else { continue };
            for connection in vault.connections.values_mut().filter(|c| has_come(c.settles, now)) {
                let settled = connection.settles.take().unwrap_or(now);
                changed = true;
                connection.provisioning = "Succeeded".to_owned();
                connection.etag = Some(Uuid::new_v4().simple().to_string());
                if let (Opener::Link(link), Some(status)) = (&connection.opened_by, &connection.status) {
                    told.push((link.clone(), settled, status.clone()));
                }
            }
            vault.connections.retain(|_, connection| {
                let gone = has_come(connection.removed_at, now);
                if let (true, Opener::Link(link)) = (gone, &connection.opened_by) {
                    told.push((link.clone(), connection.removed_at.unwrap_or(now), "Disconnected".to_owned()));
                }
                changed |= gone;
                !gone
            });
        }
        for (link, at, status) in told {
            let at = after(at, self.timings.propagation_ms);
            if let Some(link) = self.link_mut(&link) {
                link.pending = Some(Pending { at, status });
            }
        }
        changed
    }

    fn propagate(&mut self, due: &Due, now: Timestamp) -> bool {
        let mut changed = false;
        for id in due {
            let Some(signalr) = self.signalrs.get_mut(id) else { continue };
            for link in signalr.links.values_mut() {
                if let Some(pending) = link.pending.take_if(|p| p.at <= now) {
                    link.status = Some(pending.status);
                    link.modified_at = pending.at;
                    changed = true;
                }
            }
        }
        changed
    }
}

/// A new pending connection. Neither its name nor its endpoint's name tells whose it is; the
/// endpoint lives in a subscription of Microsoft's, in a group of 64 hexadecimal digits (recorded
/// for DatabaseWatcher's links on 2026-09-07).
pub(super) fn request(subscription: &str, message: Option<String>, opened_by: Opener) -> Connection {
    let group: String = (0..32).map(|_| format!("{:02X}", rand::rng().random::<u8>())).collect();
    let endpoint = Uuid::new_v4().simple().to_string();
    Connection {
        name: format!("{}-{}", &Uuid::new_v4().simple(), "pec"),
        endpoint: Some(format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/privateEndpoints/pe-{endpoint}"
        )),
        description: message,
        status: Some("Pending".to_owned()),
        provisioning: "Succeeded".to_owned(),
        etag: None,
        settles: None,
        removed_at: None,
        opened_by,
    }
}

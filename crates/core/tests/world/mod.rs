//! A scenario: one object, and what Azure and the policies answer when the plan asks.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use signalr_private_link_core::azure::{Connection, ConnectionState, Connections, Link, Links, Provisioning};
use signalr_private_link_core::desired::{
    AdoptionPolicy, ApprovalMode, DeletionPolicy, Desired, ManagementPolicy, ObjectIdentity, Remembered,
};
use signalr_private_link_core::failure::{ArmError, Failure};
use signalr_private_link_core::marker::{ApprovalRecord, Marker, Nonce, Verdict, endpoint_hash, tag};
use signalr_private_link_core::observed::{Observed, Permissions, Read, Reading, Sighting};
use signalr_private_link_core::policy::{OnUnconfirmed, Policy};
use signalr_private_link_core::report::ConnectionFacts;
use signalr_private_link_core::resource_id::{ConnectionId, EndpointId, LinkId, SignalRId, VaultId};
use signalr_private_link_core::{Next, Plan, plan};

pub const UID: &str = "0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f";
pub const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
pub const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv";
const MICROSOFT: &str = "4d1c0ffe-0000-4000-8000-00000000cafe";

pub fn endpoint(name: &str) -> EndpointId {
    EndpointId::parse(&format!(
        "/subscriptions/{MICROSOFT}/resourceGroups/rg/providers/Microsoft.Network/privateEndpoints/{name}"
    ))
    .unwrap()
}

pub fn connection(name: &str, message: &str) -> Connection {
    Connection {
        id: ConnectionId::parse(&format!("{VAULT}/privateEndpointConnections/{name}")).unwrap(),
        endpoint: Some(endpoint(name)),
        state: ConnectionState::Pending,
        description: message.to_owned(),
        provisioning: Provisioning::Succeeded,
        etag: None,
    }
}

pub fn error(failure: Failure) -> ArmError {
    ArmError {
        failure,
        code: "Code".into(),
        message: "words".into(),
        doing: "reading".into(),
        action: "Microsoft.Something/read",
        scope: SIGNALR.into(),
        caller: None,
    }
}

pub fn marker() -> Marker {
    Marker { uid: UID.into(), nonce: Nonce::from_random([7; 16]), tag: tag(None) }
}

/// One object and its surroundings.
#[derive(Clone)]
pub struct Scenario {
    pub desired: Desired,
    /// What is known at the beginning of the pass.
    pub observed: Observed,
    /// What is answered when the plan asks.
    pub answers: Observed,
    pub now: Timestamp,
}

impl Scenario {
    /// An own link that is Succeeded and Pending, with its request on the vault and a policy that
    /// permits it; approval is manual.
    pub fn new() -> Self {
        let now: Timestamp = "2026-11-23T18:00:00Z".parse().unwrap();
        let signalr = SignalRId::parse(SIGNALR).unwrap();
        let message = marker().message("please approve");
        let link = Link {
            name: "kv-pe".into(),
            target: VAULT.to_uppercase(),
            group_id: "vaults".into(),
            message: message.clone(),
            provisioning: Provisioning::Succeeded,
            connection: ConnectionState::Pending,
            created_at: Some(now),
            modified_at: Some(now),
        };
        let policy = Policy {
            name: "contoso".into(),
            generation: 1,
            namespaces: vec!["contoso".into()],
            selector: None,
            signalr: vec![SIGNALR.into()],
            vaults: vec![VAULT.into()],
            endpoint_subscriptions: vec![MICROSOFT.into()],
            confirm_within: Duration::from_secs(3600),
            on_unconfirmed: OnUnconfirmed::Revoke,
        };
        Self {
            desired: Desired {
                object: ObjectIdentity {
                    namespace: "contoso".into(),
                    name: "kv-pe".into(),
                    uid: UID.into(),
                    created: Some(now),
                },
                generation: 1,
                deleting: false,
                finalizer: true,
                force_finalize: false,
                link: LinkId::new(&signalr, "kv-pe").unwrap(),
                vault: VaultId::parse(VAULT).unwrap(),
                group_id: "vault".into(),
                request_text: "please approve".into(),
                mode: ApprovalMode::Manual,
                approval_timeout: Duration::from_secs(86_400),
                management: ManagementPolicy::Manage,
                adoption: AdoptionPolicy::FailIfExists,
                deletion: DeletionPolicy::Delete,
                sync_period: Duration::from_secs(600),
                recreate: None,
                remembered: Remembered::default(),
            },
            observed: Observed::default(),
            answers: Observed {
                links: Reading::Known(Arc::new(Links { links: vec![link], date: Some(now) })),
                connections: Reading::Known(Arc::new(Connections {
                    connections: vec![connection("ours", &message)],
                    date: Some(now),
                })),
                link: Reading::Known(None),
                replicas: Reading::Known(0),
                permissions: Reading::Known(Permissions { terminating: false, labels: vec![], policies: vec![policy] }),
                ..Observed::default()
            },
            now,
        }
    }

    /// Runs the plan, answering what it asks; also lists the reads.
    fn run(&self) -> (Plan, Vec<String>) {
        let (mut observed, answers, mut reads) = (self.observed.clone(), self.answers.clone(), Vec::new());
        for _ in 0..10 {
            match plan(&self.desired, &observed, self.now) {
                Next::Plan(plan) => return (*plan, reads),
                Next::Read(read) => {
                    reads.push(format!("{read:?}"));
                    match read {
                        Read::Operation => observed.operation = answers.operation.clone(),
                        Read::Links => observed.links = answers.links.clone(),
                        Read::Link => observed.link = answers.link.clone(),
                        Read::Connections => observed.connections = answers.connections.clone(),
                        Read::Replicas => observed.replicas = answers.replicas.clone(),
                        Read::Permissions => observed.permissions = answers.permissions.clone(),
                    }
                }
            }
        }
        panic!("the plan goes on asking: {reads:?}");
    }

    pub fn decide(&self) -> Plan {
        self.run().0
    }

    pub fn reads(&self) -> Vec<String> {
        self.run().1
    }

    pub fn links_mut(&mut self) -> &mut Links {
        let Reading::Known(links) = &mut self.answers.links else { panic!("no links") };
        Arc::make_mut(links)
    }

    pub fn vault_mut(&mut self) -> &mut Connections {
        let Reading::Known(vault) = &mut self.answers.connections else { panic!("no vault") };
        Arc::make_mut(vault)
    }

    pub fn without_link(mut self) -> Self {
        self.links_mut().links.clear();
        self
    }

    pub fn link_of_somebody_else(&mut self) -> Link {
        let mut other = Self::new();
        let mut link = other.links_mut().links.remove(0);
        link.name = "other".into();
        link
    }

    pub fn provisioning(mut self, word: &str) -> Self {
        self.links_mut().links[0].provisioning = Provisioning::parse(Some(word));
        self
    }

    pub fn signalr_says(mut self, state: ConnectionState) -> Self {
        self.links_mut().links[0].connection = state;
        self
    }

    /// Replaces the link's message: another one's link.
    pub fn message(mut self, message: &str) -> Self {
        self.links_mut().links[0].message = message.into();
        self.vault_mut().connections[0].description = message.into();
        self
    }

    /// Gives the link's marker another tag.
    pub fn retag(&mut self, tag: &str) {
        let message = Marker { tag: tag.into(), ..marker() }.message("please approve");
        self.links_mut().links[0].message = message;
    }

    pub fn no_request(mut self) -> Self {
        self.vault_mut().connections.clear();
        self
    }

    /// The vault showed the same only match this many seconds ago.
    pub fn seen_before(mut self, seconds: u64) -> Self {
        let ours = self.vault_mut().connections[0].clone();
        self.observed.memory.sighting = Some(Sighting {
            connection: ours.id,
            endpoint: ours.endpoint,
            message: ours.description,
            at: self.now,
            age: Duration::from_secs(seconds),
        });
        self
    }

    /// The match is in status.
    pub fn recorded(mut self) -> Self {
        let ours = self.vault_mut().connections[0].clone();
        self.desired.remembered.connection = ConnectionFacts::of(&ours);
        self
    }

    /// Somebody copied our message this many times.
    pub fn copies(mut self, count: usize) -> Self {
        let message = self.links_mut().links[0].message.clone();
        for number in 0..count {
            self.vault_mut().connections.push(connection(&format!("copy-{number}"), &message));
        }
        self
    }

    /// Requests of others.
    pub fn strangers(mut self, count: usize) -> Self {
        for number in 0..count {
            self.vault_mut().connections.push(connection(&format!("stranger-{number}"), "please approve"));
        }
        self
    }

    pub fn automatic(mut self) -> Self {
        self.desired.mode = ApprovalMode::Automatic;
        self
    }

    pub fn without_policies(mut self) -> Self {
        self.answers.permissions = Reading::Known(Permissions::default());
        self
    }

    pub fn endpoint_elsewhere(mut self) -> Self {
        let id = endpoint("ours").path().replace(MICROSOFT, "00000000-0000-0000-0000-00000000dead");
        self.vault_mut().connections[0].endpoint = Some(EndpointId::parse(&id).unwrap());
        self
    }

    pub fn replicas(mut self, count: usize) -> Self {
        self.answers.replicas = Reading::Known(count);
        self
    }

    pub fn vault_fails(mut self, failure: Failure) -> Self {
        self.answers.connections = Reading::Failed(error(failure));
        self
    }

    pub fn signalr_fails(mut self, failure: Failure) -> Self {
        self.answers.links = Reading::Failed(error(failure));
        self
    }

    /// The vault's owner decided, and wrote a text of their own.
    pub fn decided_by_hand(mut self, state: ConnectionState) -> Self {
        let ours = &mut self.vault_mut().connections[0];
        ours.state = state;
        ours.description = "by hand".into();
        self
    }
}

/// The operator approved the request a moment ago.
pub fn approved_by_us(provisioning: Provisioning) -> Scenario {
    let mut scenario = Scenario::new().automatic().recorded();
    let at = scenario.now;
    let ours = &mut scenario.vault_mut().connections[0];
    let record = ApprovalRecord {
        at,
        verdict: Verdict::Approved,
        object: "contoso/kv-pe".into(),
        endpoint_hash: endpoint_hash(ours.endpoint.as_ref().unwrap()),
        uid: UID.into(),
        nonce: marker().nonce,
    };
    ours.state = ConnectionState::Approved;
    ours.provisioning = provisioning;
    ours.description = record.to_description();
    scenario
}

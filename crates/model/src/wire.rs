//! From the world's numbers to what ARM and Kubernetes say, and back from what the operator says.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use signalr_private_link_core::azure::{Connection, Connections, Link, Links, Provisioning};
use signalr_private_link_core::desired::{
    AdoptionPolicy, ApprovalFacts, ApprovalMode, Approver, DeletionPolicy, Desired, ManagementPolicy, ObjectIdentity,
    Remembered,
};
use signalr_private_link_core::marker::{
    ApprovalRecord, Marker, NO_ENDPOINT, NO_TAG, NONCE_LENGTH, Nonce, endpoint_hash, tag,
};
use signalr_private_link_core::observed::Permissions;
use signalr_private_link_core::policy::{OnUnconfirmed, Policy};
use signalr_private_link_core::report::{ConnectionFacts, Fact, Ready, Report, Truth};
use signalr_private_link_core::resource_id::{ConnectionId, EndpointId, InvalidId, LinkId, SignalRId, VaultId};

use crate::rare::Inexact;
use crate::state::{
    Endpoint, LIMITS, Object, Pec, Policies, Provision, SECONDS, Spl, Status, Subscription, Text, Tick, is_second,
};

const WORDS: &str = "please approve";
const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv";
const MICROSOFT: &str = "4d1c0ffe-0000-4000-8000-00000000cafe";
const ELSEWHERE: &str = "00000000-0000-0000-0000-00000000dead";
/// 2026-11-23T18:00:00Z.
const BEGIN: i64 = 1_795_456_800;
/// How many connections and endpoints there can be.
const NAMES: u8 = 24;

/// Everything that is parsed once.
#[derive(Debug)]
pub struct Wire {
    desired: Desired,
    /// What the second tenant asks for: another link of the same SignalR, in whose message the marker of the first one's
    /// first link is copied.
    second: Desired,
    connections: Vec<ConnectionId>,
    endpoints: Vec<[EndpointId; 2]>,
    policy: Policy,
    /// The second tenant's policy, which permits more.
    lax: Policy,
}

/// The time of day at a tick.
#[must_use]
pub fn time(tick: Tick) -> Timestamp {
    Timestamp::from_second(BEGIN).unwrap_or_default() + SignedDuration::from_secs(i64::from(tick) * SECONDS as i64)
}

/// The tick of a time of day.
#[must_use]
pub fn tick(time: Timestamp) -> Tick {
    Tick::try_from((time.as_second() - BEGIN) / SECONDS as i64).unwrap_or_default()
}

/// A number for a text.
#[must_use]
pub fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The nonce of a creation.
#[must_use]
pub fn nonce(number: u8) -> Nonce {
    Nonce::from_random([number; NONCE_LENGTH])
}

/// The creation of a nonce.
#[must_use]
pub fn number_of(wanted: &Nonce) -> u8 {
    (0..32).find(|number| nonce(*number) == *wanted).unwrap_or(31)
}

/// The number in the name of a connection or an endpoint.
#[must_use]
pub fn name_of(name: &str) -> u8 {
    name.strip_prefix("pe-").and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The uid as Kubernetes writes it.
#[must_use]
pub fn uid(number: u8) -> String {
    format!("0d9c1f6e-4a52-4a0e-9a3f-0000000000{number:02}")
}

/// The value of `recreate-requested-at`.
fn recreate(number: u8) -> Option<String> {
    (number > 0).then(|| number.to_string())
}

/// A link's marker.
#[must_use]
pub fn marker(owner: u8, creation: u8, tagged: u8) -> Marker {
    let tag = recreate(tagged).map_or_else(|| NO_TAG.to_owned(), |value| tag(Some(&value)));
    Marker { uid: uid(owner), nonce: nonce(creation), tag }
}

impl Wire {
    /// Parses the ids of the world. `impatient` says whether `approval.timeout` is ever reached.
    ///
    /// # Errors
    /// When one of them is not an id.
    pub fn new(impatient: bool) -> Result<Self, InvalidId> {
        let signalr = SignalRId::parse(SIGNALR)?;
        let endpoint = |subscription: &str, name: u8| {
            EndpointId::parse(&format!(
                "/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Network/privateEndpoints/pe-{name}"
            ))
        };
        let desired = Desired {
            object: ObjectIdentity {
                namespace: "contoso".into(),
                name: "kv-pe".into(),
                uid: String::new(),
                created: None,
            },
            generation: 1,
            deleting: false,
            finalizer: false,
            force_finalize: false,
            link: LinkId::new(&signalr, "kv-pe")?,
            vault: VaultId::parse(VAULT)?,
            group_id: "vault".into(),
            request_text: WORDS.into(),
            mode: ApprovalMode::Manual,
            // Paced, 24 ticks; or for ever.
            approval_timeout: Duration::from_secs(if impatient { 3600 } else { 1 << 32 }),
            management: ManagementPolicy::Manage,
            adoption: AdoptionPolicy::FailIfExists,
            deletion: DeletionPolicy::Delete,
            sync_period: Duration::from_secs(600),
            recreate: None,
            remembered: Remembered::default(),
        };
        let second = Desired {
            object: ObjectIdentity { namespace: "fabrikam".into(), ..desired.object.clone() },
            link: LinkId::new(&signalr, "kv-pe-2")?,
            request_text: marker(1, 1, 0).message(""),
            ..desired.clone()
        };
        let policy = Policy {
            name: "contoso".into(),
            generation: 1,
            namespaces: vec!["contoso".into()],
            selector: None,
            signalr: vec![SIGNALR.into()],
            vaults: vec![VAULT.into()],
            endpoint_subscriptions: vec![MICROSOFT.into()],
            // Paced, 6 ticks.
            confirm_within: Duration::from_secs(15 * 60),
            on_unconfirmed: OnUnconfirmed::Revoke,
        };
        let connection = |name| ConnectionId::parse(&format!("{VAULT}/privateEndpointConnections/pe-{name}"));
        Ok(Self {
            connections: (0..NAMES).map(connection).collect::<Result<_, _>>()?,
            endpoints: (0..NAMES)
                .map(|name| Ok([endpoint(MICROSOFT, name)?, endpoint(ELSEWHERE, name)?]))
                .collect::<Result<_, _>>()?,
            lax: Policy {
                name: "fabrikam".into(),
                namespaces: vec!["fabrikam".into()],
                endpoint_subscriptions: vec!["*".into()],
                on_unconfirmed: OnUnconfirmed::Hold,
                ..policy.clone()
            },
            policy,
            desired,
            second,
        })
    }

    /// The id of a connection.
    #[must_use]
    pub fn connection_id(&self, name: u8) -> Option<&ConnectionId> {
        self.connections.get(usize::from(name))
    }

    /// The id of an endpoint.
    #[must_use]
    pub fn endpoint_id(&self, endpoint: Endpoint) -> Option<&EndpointId> {
        let [microsoft, elsewhere] = self.endpoints.get(usize::from(endpoint.name))?;
        Some(match endpoint.subscription {
            Subscription::Microsoft => microsoft,
            Subscription::Elsewhere => elsewhere,
            Subscription::Unknown => return None,
        })
    }

    /// What all objects of a tenant ask for.
    fn asked(&self, uid: u8) -> &Desired {
        if is_second(uid) { &self.second } else { &self.desired }
    }

    /// What an object asks for.
    #[must_use]
    pub fn desired(&self, object: &Object, name: &str) -> Desired {
        let mut desired = self.asked(object.uid).clone();
        desired.object.uid = uid(object.uid);
        desired.object.name = name.to_owned();
        desired.object.created = Some(time(object.created));
        desired.generation = i64::from(object.generation);
        (desired.deleting, desired.finalizer) = (object.deleting, object.has_finalizer());
        desired.force_finalize = object.force;
        if object.automatic {
            desired.mode = ApprovalMode::Automatic;
        }
        if object.observe {
            desired.management = ManagementPolicy::ObserveOnly;
        }
        if object.detach {
            desired.deletion = DeletionPolicy::Detach;
        }
        desired.recreate = recreate(object.recreate);
        desired.remembered = self.remembered(&object.status);
        desired
    }

    fn remembered(&self, status: &Status) -> Remembered {
        let facts = |(name, endpoint, state): (u8, Endpoint, _)| {
            let state: signalr_private_link_core::azure::ConnectionState = state;
            Some(ConnectionFacts {
                id: self.connection_id(name)?.path().to_owned(),
                endpoint: self.endpoint_id(endpoint)?.path().to_owned(),
                state: state.as_str().to_owned(),
                provisioning: "Succeeded".to_owned(),
            })
        };
        Remembered {
            ready: status.ready,
            seen_in_azure: status.seen,
            connection: status.connection.and_then(facts),
            approval: ApprovalFacts {
                requested_at: status.requested.map(time),
                approved_at: status.approved.map(time),
                approved_by: status.by_operator.map(|own| if own { Approver::Operator } else { Approver::External }),
                revoked_at: status.revoked.map(time),
                policy: status.policy.then(|| "contoso@1".to_owned()),
            },
            provisioned_since: status.provisioned.map(time),
        }
    }

    /// What is told, as the shell maps a report to status: what leaves `Ready` as it was leaves all as it was.
    #[must_use]
    pub fn told(&self, before: &Status, report: &Report, now: Tick) -> Status {
        let mut status = *before;
        match report.ready {
            Ready::Unchanged if before.ready.is_some() => return status,
            Ready::Unchanged => {}
            Ready::Is(Truth::True) => status.ready = Some(true),
            Ready::Is(_) => status.ready = Some(false),
        }
        if let Fact::Set(link) = &report.link {
            status.seen = link.is_some();
        }
        if let Fact::Set(connection) = &report.connection {
            status.connection = connection.as_ref().and_then(|facts| self.connection_status(facts));
        }
        if let Fact::Set(approval) = &report.approval {
            status.requested = approval.requested_at.map(tick);
            status.approved = approval.approved_at.map(tick);
            status.revoked = approval.revoked_at.map(tick);
            status.by_operator = Status::approver(approval.approved_by);
            status.policy = approval.policy.is_some();
        }
        if let Fact::Set(side) = &report.provisioned {
            let since = status.provisioned.unwrap_or(now);
            status.provisioned = (side.truth == Truth::True).then_some(since);
        }
        status
    }

    fn connection_status(
        &self,
        facts: &ConnectionFacts,
    ) -> Option<(u8, Endpoint, signalr_private_link_core::azure::ConnectionState)> {
        let endpoint = EndpointId::parse(&facts.endpoint).ok()?;
        let elsewhere = endpoint.subscription() == ELSEWHERE;
        let subscription = if elsewhere { Subscription::Elsewhere } else { Subscription::Microsoft };
        Some((
            name_of(facts.id.rsplit('/').next().unwrap_or_default()),
            Endpoint { name: name_of(endpoint.name()), subscription },
            signalr_private_link_core::azure::ConnectionState::parse(Some(&facts.state)),
        ))
    }

    /// A link as ARM shows it.
    #[must_use]
    pub fn link(&self, link: &Spl) -> Link {
        Link {
            name: self.asked(link.uid).link.name().into(),
            target: VAULT.into(),
            group_id: "vault".into(),
            message: marker(link.uid, link.nonce, link.tag).message(&self.asked(link.uid).request_text),
            provisioning: match link.provision {
                Provision::Creating => Provisioning::InProgress("Creating".into()),
                Provision::Succeeded => Provisioning::Succeeded,
                Provision::Failed => Provisioning::Failed,
                Provision::Deleting => Provisioning::Deleting,
            },
            connection: link.connection,
            created_at: Some(time(link.created)),
            modified_at: Some(time(link.created)),
        }
    }

    /// A list of links.
    #[must_use]
    pub fn links(&self, links: Vec<Link>, now: Tick) -> Arc<Links> {
        Arc::new(Links { links, date: Some(time(now)) })
    }

    /// What a description says.
    #[must_use]
    pub fn text(&self, text: &Text) -> String {
        match *text {
            Text::Message { uid, nonce, tag } => marker(uid, nonce, tag).message(&self.asked(uid).request_text),
            Text::Record { verdict, at, endpoint, uid: owner, nonce: creation } => ApprovalRecord {
                at: time(at),
                verdict,
                object: self.asked(owner).object.path(),
                endpoint_hash: self.endpoint_id(endpoint).map_or_else(|| NO_ENDPOINT.to_owned(), endpoint_hash),
                uid: uid(owner),
                nonce: nonce(creation),
            }
            .to_description(),
            Text::Inexact { uid, nonce, tag, how } => {
                let marker = marker(uid, nonce, tag);
                match how {
                    Inexact::Blank => format!("{} ", marker.message(WORDS)),
                    Inexact::Capitals => marker.message(WORDS).to_uppercase(),
                    Inexact::Words => marker.message("approve me"),
                }
            }
            Text::ByHand => "by hand".to_owned(),
        }
    }

    /// A connection as ARM shows it.
    #[must_use]
    pub fn connection(&self, pec: &Pec) -> Option<Connection> {
        Some(Connection {
            id: self.connection_id(pec.name)?.clone(),
            endpoint: self.endpoint_id(pec.endpoint).cloned(),
            state: pec.state,
            description: self.text(&pec.text),
            provisioning: Provisioning::Succeeded,
            etag: None,
        })
    }

    /// A list of connections.
    #[must_use]
    pub fn connections(&self, vault: &[Pec], now: Tick) -> Connections {
        Connections {
            connections: vault.iter().filter_map(|pec| self.connection(pec)).collect(),
            date: Some(time(now)),
        }
    }

    /// The namespace and the policies; `has_second` says whether there is a second tenant's.
    #[must_use]
    pub fn permissions(&self, policies: Policies, has_second: bool) -> Permissions {
        let mut policies = match policies {
            Policies::Absent => vec![],
            Policies::Revoke => vec![self.policy.clone()],
            Policies::Later => vec![Policy { generation: 3, ..self.policy.clone() }],
            Policies::Hold => {
                vec![Policy { on_unconfirmed: OnUnconfirmed::Hold, generation: 2, ..self.policy.clone() }]
            }
        };
        policies.extend(has_second.then(|| self.lax.clone()));
        Permissions { terminating: false, labels: vec![], policies }
    }

    /// After how many ticks an unconfirmed approval is overdue, at the least.
    #[must_use]
    pub fn confirm_within(&self) -> Tick {
        Tick::try_from(LIMITS.confirm_within(self.policy.confirm_within).as_secs() / SECONDS).unwrap_or(Tick::MAX)
    }
}

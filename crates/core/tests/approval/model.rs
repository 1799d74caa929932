//! A small model of everything around the decision: the vault with its strangers and its owner,
//! SignalR, the object, the policies and the process. It knows the ground truth, which the
//! operator cannot read: who really opened each connection, and who decided on it.
//!
//! A pass is the shipped one: `plan` asks for its reads, `still_authorised` has the last look,
//! `conclude` says what came of it. Only what the shell does with sockets is replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use signalr_private_link_core::action::{Action, Decision};
use signalr_private_link_core::approval::{self, LastLook, still_authorised};
use signalr_private_link_core::azure::{Connection, ConnectionState, Connections, Link, Links, Provisioning};
use signalr_private_link_core::desired::{
    AdoptionPolicy, ApprovalMode, DeletionPolicy, Desired, ManagementPolicy, ObjectIdentity, Remembered,
};
use signalr_private_link_core::failure::{ArmError, Failure};
use signalr_private_link_core::marker::{ApprovalRecord, Marker, NONCE_LENGTH, Nonce, Verdict};
use signalr_private_link_core::memory::Learned;
use signalr_private_link_core::observed::{Memory, Observed, Permissions, Read, Reading, Sighting};
use signalr_private_link_core::policy::{OnUnconfirmed, Policy, Requirement};
use signalr_private_link_core::report::{Fact, Ready, Report, Truth};
use signalr_private_link_core::resource_id::{ConnectionId, EndpointId, LinkId, SignalRId, VaultId};
use signalr_private_link_core::{Limits, Next, Outcome, Plan, Reason, conclude, plan};

pub const UID: &str = "0d9c1f6e-4a52-4a0e-9a3f-1c2b3a4d5e6f";
pub const WORDS: &str = "please approve";
const SIGNALR: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.SignalRService/signalR/contoso-signalr";
const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso/providers/Microsoft.KeyVault/vaults/contoso-kv";
/// Where SignalR's own endpoints live.
pub const MICROSOFT: &str = "4d1c0ffe-0000-4000-8000-00000000cafe";
/// A stranger's own subscription.
pub const ELSEWHERE: &str = "00000000-0000-0000-0000-00000000dead";

/// Who really opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// SignalR, for this incarnation of our link.
    Link(u64),
    /// SignalR, for a replica or for a link of somebody else.
    AnotherLink,
    /// Anybody.
    Stranger,
}

/// Who decided on it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecidedBy {
    Nobody,
    Operator {
        at: Timestamp,
        nonce: u64,
    },
    /// By the operator, which took its approval back.
    Revoked,
    Owner,
}

/// A connection with the truth about it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub wire: Connection,
    pub opener: Opener,
    pub decided_by: DecidedBy,
    approved_endpoint: Option<EndpointId>,
}

/// One rule of the approval, to be switched off in a twin: its input reads as if it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    M1,
    M2,
    M3,
    M4,
    M5Alone,
    M5SecondList,
    M5Replicas,
    M6,
    M7,
    Nonce,
}

/// What must never happen, and did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// S1: a connection was approved that is not our link's own.
    ApprovedAStranger,
    /// S2: a connection was written that was neither Pending nor an approval of ours.
    WroteADecidedConnection,
    /// Nobody asked for, or permitted, the approval at that moment.
    ApprovedWithoutPermission,
    /// Approved once more under a nonce whose approval was taken back.
    ApprovedUnderARevokedNonce,
    /// An approval was taken back without a reason, or too early.
    RevokedWithoutReason,
    /// An approval was taken back that SignalR had confirmed.
    RevokedAConfirmed,
    /// A stranger that the operator approved stayed approved.
    StayedApproved,
}

/// How a write ends, besides well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is applied, and the answer comes.
    Well,
    /// It is applied; the answer is lost.
    AnswerLost,
    /// It is not applied; nobody knows.
    NotApplied,
    /// The process ends before the write.
    CrashBefore,
    /// The process ends right after it.
    CrashAfter,
}

/// A decision that waits for its last look.
#[derive(Debug, Clone)]
struct Waiting {
    desired: Desired,
    plan: Plan,
    link: Option<Link>,
    permissions: Permissions,
}

/// The process, with what it has learned as the shell keeps it.
#[derive(Debug, Clone, Default)]
struct Process {
    learned: Learned,
    /// Whether the list that was the first to show the sighting showed it alone.
    first_alone: bool,
    /// Whether the list that the waiting decision rests on showed the match alone.
    alone: bool,
    /// The list that the waiting decision rests on.
    listed: Vec<Connection>,
    waiting: Option<Waiting>,
}

#[derive(Debug, Clone)]
pub struct World {
    pub now: Timestamp,
    /// The live object with its status; `None` once it was let go.
    pub object: Option<Desired>,
    pub policies: Vec<Policy>,
    pub labels: Vec<(String, String)>,
    pub link: Option<Link>,
    pub vault: Vec<Entry>,
    pub replicas: usize,
    /// Our own request is listed only when this is set.
    pub request_listed: bool,
    pub incarnation: u64,
    pub reason: Option<Reason>,
    pub message: String,
    pub alarmed: bool,
    pub off: Option<Rule>,
    pub violations: BTreeSet<Violation>,
    /// Approvals of a copy from a permitted subscription that was alone in both lists.
    pub exceptions: u64,
    pub approvals: u64,
    pub revocations: u64,
    revoked: BTreeSet<u64>,
    /// Revoked nonces that only the vault can remember, since the status was wiped.
    wiped: BTreeSet<u64>,
    /// Nonces under which SignalR has ever said Approved.
    confirmed: BTreeSet<u64>,
    pub owner_approved_ours: bool,
    process: Process,
    counter: u64,
}

pub fn endpoint(subscription: &str, name: &str) -> EndpointId {
    let id =
        format!("/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Network/privateEndpoints/{name}");
    EndpointId::parse(&id).unwrap()
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0u8; NONCE_LENGTH];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at * 4)) as u8;
    }
    Nonce::from_random(bytes)
}

pub fn policy() -> Policy {
    Policy {
        name: "contoso".into(),
        generation: 1,
        namespaces: vec!["contoso".into()],
        selector: Some(vec![Requirement::In("links".into(), vec!["yes".into()])]),
        signalr: vec![SIGNALR.into()],
        vaults: vec![VAULT.into()],
        endpoint_subscriptions: vec![MICROSOFT.into()],
        confirm_within: Duration::from_secs(3600),
        on_unconfirmed: OnUnconfirmed::Revoke,
    }
}

impl World {
    /// An object that asks for automatic approval, and a policy that permits it.
    pub fn new() -> Self {
        let now: Timestamp = "2026-11-23T18:00:00Z".parse().unwrap();
        let signalr = SignalRId::parse(SIGNALR).unwrap();
        let object = Desired {
            object: ObjectIdentity {
                namespace: "contoso".into(),
                name: "kv-pe".into(),
                uid: UID.into(),
                created: Some(now),
            },
            generation: 1,
            deleting: false,
            finalizer: false,
            force_finalize: false,
            link: LinkId::new(&signalr, "kv-pe").unwrap(),
            vault: VaultId::parse(VAULT).unwrap(),
            group_id: "vault".into(),
            request_text: WORDS.into(),
            mode: ApprovalMode::Automatic,
            approval_timeout: Duration::from_secs(86_400),
            management: ManagementPolicy::Manage,
            adoption: AdoptionPolicy::FailIfExists,
            deletion: DeletionPolicy::Delete,
            sync_period: Duration::from_secs(600),
            recreate: None,
            remembered: Remembered::default(),
        };
        Self {
            now,
            object: Some(object),
            policies: vec![policy()],
            labels: vec![],
            link: None,
            vault: vec![],
            replicas: 0,
            request_listed: true,
            incarnation: 0,
            reason: None,
            message: "".into(),
            alarmed: false,
            off: None,
            violations: BTreeSet::new(),
            exceptions: 0,
            approvals: 0,
            revocations: 0,
            revoked: BTreeSet::new(),
            wiped: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            owner_approved_ours: false,
            process: Process::default(),
            counter: 0,
        }
    }

    pub fn without(mut self, rule: Rule) -> Self {
        self.off = Some(rule);
        self
    }

    pub fn object(&mut self) -> &mut Desired {
        self.object.as_mut().unwrap()
    }

    /// Changes the spec, which makes a new generation.
    pub fn edit(&mut self, change: impl FnOnce(&mut Desired)) {
        if let Some(object) = &mut self.object {
            change(object);
            object.generation += 1;
        }
    }

    pub fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The message of the link that is there.
    pub fn link_message(&self) -> String {
        self.link.as_ref().map(|link| link.message.clone()).unwrap_or_default()
    }

    /// The message of the next link, for who knows the nonce beforehand.
    pub fn next_message(&self) -> String {
        Marker { uid: UID.into(), nonce: self.nonce_of(self.incarnation + 1), tag: "000000".into() }.message(WORDS)
    }

    /// With the nonce switched off every link gets the same.
    fn nonce_of(&self, incarnation: u64) -> Nonce {
        if self.off == Some(Rule::Nonce) { nonce(0) } else { nonce(incarnation) }
    }

    pub fn add(&mut self, opener: Opener, message: &str, subscription: &str) -> usize {
        self.counter += 1;
        let name = format!("pe-{}", self.counter);
        self.vault.push(Entry {
            wire: Connection {
                id: ConnectionId::parse(&format!("{VAULT}/privateEndpointConnections/{name}")).unwrap(),
                endpoint: Some(endpoint(subscription, &name)),
                state: ConnectionState::Pending,
                description: message.to_owned(),
                provisioning: Provisioning::Succeeded,
                etag: Some(format!("{}", self.counter)),
            },
            opener,
            decided_by: DecidedBy::Nobody,
            approved_endpoint: None,
        });
        self.vault.len() - 1
    }

    pub fn stranger(&mut self, message: &str, subscription: &str) -> usize {
        self.add(Opener::Stranger, message, subscription)
    }

    /// A stranger plants an exact copy of our message, in the permitted subscription.
    pub fn copy(&mut self) -> usize {
        let message = self.link_message();
        self.stranger(&message, MICROSOFT)
    }

    pub fn ours(&self) -> Option<&Entry> {
        self.vault.iter().find(|e| e.opener == Opener::Link(self.incarnation))
    }

    pub fn touch(&mut self, at: usize) {
        self.counter += 1;
        let etag = Some(self.counter.to_string());
        self.vault[at].wire.etag = etag;
    }

    /// The vault's owner decides by hand, with a text of their own or without one.
    pub fn owner_decides(&mut self, at: usize, state: ConnectionState, text: Option<&str>) {
        let ours = self.vault[at].opener == Opener::Link(self.incarnation);
        self.owner_approved_ours |= ours && state == ConnectionState::Approved;
        let entry = &mut self.vault[at];
        entry.wire.state = state;
        entry.decided_by = DecidedBy::Owner;
        if let Some(text) = text {
            entry.wire.description = text.to_owned();
        }
        self.touch(at);
    }

    /// Azure goes on: the link's operation ends, its request is listed, decisions propagate.
    pub fn azure(&mut self) {
        let incarnation = self.incarnation;
        let Some(link) = &mut self.link else { return };
        if link.provisioning == Provisioning::InProgress("Creating".into()) {
            link.provisioning = Provisioning::Succeeded;
            return;
        }
        let message = link.message.clone();
        let own = self.vault.iter().find(|e| e.opener == Opener::Link(incarnation)).map(|e| e.wire.state);
        match own {
            None if self.request_listed => {
                let seen = link.connection;
                if seen == ConnectionState::Pending {
                    self.add(Opener::Link(incarnation), &message, MICROSOFT);
                }
            }
            None => {}
            Some(state) => link.connection = state,
        }
        if self.link.as_ref().is_some_and(|link| link.connection == ConnectionState::Approved) {
            self.confirmed.insert(incarnation);
        }
    }

    /// The link disappears, and its endpoint with it.
    pub fn remove_link(&mut self) {
        self.link = None;
        let incarnation = self.incarnation;
        self.vault.retain(|e| e.opener != Opener::Link(incarnation));
    }

    /// Somebody empties the status.
    pub fn wipe(&mut self) {
        if let Some(object) = &mut self.object {
            object.remembered = Remembered::default();
        }
        self.wiped.extend(&self.revoked);
    }

    pub fn restart(&mut self) {
        self.process = Process::default();
    }

    /// One whole pass.
    pub fn pass(&mut self) -> Option<&'static str> {
        self.decide();
        self.carry_out(Fate::Well, |_| {})
    }

    /// Reads and decides.
    pub fn decide(&mut self) {
        let Some(object) = &self.object else { return };
        if object.deleting {
            let moment = self.moment();
            self.process.learned.see_deletion(moment);
        }
        let desired = object.clone();
        let mut observed =
            Observed { memory: self.process.learned.recall(&Limits::REAL, self.moment()), ..Observed::default() };
        let (mut link, mut permissions) = (None, Permissions::default());
        for _ in 0..10 {
            let read = match plan(&desired, &observed, self.now) {
                Next::Plan(plan) => {
                    self.process.waiting = Some(Waiting { desired, plan: *plan, link, permissions });
                    return;
                }
                Next::Read(read) => read,
            };
            match read {
                Read::Operation => observed.operation = Reading::Failed(ArmError::of(Failure::Transient(None))),
                Read::Links => {
                    link = self.link_as_read();
                    let links = Links { links: link.clone().into_iter().collect(), date: Some(self.now) };
                    observed.links = Reading::Known(Arc::new(links));
                    let moment = self.moment();
                    self.process.learned.learn_links(&desired, &observed.links, moment);
                    observed.memory = self.process.learned.recall(&Limits::REAL, moment);
                }
                Read::Link => observed.link = Reading::Known(self.link_as_read()),
                Read::Connections => {
                    observed.connections = Reading::Known(Arc::new(self.vault_as_read(link.as_ref())));
                    self.learn_connections(&desired, &mut observed);
                }
                Read::Replicas => {
                    let off = self.off == Some(Rule::M5Replicas);
                    observed.replicas = Reading::Known(if off { 0 } else { self.replicas });
                }
                Read::Permissions => {
                    permissions = self.permissions();
                    observed.permissions = Reading::Known(permissions.clone());
                }
            }
        }
        panic!("the plan goes on asking");
    }

    fn permissions(&self) -> Permissions {
        let mut policies = self.policies.clone();
        if self.off == Some(Rule::M3) {
            policies.iter_mut().for_each(|p| p.endpoint_subscriptions = vec!["*".into()]);
        }
        Permissions { terminating: false, labels: self.labels.clone(), policies }
    }

    fn link_as_read(&self) -> Option<Link> {
        let mut link = self.link.clone()?;
        if self.off == Some(Rule::M1) {
            link.message = as_ours(&link.message);
        }
        Some(link)
    }

    fn connection_as_read(&self, link: Option<&Link>, connection: &Connection) -> Connection {
        let mut connection = connection.clone();
        if self.off == Some(Rule::M1) {
            connection.description = as_ours(&connection.description);
        }
        if let (Some(Rule::M2), Some(link), ConnectionState::Pending) = (self.off, link, connection.state) {
            connection.description = link.message.clone();
        }
        connection
    }

    fn vault_as_read(&mut self, link: Option<&Link>) -> Connections {
        let mut connections: Vec<Connection> =
            self.vault.iter().map(|e| self.connection_as_read(link, &e.wire)).collect();
        let message = link.map(|link| link.message.clone()).unwrap_or_default();
        self.process.listed.clone_from(&connections);
        let matches = |c: &Connection| c.state == ConnectionState::Pending && c.description == message;
        self.process.alone = self.vault.iter().filter(|e| matches(&e.wire)).count() == 1;
        if self.off == Some(Rule::M5Alone) {
            let mut first = true;
            connections.retain(|c| !matches(c) || std::mem::take(&mut first));
        }
        Connections { connections, date: Some(self.now) }
    }

    /// The approval that waits for its last look, and what the decision remembered.
    pub fn waiting_approval(&self) -> Option<(Decision, Memory)> {
        let waiting = self.process.waiting.as_ref()?;
        match &waiting.plan.action {
            Some(Action::Decide(decision)) if decision.verdict == Verdict::Approved => {
                Some(((**decision).clone(), self.process.learned.recall(&Limits::REAL, self.moment())))
            }
            _ => None,
        }
    }

    /// The moment on a clock that began long before.
    fn moment(&self) -> Duration {
        Duration::try_from(self.now.duration_since(Timestamp::UNIX_EPOCH)).unwrap()
    }

    /// Learns as the shipped shell does; with the second list of M5 switched off the first one counts as both.
    fn learn_connections(&mut self, desired: &Desired, observed: &mut Observed) {
        let moment = self.moment();
        let alone = self.process.alone;
        let (links, vault) = (&observed.links, &observed.connections);
        self.process.learned.learn_connections(desired, &Limits::REAL, links, vault, (moment, moment), self.now);
        observed.memory = self.process.learned.recall(&Limits::REAL, moment);
        match &observed.memory.sighting {
            Some(_) => self.process.alone &= self.process.first_alone,
            None => self.process.first_alone = alone,
        }
        if self.off == Some(Rule::M5SecondList) {
            observed.memory.sighting = self
                .process
                .learned
                .first_sighting()
                .map(|first| Sighting { age: Duration::from_secs(3600), ..first.clone() });
        }
    }

    /// The last look and the write; `swap` may change the world between the two (T5).
    pub fn carry_out(&mut self, fate: Fate, swap: impl FnOnce(&mut Self)) -> Option<&'static str> {
        let Waiting { desired, plan, link, permissions } = self.process.waiting.take()?;
        let Some(action) = plan.action.clone() else {
            self.say(&desired, &plan, None);
            return None;
        };
        if fate == Fate::CrashBefore {
            self.restart();
            return None;
        }
        let label = action.label();
        let applied = match &action {
            Action::AddFinalizer | Action::RemoveFinalizer { .. } => self.kubernetes(&desired, &action, &plan),
            Action::PutLink { .. } => self.put(&desired, fate),
            Action::DeleteLink { message, waives_fence } => self.delete(&desired, message, *waives_fence, fate),
            Action::Decide(decision) => {
                let look = Look { link, permissions };
                let outcome = self.write_decision(&desired, decision, &look, fate, swap);
                let tried = !matches!(outcome, Outcome::Changed(_));
                if tried && desired.force_finalize && decision.verdict == Verdict::Revoked {
                    self.process.learned.end_forced_revocation();
                }
                outcome
            }
        };
        if fate == Fate::CrashAfter {
            self.restart();
            return Some(label);
        }
        let outcome = match (applied, fate) {
            (Outcome::Applied(_), Fate::AnswerLost) | (_, Fate::NotApplied) => {
                Outcome::Unknown(ArmError::of(Failure::Transient(None)))
            }
            (outcome, _) => outcome,
        };
        let changed = matches!(outcome, Outcome::Changed(_));
        let concluded = conclude(&desired, &Limits::REAL, plan, &outcome);
        self.say(&desired, &concluded, Some(&outcome));
        (!changed).then_some(label)
    }

    fn kubernetes(&mut self, desired: &Desired, action: &Action, plan: &Plan) -> Outcome {
        let Some(object) = self.object.as_mut().filter(|o| desired.still_asks_the_same_as(o)) else {
            return Outcome::Changed("object".into());
        };
        match action {
            Action::AddFinalizer => object.finalizer = true,
            _ => {
                self.alarmed |= plan.alarm.is_some();
                self.object = None;
            }
        }
        Outcome::Applied(None)
    }

    fn put(&mut self, desired: &Desired, fate: Fate) -> Outcome {
        let same = self.object.as_ref().is_some_and(|o| desired.still_asks_the_same_as(o));
        if !same || self.link.is_some() {
            return Outcome::Changed("link".into());
        }
        if fate == Fate::NotApplied {
            return Outcome::Unknown(ArmError::of(Failure::Transient(None)));
        }
        self.incarnation += 1;
        let marker = Marker { uid: UID.into(), nonce: self.nonce_of(self.incarnation), tag: desired.tag() };
        self.link = Some(Link {
            name: "kv-pe".into(),
            target: VAULT.into(),
            group_id: "vault".into(),
            message: marker.message(WORDS),
            provisioning: Provisioning::InProgress("Creating".into()),
            connection: ConnectionState::Pending,
            created_at: Some(self.now),
            modified_at: Some(self.now),
        });
        Outcome::Applied(None)
    }

    fn delete(&mut self, desired: &Desired, message: &str, waives_fence: bool, fate: Fate) -> Outcome {
        let same = self.object.as_ref().is_some_and(|o| desired.still_asks_the_same_as(o));
        if !same || self.link_message() != message {
            return Outcome::Changed("link".into());
        }
        self.process.learned.begin_delete(waives_fence);
        if fate != Fate::NotApplied {
            self.remove_link();
        }
        Outcome::Applied(None)
    }

    fn write_decision(
        &mut self,
        desired: &Desired,
        decision: &Decision,
        decided_on: &Look,
        fate: Fate,
        swap: impl FnOnce(&mut Self),
    ) -> Outcome {
        let moment = self.moment();
        self.process.learned.begin_decision(moment);
        if decision.verdict == Verdict::Revoked && self.off == Some(Rule::M7) {
            return Outcome::Changed("M7 is off".into());
        }
        let (mut link, mut permissions) = (self.link_as_read(), self.permissions());
        let mut object = self.object.clone();
        if self.off == Some(Rule::M4) {
            link = decided_on.link.clone();
        }
        if self.off == Some(Rule::M6) {
            (object, permissions) = (Some(desired.clone()), decided_on.permissions.clone());
        }
        let read_link = link.clone();
        let read = |world: &Self, connection: &Connection| world.connection_as_read(read_link.as_ref(), connection);
        let Some(at) = self.vault.iter().position(|e| e.wire.id == decision.connection) else {
            return Outcome::Changed("gone".into());
        };
        let (connection, etag) = (read(self, &self.vault[at].wire), self.vault[at].wire.etag.clone());
        let Some(object) = object else { return Outcome::Changed("object".into()) };
        let last =
            LastLook { object: &object, link: link.as_ref(), permissions: &permissions, connection: Some(&connection) };
        if let Err(what) = still_authorised(desired, decision, &last) {
            return Outcome::Changed(what.into());
        }
        let date = Timestamp::from_second(self.now.as_second()).unwrap();
        swap(self);
        let Some(at) = self.vault.iter().position(|e| e.wire.id == decision.connection) else {
            return Outcome::NotApplied(ArmError::of(Failure::Busy(None)));
        };
        if self.vault[at].wire.etag != etag {
            return Outcome::NotApplied(ArmError::of(Failure::Busy(None)));
        }
        if fate == Fate::NotApplied {
            return Outcome::Unknown(ArmError::of(Failure::Transient(None)));
        }
        let record = decision.record("contoso/kv-pe".into(), date);
        self.judge(at, decision);
        let nonce = self.number(&decision.nonce);
        match decision.verdict {
            Verdict::Approved => {
                self.approvals += 1;
                self.vault[at].wire.state = ConnectionState::Approved;
                self.vault[at].decided_by = DecidedBy::Operator { at: date, nonce };
                self.vault[at].approved_endpoint = self.vault[at].wire.endpoint.clone();
            }
            Verdict::Revoked => {
                self.revocations += 1;
                self.revoked.insert(nonce);
                self.vault[at].wire.state = ConnectionState::Rejected;
                self.vault[at].decided_by = DecidedBy::Revoked;
            }
        }
        self.vault[at].wire.description = record.to_description();
        self.touch(at);
        Outcome::Applied(None)
    }

    /// Which incarnation a nonce belongs to.
    fn number(&self, wanted: &Nonce) -> u64 {
        (0..=self.incarnation).find(|n| self.nonce_of(*n) == *wanted).unwrap_or(u64::MAX)
    }

    /// Judges a write by the truth, just before it takes effect.
    fn judge(&mut self, at: usize, decision: &Decision) {
        let entry = self.vault[at].clone();
        let nonce = self.number(&decision.nonce);
        let mut found = Vec::new();
        match decision.verdict {
            Verdict::Approved => {
                if entry.wire.state != ConnectionState::Pending {
                    found.push(Violation::WroteADecidedConnection);
                }
                let asked = self.object.as_ref().is_some_and(|o| {
                    o.mode == ApprovalMode::Automatic
                        && o.management == ManagementPolicy::Manage
                        && !o.deleting
                        && self.policies.iter().any(|p| p.permits(o, &self.labels))
                });
                if !asked {
                    found.push(Violation::ApprovedWithoutPermission);
                }
                let word = self.nonce_of(nonce);
                let on_the_vault = self.vault.iter().any(|e| {
                    let record = ApprovalRecord::parse(&e.wire.description);
                    record.is_some_and(|r| r.nonce == word && r.verdict == Verdict::Revoked)
                });
                if self.revoked.contains(&nonce) && (on_the_vault || !self.wiped.contains(&nonce)) {
                    found.push(Violation::ApprovedUnderARevokedNonce);
                }
                if entry.opener != Opener::Link(self.incarnation) {
                    let endpoint = entry.wire.endpoint.as_ref();
                    let permitted = endpoint
                        .is_some_and(|endpoint| self.policies.iter().any(|p| p.lists_subscription_of(endpoint)));
                    let copy = entry.wire.description == self.link_message();
                    let alone = self.process.alone && self.off != Some(Rule::M5SecondList);
                    if entry.opener == Opener::Stranger && permitted && copy && alone && self.off != Some(Rule::Nonce) {
                        self.exceptions += 1;
                    } else {
                        found.push(Violation::ApprovedAStranger);
                    }
                }
            }
            Verdict::Revoked => match entry.decided_by {
                DecidedBy::Operator { at: approved, nonce } if entry.wire.state == ConnectionState::Approved => {
                    let current = self.link.is_some() && nonce == self.incarnation;
                    let link = self.link.as_ref().filter(|_| current);
                    if link.is_some_and(|link| link.connection == ConnectionState::Approved) {
                        found.push(Violation::RevokedAConfirmed);
                    }
                    let limit = self.policies.first().map_or(3600, |p| p.confirm_within.as_secs() as i64);
                    let late = link.is_some_and(|link| link.connection != ConnectionState::Approved)
                        && self.now.duration_since(approved).as_secs() >= limit.min(3600);
                    let nonce_word = self.nonce_of(nonce);
                    let seen = self.process.learned.recall(&Limits::REAL, self.moment()).candidate;
                    let copied = seen.is_some_and(|(seen, id)| seen == nonce_word && id != entry.wire.id)
                        || self
                            .process
                            .listed
                            .iter()
                            .any(|c| c.id != entry.wire.id && approval::is_bearer(c, UID, &nonce_word));
                    let leaving = self.object.as_ref().is_none_or(|o| o.deleting);
                    let other = entry.wire.endpoint != entry.approved_endpoint;
                    if !(late || copied || leaving || other || !current) {
                        found.push(Violation::RevokedWithoutReason);
                    }
                }
                _ => found.push(Violation::WroteADecidedConnection),
            },
        }
        self.violations.extend(found);
    }

    /// Writes the status, as the shell renders it, unless the object changed meanwhile.
    fn say(&mut self, desired: &Desired, plan: &Plan, outcome: Option<&Outcome>) {
        if matches!(outcome, Some(Outcome::Changed(_))) {
            return;
        }
        let (Some(report), Some(object)) = (&plan.report, &mut self.object) else { return };
        if !desired.still_asks_the_same_as(object) {
            return;
        }
        self.reason = Some(report.reason);
        self.message.clone_from(&report.message);
        remember(&mut object.remembered, report, self.now);
    }

    /// At the end, when nothing moves any more: did a stranger stay approved by our hand?
    pub fn settle(&mut self) {
        let held = self.policies.iter().any(|p| p.on_unconfirmed == OnUnconfirmed::Hold);
        let stayed = self.vault.iter().any(|e| match e.decided_by {
            DecidedBy::Operator { nonce, .. } => {
                // The owner approved our own late request by hand, and SignalR said so: documented.
                let confirmed = self.owner_approved_ours && self.confirmed.contains(&nonce);
                e.opener == Opener::Stranger && e.wire.state == ConnectionState::Approved && !confirmed
            }
            _ => false,
        });
        if stayed && !held && !self.alarmed {
            self.violations.insert(Violation::StayedApproved);
        }
    }

    /// Faults stop: Azure and the operator go on until nothing changes.
    pub fn quiesce(&mut self) {
        for round in 0..24 {
            if self.object.is_none() {
                break;
            }
            self.azure();
            self.pass();
            self.advance(if round % 6 == 5 { 3600 } else { 45 });
        }
        self.settle();
    }
}

struct Look {
    link: Option<Link>,
    permissions: Permissions,
}

fn remember(remembered: &mut Remembered, report: &Report, now: Timestamp) {
    remembered.ready = match report.ready {
        Ready::Is(Truth::True) => Some(true),
        Ready::Is(_) => Some(false),
        Ready::Unchanged => remembered.ready,
    };
    if let Fact::Set(connection) = &report.connection {
        remembered.connection.clone_from(connection);
    }
    if let Fact::Set(approval) = &report.approval {
        remembered.approval = approval.clone();
    }
    if let Fact::Set(side) = &report.provisioned {
        let since = remembered.provisioned_since.unwrap_or(now);
        remembered.provisioned_since = (side.truth == Truth::True).then_some(since);
    }
}

/// M1 switched off: a marker of another object reads as ours.
fn as_ours(message: &str) -> String {
    match Marker::parse(message) {
        Some(marker) => Marker { uid: UID.into(), ..marker }.message(WORDS),
        None => message.to_owned(),
    }
}

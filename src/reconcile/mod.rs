//! One pass over one object: observe, plan, execute one effect, report, look again.
//!
//! Data flows one way and each arrow is one function: the live object becomes [`Desired`], reads
//! fill [`Observed`], the core's `plan` decides, [`execute`] carries out one conditional write, and
//! [`report`] says what came of it. A pass never fails: a failure is something to report.

mod execute;
mod index;
mod lanes;
mod memory;
mod observe;
mod report;
mod undecided;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, TryFutureExt as _};
use jiff::Timestamp;
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::observed::Reading;
use signalr_private_link_core::policy::Policy;
use signalr_private_link_core::report::Ready;
use signalr_private_link_core::{Action, Again, Limits, Next, Plan, Reason, Report, conclude, plan};
use tracing::Instrument as _;

use crate::api::SignalRSharedPrivateLink;
use crate::azure::{ArmClient, Reads, Shared};
use crate::kubernetes::{Events, KubeFailure, NamespaceFacts, Objects, Outage, Written};
use crate::locked::Locked;
use crate::metrics::{Metrics, PassOutcome};
use crate::telemetry::{self, spans};

pub use index::{Change, Index};
pub use lanes::Lanes;
pub use memory::Memories;
use memory::ObjectMemory;
use wait::{Look, Rhythm};

/// Which object: namespace and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The time of day: what people wait for is measured with it, and shown; nothing is approved by it.
pub type Clock = fn() -> Timestamp;

/// A number between 0 and 1, by which waits are lengthened, so that objects drift apart.
pub type Jitter = fn() -> f64;

/// What every pass needs.
pub struct Context {
    /// Kubernetes.
    pub objects: Objects,
    /// Events.
    pub events: Events,
    /// Azure.
    pub arm: ArmClient,
    /// Reads of links, shared per SignalR, and of connections, shared per vault.
    pub reads: Reads,
    /// Reads of namespaces, shared by their objects.
    pub namespaces: Shared<NamespaceFacts>,
    /// Reads of all approval policies, shared by all.
    pub policies: Shared<Vec<Policy>>,
    /// Waits and limits, paced.
    pub limits: Limits,
    /// The time of day.
    pub clock: Clock,
    /// Lengthens waits.
    pub jitter: Jitter,
    /// One writer per SignalR and per vault.
    pub lanes: Lanes,
    /// What the process remembers per object.
    pub memories: Memories,
    /// What the watches have shown.
    pub index: Index,
    /// Whether the watch sees all namespaces.
    pub sees_all: bool,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether an outage of the API server is news.
    pub outage: Outage,
}

impl Context {
    /// Forgets an object that is gone, of this uid or of any. If it is not gone, its waits only
    /// become longer.
    pub fn forget(&self, key: &ObjectKey, uid: Option<&str>) {
        if self.memories.forget(key, uid) {
            self.lanes.forget(key);
        }
        // Nobody lists the links of a SignalR that no object names any more.
        self.metrics.links.keep_orphans(|signalr| self.index.has_claim_on(signalr));
    }
}

/// What follows a pass.
pub enum Sequel {
    /// The next one at once: this one was a step. It begins with the object as this one has left it, which is as good as a
    /// read (R1), as long as whoever asks for a look in between gets another one.
    Step(Written),
    /// The next one after this time, if at all.
    Look(Option<Duration>),
}

/// Runs a pass, which reads the object unless it begins with what the one before has `written`; a panic in it ends this
/// pass only.
pub async fn pass(context: &Context, key: &ObjectKey, written: Option<Written>) -> Sequel {
    let pass = telemetry::Pass::begin(&key.namespace, &key.name);
    let memory = context.memories.check_out(key);
    let failed = |(doing, error): Failed| {
        context.outage.tell(key, doing, &error);
        let outcome = if error == KubeFailure::Changed { PassOutcome::Changed } else { PassOutcome::Failed };
        End::untold(outcome, Look::AFTER_KUBERNETES)
    };
    let made = pass.make(key, steps(context, key, &memory, written).unwrap_or_else(failed)).await;
    let end = made.unwrap_or_else(|| End::untold(PassOutcome::Panicked, Look::AFTER_PANIC));
    pass.end(&context.metrics.links, end.outcome, end.told);
    if matches!(end.look, Look::Never) {
        context.forget(key, None);
    }
    let mut memory = memory.lock();
    let is_queued = end.told == Some(Reason::WaitingForSignalR);
    memory.lane.take_if(|lane| !is_queued && context.lanes.yield_turn(lane, key));
    let written = memory.written.take().filter(|_| matches!(end.look, Look::After(Duration::ZERO)));
    let wait = context.wait(&mut memory, end.look, end.told);
    written.map_or(Sequel::Look(wait), Sequel::Step)
}

/// An object as a pass has read it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    context: &'a Context,
    key: &'a ObjectKey,
    memory: &'a Locked<ObjectMemory>,
    object: &'a SignalRSharedPrivateLink,
}

/// One pass: the object, what it asks for, and all that is needed to work on it.
struct Pass<'a> {
    subject: Subject<'a>,
    context: &'a Context,
    key: &'a ObjectKey,
    desired: &'a Desired,
    /// Azure, on behalf of the object's namespace.
    arm: ArmClient,
}

/// How a pass ended.
struct End {
    outcome: PassOutcome,
    look: Look,
    /// The reason that status now has, if the pass has told one.
    told: Option<Reason>,
}

/// What the plan rests on.
#[derive(Clone, Copy)]
struct Seen {
    /// How long ago SignalR's last word is.
    heard_ago: Duration,
    /// Another write to the SignalR was on its way when the pass began, or had just ended.
    was_busy: bool,
    /// The vault was read.
    vault: bool,
}

/// What was being done that the API server did not let happen, and why not.
type Failed = (&'static str, KubeFailure);

impl End {
    const fn untold(outcome: PassOutcome, look: Look) -> Self {
        Self { outcome, look, told: None }
    }
}

async fn steps(
    context: &Context,
    key: &ObjectKey,
    memory: &Locked<ObjectMemory>,
    written: Option<Written>,
) -> Result<End, Failed> {
    let read = match written {
        Some(written) => written.object().map(Some),
        None => context.objects.get(&key.namespace, &key.name).instrument(spans::read("object")).await,
    };
    let Some(stored) = read.map_err(|error| ("reading the object", error))? else {
        // Where the watch goes on showing it, one of the two lags behind. What is remembered about it
        // makes waits longer, and is kept.
        let look = if context.index.shows(key) { Look::AFTER_KUBERNETES } else { Look::Never };
        return Ok(End::untold(PassOutcome::Gone, look));
    };
    let asked = stored.desired();
    let object = &stored.object;
    spans::found(object.metadata.uid.as_deref(), object.metadata.generation);
    let subject = Subject { context, key, memory, object };
    subject.see();
    let desired = match asked {
        Ok(desired) => desired,
        Err(problems) => return subject.unusable(&problems).await,
    };
    let desired = match undecided::resolve_deletion_intent(context, desired).await {
        Ok(desired) => desired,
        Err(error) => return subject.report_unreadable_definition(error).await,
    };
    let arm = context.arm.on_behalf_of(&key.namespace);
    Pass { subject, context, key, desired: &desired, arm }.run().await
}

impl Subject<'_> {
    /// Remembers that the object was read.
    fn see(&self) {
        let Self { context, key, memory, object } = *self;
        let is_another = memory.lock().see(object, context.memories.moment(), &context.metrics);
        // One of its name may have been about to write.
        if is_another {
            context.lanes.forget(key);
        }
    }

    /// Keeps the object as this pass has left it.
    fn keep(&self, written: Written) {
        self.memory.lock().written = Some(written);
    }

    /// Says something about an object whose spec cannot be used.
    async fn say(&self, said: &Report) -> Result<End, Failed> {
        self.write_status(None, said, true).await?;
        let look = Look::planned(Again::AsReason, Some(said), false, None, self.context.limits.pace);
        Ok(End { outcome: PassOutcome::Undecided, look, told: Some(said.reason) })
    }
}

impl Pass<'_> {
    async fn run(&self) -> Result<End, Failed> {
        let Self { subject, context, desired, .. } = *self;
        let (plan, seen) = self.plan_with_reads().await;
        let acts = subject.memory.lock().record_effect(plan.action.as_ref().map(Action::kind));
        let outcome = if plan.action.is_some() { PassOutcome::Acted } else { PassOutcome::Idle };
        let plan = self.carry_out(plan).await;
        let (changed, told) = match &plan.report {
            Some(said) => self.tell(said, seen.heard_ago).await?,
            None => (false, None),
        };
        let look = if told == Some(Reason::WaitingForSignalR) {
            self.queue(seen.was_busy);
            // It is woken; at the latest when a lane is held no longer by an operation that nobody reports as ended.
            Look::After(lanes::LONGEST)
        } else {
            // What is confirmed is seen in SignalR's list alone, although the vault's, which may be long, is read once after a start.
            let is_confirmed = plan.report.as_ref().is_some_and(|said| said.reason == Reason::Approved);
            let at_vault = seen.vault && !is_confirmed;
            let parent = if at_vault { desired.vault.key() } else { desired.link.signalr_key() };
            let rhythm = Rhythm { period: desired.sync_period, parent };
            Look::planned(plan.again, plan.report.as_ref(), changed || acts, Some(rhythm), context.limits.pace)
        };
        Ok(End { outcome, look, told })
    }

    /// Observes until the plan has all it needs; with the plan, what of it is needed once more.
    async fn plan_with_reads(&self) -> (Plan, Seen) {
        let mut observed = self.begin();
        let plan = loop {
            match spans::plan(|| plan(self.desired, &observed, (self.context.clock)())) {
                Next::Plan(plan) => break *plan,
                Next::Read(read) => self.read(&mut observed, read).instrument(spans::read(read.into())).await,
            }
        };
        self.settle_lane(&observed);
        let vault = !matches!(observed.connections, Reading::NotRead);
        (plan, Seen { heard_ago: observed.memory.heard_ago, was_busy: observed.signalr_busy, vault })
    }

    /// Carries out the plan's effect, if it has one; what is said and done about its outcome.
    async fn carry_out(&self, plan: Plan) -> Plan {
        let Self { subject, context, key, desired, .. } = *self;
        let Some(action) = plan.action.clone() else {
            subject.alarm(plan.alarm.as_deref()).await;
            return plan;
        };
        let label = action.label();
        context.metrics.links.act(label);
        let outcome = telemetry::action(key, &subject.object.metadata, label, self.execute(&action).boxed()).await;
        subject.audit(&action, &outcome).await;
        let plan = conclude(desired, &context.limits, plan, &outcome);
        subject.alarm(plan.alarm.as_deref()).await;
        plan
    }

    /// Says what the pass found, after SignalR's last word was `heard_ago`. Returns whether status was written, and the
    /// reason that it now has.
    async fn tell(&self, report: &Report, heard_ago: Duration) -> Result<(bool, Option<Reason>), Failed> {
        let Self { subject, context, desired, .. } = *self;
        subject.audit_found(report).await;
        let grace = context.limits.ready_grace.max(desired.sync_period.mul_f64(context.limits.pace * 2.0));
        let changed = subject.write_status(Some(desired), report, heard_ago >= grace).await?;
        // What left status as it was is no other reason: the one that is told goes on.
        let told = changed || report.ready != Ready::Unchanged;
        Ok((changed, told.then_some(report.reason)))
    }
}

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
mod orphans;
mod report;
mod undecided;
mod wait;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use signalr_private_link_core::azure::{Connections, Links};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::observed::Observed;
use signalr_private_link_core::policy::Policy;
use signalr_private_link_core::report::Ready;
use signalr_private_link_core::{Action, Again, Limits, Next, Plan, Reason, Report, conclude, plan};
use tracing::Instrument as _;

use crate::api::{self, SignalRSharedPrivateLink};
use crate::azure::{ArmClient, Shared};
use crate::kubernetes::{Events, KubeFailure, NamespaceFacts, Objects};
use crate::metrics::{Metrics, PassOutcome};
use crate::news::News;
use crate::telemetry::{self, spans};

pub use index::{Change, Index, Watched};
pub use lanes::Lanes;
pub use memory::Memories;
pub use orphans::Orphans;
use wait::Look;

/// Which object: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Reads of links, shared per SignalR.
    pub links: Shared<Links>,
    /// Reads of connections, shared per vault.
    pub connections: Shared<Connections>,
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
    pub index: Arc<Index>,
    /// Whether the watch sees all namespaces.
    pub sees_all: bool,
    /// Links with a marker of this operator's form whose object does not exist.
    pub orphans: Orphans,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether an outage of the API server is news.
    pub outage: Outage,
}

/// When it was last said that the API server fails, which would be said for every object.
pub type Outage = News<10>;

impl Context {
    /// Forgets an object that is gone, of this uid or of any. If it is not gone, its waits only
    /// become longer.
    pub fn forget(&self, key: &ObjectKey, uid: Option<&str>) {
        if self.memories.forget(key, uid) {
            self.lanes.forget(key);
        }
    }
}

/// Runs a pass; a panic in it ends this pass only. Returns when to look again.
pub async fn pass(context: &Context, key: &ObjectKey) -> Option<Duration> {
    telemetry::numbered(unbroken(context, key)).await
}

async fn unbroken(context: &Context, key: &ObjectKey) -> Option<Duration> {
    let begun = tokio::time::Instant::now();
    let span = spans::pass(&key.namespace, &key.name);
    let guarded = AssertUnwindSafe(steps(context, key)).catch_unwind().instrument(span.clone());
    let end = guarded.await.unwrap_or_else(|_| {
        tracing::error!(
            object = %key,
            pass = telemetry::number(),
            "a pass panicked; this is a bug of the operator, and the object is looked at again"
        );
        End::untold(PassOutcome::Panicked, Look::AFTER_PANIC)
    });
    context.metrics.links.reconciled(end.outcome, begun.elapsed());
    spans::end_pass(&span, end.outcome.into(), end.told.map(Reason::as_str));
    context.lanes.yield_turn(key);
    context.wait(key, end.look, end.told)
}

/// One pass: the object as it was read, what it asks for, and all that is needed to work on it.
struct Pass<'a> {
    context: &'a Context,
    key: &'a ObjectKey,
    object: &'a SignalRSharedPrivateLink,
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

impl End {
    const fn untold(outcome: PassOutcome, look: Look) -> Self {
        Self { outcome, look, told: None }
    }
}

async fn steps(context: &Context, key: &ObjectKey) -> End {
    let stored = match context.objects.get(&key.namespace, &key.name).instrument(spans::read("object")).await {
        Ok(Some(stored)) => stored,
        // The watch goes on showing it: one of the two lags behind. What is remembered about it
        // makes waits longer, and is kept.
        Ok(None) if context.index.shows(key) => {
            context.memories.track_unread(key);
            return End::untold(PassOutcome::Gone, Look::after_kubernetes());
        }
        Ok(None) => {
            context.forget(key, None);
            return End::untold(PassOutcome::Gone, Look::Never);
        }
        Err(error) => {
            context.memories.track_unread(key);
            return kubernetes_failed(context, key, "reading the object", &error);
        }
    };
    let asked = stored.desired();
    let object = stored.object;
    spans::found(object.metadata.uid.as_deref(), object.metadata.generation);
    context.memories.record_seen(key, &object);
    let desired = match asked {
        Ok(desired) => desired,
        Err(problems) => return undecided::unusable(context, key, &object, &problems).await,
    };
    let desired = match undecided::resolve_deletion_intent(context, desired).await {
        Ok(desired) => desired,
        Err(error) => return undecided::report_unreadable_definition(context, key, &object, &error).await,
    };
    let arm = context.arm.on_behalf_of(&key.namespace);
    let pass = Pass { context, key, object: &object, desired: &desired, arm };
    let (plan, observed) = pass.plan_with_reads().await;
    let acts = context.memories.record_effect(key, plan.action.as_ref().map(Action::kind));
    let outcome = if plan.action.is_some() { PassOutcome::Acted } else { PassOutcome::Idle };
    let plan = pass.carry_out(plan).await;
    if plan.again == Again::Never {
        context.forget(key, object.metadata.uid.as_deref());
        return End::untold(outcome, Look::Never);
    }
    let told = match &plan.report {
        Some(said) => pass.tell(said, observed.memory.heard_ago).await,
        None => Ok(Told { changed: false, reason: None, is_woken: false }),
    };
    match told {
        Ok(told) => {
            let look =
                Look::planned(plan.again, plan.report.as_ref(), told.changed || acts, &desired, context.limits.pace);
            let look = if told.is_woken { look.at_the_latest() } else { look };
            End { outcome, look, told: told.reason }
        }
        Err(error) => kubernetes_failed(context, key, "writing the status", &error),
    }
}

/// What came of telling.
struct Told {
    /// Status was written.
    changed: bool,
    /// The reason that it now has.
    reason: Option<Reason>,
    /// The object is woken when it is its turn to write to the SignalR.
    is_woken: bool,
}

impl Pass<'_> {
    /// Observes until the plan has all it needs.
    async fn plan_with_reads(&self) -> (Plan, Observed) {
        let mut observed = self.begin();
        let plan = loop {
            match self.ask(&observed) {
                Next::Plan(plan) => break *plan,
                Next::Read(read) => {
                    self.read(&mut observed, read).instrument(spans::read(observe::label(read))).await;
                }
            }
        };
        self.settle_lane(&observed);
        (plan, observed)
    }

    /// Asks for the plan, with what has been read so far.
    fn ask(&self, observed: &Observed) -> Next {
        let span = spans::plan();
        let next = span.in_scope(|| plan(self.desired, observed, (self.context.clock)()));
        match &next {
            Next::Read(read) => spans::wants(&span, observe::label(*read)),
            Next::Plan(plan) => {
                let reason = plan.report.as_ref().map(|report| report.reason.as_str());
                spans::planned(&span, plan.action.as_ref().map(Action::label), reason);
            }
        }
        next
    }

    /// Carries out the plan's effect, if it has one; what is said and done about its outcome.
    async fn carry_out(&self, plan: Plan) -> Plan {
        let Self { context, key, object, desired, .. } = *self;
        let Some(action) = plan.action.clone() else {
            report::alarm(context, key, object, plan.alarm.as_deref()).await;
            return plan;
        };
        let label = action.label();
        context.metrics.links.act(label);
        let begun = tokio::time::Instant::now();
        let span = spans::write(label);
        let outcome = self.execute(&action).instrument(span.clone()).await;
        report::log_action(object, label, &outcome, begun.elapsed(), &span);
        report::audit(context, key, object, &action, &outcome).await;
        let plan = conclude(desired, &context.limits, plan, &outcome);
        report::alarm(context, key, object, plan.alarm.as_deref()).await;
        plan
    }

    /// Says what the pass found. `heard_ago` is how long ago SignalR's last word is.
    async fn tell(&self, report: &Report, heard_ago: Duration) -> Result<Told, KubeFailure> {
        let Self { context, key, object, desired, .. } = *self;
        report::audit_found(context, key, object, report).await;
        let reason = report.reason;
        let is_woken = reason == Reason::WaitingForSignalR && context.lanes.queue(desired.link.signalr().key(), key);
        let grace = context.limits.ready_grace.max(desired.sync_period.mul_f64(context.limits.pace * 2.0));
        let lasting = context.memories.has_said_for(key, reason) >= context.limits.right_grace;
        let as_told = api::AsTold { ready_expired: heard_ago >= grace, lasting, now: (context.clock)() };
        let changed = report::write_status(context, object, Some(desired), report, as_told).await?;
        // What left status as it was is no other reason: the one that is told goes on.
        let told = changed || report.ready != Ready::Unchanged;
        Ok(Told { changed, reason: told.then_some(reason), is_woken })
    }
}

/// Says something about an object whose spec cannot be used.
async fn say(context: &Context, key: &ObjectKey, object: &SignalRSharedPrivateLink, said: &Report) -> End {
    let as_told = api::AsTold { ready_expired: true, lasting: true, now: (context.clock)() };
    match report::write_status(context, object, None, said, as_told).await {
        Ok(_) => {
            let look = Look::after_reason(said.reason, context.limits.pace);
            End { outcome: PassOutcome::Undecided, look, told: Some(said.reason) }
        }
        Err(error) => kubernetes_failed(context, key, "writing the status", &error),
    }
}

fn kubernetes_failed(context: &Context, key: &ObjectKey, doing: &str, error: &KubeFailure) -> End {
    match error {
        // Another version: the next pass reads it.
        KubeFailure::Changed => {
            tracing::debug!(object = %key, pass = telemetry::number(), doing, %error, "looking again");
        }
        // It is rarely about one object: ten thousand of them would say the same.
        _ if context.outage.is_due() => {
            tracing::warn!(
                object = %key, pass = telemetry::number(), doing, %error,
                "API server request failed; will retry (said once in 10 s)"
            );
        }
        _ => {
            tracing::debug!(
                object = %key, pass = telemetry::number(), doing, %error,
                "API server request failed; will retry"
            );
        }
    }
    let outcome = if *error == KubeFailure::Changed { PassOutcome::Changed } else { PassOutcome::Failed };
    End::untold(outcome, Look::after_kubernetes())
}

//! One pass over one object: observe, plan, execute one effect, report, look again.
//!
//! Data flows one way and each arrow is one function: the live object becomes [`Desired`], reads
//! fill [`Observed`], the core's `plan` decides, [`execute`] carries out one conditional write, and
//! [`report`] says what came of it. A pass never fails: a failure is something to report.

mod execute;
mod lanes;
mod memory;
mod observe;
mod orphans;
mod report;
mod slots;
mod undecided;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::runtime::events::Recorder;
use signalr_private_link_core::backoff::{self, Range};
use signalr_private_link_core::desired::Desired;
use signalr_private_link_core::observed::{Connections, Links, Observed};
use signalr_private_link_core::reason::Wait;
use signalr_private_link_core::report::Ready;
use signalr_private_link_core::{Action, Again, Limits, Next, Outcome, Plan, Reason, Report, conclude, plan};

use crate::api::{self, SignalRSharedPrivateLink};
use crate::azure::{ArmClient, Shared};
use crate::kubernetes::{KubeFailure, Objects};
use crate::metrics::Metrics;

pub use lanes::Lanes;
pub use memory::Memories;
pub use orphans::Orphans;
pub use slots::{NamespaceSlots, SLOT_RESERVED_FOR};

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

/// The objects that the watch has seen: a trigger and a list of rivals, never a truth (R3).
pub type Seen = Arc<dyn Fn(&mut dyn FnMut(&SignalRSharedPrivateLink)) + Send + Sync>;

/// The time of day: what people wait for is measured with it, and shown; nothing is approved by it.
pub type Clock = fn() -> Timestamp;

/// A number between 0 and 1, by which waits are lengthened, so that objects drift apart.
pub type Jitter = fn() -> f64;

/// What every pass needs.
pub struct Context {
    /// Kubernetes.
    pub objects: Objects,
    /// Events.
    pub events: Recorder,
    /// Azure.
    pub arm: Arc<ArmClient>,
    /// Reads of links, shared per SignalR.
    pub links: Shared<Links>,
    /// Reads of connections, shared per vault.
    pub connections: Shared<Connections>,
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
    /// Who may begin a pass.
    pub slots: NamespaceSlots,
    /// What the watch has seen.
    pub seen: Seen,
    /// Whether the watch sees all namespaces.
    pub sees_all: bool,
    /// Links with a marker of this operator's form whose object does not exist.
    pub orphans: Orphans,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// When it was last said that the API server fails.
    pub outage: Outage,
}

/// When something was last said that would be said for every object.
#[derive(Debug, Default)]
pub struct Outage(std::sync::Mutex<Option<tokio::time::Instant>>);

impl Outage {
    /// How long the same is no news.
    const QUIET: Duration = Duration::from_secs(10);

    /// Whether it is to be said once more.
    fn is_news(&self, now: tokio::time::Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_news = last.is_none_or(|last| now.duration_since(last) >= Self::QUIET);
        if is_news {
            *last = Some(now);
        }
        is_news
    }
}

impl Context {
    /// Forgets an object that is gone, of this uid or of any. If it is not gone, its waits only
    /// become longer.
    pub fn forget(&self, key: &ObjectKey, uid: Option<&str>) {
        if self.memories.forget(key, uid) {
            self.lanes.forget(key);
        }
    }
}

/// The least wait that a plan can ask for, at pace 1, unless the pass was a step (R13).
const SHORTEST: Duration = Duration::from_secs(1);
/// How soon a pass that a panic ended is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(60);
/// How soon a pass is made again whose write found something changed.
const AFTER_CHANGE: Range = Range { from: Duration::from_millis(200), to: Duration::from_secs(60) };
/// How soon a pass is tried again that Kubernetes did not let happen.
const AFTER_KUBERNETES: Range = Range::seconds(1, 30);

/// Runs a pass; a panic in it ends this pass only. Returns when to look again.
pub async fn pass(context: &Context, key: &ObjectKey) -> Option<Duration> {
    let outcome = AssertUnwindSafe(steps(context, key)).catch_unwind().await;
    context.lanes.yield_turn(key);
    match outcome {
        Ok(again) => again,
        Err(_) => {
            tracing::error!(object = %key, "a pass panicked; this is a bug of the operator, and the object is looked at again");
            context.metrics.pass("panic");
            Some(AFTER_PANIC)
        }
    }
}

async fn steps(context: &Context, key: &ObjectKey) -> Option<Duration> {
    let stored = match context.objects.get(&key.namespace, &key.name).await {
        Ok(Some(stored)) => stored,
        // The watch goes on showing it: one of the two lags behind. What is remembered about it
        // makes waits longer, and is kept.
        Ok(None) if still_seen(context, key) => {
            context.memories.track_unread(key);
            return Some(after_attempt(context, key, AFTER_KUBERNETES));
        }
        Ok(None) => {
            context.forget(key, None);
            return None;
        }
        Err(error) => {
            context.memories.track_unread(key);
            return Some(kubernetes_failed(context, key, "reading the object", &error));
        }
    };
    let asked = stored.desired(context.limits);
    let object = stored.object;
    context.memories.record_seen(key, &object);
    let desired = match asked {
        Ok(desired) => desired,
        Err(problems) => return undecided::unusable(context, key, &object, &problems).await,
    };
    let desired = match undecided::resolve_deletion_intent(context, desired).await {
        Ok(desired) => desired,
        Err(error) => return Some(undecided::report_unreadable_definition(context, key, &object, &error).await),
    };
    let (plan, observed) = plan_with_reads(context, key, &desired).await;
    let acts = context.memories.record_effect(key, plan.action.as_ref().map(Action::kind));
    let Plan { report, again, .. } = carry_out(context, key, &object, &desired, plan).await;
    if again == Again::Never {
        context.forget(key, object.metadata.uid.as_deref());
        return None;
    }
    match report {
        Some(said) => {
            report::audit_found(context, key, &object, &said).await;
            let grace = context.limits.ready_grace.max(desired.sync_period.mul_f64(context.limits.pace * 2.0));
            let said = Said { report: &said, ready_expired: observed.memory.heard_ago >= grace, acts };
            Some(tell(context, key, &object, &desired, said, again).await)
        }
        None => {
            let attempt = context.memories.count_attempt(key, None);
            delay(context, &desired, None, Look { again, progressed: acts }, attempt)
        }
    }
}

/// Carries out the plan's effect, if it has one; what is said and done about its outcome.
async fn carry_out(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    plan: Plan,
) -> Plan {
    let Some(action) = plan.action.clone() else {
        context.metrics.pass("none");
        report::alarm(context, key, object, plan.alarm.as_deref()).await;
        return plan;
    };
    let label = action.label();
    context.metrics.pass(label);
    let outcome = execute::execute(context, key, object, desired, &action).await;
    tracing::info!(object = %key, action = label, outcome = ?Brief(&outcome), "action finished");
    report::audit(context, key, object, &action, &outcome).await;
    let plan = conclude(desired, plan, &outcome);
    report::alarm(context, key, object, plan.alarm.as_deref()).await;
    plan
}

/// Whether the watch shows the object.
fn still_seen(context: &Context, key: &ObjectKey) -> bool {
    let mut found = false;
    (context.seen)(&mut |object| {
        found |= object.metadata.name.as_deref() == Some(&key.name)
            && object.metadata.namespace.as_deref() == Some(&key.namespace);
    });
    found
}

/// Observes until the plan has all it needs.
async fn plan_with_reads(context: &Context, key: &ObjectKey, desired: &Desired) -> (Plan, Observed) {
    let mut observed = observe::begin(context, key, desired);
    let plan = loop {
        match plan(desired, &observed, (context.clock)()) {
            Next::Plan(plan) => break *plan,
            Next::Read(read) => observe::read(context, key, desired, &mut observed, read).await,
        }
    };
    observe::settle_lane(context, key, desired, &observed);
    (plan, observed)
}

/// A report, whether the last word of SignalR's is too old for Ready to stand, and whether the pass
/// had an effect.
struct Said<'a> {
    report: &'a Report,
    ready_expired: bool,
    acts: bool,
}

/// When the plan wants to look again, and whether this pass has changed anything: one that has not
/// is no step towards anything, and is never followed by another at once (R13).
#[derive(Clone, Copy)]
struct Look {
    again: Again,
    progressed: bool,
}

async fn tell(
    context: &Context,
    key: &ObjectKey,
    object: &SignalRSharedPrivateLink,
    desired: &Desired,
    said: Said<'_>,
    again: Again,
) -> Duration {
    let reason = said.report.reason;
    if reason == Reason::WaitingForSignalR {
        context.lanes.queue(desired.link.signalr().key(), key);
    }
    let lasting = context.memories.has_said_for(key, reason) >= context.limits.right_grace;
    let as_told = api::AsTold { ready_expired: said.ready_expired, lasting, now: (context.clock)() };
    match report::write_status(context, object, Some(desired), said.report, as_told).await {
        Ok(changed) => {
            // What left status as it was is no other reason: the one that is told goes on.
            let told = (changed || said.report.ready != Ready::Unchanged).then_some(reason);
            let attempt = context.memories.count_attempt(key, told);
            let look = Look { again, progressed: changed || said.acts };
            delay(context, desired, Some(said.report), look, attempt).unwrap_or(AFTER_PANIC)
        }
        Err(error) => kubernetes_failed(context, key, "writing the status", &error),
    }
}

/// Says something about an object whose spec cannot be used.
async fn say(context: &Context, key: &ObjectKey, object: &SignalRSharedPrivateLink, said: &Report) -> Duration {
    let as_told = api::AsTold { ready_expired: true, lasting: true, now: (context.clock)() };
    if let Err(error) = report::write_status(context, object, None, said, as_told).await {
        return kubernetes_failed(context, key, "writing the status", &error);
    }
    let range = match said.reason.wait() {
        Wait::Within(range) => range,
        Wait::SyncPeriod => AFTER_KUBERNETES,
    };
    let attempt = context.memories.count_attempt(key, Some(said.reason));
    backoff::delay(range, attempt, (context.jitter)()).mul_f64(context.limits.pace)
}

/// When to look again.
fn delay(context: &Context, desired: &Desired, report: Option<&Report>, look: Look, attempt: u32) -> Option<Duration> {
    let pace = context.limits.pace;
    let jittered = |range| backoff::delay(range, attempt, (context.jitter)());
    let as_reason = |report: &Report| match report.reason {
        Reason::Approved => {
            observe::phase(desired.link.signalr().key(), desired.sync_period.mul_f64(pace), (context.clock)())
        }
        _ => jittered(report.range(desired)).mul_f64(pace),
    };
    match (look.again, report) {
        (Again::Never, _) => None,
        (Again::Now, _) if look.progressed => Some(Duration::ZERO),
        (Again::After(wait), _) => Some(wait.max(SHORTEST.mul_f64(pace))),
        (Again::AsReasonAfter(least), Some(report)) => Some(as_reason(report).max(least)),
        (Again::AsReasonAfter(least), None) => Some(jittered(AFTER_CHANGE).max(least)),
        (Again::AsReason, Some(report)) => Some(as_reason(report)),
        // Something changed between the decision and the write, or nothing did at all.
        (Again::AsReason, None) | (Again::Now, _) => Some(jittered(AFTER_CHANGE)),
    }
}

fn after_attempt(context: &Context, key: &ObjectKey, range: Range) -> Duration {
    backoff::delay(range, context.memories.count_attempt(key, None), (context.jitter)())
}

fn kubernetes_failed(context: &Context, key: &ObjectKey, doing: &str, error: &KubeFailure) -> Duration {
    match error {
        // Another version: the next pass reads it.
        KubeFailure::Changed => tracing::debug!(object = %key, doing, %error, "looking again"),
        // It is rarely about one object: ten thousand of them would say the same.
        _ if context.outage.is_news(tokio::time::Instant::now()) => {
            tracing::warn!(object = %key, doing, %error, "API server request failed; will retry (said once in 10 s)");
        }
        _ => tracing::debug!(object = %key, doing, %error, "API server request failed; will retry"),
    }
    after_attempt(context, key, AFTER_KUBERNETES)
}

/// An outcome for the log, without the link's message.
struct Brief<'a>(&'a Outcome);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Outcome::Applied(_) => f.write_str("applied"),
            Outcome::NotApplied(error) => write!(f, "not applied: {error}"),
            Outcome::Unknown(error) => write!(f, "unknown: {error}"),
            Outcome::Changed(what) => write!(f, "changed meanwhile: {what}"),
        }
    }
}

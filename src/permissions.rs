//! What permits automatic approval, watched: policies and the labels of namespaces. A change wakes
//! the links it may concern, at once; and each policy is told in its `status` what it amounts to.
//!
//! The watches only trigger (R3): whatever approves reads namespace and policies live.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_controller::conditions::{self, ConditionStatus, DesiredCondition};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use signalr_private_link_core::message::safe;
use signalr_private_link_core::policy::Policy;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::api::{self, ApprovalPolicy, ApprovalPolicyStatus};
use crate::kubernetes::KubeFailure;
use crate::metrics::{Metrics, WatchKind};
use crate::reconcile::{Context, ObjectKey};
use crate::telemetry;

/// How long changes are gathered before they are acted on, at pace 1.
const GATHER: Duration = Duration::from_millis(300);
/// Looking at all links has its price, which does not get smaller with the pace.
const LEAST_GATHER: Duration = Duration::from_millis(100);
/// Counting all links that policies permit takes at most one part in so many of the time: with ten thousand links and a few
/// policies the counts are some seconds old.
const PART_OF_THE_TIME: u32 = 400;

/// How long after a status could not be written it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// A policy as it is stored: one that this version of the operator cannot read permits nothing, is told
/// so in its own status, and harms no other.
type StoredPolicy = DeserializeGuard<ApprovalPolicy>;

type Namespaces = Vec<Store<PartialObjectMeta<Namespace>>>;

/// What of the cluster decides about permission, without what does not.
#[derive(Default, PartialEq)]
struct Snapshot {
    policies: BTreeMap<String, Version>,
    labels: BTreeMap<String, Vec<(String, String)>>,
}

/// The uid and generation of an object: what `spec` it is.
type Version = (Option<String>, Option<i64>);

/// The policies that cannot be read, and the version that was told of.
type Unreadable = HashMap<String, Version>;

fn version(policy: &StoredPolicy) -> Version {
    (policy.uid(), policy.meta().generation)
}

/// Watches until the process ends, wakes links, and tells the policies. `names` are the namespaces whose labels count; none
/// given, all.
pub async fn watch(client: Client, names: Vec<String>, wake: mpsc::UnboundedSender<ObjectKey>, context: Arc<Context>) {
    let all = Api::all(client.clone());
    let (policies, policy_events) = reflect(
        watcher::<StoredPolicy>(all, watcher::Config::default()),
        WatchKind::ApprovalPolicy,
        context.metrics.clone(),
    );
    let (namespaces, namespace_events) = namespaces(&client, &names, &context.metrics);
    let mut events = futures::stream::select(policy_events, namespace_events);
    let (shown, changed) = (Notify::new(), Notify::new());
    let pump = async {
        while events.next().await.is_some() {
            shown.notify_one();
        }
    };
    let gather = GATHER.mul_f64(context.limits.pace).max(LEAST_GATHER);
    let waking = async {
        let _ = policies.wait_until_ready().await;
        let mut known = snapshot(&policies, &namespaces);
        loop {
            shown.notified().await;
            sleep(gather).await;
            let now = snapshot(&policies, &namespaces);
            if now != known {
                wake_links(&context, &wake, &known, &now);
                known = now;
                changed.notify_one();
            }
        }
    };
    // Links that are woken wait for no count.
    let telling = async {
        let _ = policies.wait_until_ready().await;
        if context.sees_all {
            futures::future::join_all(namespaces.iter().map(Store::wait_until_ready)).await;
        }
        let mut unreadable = Unreadable::default();
        loop {
            let Round { took, has_failed } = say_all(&context, &policies, &namespaces, &mut unreadable).await;
            let links_changed = async {
                context.index.changed().await;
                sleep(gather.max(took * PART_OF_THE_TIME)).await;
            };
            tokio::select! {
                () = changed.notified() => {}
                () = links_changed, if context.sees_all => {}
                () = sleep(AFTER_FAILURE), if has_failed => {}
            }
        }
    };
    futures::future::join3(pump, waking, telling).await;
}

/// The stores of the namespaces, and the events of their watches: one of all, or one of each. The right to watch
/// a namespace by its name needs no right to watch others.
fn namespaces(
    client: &Client,
    names: &[String],
    metrics: &Arc<Metrics>,
) -> (Namespaces, impl Stream<Item = ()> + Send + Unpin + use<>) {
    let all = watcher::Config::default();
    let configs = match names {
        [] => vec![all],
        some => some.iter().map(|name| all.clone().fields(&format!("metadata.name={name}"))).collect(),
    };
    let watch = |config| {
        let events = watcher(Api::all(client.clone()), config);
        reflect(events, WatchKind::Namespace, metrics.clone())
    };
    let (stores, events): (Vec<_>, Vec<_>) = configs.into_iter().map(watch).unzip();
    (stores, futures::stream::select_all(events))
}

/// A store that a watch keeps, and the watch's events.
fn reflect<K>(
    watch: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    kind: WatchKind,
    metrics: Arc<Metrics>,
) -> (Store<K>, impl Stream<Item = ()> + Send + Unpin)
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let (store, writer) = reflector::store::<K>();
    let events = telemetry::watch(watch, kind, metrics)
        .modify(|object| {
            object.managed_fields_mut().clear();
            object.annotations_mut().clear();
        })
        .reflect(writer)
        .map(drop)
        .boxed();
    (store, events)
}

fn snapshot(policies: &Store<StoredPolicy>, namespaces: &Namespaces) -> Snapshot {
    let labels = |namespace: &PartialObjectMeta<Namespace>| namespace.labels().clone().into_iter().collect();
    Snapshot {
        policies: policies.state().iter().map(|p| (p.name_any(), version(p))).collect(),
        labels: namespaces.iter().flat_map(Store::state).map(|n| (n.name_any(), labels(&n))).collect(),
    }
}

/// Wakes the links that could be permitted, or not any more: all that ask, if a policy changed;
/// else those in a namespace whose labels did.
fn wake_links(context: &Context, wake: &mpsc::UnboundedSender<ObjectKey>, before: &Snapshot, now: &Snapshot) {
    let policies = before.policies != now.policies;
    // What is shown for the first time was there all along, as far as anybody knows.
    let labels =
        |namespace: &str| before.labels.get(namespace).is_some_and(|known| Some(known) != now.labels.get(namespace));
    let concerned = |namespace: &str| policies || labels(namespace);
    context.index.each_automatic(|key, _| {
        if concerned(&key.namespace) {
            // The receiver is gone only when the controller is.
            let _ = wake.send(key.clone());
        }
    });
}

/// How many links that ask for automatic approval a policy permits.
fn count_permitted(context: &Context, policy: &Policy, now: &Snapshot) -> usize {
    let mut count = 0;
    context.index.each_automatic(|key, claim| {
        let labels = now.labels.get(&key.namespace).map_or(&[][..], Vec::as_slice);
        count += usize::from(policy.permits_link(&key.namespace, &claim.signalr, &claim.vault, labels));
    });
    count
}

/// What became of a round over all policies.
#[derive(Default)]
struct Round {
    /// How long it took to look at all links.
    took: Duration,
    /// A status could not be written.
    has_failed: bool,
}

/// Writes the status of every policy whose status is not what it should be.
async fn say_all(
    context: &Context,
    policies: &Store<StoredPolicy>,
    namespaces: &Namespaces,
    unreadable: &mut Unreadable,
) -> Round {
    let (stored, now, mut round) = (policies.state(), snapshot(policies, namespaces), Round::default());
    unreadable.retain(|name, _| now.policies.contains_key(name));
    for policy in &stored {
        let status = match &policy.0 {
            Ok(policy) => {
                let begun = Instant::now();
                // An operator that sees some namespaces counts nothing: two that see others would never agree.
                let usable = api::policy(policy).filter(|_| context.sees_all);
                let permitted = usable.map(|usable| count_permitted(context, &usable, &now));
                round.took += begun.elapsed();
                // All links times all policies are many: others go on in between.
                tokio::task::yield_now().await;
                let status = status(policy, permitted);
                if policy.status.as_ref() == Some(&status) {
                    continue;
                }
                status
            }
            // What its status says cannot be read either, so it is remembered that it was told.
            Err(problem) => {
                if unreadable.get(&policy.name_any()) == Some(&version(policy)) {
                    continue;
                }
                tracing::warn!(
                    policy = policy.name_any(),
                    error = problem.error,
                    "a policy cannot be read; it permits nothing"
                );
                status_of_unreadable(&problem.error, policy.meta().generation)
            }
        };
        match context.objects.write_status(policy.as_ref(), &status).await {
            Ok(_) if policy.0.is_err() => {
                unreadable.insert(policy.name_any(), version(policy));
            }
            Ok(_) | Err(KubeFailure::NotFound) => {}
            Err(KubeFailure::Changed) => round.has_failed = true,
            Err(error) => {
                tracing::warn!(policy = policy.name_any(), %error, "the status of the policy could not be written");
                round.has_failed = true;
            }
        }
    }
    round
}

/// What is said of a policy that this version of the operator cannot read.
#[must_use]
pub fn status_of_unreadable(problem: &str, generation: Option<i64>) -> ApprovalPolicyStatus {
    let message = format!(
        "The policy permits nothing: this version of the operator cannot read it ({problem}). Correct the field, or run the version that the definition belongs to."
    );
    let mut status =
        ApprovalPolicyStatus { observed_generation: generation, permitted_links: Some(0), ..Default::default() };
    tell(&mut status.conditions, ConditionStatus::False, "InvalidSpec", &safe(&message), generation);
    status
}

/// What a policy amounts to; `permitted` is how many links it permits, where they are counted.
#[must_use]
pub fn status(policy: &ApprovalPolicy, permitted: Option<usize>) -> ApprovalPolicyStatus {
    let generation = policy.metadata.generation;
    let mut status = policy.status.clone().unwrap_or_default();
    status.observed_generation = generation;
    let (truth, reason, message) = match api::policy(policy) {
        None => {
            status.permitted_links = Some(0);
            status.warnings.clear();
            let message = "The policy permits nothing: spec.namespaces.selector or spec.confirmWithin cannot be read.";
            (ConditionStatus::False, "InvalidSpec", message.to_owned())
        }
        Some(policy) => {
            status.permitted_links = permitted.and_then(|links| i64::try_from(links).ok());
            status.warnings = policy.warnings();
            let links = permitted.map(|links| format!("{links} link(s)"));
            let links = links.as_deref().unwrap_or("the links");
            let message = format!("Permits the automatic approval of {links} that ask for it.");
            let message = std::iter::once(message).chain(status.warnings.clone()).collect::<Vec<_>>().join(" ");
            (ConditionStatus::True, "InForce", message)
        }
    };
    tell(&mut status.conditions, truth, reason, &message, generation);
    status
}

/// Sets Ready, and Stalled where nothing changes until somebody corrects the policy: kstatus takes `Ready=False` alone
/// for work that goes on.
fn tell(all: &mut Vec<Condition>, truth: ConditionStatus, reason: &str, message: &str, generation: Option<i64>) {
    let mut set = |kind: &str, truth: ConditionStatus| {
        let desired = DesiredCondition::new(kind, truth, reason, message).observed_generation(generation);
        let _ = conditions::set(all, desired);
    };
    set("Ready", truth);
    if truth == ConditionStatus::False {
        set("Stalled", ConditionStatus::True);
    } else {
        conditions::remove(all, "Stalled");
    }
}

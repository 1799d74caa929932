//! The reads of a pass. What the process learns from one is handed to the core's memory at once, so that the
//! decision sees it; and a lane is freed once the link shows that its operation has ended.

use std::time::Duration;

use signalr_private_link_core::ArmError;
use signalr_private_link_core::azure::{Links, Operation};
use signalr_private_link_core::marker::Marker;
use signalr_private_link_core::memory::{Learned, Moment};
use signalr_private_link_core::observed::{Memory, Observed, Permissions, Read, Reading};
use signalr_private_link_core::resource_id::SignalRId;

use super::{Context, Pass};
use crate::azure::Turn;

/// How long a shared read waits for others that want the same answer.
const GATHER: Duration = Duration::from_millis(20);
/// The same for namespace and policies, which are read for each step of an approval and which many links have in common.
const GATHER_PERMISSIONS: Duration = Duration::from_millis(100);
/// The same for objects that are looked at together, after a start or at rest: nobody waits.
const GATHER_IN_PHASE: Duration = Duration::from_millis(150);

impl Context {
    /// Counts the links of a SignalR whose object does not exist: its finalizer was removed by hand, or another cluster made
    /// the link. They are never touched.
    fn count_orphans(&self) -> impl FnOnce(&SignalRId, &Links) + Send + use<> {
        let (index, metrics) = (self.sees_all.then(|| self.index.clone()), self.metrics.clone());
        move |signalr, links| {
            let Some(index) = index else { return };
            let owners = links.links.iter().filter_map(|link| Marker::parse(&link.message)).map(|marker| marker.uid);
            metrics.links.orphans(signalr.key(), index.count_unknown(&owners.collect()));
        }
    }
}

impl Pass<'_> {
    /// What is known before anything was read.
    pub(super) fn begin(&self) -> Observed {
        let Self { subject, context, key, desired, .. } = *self;
        let rivals = context.index.rivals(desired);
        let memory = self.recall();
        let (operation_held, is_inherited) = {
            let memory = subject.memory.lock();
            (memory.operation.as_ref().map(|operation| operation.kind), memory.learned.is_inherited())
        };
        // For a rival, too, a process before this one may have written.
        let is_inherited = is_inherited || !rivals.is_empty();
        Observed {
            operation_held,
            memory,
            signalr_busy: context.lanes.busy(desired.link.signalr_key(), key),
            late_write: context.memories.late_write(&desired.link, is_inherited, &context.limits),
            rivals,
            ..Observed::default()
        }
    }

    /// What is remembered, as the plan sees it now.
    fn recall(&self) -> Memory {
        self.subject.memory.lock().learned.recall(&self.context.limits, self.context.memories.moment())
    }

    /// Lets the object's memory learn something that is so now.
    pub(super) fn learn(&self, lesson: impl FnOnce(&mut Learned, Moment)) {
        lesson(&mut self.subject.memory.lock().learned, self.context.memories.moment());
    }

    /// Makes the read that the plan asked for.
    pub(super) async fn read(&self, observed: &mut Observed, read: Read) {
        let Self { context, desired, ref arm, .. } = *self;
        match read {
            Read::Operation => observed.operation = self.operation().await,
            Read::Links => {
                let (signalr, note) = (desired.link.signalr(), context.count_orphans());
                observed.links = context.reads.links(arm, &signalr, self.moment(), note).await.into();
                self.note_links(observed);
                self.learn(|learned, now| learned.learn_links(desired, &observed.links, now));
            }
            Read::Link => observed.link = arm.get_link(&desired.link).await.map(|(link, _)| link).into(),
            Read::Connections => {
                let begun = context.memories.moment();
                observed.connections = context.reads.connections(arm, &desired.vault, self.moment()).await.into();
                let (links, vault, clock) = (&observed.links, &observed.connections, (context.clock)());
                self.learn(|learned, now| {
                    learned.learn_connections(desired, &context.limits, links, vault, (begun, now), clock);
                });
            }
            Read::Replicas => observed.replicas = arm.count_replicas(&desired.link.signalr()).await.into(),
            Read::Permissions => observed.permissions = self.permissions().await.into(),
        }
        // The fence is measured from before the reads: what they show may be as old as that (R7).
        let Memory { deleting_for, quarantine, .. } = observed.memory;
        observed.memory = Memory { deleting_for, quarantine, ..self.recall() };
    }

    /// What the shell itself keeps of a complete list.
    fn note_links(&self, observed: &Observed) {
        let Self { subject, desired, .. } = *self;
        let Reading::Known(links) = &observed.links else { return };
        let mut memory = subject.memory.lock();
        // Without the link the next approval is another one.
        memory.is_audited &= links.named(&desired.link).is_some();
        // What the link shows as ended well is followed no longer: the URL is long.
        memory.operation.take_if(|operation| operation.is_seen_done(links));
    }

    async fn operation(&self) -> Reading<Operation> {
        let memory = self.subject.memory;
        let followed = memory.lock().operation.clone();
        let Some(followed) = followed else { return Reading::Known(Operation::Succeeded) };
        let answer = self.arm.operation(&followed).await;
        if let Ok(Operation::Failed(words)) = &answer {
            // The words explain the link's state later on; the URL is not needed any more.
            self.learn(|learned, now| learned.learn_failure(followed.kind, words.clone(), now));
        }
        // Nor is a URL that cannot be read: the link itself says where it stands.
        if !matches!(answer, Ok(Operation::Running)) {
            memory.lock().operation = None;
        }
        answer.into()
    }

    /// How long a shared read of this object's waits for others that want the same answer.
    fn moment(&self) -> Duration {
        if !self.subject.memory.lock().is_in_phase {
            return GATHER;
        }
        // A pass that waits holds a place: only a small part of its period.
        let period = self.desired.sync_period.mul_f64(self.context.limits.pace);
        GATHER_IN_PHASE.min(period / 100).max(GATHER)
    }

    /// The namespace and the policies, with a failure that reads like ARM's.
    pub(super) async fn permissions(&self) -> Result<Permissions, ArmError> {
        let Self { context, key, .. } = *self;
        let (objects, name) = (context.objects.clone(), key.namespace.clone());
        let namespace = move |_| async move {
            let doing = format!("reading the namespace {name}");
            objects.namespace(&name).await.map_err(|error| error.to_arm(&doing))
        };
        let objects = context.objects.clone();
        let policies = move |_| async move {
            objects.policies().await.map_err(|error| error.to_arm("reading the approval policies"))
        };
        let (namespace, policies) = futures::future::join(
            context.namespaces.read(&key.namespace, GATHER_PERMISSIONS, Turn::at_once, namespace),
            context.policies.read("all", GATHER_PERMISSIONS, Turn::at_once, policies),
        )
        .await;
        let (namespace, policies) = (namespace?, policies?);
        Ok(Permissions {
            terminating: namespace.terminating,
            labels: namespace.labels.clone(),
            policies: policies.to_vec(),
        })
    }

    /// Waits for the object's turn to write to the SignalR, which the pass was told `was_busy` or not.
    pub(super) fn queue(&self, was_busy: bool) {
        let signalr = self.desired.link.signalr_key();
        self.subject.memory.lock().lane = Some(signalr.into());
        self.context.lanes.queue(signalr, self.key, was_busy);
    }

    /// Frees the SignalR's lane once the object's own operation is seen to have ended.
    pub(super) fn settle_lane(&self, observed: &Observed) {
        let Self { context, key, desired, .. } = *self;
        let signalr = desired.link.signalr_key();
        if !context.lanes.occupied_by(signalr, key) {
            return;
        }
        let ended = match (&observed.operation, &observed.links) {
            // Azure has accepted the change, and does not show it yet.
            (Reading::Known(Operation::Running), _) => false,
            (_, Reading::Known(links)) => links.named(&desired.link).is_none_or(|link| !link.provisioning.is_running()),
            _ => false,
        };
        if ended {
            context.lanes.rest(signalr, key);
        }
    }
}

//! What the process remembers per object: what it learned, the operation that it follows, attempts. No
//! truth (R1): a restart empties it, and that makes waits longer, never shorter.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use signalr_private_link_core::action::ActionKind;
use signalr_private_link_core::memory::{Learned, Moment};
use signalr_private_link_core::observed::LateWrite;
use signalr_private_link_core::resource_id::LinkId;
use signalr_private_link_core::{Limits, Reason};
use tokio::time::Instant;

use super::ObjectKey;
use super::index::asked;
use crate::api::{FINALIZER, SignalRSharedPrivateLink};
use crate::azure::FollowedOperation;
use crate::kubernetes::Written;
use crate::locked::Locked;
use crate::metrics::{Metrics, Standing};

/// One object's memory, which a pass checks out once. It belongs to a uid: an object of the same name is another one.
#[derive(Default)]
pub(super) struct ObjectMemory {
    uid: String,
    pub learned: Learned,
    /// An approval under this incarnation of the link was told of.
    pub is_audited: bool,
    /// What somebody was last told to look at.
    pub alarm: Option<String>,
    pub operation: Option<FollowedOperation>,
    /// The object as the pass that runs has left it.
    pub written: Option<Written>,
    /// The SignalR in whose lane it waits or writes.
    pub lane: Option<Box<str>>,
    /// A hash of generation and annotations: somebody may have asked to look at once.
    asked: u64,
    /// The reason that was told last, and since when.
    said: Option<(Reason, Instant)>,
    /// It is looked at together with the other objects of its SignalR or vault.
    pub is_in_phase: bool,
    attempt: u32,
    /// The effect of the last pass, if it had one.
    acted: Option<ActionKind>,
    /// As what it is counted among all.
    pub standing: Standing,
}

impl ObjectMemory {
    /// The object was read `now`; whether it is another one than before.
    pub fn see(&mut self, object: &SignalRSharedPrivateLink, now: Moment, metrics: &Metrics) -> bool {
        let uid = object.uid().unwrap_or_default();
        let is_another = self.uid != uid;
        if is_another {
            let inherited = object.finalizers().iter().any(|f| f == FINALIZER);
            *self = Self { uid, learned: Learned::new(inherited, now), ..Self::default() };
        }
        let (reason, since) = object.status.as_ref().and_then(|status| status.told()).unzip();
        self.standing.show(&metrics.links, reason, since);
        // After a start all are looked at, those of one SignalR one after the other.
        self.is_in_phase |= self.asked == 0 && object.status.is_some();
        let asked = asked(&object.metadata);
        if self.asked != asked {
            self.asked = asked;
            self.attempt = 0;
        }
        if object.metadata.deletion_timestamp.is_some() {
            self.learned.see_deletion(now);
        }
        is_another
    }

    /// Counts an attempt: how many there were since the reason last changed. `None` as reason keeps counting.
    pub fn count_attempt(&mut self, reason: Option<Reason>, metrics: &Metrics) -> u32 {
        if let Some(told) = reason {
            self.standing.show(&metrics.links, reason, None);
            if self.said.is_none_or(|(before, _)| before != told) {
                self.said = Some((told, Instant::now()));
                self.attempt = 0;
            }
        }
        let attempt = self.attempt;
        self.attempt = attempt.saturating_add(1);
        attempt
    }

    /// Records the effect of a pass; whether it is another one than that of the pass before. One that is repeated
    /// has changed nothing.
    pub fn record_effect(&mut self, action: Option<ActionKind>) -> bool {
        let before = std::mem::replace(&mut self.acted, action);
        action.is_some() && before != action
    }

    /// How long the object has had this reason, as far as this process told.
    pub fn has_said_for(&self, reason: Reason) -> Duration {
        let since = self.said.filter(|(said, _)| *said == reason);
        since.map(|(_, since)| since.elapsed()).unwrap_or_default()
    }
}

/// The memories of all objects, and of links what outlives a change of owner.
pub struct Memories {
    started: Instant,
    objects: Locked<HashMap<ObjectKey, Arc<Locked<ObjectMemory>>>>,
    /// When a write to a link last ended with an unknown outcome, by the link's id.
    unknown: Locked<HashMap<String, Instant>>,
}

impl Default for Memories {
    fn default() -> Self {
        Self { started: Instant::now(), objects: Locked::default(), unknown: Locked::default() }
    }
}

impl Memories {
    /// Now, on the clock that what is learned is measured by.
    pub(super) fn moment(&self) -> Moment {
        self.started.elapsed()
    }

    /// What is remembered of an object; nothing yet of a new one. There is one pass over an object at a time.
    pub(super) fn check_out(&self, key: &ObjectKey) -> Arc<Locked<ObjectMemory>> {
        self.objects.lock().entry(key.clone()).or_default().clone()
    }

    /// Forgets an object that is gone, unless another one of its name has come since.
    pub(super) fn forget(&self, key: &ObjectKey, uid: Option<&str>) -> bool {
        let mut objects = self.objects.lock();
        let is_another = |memory: &ObjectMemory| uid.is_some_and(|uid| !memory.uid.is_empty() && memory.uid != uid);
        let is_gone = objects.get(key).is_none_or(|memory| !is_another(&memory.lock()));
        if is_gone {
            objects.remove(key);
        }
        is_gone
    }

    /// Notes a PUT or DELETE of a link whose outcome is not known. That is remembered for the link
    /// and not for the object: another object may claim the link next.
    pub(super) fn note_unknown_outcome(&self, link: &LinkId) {
        self.unknown.lock().insert(link.key().to_owned(), Instant::now());
    }

    /// An earlier write to the link that may still land (R7). `is_inherited` says that a process before this one may
    /// have written it.
    pub(super) fn late_write(&self, link: &LinkId, is_inherited: bool, limits: &Limits) -> Option<LateWrite> {
        let left = |since: Instant| Limits::left(limits.fence, since.elapsed());
        let mut unknown = self.unknown.lock();
        unknown.retain(|_, since| left(*since).is_some());
        let own = unknown.get(link.key()).copied().and_then(left);
        let earlier = left(self.started).filter(|_| is_inherited);
        let left = own.into_iter().chain(earlier).max()?;
        Some(LateWrite { left, told: own.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metrics::Format;

    fn object(uid: &str, reason: Option<&str>) -> SignalRSharedPrivateLink {
        let mut object = json!({
            "apiVersion": "privatelink.signalr-operator.io/v1alpha1", "kind": "SignalRSharedPrivateLink",
            "metadata": {"name": "kv-pe", "namespace": "contoso", "uid": uid},
            "spec": {"signalR": {"resourceId": "x"}, "keyVault": {"resourceId": "y"}},
        });
        if let Some(reason) = reason {
            let ready = json!({
                "type": "Ready", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": "1970-01-01T00:01:00Z",
            });
            object["status"] = json!({"conditions": [ready]});
        }
        serde_json::from_value(object).unwrap()
    }

    /// Under which reasons objects are counted, and since when the first of them waits for a person.
    fn shown(metrics: &Metrics) -> (Vec<String>, String) {
        let text = metrics.encode(Format::Text).unwrap();
        let reason = |line: &str| {
            let counted = line.strip_prefix("signalr_private_link_links{reason=\"")?;
            counted.strip_suffix("\"} 1").map(str::to_owned)
        };
        let oldest = "signalr_private_link_oldest_pending_approval_timestamp_seconds ";
        let oldest = text.lines().find_map(|line| line.strip_prefix(oldest)).unwrap();
        (text.lines().filter_map(reason).collect(), oldest.to_owned())
    }

    #[test]
    fn an_object_is_counted_once_and_under_its_reason_and_not_when_it_is_gone() {
        let metrics = Metrics::default();
        let mut memory = ObjectMemory::default();
        let see = |memory: &mut ObjectMemory, object: &SignalRSharedPrivateLink| {
            memory.see(object, Duration::ZERO, &metrics);
        };
        let is = |reason: &str, oldest: &str| assert_eq!(shown(&metrics), (vec![reason.to_owned()], oldest.to_owned()));
        see(&mut memory, &object("a", None));
        is("None", "0");
        memory.count_attempt(Some(Reason::Creating), &metrics);
        is("Creating", "0");
        // Nothing was told: what status says goes on.
        memory.count_attempt(None, &metrics);
        is("Creating", "0");
        see(&mut memory, &object("a", Some("PendingApproval")));
        is("PendingApproval", "60");
        memory.count_attempt(Some(Reason::ApprovalTimedOut), &metrics);
        is("ApprovalTimedOut", "60");
        // Another object of its name.
        see(&mut memory, &object("b", None));
        is("None", "0");
        drop(memory);
        assert_eq!(shown(&metrics), (vec![], "0".to_owned()));
    }
}

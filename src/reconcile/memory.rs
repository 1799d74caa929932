//! What the process remembers per object: what it learned, the operation that it follows, attempts. No
//! truth (R1): a restart empties it, and that makes waits longer, never shorter.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use signalr_private_link_core::action::ActionKind;
use signalr_private_link_core::memory::{Learned, Moment};
use signalr_private_link_core::observed::{LateWrite, Memory};
use signalr_private_link_core::resource_id::LinkId;
use signalr_private_link_core::{Limits, Reason};
use tokio::time::Instant;

use super::ObjectKey;
use crate::api::{FINALIZER, SignalRSharedPrivateLink};
use crate::azure::FollowedOperation;
use crate::locked::Locked;
use crate::metrics::{Counted, Metrics, Pending};

/// One object's memory. It belongs to a uid: an object of the same name is another one.
struct Entry {
    uid: String,
    learned: Learned,
    /// An approval under this incarnation of the link was told of.
    audited: bool,
    /// What somebody was last told to look at.
    alarm: Option<String>,
    operation: Option<FollowedOperation>,
    /// A hash of generation and annotations: somebody may have asked to look at once.
    asked: u64,
    reason: Option<Reason>,
    reason_since: Instant,
    /// It is looked at together with the other objects of its SignalR.
    is_in_phase: bool,
    attempt: u32,
    /// The effect of the last pass, if it had one.
    acted: Option<ActionKind>,
    /// As what it is counted among all.
    shown: Option<Shown>,
    /// It is counted among those that wait longer each time.
    backs_off: Option<Counted>,
}

/// What the metrics know of an object.
struct Shown {
    reason: Option<Reason>,
    _counted: Counted,
    /// It waits for a person to approve.
    pending: Option<Pending>,
}

impl Entry {
    fn new(uid: String, learned: Learned) -> Self {
        Self {
            uid,
            learned,
            audited: false,
            alarm: None,
            operation: None,
            asked: 0,
            reason: None,
            reason_since: Instant::now(),
            is_in_phase: false,
            attempt: 0,
            acted: None,
            shown: None,
            backs_off: None,
        }
    }

    /// Counts the object under this reason. `since` is when it began to wait, where it waits for a person.
    fn show(&mut self, reason: Option<Reason>, since: Option<Timestamp>, metrics: &Metrics) {
        let is_pending = matches!(reason, Some(Reason::PendingApproval | Reason::ApprovalTimedOut));
        if self.shown.as_ref().is_none_or(|shown| shown.reason != reason) {
            // It waits on, if it did.
            let pending = self.shown.take().and_then(|before| before.pending);
            self.shown = Some(Shown { reason, _counted: metrics.links.count(reason), pending });
        }
        let Some(shown) = &mut self.shown else { return };
        if !is_pending {
            shown.pending = None;
        } else if let Some(second) = since.map(Timestamp::as_second)
            && shown.pending.as_ref().map(Pending::second) != Some(second)
        {
            shown.pending = Some(metrics.links.wait_since(second));
        }
    }
}

/// The reason that an object's status has, and since when it waits for approval, if it does.
fn told_before(object: &SignalRSharedPrivateLink) -> Option<(Reason, Timestamp)> {
    let status = object.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == ready.reason)?;
    let requested = status.approval.as_ref().and_then(|approval| approval.requested_at.as_ref());
    Some((reason, requested.unwrap_or(&ready.last_transition_time).0))
}

/// The memories of all objects.
pub struct Memories {
    started: Instant,
    entries: Locked<HashMap<ObjectKey, Entry>>,
    /// When a write to a link last ended with an unknown outcome, by the link's id.
    unknown: Locked<HashMap<String, Instant>>,
    metrics: Arc<Metrics>,
}

impl Memories {
    /// Nothing yet. `metrics` are told of what is remembered and forgotten.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { started: Instant::now(), entries: Locked::default(), unknown: Locked::default(), metrics }
    }

    fn with<T>(&self, key: &ObjectKey, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.lock();
        entries.get_mut(key).map(change)
    }

    /// Now, on the clock that what is learned is measured by.
    pub fn moment(&self) -> Moment {
        self.started.elapsed()
    }

    /// Records that this object was read.
    pub fn record_seen(&self, key: &ObjectKey, object: &SignalRSharedPrivateLink) {
        let uid = object.uid().unwrap_or_default();
        let now = self.moment();
        let learned = || Learned::new(object.finalizers().iter().any(|f| f == FINALIZER), now);
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry::new(uid.clone(), learned()));
        if entry.uid != uid {
            *entry = Entry::new(uid, learned());
        }
        let (reason, since) = told_before(object).unzip();
        entry.show(reason, since, &self.metrics);
        // After a start all are looked at, those of one SignalR one after the other.
        entry.is_in_phase |= entry.asked == 0 && object.status.is_some();
        let mut hasher = DefaultHasher::new();
        (object.metadata.generation, object.annotations()).hash(&mut hasher);
        let asked = hasher.finish();
        if entry.asked != asked {
            entry.asked = asked;
            entry.attempt = 0;
        }
        if object.metadata.deletion_timestamp.is_some() {
            entry.learned.see_deletion(now);
        }
    }

    /// Lets the object's memory learn something that is so now.
    pub fn learn(&self, key: &ObjectKey, lesson: impl FnOnce(&mut Learned, Moment)) {
        let now = self.moment();
        self.with(key, |e| lesson(&mut e.learned, now));
    }

    /// The memory as the plan sees it.
    pub fn recall(&self, key: &ObjectKey, limits: &Limits) -> Memory {
        let now = self.moment();
        self.with(key, |e| e.learned.recall(limits, now)).unwrap_or(Memory { limits: *limits, ..Memory::default() })
    }

    /// Forgets an object that is gone, unless another one of its name has come since.
    pub fn forget(&self, key: &ObjectKey, uid: Option<&str>) -> bool {
        let mut entries = self.entries.lock();
        let another = entries.get(key).is_some_and(|e| uid.is_some_and(|uid| e.uid != uid && !e.uid.is_empty()));
        if !another {
            entries.remove(key);
        }
        !another
    }

    /// Marks an approval as told of; whether it was before.
    pub fn mark_audited(&self, key: &ObjectKey) -> bool {
        self.with(key, |e| std::mem::replace(&mut e.audited, true)).unwrap_or(true)
    }

    /// Notes what somebody has to look at, if anything; whether it is another thing than before.
    pub fn note_alarm(&self, key: &ObjectKey, alarm: Option<&str>) -> bool {
        self.with(key, |e| std::mem::replace(&mut e.alarm, alarm.map(str::to_owned)).as_deref() != alarm)
            .unwrap_or(true)
    }

    /// The operation that is followed for the object.
    pub fn operation(&self, key: &ObjectKey) -> Option<FollowedOperation> {
        self.with(key, |e| e.operation.clone()).flatten()
    }

    /// Follows an operation, or stops following one.
    pub fn follow(&self, key: &ObjectKey, operation: Option<FollowedOperation>) {
        self.with(key, |e| e.operation = operation);
    }

    /// Records that there is no such link: the next approval is another one.
    pub fn forget_audit(&self, key: &ObjectKey) {
        self.with(key, |e| e.audited = false);
    }

    /// Notes a PUT or DELETE of a link whose outcome is not known. That is remembered for the link
    /// and not for the object: another object may claim the link next.
    pub fn unknown_outcome(&self, link: &LinkId) {
        let mut unknown = self.unknown.lock();
        unknown.insert(link.key().to_owned(), Instant::now());
    }

    /// An earlier write to the link that may still land (R7). `has_rivals` says that other objects claim
    /// the link, for which a process before this one may have written.
    pub fn late_write(&self, key: &ObjectKey, link: &LinkId, has_rivals: bool, limits: &Limits) -> Option<LateWrite> {
        let left = |since: Instant| Limits::left(limits.fence, since.elapsed());
        let mut unknown = self.unknown.lock();
        unknown.retain(|_, since| left(*since).is_some());
        let own = unknown.get(link.key()).copied().and_then(left);
        let is_inherited = has_rivals || self.with(key, |e| e.learned.is_inherited()).unwrap_or_default();
        let earlier = left(self.started).filter(|_| is_inherited);
        let left = own.into_iter().chain(earlier).max()?;
        Some(LateWrite { left, told: own.is_some() })
    }

    /// Counts the attempts also for an object that could not be read yet.
    pub fn track_unread(&self, key: &ObjectKey) {
        let mut entries = self.entries.lock();
        entries.entry(key.clone()).or_insert_with(|| Entry::new(String::new(), Learned::default()));
    }

    /// Counts an attempt: how many there were since the reason last changed. `None` as reason keeps counting.
    pub fn count_attempt(&self, key: &ObjectKey, reason: Option<Reason>) -> u32 {
        let attempt = self.with(key, |e| {
            if reason.is_some() && e.shown.as_ref().is_none_or(|shown| shown.reason != reason) {
                let waits = e.shown.as_ref().is_some_and(|shown| shown.pending.is_some());
                e.show(reason, (!waits).then(Timestamp::now), &self.metrics);
            }
            if reason.is_some() && e.reason != reason {
                e.reason = reason;
                e.reason_since = Instant::now();
                e.attempt = 0;
            }
            let attempt = e.attempt;
            e.attempt = attempt.saturating_add(1);
            attempt
        });
        attempt.unwrap_or_default()
    }

    /// Records whether the next pass is one of many over the objects of its SignalR.
    pub fn set_in_phase(&self, key: &ObjectKey, is_in_phase: bool) {
        self.with(key, |e| e.is_in_phase = is_in_phase);
    }

    /// Records whether the object waits longer each time, for something is wrong.
    pub fn set_backing_off(&self, key: &ObjectKey, backs_off: bool) {
        self.with(key, |e| {
            if e.backs_off.is_some() != backs_off {
                e.backs_off = backs_off.then(|| self.metrics.links.back_off());
            }
        });
    }

    /// Whether this pass is one of many over the objects of its SignalR.
    pub fn is_in_phase(&self, key: &ObjectKey) -> bool {
        self.with(key, |e| e.is_in_phase).unwrap_or_default()
    }

    /// Records the effect of a pass; whether it is another one than that of the pass before. One that is repeated
    /// has changed nothing.
    pub fn record_effect(&self, key: &ObjectKey, action: Option<ActionKind>) -> bool {
        let before = self.with(key, |e| std::mem::replace(&mut e.acted, action)).flatten();
        action.is_some() && before != action
    }

    /// How long the object has had this reason, as far as this process told.
    pub fn has_said_for(&self, key: &ObjectKey, reason: Reason) -> Duration {
        let since = self.with(key, |e| (e.reason == Some(reason)).then(|| e.reason_since.elapsed()));
        since.flatten().unwrap_or_default()
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
        let metrics = Arc::new(Metrics::default());
        let memories = Memories::new(metrics.clone());
        let key = ObjectKey { namespace: "contoso".into(), name: "kv-pe".into() };
        let is = |reason: &str, oldest: &str| assert_eq!(shown(&metrics), (vec![reason.to_owned()], oldest.to_owned()));
        memories.record_seen(&key, &object("a", None));
        is("None", "0");
        memories.count_attempt(&key, Some(Reason::Creating));
        is("Creating", "0");
        // Nothing was told: what status says goes on.
        memories.count_attempt(&key, None);
        is("Creating", "0");
        memories.record_seen(&key, &object("a", Some("PendingApproval")));
        is("PendingApproval", "60");
        memories.count_attempt(&key, Some(Reason::ApprovalTimedOut));
        is("ApprovalTimedOut", "60");
        // Another object of its name.
        memories.record_seen(&key, &object("b", None));
        is("None", "0");
        memories.forget(&key, None);
        assert_eq!(shown(&metrics), (vec![], "0".to_owned()));
    }
}

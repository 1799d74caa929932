//! From a report to `status`: well-formed by construction, and equal to what was there before
//! whenever nothing has changed.

use jiff::Timestamp;
use k8s_controller::conditions::{self, ConditionStatus, DesiredCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use signalr_private_link_core::desired::{ApprovalFacts, Approver, Desired};
use signalr_private_link_core::reason::{Progress, Reason};
use signalr_private_link_core::report::{ConnectionFacts, Fact, Ready, Report, SideCondition, Truth};

use super::{
    ApprovalStatus, FLUX_RECONCILE_ANNOTATION, KeyVaultConnectionStatus, RECONCILE_ANNOTATION,
    SignalRSharedPrivateLink, SignalRSharedPrivateLinkStatus,
};

fn status(truth: Truth) -> ConditionStatus {
    match truth {
        Truth::True => ConditionStatus::True,
        Truth::False => ConditionStatus::False,
        Truth::Unknown => ConditionStatus::Unknown,
    }
}

/// The value of the annotation that asks to look now. Of the operator's own and Flux's, which waits
/// for its value, it is the later one: both tools write times.
fn requested_reconcile(object: &SignalRSharedPrivateLink) -> Option<String> {
    let annotations = [RECONCILE_ANNOTATION, FLUX_RECONCILE_ANNOTATION];
    let values = annotations.iter().filter_map(|name| object.annotations().get(*name));
    values.max_by_key(|value| (value.parse::<Timestamp>().ok(), *value)).cloned()
}

impl SignalRSharedPrivateLinkStatus {
    /// The reason of Ready.
    pub(crate) fn reason(&self) -> Option<&str> {
        conditions::find(&self.conditions, "Ready").map(|ready| ready.reason.as_str())
    }

    /// The reason that was told, and since when the object waits for approval, if it does.
    pub(crate) fn told(&self) -> Option<(Reason, Timestamp)> {
        let ready = conditions::find(&self.conditions, "Ready")?;
        let reason = Reason::ALL.iter().copied().find(|reason| reason.as_str() == ready.reason)?;
        let requested = self.approval.as_ref().and_then(|approval| approval.requested_at.as_ref());
        Some((reason, requested.unwrap_or(&ready.last_transition_time).0))
    }
}

/// What a report is told with.
#[derive(Debug, Clone, Copy)]
pub struct AsTold {
    /// SignalR's last word is so old that what was said of Ready does not stand any longer.
    pub ready_expired: bool,
    /// The reason has been the same for longer than a right takes to work.
    pub lasting: bool,
    /// The time of day.
    pub now: Timestamp,
}

/// The status after a pass.
#[must_use]
pub fn render(
    object: &SignalRSharedPrivateLink,
    desired: Option<&Desired>,
    report: &Report,
    as_told: AsTold,
) -> SignalRSharedPrivateLinkStatus {
    let mut next = object.status.clone().unwrap_or_default();
    let said = conditions::find(&next.conditions, "Ready").filter(|c| c.status != "Unknown");
    let kept = report.ready == Ready::Unchanged && said.is_some();
    // It was looked at, whatever came of it; but True is not written once more without a read that shows it (S6).
    let stays_true = said.is_some_and(|c| c.status == "True") && kept && !as_told.ready_expired;
    if !stays_true {
        next.last_handled_reconcile_at = requested_reconcile(object).or(next.last_handled_reconcile_at);
    }
    if kept && !as_told.ready_expired {
        return next;
    }
    next.observed_generation = object.metadata.generation;
    if let Some(desired) = desired {
        next.resource_id = Some(desired.link.path().to_owned());
        next.signal_r_name = Some(desired.link.signalr_name().to_owned());
        next.key_vault_name = Some(desired.vault.name().to_owned());
    }
    match &report.link {
        // Nothing is known any more.
        Fact::Keep if kept => (next.provisioning_state, next.connection_state) = (None, None),
        Fact::Keep => {}
        Fact::Set(link) => {
            next.provisioning_state = link.as_ref().map(|l| l.provisioning.clone());
            next.connection_state = link.as_ref().map(|l| l.connection.to_owned());
        }
    }
    if let Fact::Set(connection) = &report.connection {
        next.key_vault_connection = connection.as_ref().map(connection_status);
    }
    if let Fact::Set(approval) = &report.approval {
        next.approval = approval_status(approval);
    }
    let message = said_before(report, &next.conditions);
    // A restart of the operator is no reason to hope again.
    let stalled = conditions::find(&next.conditions, "Stalled");
    let lasting = as_told.lasting || stalled.is_some_and(|c| c.reason == report.reason.as_str());
    set_conditions(&mut next.conditions, report, &message, object.metadata.generation, lasting);
    let before = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    keep_transition_times(&mut next.conditions, before, as_told.now);
    next
}

/// What is said, in the words of before where they differ in nothing but the correlation id, which is another one with
/// each call: a status that does not change at rest is not written.
fn said_before(report: &Report, conditions: &[Condition]) -> String {
    let before = conditions::find(conditions, "Ready").filter(|c| c.reason == report.reason.as_str());
    let same = before.filter(|c| without_correlation(&c.message).eq(without_correlation(&report.message)));
    same.map_or(&report.message, |c| &c.message).clone()
}

/// The parts of a message between the ids of calls.
fn without_correlation(message: &str) -> impl Iterator<Item = &str> {
    let mut parts = message.split("(correlation id ");
    let first = parts.next();
    first.into_iter().chain(parts.map(|part| part.split_once(')').map_or("", |(_, rest)| rest)))
}

/// A condition that flipped did so in this pass: `conditions::set` takes the system's time.
fn keep_transition_times(conditions: &mut [Condition], before: &[Condition], now: Timestamp) {
    for condition in conditions {
        let same = conditions::find(before, &condition.type_).filter(|earlier| earlier.status == condition.status);
        let flipped =
            Timestamp::from_second(now.as_second()).map_or_else(|_| condition.last_transition_time.clone(), Time);
        condition.last_transition_time = same.map_or(flipped, |earlier| earlier.last_transition_time.clone());
    }
}

/// Sets the conditions as the report has them; `said` is its message, in the words of before where those still hold.
fn set_conditions(all: &mut Vec<Condition>, report: &Report, said: &str, generation: Option<i64>, lasting: bool) {
    let mut set = |kind: &str, truth: ConditionStatus, reason: &str, message: &str| {
        let desired = DesiredCondition::new(kind, truth, reason, message).observed_generation(generation);
        let _ = conditions::set(all, desired);
    };
    let ready = match report.ready {
        Ready::Is(truth) => status(truth),
        // Kept for as long as it may be, or never known.
        Ready::Unchanged => ConditionStatus::Unknown,
    };
    set("Ready", ready, report.reason.as_str(), said);
    for (kind, side, when_true) in [
        ("Provisioned", &report.provisioned, "Succeeded"),
        ("ConnectionApproved", &report.approved, Reason::Approved.as_str()),
    ] {
        match side {
            Fact::Set(SideCondition { truth, message }) => {
                let reason = if *truth == Truth::True { when_true } else { report.reason.as_str() };
                set(kind, status(*truth), reason, message);
            }
            // Where Ready is not known, neither are they.
            Fact::Keep if ready == ConditionStatus::Unknown => {
                set(kind, ConditionStatus::Unknown, report.reason.as_str(), "Could not be read.");
            }
            Fact::Keep => {}
        }
    }
    for kind in ["Provisioned", "ConnectionApproved"] {
        // One that was not read in this pass keeps the generation that it is about.
        if conditions::find(all, kind).is_none() {
            let nothing =
                DesiredCondition::new(kind, ConditionStatus::Unknown, report.reason.as_str(), "Not read yet.");
            let _ = conditions::set(all, nothing.observed_generation(generation));
        }
    }
    let (reconciling, stalled) = match report.progress(lasting) {
        _ if ready == ConditionStatus::True => (false, false),
        Progress::InProgress | Progress::Terminating => (true, false),
        Progress::Failed => (false, true),
        Progress::Current => (false, false),
    };
    for (kind, holds) in [("Reconciling", reconciling), ("Stalled", stalled)] {
        if holds {
            let desired = DesiredCondition::new(kind, ConditionStatus::True, report.reason.as_str(), said);
            let _ = conditions::set(all, desired.observed_generation(generation));
        } else {
            conditions::remove(all, kind);
        }
    }
}

fn connection_status(facts: &ConnectionFacts) -> KeyVaultConnectionStatus {
    KeyVaultConnectionStatus {
        id: facts.id.clone(),
        private_endpoint_id: facts.endpoint.clone(),
        state: facts.state.clone(),
        provisioning_state: facts.provisioning.clone(),
    }
}

fn approval_status(facts: &ApprovalFacts) -> Option<ApprovalStatus> {
    // Kubernetes writes times with second precision; a finer one would differ when read back.
    let time = |t: Timestamp| Timestamp::from_second(t.as_second()).ok().map(Time);
    let status = ApprovalStatus {
        requested_at: facts.requested_at.and_then(time),
        approved_at: facts.approved_at.and_then(time),
        revoked_at: facts.revoked_at.and_then(time),
        approved_by: facts.approved_by.map(|by| {
            match by {
                Approver::Operator => "Operator",
                Approver::External => "External",
            }
            .to_owned()
        }),
        policy: facts.policy.clone(),
    };
    (status != ApprovalStatus::default()).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::link::{ApprovalSpec, TargetReference};
    use crate::api::{AdoptionPolicy, DeletionPolicy, GroupId, ManagementPolicy, SignalRSharedPrivateLinkSpec};

    fn object() -> SignalRSharedPrivateLink {
        let mut object = SignalRSharedPrivateLink::new(
            "kv-pe",
            SignalRSharedPrivateLinkSpec {
                signal_r: TargetReference { resource_id: String::new() },
                key_vault: TargetReference { resource_id: String::new() },
                azure_name: None,
                group_id: GroupId::Vault,
                request_message: None,
                approval: ApprovalSpec::default(),
                management_policy: ManagementPolicy::Manage,
                adoption_policy: AdoptionPolicy::FailIfExists,
                deletion_policy: DeletionPolicy::Delete,
                sync_period: "10m".into(),
            },
        );
        object.metadata.generation = Some(3);
        object
    }

    fn told(
        object: &SignalRSharedPrivateLink,
        report: &Report,
        ready_expired: bool,
        lasting: bool,
    ) -> SignalRSharedPrivateLink {
        let as_told = AsTold { ready_expired, lasting, now: Timestamp::now() };
        SignalRSharedPrivateLink { status: Some(render(object, None, report, as_told)), ..object.clone() }
    }

    fn after(object: &SignalRSharedPrivateLink, report: &Report, ready_expired: bool) -> SignalRSharedPrivateLink {
        told(object, report, ready_expired, true)
    }

    fn condition(object: &SignalRSharedPrivateLink, kind: &str) -> Option<(String, String)> {
        let all = &object.status.as_ref()?.conditions;
        conditions::find(all, kind).map(|c| (c.status.clone(), c.reason.clone()))
    }

    fn is(status: &str, reason: &str) -> Option<(String, String)> {
        Some((status.to_owned(), reason.to_owned()))
    }

    #[test]
    fn the_same_report_changes_nothing() {
        for reason in Reason::ALL {
            let once = after(&object(), &Report::new(*reason, "why"), false);
            let twice = after(&once, &Report::new(*reason, "why"), false);
            assert_eq!(once.status, twice.status, "{reason}");
        }
    }

    #[test]
    fn reconciling_and_stalled_are_present_only_when_true_and_never_both() {
        for reason in Reason::ALL {
            let object = after(&object(), &Report::new(*reason, "why"), false);
            let (reconciling, stalled) = (condition(&object, "Reconciling"), condition(&object, "Stalled"));
            assert!(reconciling.is_none() || stalled.is_none(), "{reason}");
            for condition in [reconciling, stalled].into_iter().flatten() {
                assert_eq!(condition.0, "True", "{reason}");
            }
            for condition in &object.status.unwrap().conditions {
                assert_eq!(condition.observed_generation, Some(3), "{reason}");
                assert!(!condition.reason.is_empty(), "{reason}");
            }
        }
    }

    #[test]
    fn only_approved_is_ready() {
        for reason in Reason::ALL {
            let object = after(&object(), &Report::new(*reason, "why"), false);
            let ready = condition(&object, "Ready").unwrap().0 == "True";
            assert_eq!(ready, *reason == Reason::Approved, "{reason}");
        }
    }

    #[test]
    fn a_ready_that_cannot_be_confirmed_is_kept_for_a_while_then_unknown() {
        let ready = after(&object(), &Report::new(Reason::Approved, "functional"), false);
        let blip = Report::new(Reason::TransientError, "503");
        let kept = after(&ready, &blip, false);
        assert_eq!(kept.status, ready.status);
        // What was said of another state stays alike, with its way out.
        let pending = after(&object(), &Report::new(Reason::PendingApproval, "az …"), false);
        assert_eq!(after(&pending, &blip, false).status, pending.status);
        let unknown = after(&ready, &blip, true);
        assert_eq!(condition(&unknown, "ConnectionApproved"), is("Unknown", "TransientError"));
        assert_eq!(unknown.status.as_ref().unwrap().connection_state, None);
        assert_eq!(condition(&unknown, "Ready"), is("Unknown", "TransientError"));
        assert_eq!(condition(&unknown, "Reconciling"), is("True", "TransientError"));
    }

    #[test]
    fn another_correlation_id_alone_changes_nothing() {
        let denied = |id: &str| Report::new(Reason::AlreadyExists, &format!("403 (correlation id {id}). Grant it."));
        let first = after(&object(), &denied("a"), false);
        assert!(first.status.as_ref().unwrap().conditions[0].message.contains("id a)"));
        assert_eq!(after(&first, &denied("b"), false).status, first.status);
        let other = Report::new(Reason::AlreadyExists, "404 (correlation id b). Grant it.");
        assert_ne!(after(&first, &other, false).status, first.status);
    }

    #[test]
    fn a_right_that_is_missing_is_waited_for_before_it_is_a_failure() {
        for reason in [Reason::AuthorizationFailed, Reason::ApprovalNotAuthorized, Reason::CredentialUnavailable] {
            let report = Report::new(reason, "403");
            let first = told(&object(), &report, false, false);
            assert_eq!(condition(&first, "Reconciling"), is("True", reason.as_str()));
            let later = told(&first, &report, true, true);
            assert_eq!(condition(&later, "Stalled"), is("True", reason.as_str()));
            // A restart does not make it hope again.
            let restarted = told(&later, &report, true, false);
            assert_eq!(restarted.status, later.status);
        }
    }

    #[test]
    fn what_was_not_read_in_a_pass_is_about_the_generation_of_then() {
        let mut object = after(&object(), &Report::new(Reason::PendingApproval, "az …"), false);
        object.metadata.generation = Some(4);
        let denied = after(&object, &Report::new(Reason::ApprovalDenied, "no policy"), false);
        let generation = |kind: &str| {
            conditions::find(&denied.status.as_ref().unwrap().conditions, kind).unwrap().observed_generation
        };
        assert_eq!((generation("Ready"), generation("Provisioned")), (Some(4), Some(3)));
    }

    #[test]
    fn of_two_requests_to_look_now_the_later_one_is_echoed() {
        let echo = |own: &str, flux: &str| {
            let mut object = object();
            let annotations = [(RECONCILE_ANNOTATION, own), (FLUX_RECONCILE_ANNOTATION, flux)];
            object.metadata.annotations = Some(annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
            requested_reconcile(&object)
        };
        let (early, late) = ("2026-11-24T09:00:00+02:00", "2026-11-24T08:00:00Z");
        assert_eq!(echo(early, late).as_deref(), Some(late));
        assert_eq!(echo(late, early).as_deref(), Some(late));
        assert_eq!(echo("again", early).as_deref(), Some(early));
    }

    #[test]
    fn a_failure_before_anything_was_read_is_unknown_not_false() {
        let first = after(&object(), &Report::new(Reason::TransientError, "503"), false);
        assert_eq!(condition(&first, "Ready"), is("Unknown", "TransientError"));
    }
}

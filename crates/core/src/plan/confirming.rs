//! M7 in the life of an object: an approval of ours is watched until SignalR confirms it, and
//! taken back where it must not stand. The duty outlives mode, management policy and policy.

use jiff::Timestamp;

use super::live::recreate;
use super::{Again, Case, Plan};
use crate::action::Action;
use crate::approval::{self, Unconfirmed, Why};
use crate::desired::{ApprovalFacts, Approver, Desired};
use crate::failure::ArmError;
use crate::marker::ApprovalRecord;
use crate::message::duration;
use crate::observed::{Connection, Connections, Link, Observed, Provisioning, Read};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::Report;

const TAKEN_BACK: &str = "The operator takes its approval back: the connection becomes Rejected.";
const WAY_BACK: &str = "Nothing is approved automatically for this request again; to send a new one, set the annotation privatelink.signalr-operator.io/recreate-requested-at to a new value.";
const HELD: &str =
    "The policy says Hold: the connection stays approved. Check it on the vault's side, and reject it there.";

/// An approval of ours that must not stand, if there is one. An object without our finalizer
/// never wrote anything, so nothing is read for it. A vault that cannot be read is told elsewhere.
pub(super) fn watch(d: &Desired, o: &Observed, link: Option<&Link>) -> Result<Option<Plan>, Read> {
    if !d.finalizer {
        return Ok(None);
    }
    let Ok(vault) = o.connections.or_read(Read::Connections)? else {
        return Ok(None);
    };
    let overdue = overdue(d, o, link, vault)?.unwrap_or_default();
    Ok(overdue.map(|overdue| alarm(d, link, vault, &overdue)))
}

/// The first approval of ours that must not stand. Namespace and policies are read only where
/// there is an approval at all; without them nothing is known, and nothing taken back.
pub(super) fn overdue<'a>(
    d: &Desired,
    o: &'a Observed,
    link: Option<&Link>,
    vault: &'a Connections,
) -> Result<Result<Option<Unconfirmed<'a>>, &'a ArmError>, Read> {
    if approval::approved_by_us(&d.object.uid, vault).next().is_none() {
        return Ok(Ok(None));
    }
    let permissions = match o.permissions.or_read(Read::Permissions)? {
        Ok(permissions) => permissions,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(approval::m7_overdue(d, link, vault, permissions, &o.memory)))
}

/// What is done and said about an approval that must not stand.
fn alarm(d: &Desired, link: Option<&Link>, vault: &Connections, overdue: &Unconfirmed<'_>) -> Plan {
    let why = words(d, &overdue.why);
    let report = |done: &str, revoked_at: Option<Timestamp>| {
        let mut report = Report::new(Reason::ApprovalUnconfirmed, &format!("{why} {done}"));
        if let Some(link) = link {
            report = report.with_link(link);
        }
        if overdue.why == Why::LinkReplaced {
            // Status is about the link that is there now.
            return report;
        }
        let approval = ApprovalFacts { revoked_at, ..facts(d, &overdue.record) };
        report.with_connection(overdue.connection).with_approval(approval)
    };
    if overdue.then == OnUnconfirmed::Hold {
        return Plan::say(report(HELD, None));
    }
    let recorded = d.remembered.approval.revoked_at.filter(|_| link.is_none_or(|link| was_revoked(d, link)));
    if recorded.is_none() && overdue.why != Why::LinkReplaced && vault.date.is_some() {
        // That nothing is approved under this nonce again has to outlive the connection, which a
        // stranger can remove, and a crash after the write: status says so first.
        return Plan::say(report(TAKEN_BACK, vault.date)).again(Again::Now);
    }
    Plan::act(take_back(overdue, why.clone()), report(&format!("{TAKEN_BACK} {WAY_BACK}"), recorded)).again(Again::Now)
}

/// The revocation.
pub(super) fn take_back(overdue: &Unconfirmed<'_>, why: String) -> Action {
    Action::Decide(Box::new(approval::revoke(overdue, why)))
}

/// Why the approval must not stand, as a sentence.
pub(super) fn words(d: &Desired, why: &Why) -> String {
    let vault = d.vault.name();
    match why {
        Why::EndpointChanged => {
            format!("The connection on {vault} that the operator approved has another private endpoint now.")
        }
        Why::SecondRequest => {
            format!("After the approval a second request with this link's message appeared on {vault}.")
        }
        Why::LinkReplaced => format!(
            "The operator approved a connection on {vault} for an earlier incarnation of this link, which can never confirm it."
        ),
        Why::LinkGone => {
            format!(
                "The operator approved a connection on {vault} for this link, and the link does not exist any more."
            )
        }
        Why::Leaving => format!(
            "The object is deleted before SignalR confirmed the connection that the operator approved on {vault}."
        ),
        Why::TooLong(limit) => format!(
            "{} after the approval SignalR still reports Pending: what was approved may not be this link's request.",
            duration(*limit)
        ),
        Why::Refused => format!(
            "The operator approved a connection on {vault}, but SignalR says that its own request was turned down: what was approved is not this link's request."
        ),
    }
}

/// What the operator's own record says of the approval.
fn facts(d: &Desired, record: &ApprovalRecord) -> ApprovalFacts {
    ApprovalFacts {
        approved_at: Some(record.at),
        approved_by: Some(Approver::Operator),
        revoked_at: None,
        ..d.remembered.approval.clone()
    }
}

/// Approved by the operator, not yet confirmed by SignalR, and nothing wrong with it so far.
pub(super) fn unconfirmed(case: &Case<'_>, connection: &Connection, record: &ApprovalRecord) -> Plan {
    let Case { d, link, .. } = *case;
    let report = if connection.provisioning == Provisioning::Succeeded {
        Report::new(Reason::WaitingForPropagation, &propagation(d))
    } else {
        let message = format!("The operator approved the connection; {} is working on it.", d.vault.name());
        Report::new(Reason::Approving, &message)
    };
    Plan::say(report.with_link(link).with_connection(connection).with_approval(facts(d, record)))
}

pub(super) fn propagation(d: &Desired) -> String {
    format!(
        "Approved on {}; waiting until {} says so too, which takes a few minutes.",
        d.vault.name(),
        d.link.signalr().name()
    )
}

/// Whether `status` remembers that an approval was taken back under this very link. The vault's
/// own description says so too, as long as the connection is there; a hint that only forbids may
/// be believed. Both times are ARM's.
pub(super) fn was_revoked(d: &Desired, link: &Link) -> bool {
    let newer = |revoked| link.created_at.is_some_and(|created| created > revoked);
    d.remembered.approval.revoked_at.is_some_and(|revoked| !newer(revoked))
}

/// The operator took its approval back: that stays so under this nonce.
pub(super) fn revoked(case: &Case<'_>, record: Option<(&Connection, &ApprovalRecord)>) -> Plan {
    let Case { d, link, .. } = *case;
    if let Some(plan) = recreate(case) {
        return plan;
    }
    let mut approval = d.remembered.approval.clone();
    approval.approved_by = Some(Approver::Operator);
    if let Some((_, record)) = record {
        approval.revoked_at = Some(record.at);
    }
    let message = format!(
        "SignalR did not confirm the operator's approval, and the operator took it back: the connection is Rejected. {WAY_BACK}"
    );
    let report = Report::new(Reason::ApprovalUnconfirmed, &message).with_link(link).with_approval(approval);
    Plan::say(match record {
        Some((connection, _)) => report.with_connection(connection),
        None => report,
    })
}

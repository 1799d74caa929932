//! M7 in the life of an object: an approval of ours is watched until SignalR confirms it, and
//! taken back where it must not stand. The duty outlives mode, management policy and policy.

use jiff::Timestamp;

use super::{Again, Needs, Plan};
use crate::action::Action;
use crate::annotation::RECREATE_ANNOTATION;
use crate::approval::{self, RevocationCause, SeenLink, Unconfirmed};
use crate::azure::{Connections, Link};
use crate::desired::{ApprovalFacts, Approver, Desired};
use crate::marker::ApprovalRecord;
use crate::message::duration;
use crate::observed::{Observed, Read, Reading};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::Report;

const TAKEN_BACK: &str = "The operator takes its approval back: the connection becomes Rejected.";
const HELD: &str =
    "The policy says Hold: the connection stays approved. Check it on the vault's side, and reject it there.";
const POLICY_UNREADABLE: &str = "The approval policies cannot be read, so the connection stays approved for now. Check it on the vault's side, and reject it there.";

/// How an automatic approval comes about again.
pub(super) fn way_back() -> String {
    format!(
        "Nothing is approved automatically for this request again; to send a new one, set the annotation {RECREATE_ANNOTATION} to a new value."
    )
}

/// The pass of an object whose approvals are watched: one of ours that must not stand comes first, whatever
/// else is wrong. One that stays, because a policy says so or none can be read, is the news as long as it is
/// this link's; where that link is gone or another one, somebody is told, and the pass goes on with `otherwise`.
pub(super) fn watched(
    d: &Desired,
    o: &Observed,
    link: SeenLink<'_>,
    otherwise: impl FnOnce() -> Needs<Plan>,
) -> Needs<Plan> {
    let Some((vault, overdue)) = watch(d, o, link)? else {
        return otherwise();
    };
    let stays = overdue.then != Some(OnUnconfirmed::Revoke);
    if !stays || link == SeenLink::Unknown || is_of(link.present(), &overdue.record) == Some(true) {
        let plan = alarm(d, link.present(), vault, &overdue);
        return Ok(if stays { otherwise()?.unless_it_acts(plan) } else { plan });
    }
    Ok(otherwise()?.with_alarm(left_approved(d, &overdue)))
}

/// An approval of ours that must not stand, and the vault's list that shows it. Nothing is read for an
/// object without our finalizer, which never wrote anything, or where a complete list has shown that there
/// is no approval of ours. A vault that cannot be read is told elsewhere.
fn watch<'a>(d: &Desired, o: &'a Observed, link: SeenLink<'_>) -> Needs<Option<(&'a Connections, Unconfirmed<'a>)>> {
    let nothing_stands = !d.finalizer || (o.memory.approval_ruled_out && o.connections == Reading::NotRead);
    if nothing_stands {
        return Ok(None);
    }
    let Ok(vault) = o.connections.or_read(Read::Connections)? else {
        return Ok(None);
    };
    Ok(overdue(d, o, link, vault)?.map(|overdue| (vault.as_ref(), overdue)))
}

/// Whether the record is of the request of this very link; `None` where there is no link to tell by.
fn is_of(link: Option<&Link>, record: &ApprovalRecord) -> Option<bool> {
    link.map(|link| link.marker_of(&record.uid).is_none_or(|marker| record.is_of(&marker)))
}

/// The first approval of ours that must not stand. Namespace and policies are read only where one may not,
/// whatever they say.
pub(super) fn overdue<'a>(
    d: &Desired,
    o: &'a Observed,
    link: SeenLink<'_>,
    vault: &'a Connections,
) -> Needs<Option<Unconfirmed<'a>>> {
    if !approval::may_be_overdue(d, link, vault, &o.memory) {
        return Ok(None);
    }
    let permissions = o.permissions.or_read(Read::Permissions)?.ok();
    Ok(approval::m7_overdue(d, link, vault, permissions, &o.memory))
}

/// What is done and said about an approval that must not stand.
fn alarm(d: &Desired, link: Option<&Link>, vault: &Connections, overdue: &Unconfirmed<'_>) -> Plan {
    let why = explain(d, &overdue.why);
    let of_this_link = is_of(link, &overdue.record).unwrap_or(true);
    let report = |done: &str, revoked_at: Option<Timestamp>| {
        let mut report = Report::new(Reason::ApprovalUnconfirmed, &format!("{why} {done}"));
        if let Some(link) = link {
            report = report.with_link(link);
        }
        if !of_this_link {
            // Status is about the link that is there now.
            return report;
        }
        let approval = ApprovalFacts { revoked_at, ..facts(d, &overdue.record) };
        report.with_connection(overdue.connection).with_approval(approval)
    };
    match overdue.then {
        Some(OnUnconfirmed::Revoke) => {}
        Some(OnUnconfirmed::Hold) => return Plan::say(report(HELD, None)),
        None => return Plan::say(report(POLICY_UNREADABLE, None)),
    }
    let recorded = d.remembered.approval.revoked_at.filter(|_| link.is_none_or(|link| was_revoked(d, link)));
    if recorded.is_none() && of_this_link && vault.date.is_some() {
        // That nothing is approved under this nonce again has to outlive the connection, which a
        // stranger can remove, and a crash after the write: status says so first.
        return Plan::say(report(TAKEN_BACK, vault.date)).again(Again::Now);
    }
    Plan::act(take_back(overdue, why.clone()), report(&format!("{TAKEN_BACK} {}", way_back()), recorded))
        .again(Again::Now)
}

/// What somebody has to look at: an approval of ours that stays although nothing will confirm it.
pub(super) fn left_approved(d: &Desired, overdue: &Unconfirmed<'_>) -> String {
    format!(
        "{} It was left Approved: {}. Check it on the vault's side, and reject it if it is not wanted.",
        explain(d, &overdue.why),
        overdue.connection.id
    )
}

/// The revocation.
pub(super) fn take_back(overdue: &Unconfirmed<'_>, why: String) -> Action {
    Action::Decide(Box::new(approval::revoke(overdue, why)))
}

/// Why the approval must not stand, as a sentence.
pub(super) fn explain(d: &Desired, why: &RevocationCause) -> String {
    let vault = d.vault.name();
    match why {
        RevocationCause::EndpointChanged => {
            format!("The connection on {vault} that the operator approved has another private endpoint now.")
        }
        RevocationCause::Twin => format!(
            "Beside the connection on {vault} that the operator approved there is, or was, another one with this link's marker: one of them is a copy."
        ),
        RevocationCause::LinkReplaced => format!(
            "The operator approved a connection on {vault} for an earlier incarnation of this link, which can never confirm it."
        ),
        RevocationCause::LinkGone(limit) => format!(
            "{} after the operator approved a connection on {vault} for this link, the link does not exist.",
            duration(*limit)
        ),
        RevocationCause::ObjectDeleted => format!(
            "The object is deleted before SignalR confirmed the connection that the operator approved on {vault}."
        ),
        RevocationCause::TimedOut(limit) => format!(
            "{} after the approval SignalR still reports Pending: what was approved may not be this link's request.",
            duration(*limit)
        ),
        RevocationCause::TurnedDown => format!(
            "The operator approved a connection on {vault}, but SignalR says that its own request was turned down: what was approved is not this link's request."
        ),
    }
}

/// What the operator's own record says of the approval.
pub(super) fn facts(d: &Desired, record: &ApprovalRecord) -> ApprovalFacts {
    ApprovalFacts {
        approved_at: Some(record.at),
        approved_by: Some(Approver::Operator),
        revoked_at: None,
        ..d.remembered.approval.clone()
    }
}

/// Whether `status` remembers that an approval was taken back under this very link. The vault's
/// own description says so too, as long as the connection is there; a hint that only forbids may
/// be believed. Both times are ARM's.
pub(super) fn was_revoked(d: &Desired, link: &Link) -> bool {
    let newer = |revoked| link.created_at.is_some_and(|created| created > revoked);
    d.remembered.approval.revoked_at.is_some_and(|revoked| !newer(revoked))
}

//! SignalR says Succeeded and Approved.

use super::{Again, Needs, OwnLink, Plan, unconfirmed};
use crate::approval::{self, Match, SeenLink};
use crate::azure::Connections;
use crate::desired::{ApprovalFacts, Approver};
use crate::observed::{Read, Reading};
use crate::policy::OnUnconfirmed;
use crate::reason::Reason;
use crate::report::{ConnectionFacts, Fact, Report};

/// SignalR's own word decides. The vault is read when this process has not seen there what status tells of
/// the connection (somebody may have forged that), or status does not tell who approved yet.
pub(super) fn approved(case: &OwnLink<'_>) -> Needs<Plan> {
    let OwnLink { d, o, link, .. } = *case;
    let remembered = &d.remembered;
    let as_shown = o.memory.shown.as_ref().is_some_and(|shown| *shown == remembered.connection);
    let settled = remembered.connection.is_none() || remembered.is_connection_settled();
    let told = remembered.ready == Some(true) && remembered.approval.approved_by.is_some() && as_shown && settled;
    let known = told || (remembered.ready == Some(true) && o.memory.vault_refused);
    let vault = match &o.connections {
        Reading::NotRead if known => None,
        connections => connections.or_read(Read::Connections)?.ok(),
    };
    let seen = vault.map(|vault| look(case, vault));
    let approval = match &seen {
        Some(seen) => seen.approval.clone(),
        None => ApprovalFacts { revoked_at: None, ..remembered.approval.clone() },
    };
    let mut message = format!(
        "The link is functional: SignalR reports Succeeded and Approved, and {} reaches {} over it.",
        d.link.signalr_name(),
        d.vault.name()
    );
    let connection = seen.as_ref().map_or(&remembered.connection, |seen| &seen.connection);
    let subscription = connection.as_ref().and_then(ConnectionFacts::endpoint_subscription);
    if let (Some(Approver::External), Some(subscription)) = (approval.approved_by, subscription) {
        message.push_str(&format!(
            " Its private endpoint lives in subscription {subscription}: that id goes into endpointSubscriptions of an ApprovalPolicy."
        ));
    }
    let mut report = Report::new(Reason::Approved, &message).with_link(link).with_approval(approval);
    let Some(seen) = seen else {
        return Ok(Plan::say(report));
    };
    // What the vault does not show is thrown away, whoever wrote it.
    report.connection = Fact::Set(seen.connection);
    let alarm = seen.copied.then(|| {
        format!(
            "SignalR says Approved, and beside the connection that the operator approved another one on {} carries this link's message: compare both endpoints on the vault's side, and reject the one that is not SignalR's.",
            d.vault.name()
        )
    });
    let plan =
        match vault.map(|vault| unconfirmed::overdue(d, o, SeenLink::Present(link), vault)).transpose()?.flatten() {
            // Of an earlier incarnation: the link that is there now works, and that is what is said.
            Some(stale) if stale.then == Some(OnUnconfirmed::Revoke) => {
                Plan::act(unconfirmed::take_back(&stale, unconfirmed::explain(d, &stale.why)), report).again(Again::Now)
            }
            stale => Plan { alarm: stale.map(|stale| unconfirmed::left_approved(d, &stale)), ..Plan::say(report) },
        };
    Ok(match alarm {
        Some(alarm) => plan.with_alarm(alarm),
        None => plan,
    })
}

/// What the vault tells about a link that works.
struct Seen {
    approval: ApprovalFacts,
    connection: Option<ConnectionFacts>,
    /// Another connection than the approved one carries our marker.
    copied: bool,
}

fn look(case: &OwnLink<'_>, vault: &Connections) -> Seen {
    let OwnLink { d, o, link, own, now, .. } = *case;
    let found = approval::find(d, link, own, vault, &o.memory);
    let mut approval = ApprovalFacts { revoked_at: None, ..d.remembered.approval.clone() };
    let mut copied = false;
    if let Match::Ours(connection, record) = &found {
        approval.approved_by = Some(Approver::Operator);
        approval.approved_at = Some(record.at);
        // Both cannot be SignalR's; which one is, SignalR's own word does not tell.
        let mut others = vault.connections.iter().filter(|c| c.id != connection.id);
        copied = others.any(|c| approval::is_bearer(c, &record.uid, &record.nonce));
    }
    approval.approved_by.get_or_insert(Approver::External);
    approval.approved_at.get_or_insert(now);
    Seen { approval, connection: approval::matched(&found).and_then(ConnectionFacts::of), copied }
}

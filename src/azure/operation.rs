//! Following an operation of ARM's. Its URL is signed, up to 4 kB long, used byte for byte, held
//! in memory only, and harmless to lose: the link itself says where it stands.

use std::fmt;

use serde::Deserialize;
use signalr_private_link_core::ArmError;
use signalr_private_link_core::azure::{Links, Operation, OperationKind, Provisioning};
use signalr_private_link_core::message::safe;
use signalr_private_link_core::resource_id::LinkId;

use super::call::{About, CallKind};
use super::client::ArmClient;

/// An operation that a write of ours began. The URL is never printed.
#[derive(Clone, PartialEq)]
pub struct FollowedOperation {
    /// What it does.
    pub kind: OperationKind,
    /// The link that it is about.
    pub link: LinkId,
    url: String,
}

impl FollowedOperation {
    /// The operation at a URL that ARM answered with.
    #[must_use]
    pub fn new(kind: OperationKind, link: LinkId, url: String) -> Self {
        Self { kind, link, url }
    }

    /// Whether the links show that it has ended well.
    #[must_use]
    pub fn is_seen_done(&self, links: &Links) -> bool {
        match (self.kind, links.named(&self.link)) {
            (OperationKind::Put, Some(link)) => link.provisioning == Provisioning::Succeeded,
            (OperationKind::Put, None) => false,
            (OperationKind::Delete, link) => link.is_none(),
        }
    }
}

impl fmt::Debug for FollowedOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.kind, self.link)
    }
}

/// `{"id","name","status","startTime","endTime","error"}`; from a `Location` the resource itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct WireOperation {
    status: Option<String>,
    error: Option<WireError>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireError {
    code: Option<String>,
    message: Option<String>,
}

impl ArmClient {
    /// Asks an operation how it stands. Terminal are exactly Succeeded, Failed and Canceled; an
    /// error status is a failure to read, not a failure of the operation.
    ///
    /// # Errors
    /// Typed; the caller looks at the link instead.
    pub async fn operation(&self, followed: &FollowedOperation) -> Result<Operation, ArmError> {
        let about = About {
            doing: format!("following the operation on {}", followed.link.name()),
            action: "Microsoft.SignalRService/SignalR/operationStatuses/read",
            scope: followed.link.signalr().path().to_owned(),
            subscription: followed.link.subscription().to_owned(),
            call: Some(CallKind::GetOperation),
        };
        let url = self.pinned(&followed.url, &about)?;
        let answer = self.read(url, &about).await?;
        if answer.status == 202 {
            return Ok(Operation::Running);
        }
        if answer.body.is_empty() {
            return Ok(Operation::Succeeded);
        }
        let wire: WireOperation = super::client::parse(&answer, &about)?;
        Ok(match wire.status.as_deref() {
            Some(word) if word.eq_ignore_ascii_case("Succeeded") => Operation::Succeeded,
            Some(word) if word.eq_ignore_ascii_case("Failed") || word.eq_ignore_ascii_case("Canceled") => {
                let error = wire.error.unwrap_or_default();
                let code = error.code.unwrap_or_else(|| word.to_owned());
                let correlation = answer.correlation.map(|id| format!(" (correlation id {id})")).unwrap_or_default();
                Operation::Failed(safe(&format!("{code}: {}{correlation}", error.message.unwrap_or_default())))
            }
            Some(_) => Operation::Running,
            // No status: a resource, so the operation has answered with its result.
            None => Operation::Succeeded,
        })
    }
}

//! What a person wants to know of ARM, beside the calls that the operator lives by.

use jiff::Timestamp;
use serde_json::Value;
use signalr_private_link_core::ArmError;

use super::call::About;
use super::client::ArmClient;

/// Something that is read.
#[derive(Debug)]
pub struct Look<'a> {
    /// As a phrase: `reading the locks at contoso-signalr`.
    pub doing: String,
    /// The path below the endpoint, made of ids that were parsed.
    pub path: &'a str,
    /// Which version of the API.
    pub api_version: &'a str,
    /// The action that a role must grant.
    pub action: &'static str,
    /// The id whose scope it is needed at.
    pub scope: &'a str,
}

impl Look<'_> {
    fn about(&self) -> About {
        let below = self.path.strip_prefix("/subscriptions/").unwrap_or_default();
        About {
            doing: self.doing.clone(),
            action: self.action,
            scope: self.scope.to_owned(),
            subscription: below.split('/').next().unwrap_or_default().to_owned(),
            call: None,
        }
    }
}

impl ArmClient {
    /// Reads one thing; the answer's `Date` beside it.
    ///
    /// # Errors
    /// Typed.
    pub async fn look(&self, look: &Look<'_>) -> Result<(Value, Option<Timestamp>), ArmError> {
        self.get(self.url(look.path, look.api_version), &look.about()).await
    }

    /// Reads all pages of a list; the last one's `Date` beside them.
    ///
    /// # Errors
    /// Typed.
    pub async fn look_through(&self, look: &Look<'_>) -> Result<(Vec<Value>, Option<Timestamp>), ArmError> {
        let about = look.about();
        self.admit_read(&about.subscription).await;
        self.pages(self.url(look.path, look.api_version), &about).await
    }
}

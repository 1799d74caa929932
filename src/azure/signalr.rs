//! SignalR's side: links, replicas.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use signalr_private_link_core::azure::{ConnectionState, Link, Links, Provisioning};
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::resource_id::{LinkId, SignalRId, VaultId};
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::time::Instant;

use super::call::{About, CallKind};
use super::client::{ArmClient, parse};
use super::key_vault::Page;

/// A link on the wire. Anything may be missing, null, or a word that is not known.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireLink {
    name: Option<String>,
    properties: Option<WireProperties>,
    system_data: Option<WireSystemData>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireProperties {
    group_id: Option<String>,
    private_link_resource_id: Option<String>,
    request_message: Option<String>,
    provisioning_state: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireSystemData {
    created_at: Option<String>,
    last_modified_at: Option<String>,
}

impl From<WireLink> for Link {
    fn from(wire: WireLink) -> Self {
        let properties = wire.properties.unwrap_or_default();
        let system = wire.system_data.unwrap_or_default();
        let time = |text: Option<String>| text.and_then(|t| t.parse::<Timestamp>().ok());
        Self {
            name: wire.name.unwrap_or_default(),
            target: properties.private_link_resource_id.unwrap_or_default(),
            group_id: properties.group_id.unwrap_or_default(),
            message: properties.request_message.unwrap_or_default(),
            provisioning: Provisioning::parse(properties.provisioning_state.as_deref()),
            connection: ConnectionState::parse(properties.status.as_deref()),
            created_at: time(system.created_at),
            modified_at: time(system.last_modified_at),
        }
    }
}

fn about(doing: &str, name: &str, action: &'static str, scope: &str, subscription: &str, call: CallKind) -> About {
    About {
        doing: format!("{doing} {name}"),
        action,
        scope: scope.to_owned(),
        subscription: subscription.to_owned(),
        call: Some(call),
    }
}

fn about_link(link: &LinkId, doing: &str, action: &'static str, call: CallKind) -> About {
    about(doing, link.name(), action, link.path(), link.subscription(), call)
}

impl ArmClient {
    /// All links of a SignalR, once [`admit_read`](Self::admit_read) has let the call go.
    ///
    /// # Errors
    /// `NotFound` means that the SignalR, its resource group or its subscription is not there.
    pub async fn list_links(&self, signalr: &SignalRId) -> Result<Links, ArmError> {
        let about = about(
            "reading the links of",
            signalr.name(),
            "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read",
            signalr.path(),
            signalr.subscription(),
            CallKind::ListLinks,
        );
        let url = self.url(&format!("{}/sharedPrivateLinkResources", signalr.path()), &self.versions().signalr);
        let (links, date) = self.pages::<WireLink>(url, &about).await?;
        Ok(Links { links: links.into_iter().map(Link::from).collect(), date })
    }

    /// One link, and the answer's `Date`; `None` when it does not exist.
    ///
    /// # Errors
    /// Typed.
    pub async fn get_link(&self, link: &LinkId) -> Result<(Option<Link>, Option<Timestamp>), ArmError> {
        let about = about_link(
            link,
            "reading the link",
            "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read",
            CallKind::GetLink,
        );
        match self.get::<WireLink>(self.url(link.path(), &self.versions().signalr), &about).await {
            Ok((wire, date)) => {
                let found = Link::from(wire);
                let name = if found.name.is_empty() { link.name().to_owned() } else { found.name.clone() };
                Ok((Some(Link { name, ..found }), date))
            }
            // The link itself. Its SignalR, or the group, has to be said to be gone twice.
            Err(ArmError { failure: Failure::NotFound(Level::Resource | Level::Parent), .. }) => Ok((None, None)),
            Err(error) => Err(error),
        }
    }

    /// Requests a link, not after `not_after`. Returns it as ARM answered, and the operation to follow.
    ///
    /// # Errors
    /// How it ended otherwise.
    pub async fn put_link(
        &self,
        link: &LinkId,
        vault: &VaultId,
        group_id: &str,
        message: &str,
        not_after: Instant,
    ) -> Result<(Option<Link>, Option<String>), Outcome> {
        let about = about_link(
            link,
            "creating the link",
            "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/write",
            CallKind::PutLink,
        );
        let body = json!({"properties": {
            "groupId": group_id,
            "privateLinkResourceId": vault.path(),
            "requestMessage": message,
        }});
        let answer = self
            .write(Method::PUT, self.url(link.path(), &self.versions().signalr), Some(body), &about, not_after)
            .await?;
        if answer.body.is_empty() {
            // Accepted: ARM answers so to a PUT over an existing resource (202 without a body).
            return Ok((None, answer.operation));
        }
        // Accepted; a body that cannot be read changes nothing about that.
        let wire: WireLink = parse(&answer, &about).map_err(Outcome::Unknown)?;
        Ok((Some(wire.into()), answer.operation))
    }

    /// Deletes a link, not after `not_after`. Returns the operation to follow, none when it is gone already.
    ///
    /// # Errors
    /// How it ended otherwise.
    pub async fn delete_link(&self, link: &LinkId, not_after: Instant) -> Result<Option<String>, Outcome> {
        let about = about_link(
            link,
            "deleting the link",
            "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/delete",
            CallKind::DeleteLink,
        );
        let answer = self
            .write(Method::DELETE, self.url(link.path(), &self.versions().signalr), None, &about, not_after)
            .await?;
        Ok(answer.operation.filter(|_| answer.status == 202))
    }

    /// How many replicas a SignalR has.
    ///
    /// # Errors
    /// Typed.
    pub async fn count_replicas(&self, signalr: &SignalRId) -> Result<usize, ArmError> {
        let about = about(
            "reading the replicas of",
            signalr.name(),
            "Microsoft.SignalRService/SignalR/replicas/read",
            signalr.path(),
            signalr.subscription(),
            CallKind::ListReplicas,
        );
        let url = self.url(&format!("{}/replicas", signalr.path()), &self.versions().signalr);
        let (replicas, _) = self.pages::<serde_json::Value>(url, &about).await?;
        Ok(replicas.len())
    }

    /// All pages of a list, of which the first was admitted before. A page that cannot be had makes the whole list
    /// unknown.
    pub(super) async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        first: reqwest::Url,
        about: &About,
    ) -> Result<(Vec<T>, Option<Timestamp>), ArmError> {
        const MAX_PAGES: usize = 1000;
        let mut url = first;
        let mut items = Vec::new();
        for number in 0..MAX_PAGES {
            if number > 0 {
                self.admit_read(&about.subscription).await;
            }
            let (page, date): (Page<T>, _) = self.get_admitted(url, about).await?;
            let Some(value) = page.value else {
                return Err(about.error(
                    Failure::Transient(None),
                    String::new(),
                    "ARM answered with a list that has no value".into(),
                ));
            };
            items.extend(value);
            match page.next_link.filter(|next| !next.is_empty()) {
                None => return Ok((items, date)),
                Some(next) => url = self.pinned(&next, about)?,
            }
        }
        Err(about.error(Failure::Unexpected, String::new(), format!("the list does not end after {MAX_PAGES} pages")))
    }
}

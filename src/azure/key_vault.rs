//! The vault's side: private endpoint connections.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use signalr_private_link_core::azure::{Connection, ConnectionState, Connections, Provisioning};
use signalr_private_link_core::failure::Level;
use signalr_private_link_core::marker::Verdict;
use signalr_private_link_core::resource_id::{ConnectionId, EndpointId, VaultId};
use signalr_private_link_core::{ArmError, Failure, Outcome};
use tokio::time::Instant;

use super::call::{About, CallKind};
use super::client::ArmClient;

const READ: &str = "Microsoft.KeyVault/vaults/privateEndpointConnections/read";
/// Microsoft's pages disagree on which of the two is required; both are granted.
const WRITE: &str = "Microsoft.KeyVault/vaults/privateEndpointConnections/write (and Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action)";

/// One page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) value: Option<Vec<T>>,
    #[serde(default)]
    pub(super) next_link: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireConnection {
    id: Option<String>,
    etag: Option<String>,
    properties: Option<WireProperties>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireProperties {
    private_endpoint: Option<WireEndpoint>,
    private_link_service_connection_state: Option<WireState>,
    provisioning_state: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireEndpoint {
    id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireState {
    status: Option<String>,
    description: Option<String>,
}

impl WireConnection {
    /// `None` when its id cannot be parsed: such a connection is nobody's business here.
    fn read(self) -> Option<Connection> {
        let properties = self.properties.unwrap_or_default();
        let state = properties.private_link_service_connection_state.unwrap_or_default();
        let endpoint = properties.private_endpoint.unwrap_or_default().id;
        Some(Connection {
            id: ConnectionId::parse(&self.id?).ok()?,
            endpoint: endpoint.and_then(|id| EndpointId::parse(&id).ok()),
            state: ConnectionState::parse(state.status.as_deref()),
            description: state.description.unwrap_or_default(),
            provisioning: Provisioning::parse(properties.provisioning_state.as_deref()),
            etag: self.etag.filter(|etag| !etag.is_empty()),
        })
    }
}

impl ArmClient {
    /// All connections of a vault, once [`admit_read`](Self::admit_read) has let the call go.
    ///
    /// # Errors
    /// `NotFound` means that the vault is not there, or soft-deleted.
    pub async fn list_connections(&self, vault: &VaultId) -> Result<Connections, ArmError> {
        let about = About {
            doing: format!("reading the connections of {}", vault.name()),
            action: READ,
            scope: vault.path().to_owned(),
            subscription: vault.subscription().to_owned(),
            call: Some(CallKind::ListConnections),
        };
        let url = self.url(&format!("{}/privateEndpointConnections", vault.path()), &self.versions().key_vault);
        let (wire, date) = self.pages::<WireConnection>(url, &about).await?;
        let ours = |connection: &Connection| connection.id.vault() == *vault;
        Ok(Connections { connections: wire.into_iter().filter_map(WireConnection::read).filter(ours).collect(), date })
    }

    /// One connection, and the answer's `Date`; `None` when it does not exist, which Key Vault
    /// says with 204 as well as with 404.
    ///
    /// # Errors
    /// Typed.
    pub async fn get_connection(&self, id: &ConnectionId) -> Result<(Option<Connection>, Option<Timestamp>), ArmError> {
        let about = about(id, "reading the connection", READ, CallKind::GetConnection);
        match self.read(self.url(id.path(), &self.versions().key_vault), &about).await {
            Ok(answer) if answer.status == 204 => Ok((None, answer.date)),
            Ok(answer) => {
                let wire: WireConnection = super::client::parse(&answer, &about)?;
                Ok((wire.read(), answer.date))
            }
            Err(ArmError { failure: Failure::NotFound(Level::Resource | Level::Parent), .. }) => Ok((None, None)),
            Err(error) => Err(error),
        }
    }

    /// Approves or rejects a connection. Nothing is followed: the operation that Key Vault names
    /// is the connection itself, which later passes read anyway.
    ///
    /// # Errors
    /// How it ended otherwise.
    pub async fn put_connection(
        &self,
        connection: &ConnectionId,
        etag: Option<&str>,
        verdict: Verdict,
        description: &str,
        not_after: Instant,
    ) -> Result<(), Outcome> {
        let about = about(connection, "deciding on the connection", WRITE, CallKind::PutConnection);
        // The endpoint's id is read-only, and Microsoft's CLI sends it empty: one that is sent along protects
        // nothing, and might be checked as a linked scope.
        let mut body = json!({"properties": {
            "privateEndpoint": {},
            "privateLinkServiceConnectionState": {
                "status": match verdict { Verdict::Approved => "Approved", Verdict::Revoked => "Rejected" },
                "description": description,
                "actionsRequired": "None",
            },
        }});
        if let (Some(etag), Some(body)) = (etag, body.as_object_mut()) {
            body.insert("etag".into(), etag.into());
        }
        let url = self.url(connection.path(), &self.versions().key_vault);
        self.write(Method::PUT, url, Some(body), &about, not_after).await.map(drop)
    }
}

fn about(id: &ConnectionId, doing: &str, action: &'static str, call: CallKind) -> About {
    About {
        doing: format!("{doing} {} of {}", id.name(), id.vault().name()),
        action,
        scope: id.vault().path().to_owned(),
        subscription: id.subscription().to_owned(),
        call: Some(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(connection: serde_json::Value) -> Option<Connection> {
        serde_json::from_value::<WireConnection>(connection).unwrap().read()
    }

    #[test]
    fn what_is_missing_null_or_not_known_is_never_pending() {
        let vault = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv";
        let id = format!("{vault}/privateEndpointConnections/c");
        for state in [
            json!(null),
            json!({}),
            json!({"status": null, "description": null, "actionsRequired": null}),
            json!({"status": "Sublimated", "description": "words"}),
        ] {
            let properties = json!({"privateLinkServiceConnectionState": state, "privateEndpoint": {}});
            let found = read(json!({"id": id, "etag": "", "properties": properties})).unwrap();
            assert_eq!(found.state, ConnectionState::Unknown, "{state}");
            assert_eq!((found.endpoint, found.etag), (None, None));
        }
        assert_eq!(read(json!({"id": id})).unwrap().description, "");
        assert_eq!(read(json!({"id": id, "properties": null})).unwrap().state, ConnectionState::Unknown);
        let elsewhere = json!({"id": id, "properties": {"privateEndpoint": {"id": "/subscriptions/x"}}});
        assert_eq!(read(elsewhere).unwrap().endpoint, None, "an endpoint that cannot be parsed is none");
        assert!(read(json!({"id": "somewhere"})).is_none() && read(json!({})).is_none());
    }
}

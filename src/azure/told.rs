//! What the log and the trace are told of a call to ARM.

use std::time::Duration;

use reqwest::{Method, Url};
use tracing::Span;

use super::call::{About, Answer, CallKind, Failed};
use crate::telemetry::{self, Call, spans};

impl CallKind {
    /// The path of the call without its ids, as ARM's reference names them.
    const fn template(self) -> &'static str {
        match self {
            Self::ListLinks => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.SignalRService/signalR/{resourceName}/sharedPrivateLinkResources"
            }
            Self::GetLink | Self::PutLink | Self::DeleteLink => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.SignalRService/signalR/{resourceName}/sharedPrivateLinkResources/{sharedPrivateLinkResourceName}"
            }
            Self::GetOperation => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.SignalRService/signalR/{resourceName}/operationStatuses/{operationId}"
            }
            Self::ListReplicas => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.SignalRService/signalR/{resourceName}/replicas"
            }
            Self::ListConnections => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/{vaultName}/privateEndpointConnections"
            }
            Self::GetConnection | Self::PutConnection => {
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.KeyVault/vaults/{vaultName}/privateEndpointConnections/{privateEndpointConnectionName}"
            }
        }
    }
}

/// The span of a call.
pub(super) fn span(method: &Method, url: &Url, about: &About) -> Span {
    let call = about.call.map(|call| (call.template(), <&'static str>::from(call)));
    let (template, operation) = (call.map(|(template, _)| template), call.map(|(_, operation)| operation));
    let provider = about.action.split('/').next();
    let port = url.port_or_known_default().map(i64::from);
    spans::arm(method, template, (url.host_str(), port), operation, provider)
}

/// What becomes known of a call while it is made.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The status, once there is an answer.
    pub status: Option<u16>,
    /// What Microsoft's support asks for.
    pub correlation: Option<Box<str>>,
    /// How long the answer took, or the wait for one; nothing, where nothing was sent.
    pub took: Option<Duration>,
}

/// ARM's error code, where it told one.
fn code(outcome: &Result<Answer, Failed>) -> Option<&str> {
    outcome.as_ref().err().map(|failed| &*failed.error.code).filter(|code| !code.is_empty())
}

impl Facts {
    /// One line for each call.
    pub fn log(&self, about: &About, outcome: &Result<Answer, Failed>) {
        let error = outcome.as_ref().err().map(|failed| tracing::field::display(&failed.error));
        let operation = about.call.map(<&'static str>::from);
        tracing::debug!(
            pass = telemetry::number(),
            operation,
            resource = about.scope,
            status = self.status,
            code = code(outcome),
            correlation = self.correlation.as_deref(),
            error,
            duration = self.took.map(telemetry::seconds),
            "a call to ARM ended"
        );
        telemetry::note_call(Call { operation, status: self.status, correlation: self.correlation.clone() });
    }

    /// The end of the call's span.
    pub fn trace(&self, span: &Span, outcome: &Result<Answer, Failed>) {
        span.record("http.response.status_code", self.status.map(i64::from));
        span.record("azure.correlation_id", self.correlation.as_deref());
        span.record("azure.error_code", code(outcome));
        if let Err(failed) = outcome {
            spans::fail(span, failed.error.failure.label());
        }
    }
}

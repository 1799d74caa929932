//! The spans of passes. Their target is one of their own: the log leaves them out, and where nobody collects traces none
//! is made. No attribute holds words of Azure's or Kubernetes', or a URL: `url.template` is the path without its ids.

use http::{Method, Uri};
use signalr_private_link_core::{Action, Next};
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// The target of every span.
pub(super) const TARGET: &str = "spans";

/// A pass over an object.
pub(super) fn pass(namespace: &str, name: &str, number: u64) -> Span {
    debug_span!(
        target: TARGET, "pass", k8s.namespace.name = namespace, link.name = name, link.uid = Empty,
        link.generation = Empty, link.reason = Empty, pass.number = i64::try_from(number).ok(), pass.outcome = Empty,
        "error.type" = Empty, otel.status_code = Empty
    )
}

/// The object as the pass, whose span is the current one, has read it.
pub fn found(uid: Option<&str>, generation: Option<i64>) {
    let span = Span::current();
    span.record("link.uid", uid);
    span.record("link.generation", generation);
}

/// How a pass ended, and the reason that it told.
pub(super) fn end_pass(span: &Span, outcome: &'static str, reason: Option<&'static str>) {
    span.record("pass.outcome", outcome);
    span.record("link.reason", reason);
    if outcome == "panicked" {
        fail(span, outcome);
    }
}

/// What a span is about has failed.
pub fn fail(span: &Span, class: &str) {
    span.record("error.type", class);
    span.record("otel.status_code", "ERROR");
}

/// A read.
pub fn read(what: &str) -> Span {
    debug_span!(target: TARGET, "read", otel.name = %format_args!("read {what}"))
}

/// One question to the plan: what is to be read before it can be made, or its effect, if it has one, and the reason that
/// it tells.
pub fn plan(ask: impl FnOnce() -> Next) -> Next {
    let span = debug_span!(target: TARGET, "plan", plan.read = Empty, plan.action = Empty, plan.reason = Empty);
    let next = span.in_scope(ask);
    match &next {
        Next::Read(read) => {
            span.record("plan.read", <&str>::from(*read));
        }
        Next::Plan(plan) => {
            span.record("plan.action", plan.action.as_ref().map(Action::label));
            span.record("plan.reason", plan.report.as_ref().map(|report| report.reason.as_str()));
        }
    }
    next
}

/// A write, whole: its turn, the last reads before it, and the call.
pub fn write(what: &str) -> Span {
    debug_span!(
        target: TARGET, "write", otel.name = %format_args!("write {what}"), write.outcome = Empty,
        "error.type" = Empty, otel.status_code = Empty
    )
}

/// How a write ended.
pub(super) fn end_write(span: &Span, outcome: &'static str, failure: Option<&'static str>) {
    span.record("write.outcome", outcome);
    if let Some(failure) = failure {
        fail(span, failure);
    }
}

/// A request for a token.
pub fn token() -> Span {
    debug_span!(
        target: TARGET, "token", otel.name = "read token", token.outcome = Empty, "error.type" = Empty,
        otel.status_code = Empty
    )
}

/// How a request for a token ended.
pub fn end_token(span: &Span, outcome: &'static str, is_there: bool) {
    span.record("token.outcome", outcome);
    if !is_there {
        fail(span, outcome);
    }
}

/// A call to ARM, at a host and port.
pub fn arm(
    method: &Method,
    template: Option<&str>,
    (host, port): (Option<&str>, Option<i64>),
    operation: Option<&str>,
    provider: Option<&str>,
) -> Span {
    debug_span!(
        target: TARGET, "arm", otel.name = %format_args!("{method} {}", template.unwrap_or_default()),
        otel.kind = "client", http.request.method = method.as_str(), url.template = template, server.address = host,
        server.port = port, azure.operation = operation, azure.resource_provider.namespace = provider,
        azure.correlation_id = Empty, azure.error_code = Empty, http.response.status_code = Empty,
        "error.type" = Empty, otel.status_code = Empty
    )
}

/// A request to the API server, where a pass makes it: watches and the election are nobody's.
pub fn kubernetes(server: &str, method: &Method, uri: &Uri) -> Span {
    if Span::current().metadata().is_none_or(|current| current.target() != TARGET) {
        return Span::none();
    }
    let template = template(uri.path());
    debug_span!(
        target: TARGET, "kubernetes", otel.name = %format_args!("{method} {template}"), otel.kind = "client",
        http.request.method = method.as_str(), url.template = template, server.address = server,
        http.response.status_code = Empty, "error.type" = Empty, otel.status_code = Empty
    )
}

/// The answer to a request to the API server; none came, if there is no status.
pub fn answered(span: &Span, status: Option<u16>) {
    match status {
        Some(status) => {
            span.record("http.response.status_code", i64::from(status));
            if status >= 400 {
                fail(span, &status.to_string());
            }
        }
        None => fail(span, "no_answer"),
    }
}

/// The path of the API server without names.
fn template(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => (format!("/api/{version}"), rest),
        ["apis", group, version, rest @ ..] => (format!("/apis/{group}/{version}"), rest),
        _ => return path.to_owned(),
    };
    let (place, rest) = match rest {
        ["namespaces", _, kind, rest @ ..] if *kind != "status" => (format!("/namespaces/{{namespace}}/{kind}"), rest),
        [kind, rest @ ..] => (format!("/{kind}"), rest),
        [] => return group,
    };
    match rest {
        [] => group + &place,
        [_, below @ ..] => {
            let below: String = below.iter().map(|part| format!("/{part}")).collect();
            format!("{group}{place}/{{name}}{below}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_names() {
        let group = "/apis/privatelink.signalr-operator.io/v1alpha1";
        let links = format!("{group}/namespaces/{{namespace}}/signalrsharedprivatelinks");
        for (path, expected) in [
            (format!("{group}/namespaces/contoso/signalrsharedprivatelinks/kv-pe"), format!("{links}/{{name}}")),
            (
                format!("{group}/namespaces/contoso/signalrsharedprivatelinks/kv-pe/status"),
                format!("{links}/{{name}}/status"),
            ),
            (format!("{group}/approvalpolicies"), format!("{group}/approvalpolicies")),
            (format!("{group}/approvalpolicies/p/status"), format!("{group}/approvalpolicies/{{name}}/status")),
            ("/api/v1/namespaces/contoso".into(), "/api/v1/namespaces/{name}".into()),
            ("/api/v1/namespaces/contoso/status".into(), "/api/v1/namespaces/{name}/status".into()),
            (
                "/apis/events.k8s.io/v1/namespaces/contoso/events".into(),
                "/apis/events.k8s.io/v1/namespaces/{namespace}/events".into(),
            ),
            ("/version".into(), "/version".into()),
            ("/api/v1".into(), "/api/v1".into()),
        ] {
            assert_eq!(template(&path), expected);
        }
    }
}

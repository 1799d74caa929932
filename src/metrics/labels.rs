//! The values that labels can have.

use http::{Method, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label.
pub(super) type One = [(&'static str, &'static str); 1];
/// Two labels.
pub(super) type Two = [(&'static str, &'static str); 2];

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PassOutcome {
    /// It had an effect to carry out, whatever came of it.
    Acted,
    /// There was nothing to do but to tell where the link stands.
    Idle,
    /// Nothing can be decided: the spec cannot be used.
    Undecided,
    /// Somebody had changed the object meanwhile.
    Changed,
    /// The API server did not let it happen.
    Failed,
    /// The object is gone, or not shown yet.
    Gone,
    /// It panicked.
    Panicked,
}

/// How a request for a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum TokenOutcome {
    /// There is one.
    Ok,
    /// The credential could not even be made: a file is missing, say.
    NoCredential,
    /// It was refused, or nobody was reached.
    Refused,
    /// No answer came in time.
    Late,
}

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[expect(missing_docs, reason = "each name is that of a kind")]
pub enum WatchKind {
    SignalRSharedPrivateLink,
    ApprovalPolicy,
    Namespace,
}

/// What a request asks of the API server, in the words of its roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "each name says it")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    /// That of a request.
    #[must_use]
    pub fn of(method: &Method, uri: &Uri) -> Self {
        match *method {
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ if uri.query().is_some_and(|query| query.contains("watch=true")) => Self::Watch,
            _ if is_collection(uri.path()) => Self::List,
            _ => Self::Get,
        }
    }
}

/// Whether a path is that of all objects of a kind, of one namespace or of all: `/api/v1/namespaces`,
/// `/apis/GROUP/VERSION/namespaces/NAMESPACE/KIND`.
fn is_collection(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let group = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return false,
    };
    let rest: Vec<&str> = parts.skip(group).collect();
    matches!(rest.as_slice(), [_] | ["namespaces", _, _])
}

/// How the API server answered: the statuses that tell of different causes, and the rest by their class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[expect(missing_docs, reason = "each name says it")]
pub enum Code {
    #[strum(serialize = "2xx")]
    Success,
    #[strum(serialize = "401")]
    Unauthorized,
    #[strum(serialize = "403")]
    Forbidden,
    #[strum(serialize = "404")]
    NotFound,
    #[strum(serialize = "409")]
    Conflict,
    #[strum(serialize = "410")]
    Gone,
    #[strum(serialize = "422")]
    Invalid,
    #[strum(serialize = "429")]
    TooMany,
    #[strum(serialize = "4xx")]
    Refused,
    #[strum(serialize = "5xx")]
    Failed,
    /// No answer.
    #[strum(serialize = "none")]
    None,
}

impl Code {
    /// That of a status.
    #[must_use]
    pub const fn of(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            410 => Self::Gone,
            422 => Self::Invalid,
            429 => Self::TooMany,
            400..=499 => Self::Refused,
            500..=599 => Self::Failed,
            _ => Self::Success,
        }
    }
}

/// All values of such a label.
pub(super) fn all<T: strum::VariantArray + Copy + Into<&'static str>>() -> Vec<&'static str> {
    T::VARIANTS.iter().map(|value| (*value).into()).collect()
}

/// A family of counters that has all its series from the start.
pub(super) fn counters<L>(registry: &mut Registry, name: &str, help: &str, sets: Vec<L>) -> Family<L, Counter>
where
    L: Clone + std::hash::Hash + Eq + std::fmt::Debug + EncodeLabelSet + Send + Sync + 'static,
{
    let family = Family::<L, Counter>::default();
    for set in &sets {
        drop(family.get_or_create(set));
    }
    registry.register(name, help, family.clone());
    family
}

/// A label with each of its values.
pub(super) fn one(name: &'static str, values: &[&'static str]) -> Vec<One> {
    values.iter().map(|value| [(name, *value)]).collect()
}

/// Two labels with each pair of their values.
pub(super) fn two(first: (&'static str, &[&'static str]), second: (&'static str, &[&'static str])) -> Vec<Two> {
    let pairs = |value: &&'static str| {
        let first = (first.0, *value);
        second.1.iter().map(move |value| [first, (second.0, *value)]).collect::<Vec<_>>()
    };
    first.1.iter().flat_map(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_verb() {
        let group = "/apis/privatelink.signalr-operator.io/v1alpha1";
        let links = format!("{group}/namespaces/contoso/signalrsharedprivatelinks");
        for (method, path, expected) in [
            (Method::GET, format!("{links}/kv-pe"), Verb::Get),
            (Method::GET, links.clone(), Verb::List),
            (Method::GET, format!("{links}?&watch=true&timeoutSeconds=290"), Verb::Watch),
            (Method::GET, format!("{group}/approvalpolicies?&limit=1"), Verb::List),
            (Method::GET, "/api/v1/namespaces".into(), Verb::List),
            (Method::GET, "/api/v1/namespaces/contoso".into(), Verb::Get),
            (Method::GET, "/version".into(), Verb::Get),
            (Method::PATCH, format!("{links}/kv-pe/status"), Verb::Patch),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/contoso/events".into(), Verb::Create),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".into(), Verb::Update),
        ] {
            assert_eq!(Verb::of(&method, &path.parse().unwrap()), expected, "{method} {path}");
        }
    }
}

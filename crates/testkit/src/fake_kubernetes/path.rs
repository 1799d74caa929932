//! What is served, and what a path names.

/// One kind that is served.
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    /// Whether `status` is a subresource, and spec changes count generations.
    pub(super) status: bool,
}

const GROUP: &str = "privatelink.signalr-operator.io";
const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        version: "v1alpha1",
        plural: "signalrsharedprivatelinks",
        kind: "SignalRSharedPrivateLink",
        status: true,
    },
    Kind { group: GROUP, version: "v1alpha1", plural: "approvalpolicies", kind: "ApprovalPolicy", status: true },
    Kind { group: "", version: "v1", plural: "namespaces", kind: "Namespace", status: false },
    Kind { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event", status: false },
    Kind {
        group: "apiextensions.k8s.io",
        version: "v1",
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        status: false,
    },
];

/// What a path names.
pub(super) struct Path {
    pub(super) kind: &'static Kind,
    pub(super) namespace: String,
    pub(super) name: Option<String>,
    pub(super) status: bool,
}

pub(super) fn parse(path: &str) -> Option<Path> {
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    let (namespace, rest) = match rest.as_slice() {
        ["namespaces", namespace, plural, rest @ ..] => (*namespace, [&[*plural], rest].concat()),
        all => ("", all.to_vec()),
    };
    let (plural, name, sub) = match rest.as_slice() {
        [plural] => (*plural, None, None),
        [plural, name] => (*plural, Some(*name), None),
        [plural, name, sub] => (*plural, Some(*name), Some(*sub)),
        _ => return None,
    };
    let kind = KINDS.iter().find(|k| k.group == group && k.version == version && k.plural == plural)?;
    let status = match sub {
        None => false,
        Some("status") if kind.status => true,
        Some(_) => return None,
    };
    Some(Path { kind, namespace: namespace.to_owned(), name: name.map(str::to_owned), status })
}

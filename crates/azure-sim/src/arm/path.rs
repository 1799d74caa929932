//! A path of ARM's, taken apart without regard to letter case.

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    SignalR(SignalR),
    Vault(Vault),
    /// The registration of a subscription for this provider.
    Provider(String),
    /// What the caller may do at this scope.
    Permissions(String),
    /// The locks at this scope.
    Locks(String),
    /// A subscription, a tenant, or nothing that is known here.
    None,
}

/// Below `Microsoft.SignalRService/SignalR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalR {
    All,
    One(String),
    Links(String),
    Link(String, String),
    PrivateLinkResources(String),
    Replicas(String),
    Replica(String, String),
    ReplicaLinks(String, String),
    ReplicaLink(String, String, String),
    OperationStatus(String, String),
    OperationResult(String, String),
}

/// Below `Microsoft.KeyVault/vaults`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vault {
    All,
    One(String),
    Connections(String),
    Connection(String, String),
}

/// A path.
#[derive(Debug, Clone)]
pub struct Path {
    pub segments: Vec<String>,
    pub subscription: String,
    pub group: String,
    pub target: Target,
}

impl Path {
    pub fn parse(path: &str) -> Self {
        let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        let lower: Vec<String> = segments.iter().map(|s| s.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let at = |index: usize| segments.get(index).cloned().unwrap_or_default();
        let subscription = if lower.first() == Some(&"subscriptions") { at(1) } else { String::new() };
        let (group, rest) = match lower.as_slice() {
            ["subscriptions", _, "resourcegroups", _, "providers", rest @ ..] => (at(3), Some((rest, 5))),
            ["subscriptions", _, "providers", rest @ ..] => (String::new(), Some((rest, 3))),
            _ => (String::new(), None),
        };
        let scope = |rest: &[&str]| format!("/{}", segments.get(..rest.len()).unwrap_or_default().join("/"));
        let target = match lower.as_slice() {
            [above @ .., "providers", "microsoft.authorization", "permissions"] => Target::Permissions(scope(above)),
            [above @ .., "providers", "microsoft.authorization", "locks"] => Target::Locks(scope(above)),
            ["subscriptions", _, "providers", _] => Target::Provider(at(3)),
            _ => rest.map_or(Target::None, |(rest, offset)| target(rest, &|index| at(offset + index))),
        };
        Self { subscription, group, target, segments }
    }
}

fn target(rest: &[&str], at: &dyn Fn(usize) -> String) -> Target {
    use Target::{SignalR as S, Vault as V};
    let replica = || (at(2), at(4));
    match rest {
        ["microsoft.signalrservice", "signalr"] => S(SignalR::All),
        ["microsoft.signalrservice", "signalr", _] => S(SignalR::One(at(2))),
        ["microsoft.signalrservice", "signalr", _, child] => match *child {
            "sharedprivatelinkresources" => S(SignalR::Links(at(2))),
            "privatelinkresources" => S(SignalR::PrivateLinkResources(at(2))),
            "replicas" => S(SignalR::Replicas(at(2))),
            _ => Target::None,
        },
        ["microsoft.signalrservice", "signalr", _, child, _] => match *child {
            "sharedprivatelinkresources" => S(SignalR::Link(at(2), at(4))),
            "operationstatuses" => S(SignalR::OperationStatus(at(2), at(4))),
            "operationresults" => S(SignalR::OperationResult(at(2), at(4))),
            "replicas" => S(SignalR::Replica(replica().0, replica().1)),
            _ => Target::None,
        },
        ["microsoft.signalrservice", "signalr", _, "replicas", _, "sharedprivatelinkresources"] => {
            S(SignalR::ReplicaLinks(at(2), at(4)))
        }
        ["microsoft.signalrservice", "signalr", _, "replicas", _, "sharedprivatelinkresources", _] => {
            S(SignalR::ReplicaLink(at(2), at(4), at(6)))
        }
        ["microsoft.keyvault", "vaults"] => V(Vault::All),
        ["microsoft.keyvault", "vaults", _] => V(Vault::One(at(2))),
        ["microsoft.keyvault", "vaults", _, "privateendpointconnections"] => V(Vault::Connections(at(2))),
        ["microsoft.keyvault", "vaults", _, "privateendpointconnections", _] => V(Vault::Connection(at(2), at(4))),
        _ => Target::None,
    }
}

impl Target {
    /// A word for the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignalR(signalr) => match signalr {
                SignalR::All | SignalR::One(_) => "signalr",
                SignalR::Links(_) => "links",
                SignalR::Link(..) => "link",
                SignalR::PrivateLinkResources(_) => "privateLinkResources",
                SignalR::Replicas(_) | SignalR::Replica(..) => "replicas",
                SignalR::ReplicaLinks(..) | SignalR::ReplicaLink(..) => "replicaLinks",
                SignalR::OperationStatus(..) | SignalR::OperationResult(..) => "operation",
            },
            Self::Vault(vault) => match vault {
                Vault::All | Vault::One(_) => "vault",
                Vault::Connections(_) => "connections",
                Vault::Connection(..) => "connection",
            },
            Self::Provider(_) => "provider",
            Self::Permissions(_) => "permissions",
            Self::Locks(_) => "locks",
            Self::None => "other",
        }
    }

    /// The actions that the request needs (Microsoft's list of resource provider operations).
    /// Deciding on a connection needs two: its own, and the vault's consent.
    pub fn actions(&self, method: &str) -> Vec<String> {
        let verb = match method {
            "GET" => "read",
            "DELETE" => "delete",
            _ => "write",
        };
        let kind = match self {
            Self::SignalR(signalr) => match signalr {
                SignalR::All | SignalR::One(_) => "Microsoft.SignalRService/SignalR",
                SignalR::Links(_) | SignalR::Link(..) => "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources",
                SignalR::PrivateLinkResources(_) => "Microsoft.SignalRService/SignalR/privateLinkResources",
                SignalR::Replicas(_) | SignalR::Replica(..) => "Microsoft.SignalRService/SignalR/replicas",
                SignalR::ReplicaLinks(..) | SignalR::ReplicaLink(..) => {
                    "Microsoft.SignalRService/SignalR/replicas/sharedPrivateLinkResources"
                }
                SignalR::OperationStatus(..) => "Microsoft.SignalRService/SignalR/operationStatuses",
                SignalR::OperationResult(..) => "Microsoft.SignalRService/SignalR/operationResults",
            },
            Self::Vault(Vault::All | Vault::One(_)) => "Microsoft.KeyVault/vaults",
            Self::Vault(_) => "Microsoft.KeyVault/vaults/privateEndpointConnections",
            Self::Provider(_) => "Microsoft.Resources/subscriptions/providers",
            Self::Permissions(_) => "Microsoft.Authorization/permissions",
            Self::Locks(_) => "Microsoft.Authorization/locks",
            Self::None => return Vec::new(),
        };
        let mut actions = vec![format!("{kind}/{verb}")];
        if let (Self::Vault(Vault::Connection(..)), "write") = (self, verb) {
            actions.push("Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action".to_owned());
        }
        actions
    }
}

//! What is said about a pass: the conditions and facts that become `status`.

use std::time::Duration;

use crate::azure::{Connection, Link};
use crate::backoff::Range;
use crate::desired::ApprovalFacts;
use crate::message::{safe, safe_report};
use crate::reason::{Progress, ReadyByReason, Reason, Wait};
use crate::resource_id::{ConnectionId, EndpointId};

/// The value of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds, seen in this pass.
    True,
    /// It does not hold.
    False,
    /// It is not known.
    Unknown,
}

/// What is said of `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// This value, with the report's reason.
    Is(Truth),
    /// Whatever it was before: nothing was learned about the link.
    Unchanged,
}

/// What is said of a fact in `status`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact<T> {
    /// Nothing new was learned.
    Keep,
    /// This is so now.
    Set(T),
}

/// What SignalR reports of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFacts {
    /// `provisioningState`.
    pub provisioning: String,
    /// `status`.
    pub connection: &'static str,
}

/// What the vault reports of the matched connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// The connection's id.
    pub id: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// Its state.
    pub state: String,
    /// Its provisioning state.
    pub provisioning: String,
}

impl ConnectionFacts {
    /// The facts of a connection that has an endpoint.
    #[must_use]
    pub fn of(connection: &Connection) -> Option<Self> {
        Some(Self {
            id: connection.id.path().to_owned(),
            endpoint: connection.endpoint.as_ref()?.path().to_owned(),
            state: connection.state.as_str().to_owned(),
            provisioning: connection.provisioning.as_str().to_owned(),
        })
    }
}

impl ConnectionFacts {
    /// Whether both name the same connection and endpoint, whatever their states.
    #[must_use]
    pub fn names_the_same_as(&self, other: &Self) -> bool {
        let ids = |facts: &Self| Some((ConnectionId::parse(&facts.id).ok()?, EndpointId::parse(&facts.endpoint).ok()?));
        ids(self).is_some_and(|own| Some(own) == ids(other))
    }

    /// The subscription in which the endpoint lives.
    #[must_use]
    pub fn endpoint_subscription(&self) -> Option<String> {
        EndpointId::parse(&self.endpoint).ok().map(|id| id.subscription().to_owned())
    }
}

/// One of the conditions beside `Ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideCondition {
    /// Its value.
    pub truth: Truth,
    /// Its message.
    pub message: String,
}

/// What a pass has to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Why.
    pub reason: Reason,
    /// The sentences for people, at most 2,048 bytes.
    pub message: String,
    /// `Ready`.
    pub ready: Ready,
    /// `Provisioned`.
    pub provisioned: Fact<SideCondition>,
    /// `ConnectionApproved`.
    pub approved: Fact<SideCondition>,
    /// What SignalR reports; `Set(None)` when there is no link.
    pub link: Fact<Option<LinkFacts>>,
    /// What the vault reports; `Set(None)` when no connection is matched any more.
    pub connection: Fact<Option<ConnectionFacts>>,
    /// The approval.
    pub approval: Fact<ApprovalFacts>,
}

impl Report {
    /// A report with this reason; `Ready` is what the reason makes of it: only
    /// [`Reason::Approved`] is True.
    #[must_use]
    pub fn new(reason: Reason, message: &str) -> Self {
        let ready = match reason.ready() {
            ReadyByReason::True => Ready::Is(Truth::True),
            ReadyByReason::Kept => Ready::Unchanged,
            ReadyByReason::False => Ready::Is(Truth::False),
        };
        Self {
            reason,
            message: safe_report(message),
            ready,
            provisioned: Fact::Keep,
            approved: Fact::Keep,
            link: Fact::Keep,
            connection: Fact::Keep,
            approval: Fact::Keep,
        }
    }

    /// Adds what SignalR reports of the link.
    #[must_use]
    pub fn with_link(mut self, link: &Link) -> Self {
        use crate::azure::{ConnectionState, Provisioning};
        self.link = Fact::Set(Some(LinkFacts {
            provisioning: link.provisioning.as_str().to_owned(),
            connection: link.connection.as_str(),
        }));
        self.provisioned = Fact::Set(SideCondition {
            truth: if link.provisioning == Provisioning::Succeeded { Truth::True } else { Truth::False },
            message: format!("SignalR reports provisioningState {}.", safe(link.provisioning.as_str())),
        });
        self.approved = Fact::Set(SideCondition {
            truth: match link.connection {
                ConnectionState::Approved => Truth::True,
                ConnectionState::Unknown => Truth::Unknown,
                _ => Truth::False,
            },
            message: format!("SignalR reports status {}.", link.connection.as_str()),
        });
        self
    }

    /// Says that there is no link in Azure.
    #[must_use]
    pub fn without_link(mut self) -> Self {
        let side = SideCondition { truth: Truth::False, message: "The link does not exist in Azure.".into() };
        self.link = Fact::Set(None);
        self.connection = Fact::Set(None);
        self.approval = Fact::Set(ApprovalFacts::default());
        self.provisioned = Fact::Set(side.clone());
        self.approved = Fact::Set(side);
        self
    }

    /// Says that the link of that name is not the one that the object asks for.
    #[must_use]
    pub fn with_other_link(mut self, why: &str) -> Self {
        let side = SideCondition { truth: Truth::False, message: why.to_owned() };
        self.link = Fact::Set(None);
        self.provisioned = Fact::Set(side.clone());
        self.approved = Fact::Set(side);
        self
    }

    /// Says that the link is known not to be functional, whatever failed beside that.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.ready = Ready::Is(Truth::False);
        self
    }

    /// Adds the matched connection.
    #[must_use]
    pub fn with_connection(mut self, connection: &Connection) -> Self {
        if let Some(facts) = ConnectionFacts::of(connection) {
            self.connection = Fact::Set(Some(facts));
        }
        self
    }

    /// Adds what is known of the approval.
    #[must_use]
    pub fn with_approval(mut self, approval: ApprovalFacts) -> Self {
        self.approval = Fact::Set(approval);
        self
    }

    /// What kstatus is told, unless `Ready` stays True. `lasting` says that the reason has been the same for
    /// longer than a right that was given moments ago takes to work.
    #[must_use]
    pub fn progress(&self, lasting: bool) -> Progress {
        match (self.reason, self.ready) {
            // As observed: a link that is not functional is waited for.
            (Reason::ObserveOnly, Ready::Is(Truth::False | Truth::Unknown)) => Progress::InProgress,
            (reason, _) if reason.has_grace() && !lasting => Progress::InProgress,
            (reason, _) => reason.progress(),
        }
    }

    /// The range of waits before the next look, at pace 1.
    #[must_use]
    pub fn range(&self, sync_period: Duration) -> Range {
        match self.reason.wait() {
            Wait::SyncPeriod => Range { from: sync_period, to: sync_period },
            Wait::Within(range) => range,
        }
    }
}

//! The closed list of reasons, and what each one means for `Ready`, for kstatus, and for when
//! the operator looks again. `docs/reasons.md` explains each to people, and is held against it.

use std::fmt;

use crate::backoff::Range;

/// How a reason reads to kstatus, and so to Flux. (`kubectl wait` reads `Ready`; Argo CD knows nothing of an
/// unknown kind without a health check of its own.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Neither `Reconciling` nor `Stalled`.
    Current,
    /// `Reconciling=True`.
    InProgress,
    /// `Stalled=True`.
    Failed,
    /// The object is being deleted; kstatus sees that by itself.
    Terminating,
}

/// What a reason makes of `Ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyByReason {
    /// The link is functional.
    True,
    /// It is not.
    False,
    /// What was said before stays for a while: nothing was learned about the link.
    Kept,
}

/// How an Event is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// All is well, or on its way.
    Normal,
    /// Somebody should look.
    Warning,
}

/// When a reason is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// After the object's `syncPeriod`.
    SyncPeriod,
    /// Within this range, growing.
    Within(Range),
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $ready:ident, $progress:ident, $severity:ident, $wait:expr;)+) => {
        /// Why an object is in the state it is in: the reason of its `Ready` condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in `status`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// What kstatus makes of it, unless the object is Ready.
            #[must_use]
            pub const fn progress(self) -> Progress {
                match self { $(Self::$name => Progress::$progress),+ }
            }

            /// What it makes of `Ready`.
            #[must_use]
            pub const fn ready(self) -> ReadyByReason {
                match self { $(Self::$name => ReadyByReason::$ready),+ }
            }

            /// How its Event is marked.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }

            /// When it is looked at again.
            #[must_use]
            pub const fn wait(self) -> Wait {
                match self { $(Self::$name => $wait),+ }
            }
        }
    };
}

const SYNC: Wait = Wait::SyncPeriod;
const fn seconds(from: u64, to: u64) -> Wait {
    Wait::Within(Range::seconds(from, to))
}
const fn minutes(from: u64, to: u64) -> Wait {
    Wait::Within(Range::seconds(from * 60, to * 60))
}

// Ready; what kstatus is told; the severity of its Event; when to look again.
reasons! {
    /// SignalR says Succeeded and Approved: the link is functional.
    Approved => True, Current, Normal, SYNC;
    /// ARM works on the link.
    Creating => False, InProgress, Normal, seconds(5, 30);
    /// ARM works on the deletion.
    Deleting => False, InProgress, Normal, seconds(5, 30);
    /// The SignalR takes no change at the moment.
    WaitingForSignalR => False, InProgress, Normal, seconds(10, 120);
    /// The vault does not show the request yet, or not yet twice.
    WaitingForConnection => False, InProgress, Normal, seconds(5, 60);
    /// The vault never showed a request of ours.
    ConnectionNotFound => False, Failed, Warning, minutes(5, 5);
    /// A person must approve.
    PendingApproval => False, InProgress, Normal, seconds(15, 300);
    /// The operator approves, or the vault works on the approval.
    Approving => False, InProgress, Normal, seconds(10, 120);
    /// Approved on the vault; SignalR does not say so yet.
    WaitingForPropagation => False, InProgress, Normal, seconds(10, 120);
    /// ARM asked to wait.
    Throttled => Kept, InProgress, Normal, seconds(10, 300);
    /// ARM or the network failed; nothing is wrong with the object.
    TransientError => Kept, InProgress, Normal, seconds(5, 300);
    /// No policy permits the automatic approval.
    ApprovalDenied => False, Failed, Warning, minutes(5, 15);
    /// More than one request could be ours.
    ApprovalAmbiguous => False, Failed, Warning, minutes(5, 15);
    /// A right on the vault is missing.
    ApprovalNotAuthorized => False, Failed, Warning, seconds(30, 300);
    /// SignalR never confirmed an approval of the operator's.
    ApprovalUnconfirmed => False, Failed, Warning, minutes(5, 15);
    /// Pending for longer than `approval.timeout`.
    ApprovalTimedOut => False, Failed, Warning, minutes(5, 15);
    /// The vault's owner rejected the connection.
    Rejected => False, Failed, Warning, minutes(5, 5);
    /// The vault's owner removed the connection.
    Disconnected => False, Failed, Warning, minutes(5, 5);
    /// SignalR reports the connection as timed out.
    ConnectionTimedOut => False, Failed, Warning, minutes(5, 5);
    /// The SignalR does not exist.
    SignalRNotFound => False, Failed, Warning, minutes(5, 5);
    /// The key vault does not exist.
    KeyVaultNotFound => False, Failed, Warning, minutes(5, 5);
    /// A right on the SignalR is missing.
    AuthorizationFailed => False, Failed, Warning, seconds(30, 300);
    /// No token could be had.
    CredentialUnavailable => Kept, Failed, Warning, seconds(10, 300);
    /// A link of that name exists in Azure and belongs to somebody else.
    AlreadyExists => False, Failed, Warning, minutes(5, 5);
    /// Another object of this cluster claims the same link.
    OwnershipConflict => False, Failed, Warning, minutes(5, 5);
    /// ARM refuses what the spec asks for.
    InvalidSpec => False, Failed, Warning, minutes(5, 30);
    /// ARM's operation failed.
    OperationFailed => False, Failed, Warning, minutes(5, 30);
    /// ARM's operation does not end.
    OperationTimedOut => False, Failed, Warning, minutes(5, 30);
    /// An Azure Policy refuses the change.
    PolicyDenied => False, Failed, Warning, minutes(5, 30);
    /// A management lock refuses the change.
    Locked => False, Failed, Warning, minutes(5, 30);
    /// The link cannot be deleted at the moment.
    DeletionBlocked => False, Terminating, Warning, minutes(1, 30);
    /// `managementPolicy: ObserveOnly`: as observed.
    ObserveOnly => False, Current, Normal, SYNC;
}

impl Reason {
    /// Whether it is a failure only when it lasts: a right that was given moments ago takes up to ten
    /// minutes to work, and a token endpoint is well again in some.
    #[must_use]
    pub const fn has_grace(self) -> bool {
        matches!(self, Self::AuthorizationFailed | Self::ApprovalNotAuthorized | Self::CredentialUnavailable)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! The closed list of reasons, and what each one means for `Ready`, for kstatus, and for when
//! the operator looks again. `docs/reasons.md` explains each to people, and is held against it.

use std::fmt;

use crate::backoff::Range;

/// How a reason reads to kstatus, and so to `kubectl wait`, Flux and Argo CD.
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

/// When a reason is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// After the object's `syncPeriod`.
    SyncPeriod,
    /// Within this range, growing.
    Within(Range),
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $progress:ident, $wait:expr;)+) => {
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

reasons! {
    /// SignalR says Succeeded and Approved: the link is functional.
    Approved => Current, SYNC;
    /// ARM works on the link.
    Creating => InProgress, seconds(5, 30);
    /// ARM works on the deletion.
    Deleting => InProgress, seconds(5, 30);
    /// The SignalR takes no change at the moment.
    WaitingForSignalR => InProgress, seconds(10, 120);
    /// The vault does not show the request yet, or not yet twice.
    WaitingForConnection => InProgress, seconds(5, 60);
    /// The vault never showed a request of ours.
    ConnectionNotFound => Failed, minutes(5, 5);
    /// A person must approve.
    PendingApproval => InProgress, seconds(15, 300);
    /// The operator approves, or the vault works on the approval.
    Approving => InProgress, seconds(10, 120);
    /// Approved on the vault; SignalR does not say so yet.
    WaitingForPropagation => InProgress, seconds(10, 120);
    /// ARM asked to wait.
    Throttled => InProgress, seconds(10, 300);
    /// ARM or the network failed; nothing is wrong with the object.
    TransientError => InProgress, seconds(5, 300);
    /// No policy permits the automatic approval.
    ApprovalDenied => Failed, minutes(5, 15);
    /// More than one request could be ours.
    ApprovalAmbiguous => Failed, minutes(5, 15);
    /// A right on the vault is missing.
    ApprovalNotAuthorized => Failed, minutes(5, 15);
    /// SignalR never confirmed an approval of the operator's.
    ApprovalUnconfirmed => Failed, minutes(5, 15);
    /// Pending for longer than `approval.timeout`.
    ApprovalTimedOut => Failed, minutes(5, 15);
    /// The vault's owner rejected the connection.
    Rejected => Failed, minutes(5, 5);
    /// The vault's owner removed the connection.
    Disconnected => Failed, minutes(5, 5);
    /// SignalR reports the connection as timed out.
    ConnectionTimedOut => Failed, minutes(5, 5);
    /// The SignalR does not exist.
    SignalRNotFound => Failed, minutes(5, 5);
    /// The key vault does not exist.
    KeyVaultNotFound => Failed, minutes(5, 5);
    /// A right on the SignalR is missing.
    AuthorizationFailed => Failed, minutes(1, 5);
    /// No token could be had.
    CredentialUnavailable => Failed, minutes(1, 5);
    /// A link of that name exists in Azure and belongs to somebody else.
    AlreadyExists => Failed, minutes(5, 5);
    /// Another object of this cluster claims the same link.
    OwnershipConflict => Failed, minutes(5, 5);
    /// ARM refuses what the spec asks for.
    InvalidSpec => Failed, minutes(5, 30);
    /// ARM's operation failed.
    OperationFailed => Failed, minutes(5, 30);
    /// ARM's operation does not end.
    OperationTimedOut => Failed, minutes(5, 30);
    /// An Azure Policy refuses the change.
    PolicyDenied => Failed, minutes(5, 30);
    /// A management lock refuses the change.
    Locked => Failed, minutes(5, 30);
    /// The link cannot be deleted at the moment.
    DeletionBlocked => Terminating, minutes(1, 30);
    /// `managementPolicy: ObserveOnly`: as observed.
    ObserveOnly => Current, SYNC;
    /// `deletionPolicy: Detach`: the link was left alone.
    Detached => Current, SYNC;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

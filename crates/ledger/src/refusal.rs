//! Why a transaction was refused. The codes are part of the format: they are in outcome records and under the
//! transactions root, so they are never reused or renumbered.

use std::fmt;

/// The outcome code of a transaction that was applied.
pub const APPLIED: u16 = 0;

/// Defines [`Refusal`]: its codes and its sentences, in one table.
macro_rules! refusals {
    ($($(#[$meta:meta])* $code:literal => $name:ident: $sentence:literal,)*) => {
        /// Why a transaction was refused. It changed nothing; only its outcome is recorded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Refusal {
            $($(#[$meta])* #[doc = concat!("\n\nCode ", stringify!($code), ".")] $name),*
        }

        impl Refusal {
            /// Every refusal there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its number in outcomes. Never [`APPLIED`].
            pub fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code),*
                }
            }

            /// The refusal with this number, if there is one.
            pub fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $sentence),*
                })
            }
        }
    };
}

refusals! {
    /// Its id was executed before. Nothing is recorded: the first outcome stands.
    1 => Duplicate: "this transaction was executed before; its first outcome stands",
    /// It is for another network.
    2 => OtherNetwork: "the transaction is for another network; check the genesis file",
    /// Its time had come.
    3 => Expired: "the transaction expired before it was ordered and had no effect; submit it again with a new expiry",
    /// Its expiry is more than [`EXPIRY_AHEAD_MS_MAX`](proof::limits::EXPIRY_AHEAD_MS_MAX) after the block's time.
    4 => ExpiryTooFar: "the transaction's expiry is too far ahead; check this machine's clock and submit it again",
    /// Its key does not sign for its tenant, or there is no such tenant.
    5 => NotSigner: "this key does not sign for the tenant; ask a holder of one that does to add it",
    /// It creates a tenant or limits one, and its key is not an approver's.
    6 => NotApprover: "only an approver's key may create a tenant or set its quota",
    /// It creates a tenant or limits one and is of another one, or does other things as well.
    7 => MixedCreation: "a transaction that creates a tenant or sets its quota is of that tenant and does nothing else",

    /// There is no such bucket, or it was deleted.
    10 => NoSuchBucket: "there is no such bucket; create it first",
    /// There is such a bucket.
    11 => BucketExists: "the bucket exists already",
    /// Keys of the bucket have objects as their current versions.
    12 => BucketNotEmpty: "the bucket still has objects; delete them first",

    /// A key was to be absent and has an object.
    20 => KeyPresent: "the key has an object and was to have none; read it and decide again",
    /// A key was to have a certain version and is absent or deleted.
    21 => KeyMissing: "the key has no object and was to have a certain version; read it and decide again",
    /// A key was to have a certain version and has another.
    22 => KeyChanged: "the key's current version is not the one it was to be; read it and decide again",
    /// The key has no such version in the present life of its bucket.
    23 => NoSuchVersion: "the key has no such version",
    /// The version was to be hidden and is.
    24 => VersionHidden: "the version is hidden already",
    /// The version was to be shown again and is not hidden.
    25 => VersionShown: "the version is not hidden",
    /// Which version is current, or would be, is not what the transaction says.
    26 => VersionsChanged: "the key's versions have changed meanwhile; read them again",

    /// The upload's id is taken.
    30 => UploadExists: "an upload with this id exists already; draw another id",
    /// There is no such open upload for this place.
    31 => NoSuchUpload: "there is no such open upload; it was completed or aborted, or its bucket was deleted",
    /// The upload was to be unchanged and is not.
    32 => UploadChanged: "the upload has changed meanwhile; read its parts again",

    /// The tenant's id is taken.
    40 => TenantExists: "a tenant with this id exists already; draw another id",
    /// The key signs for the tenant already.
    41 => SignerExists: "the key signs for the tenant already",
    /// The key does not sign for the tenant.
    42 => NoSuchSigner: "the key that is to be revoked does not sign for the tenant",
    /// It would leave the tenant without a key.
    43 => LastSigner: "a tenant's last key cannot be revoked; add another first",

    /// There is no such tenant.
    44 => NoSuchTenant: "there is no such tenant",

    /// A counter would overflow.
    50 => Exhausted: "a counter has reached its end; use another upload, key or tenant",
    /// The bucket or the tenant would keep more than it may.
    51 => QuotaExceeded: "the quota of the bucket or of the tenant is used up; deleting frees nothing: have the quota raised",

    /// The bucket's versions cannot be locked.
    60 => NotLockable: "the bucket has no object lock; enable it first",
    /// A version, or one of the bucket to be deleted, is retained.
    61 => Retained: "a retention that nobody can shorten has not ended",
    /// A version is retained in governance mode, and it was not to be bypassed.
    62 => RetainedByGovernance: "a retention has not ended; it takes permission to bypass governance",
    /// A version, or one of the bucket to be deleted, is held.
    63 => Held: "a legal hold is on; release it first",
    /// A retention would end in the past or too far ahead.
    64 => InvalidRetention: "a retention must end in the future, at most ten years ahead; it can be extended later",
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Whether a precondition did not hold: the writer lost a race, or knew an older state.
    pub fn is_precondition(self) -> bool {
        matches!(self, Self::KeyPresent | Self::KeyMissing | Self::KeyChanged | Self::UploadChanged)
    }
}

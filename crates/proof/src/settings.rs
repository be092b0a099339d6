//! What of a bucket or a version can change: locks, which keep versions from being hidden, and annotations, which are
//! sealed documents (tags, and what a bucket is set to).

use crate::{
    BucketName, VersionId,
    limits::DAY_MS,
    transaction::{Attachment, Place},
    wire::List,
};

crate::wire_enum! {
    /// A version, by its id or by the operation that makes it.
    pub enum Target {
        /// This one.
        0 => Version(version: VersionId),
        /// The one that an earlier operation of the same transaction, of this number, makes at the same place.
        1 => Made(operation: u16),
    }
}

crate::wire_enum! {
    /// How a version is retained.
    pub enum Mode {
        /// Whoever may bypass governance can shorten it.
        0 => Governance,
        /// Nobody can shorten it.
        1 => Compliance,
    }
}

crate::wire_struct! {
    /// A version cannot be hidden before.
    pub struct Retention {
        /// Who may shorten it.
        pub mode: Mode,
        /// Block time, milliseconds since the Unix epoch.
        pub until_ms: u64,
    }
}

crate::wire_enum! {
    /// How long new versions are retained.
    pub enum Period {
        /// Days of 24 hours.
        0 => Days(days: u32),
        /// Years of 366 days, so that none is too short.
        1 => Years(years: u32),
    }
}

impl Period {
    /// In milliseconds; the longest there is if it overflows.
    pub fn as_ms(&self) -> u64 {
        match self {
            Self::Days(days) => u64::from(*days).saturating_mul(DAY_MS),
            Self::Years(years) => u64::from(*years).saturating_mul(366 * DAY_MS),
        }
    }
}

crate::wire_struct! {
    /// The retention that new versions get which ask for none.
    pub struct DefaultRetention {
        /// Who may shorten it.
        pub mode: Mode,
        /// How long, from a version's block time on.
        pub period: Period,
    }
}

crate::wire_struct! {
    /// Let versions of a bucket be locked, which cannot be taken back, and say how new ones are retained.
    pub struct SetBucketLock {
        /// The bucket.
        pub bucket: BucketName,
        /// The retention of new versions, if any.
        pub default: List<DefaultRetention, 1>,
    }
}

crate::wire_struct! {
    /// Retain a version, or no longer.
    pub struct SetRetention {
        /// Where.
        pub place: Place,
        /// Which. Of a version that is being made, this replaces the bucket's default.
        pub version: Target,
        /// From now on.
        pub retention: List<Retention, 1>,
        /// Whether retention in governance mode may be shortened by it.
        pub bypass: bool,
    }
}

crate::wire_struct! {
    /// Hold a version, or no longer. A version that is held cannot be hidden.
    pub struct SetHold {
        /// Where.
        pub place: Place,
        /// Which.
        pub version: Target,
        /// From now on.
        pub hold: bool,
    }
}

crate::wire_struct! {
    /// A version, or one being made.
    pub struct TargetAt {
        /// Where.
        pub place: Place,
        /// Which.
        pub version: Target,
    }
}

crate::wire_enum! {
    /// What an annotation is, and of what.
    pub enum About {
        /// Tags of a bucket.
        0 => BucketTags(bucket: BucketName),
        /// Which pages of other origins may use a bucket (CORS).
        1 => BucketCors(bucket: BucketName),
        /// Tags of a version.
        2 => VersionTags(at: TargetAt),
        /// When objects and uploads of a bucket end by themselves.
        3 => BucketLifecycle(bucket: BucketName),
        /// Who may do what in a bucket.
        4 => BucketPolicy(bucket: BucketName),
        /// What a bucket's policy may not give to everybody.
        5 => BucketPublicAccess(bucket: BucketName),
    }
}

impl About {
    /// The bucket that it is of, or in.
    pub fn bucket(&self) -> &BucketName {
        match self {
            Self::BucketTags(bucket)
            | Self::BucketCors(bucket)
            | Self::BucketLifecycle(bucket)
            | Self::BucketPolicy(bucket)
            | Self::BucketPublicAccess(bucket) => bucket,
            Self::VersionTags(at) => &at.place.bucket,
        }
    }

    /// The version that it is of.
    pub fn version(&self) -> Option<(&Place, &Target)> {
        match self {
            Self::VersionTags(at) => Some((&at.place, &at.version)),
            Self::BucketTags(_)
            | Self::BucketCors(_)
            | Self::BucketLifecycle(_)
            | Self::BucketPolicy(_)
            | Self::BucketPublicAccess(_) => None,
        }
    }
}

crate::wire_struct! {
    /// Set an annotation in place of what it was, or remove it.
    pub struct Annotate {
        /// Which.
        pub about: About,
        /// The document, sealed; none removes it.
        pub sealed: List<Attachment, 1>,
    }
}

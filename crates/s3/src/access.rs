//! What an access key may do.
//!
//! A key without a scope may do everything. A key with one may do what [`TABLE`] says its verbs are for, in its buckets,
//! to keys with its prefixes; what is not in the table it may not. A bucket in the past counts as that bucket. What the
//! table cannot tell from a request's line and headers (the keys of DeleteObjects, what ListBuckets lists) the
//! operations check themselves.

use crate::error::error;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
    auth::Credentials,
    dto::CopySource,
    path::S3Path,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};
use vault::Past;

/// A kind of thing that a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Read objects with their metadata, tags and locks.
    Read,
    /// Put objects: whole, in parts, as copies; change their tags.
    Write,
    /// List keys, versions and uploads.
    List,
    /// Delete: put a delete marker.
    Mark,
    /// Delete by version: hide a version.
    Hide,
    /// Retain and hold versions.
    Lock,
    /// Bypass retention in governance mode.
    Bypass,
    /// Create, configure and delete buckets.
    Configure,
}

impl Verb {
    /// All of them, with their names.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::List, "list"),
        (Self::Mark, "mark"),
        (Self::Hide, "hide"),
        (Self::Lock, "lock"),
        (Self::Bypass, "bypass"),
        (Self::Configure, "configure"),
    ];
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text).map(|(verb, _)| *verb);
        let names = || Self::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("`{text}` is no verb of an access key; they are {}", names()))
    }
}

/// What a key is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// What it may do.
    pub verbs: BTreeSet<Verb>,
    /// In which buckets; empty: in all.
    pub buckets: BTreeSet<String>,
    /// To keys that begin with one of these; empty: to all.
    pub prefixes: Vec<String>,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The account: what is shown is filtered.
    Account,
    /// A bucket as a whole.
    Bucket,
    /// Keys of a bucket, by the parameter `prefix`.
    Listing,
    /// Keys of a bucket that are named in the body, and checked there.
    Named,
    /// One key.
    Object,
}

/// Each operation with the verbs of which one is needed, and what it is about.
const TABLE: &[(&str, &[Verb], Extent)] = {
    use Extent::*;
    use Verb::*;
    const ANY: &[Verb] = &[Read, Write, List, Mark, Hide, Lock, Configure];
    &[
        ("ListBuckets", &[List], Account),
        ("CreateBucket", &[Configure], Extent::Bucket),
        ("DeleteBucket", &[Configure], Extent::Bucket),
        ("HeadBucket", ANY, Extent::Bucket),
        ("GetBucketLocation", ANY, Extent::Bucket),
        ("GetBucketVersioning", ANY, Extent::Bucket),
        ("PutBucketVersioning", &[Configure], Extent::Bucket),
        ("GetBucketAcl", ANY, Extent::Bucket),
        ("PutBucketAcl", &[Configure], Extent::Bucket),
        ("GetBucketTagging", &[Configure], Extent::Bucket),
        ("PutBucketTagging", &[Configure], Extent::Bucket),
        ("DeleteBucketTagging", &[Configure], Extent::Bucket),
        ("GetBucketCors", &[Configure], Extent::Bucket),
        ("PutBucketCors", &[Configure], Extent::Bucket),
        ("DeleteBucketCors", &[Configure], Extent::Bucket),
        ("GetBucketEncryption", ANY, Extent::Bucket),
        ("PutBucketEncryption", &[Configure], Extent::Bucket),
        ("DeleteBucketEncryption", &[Configure], Extent::Bucket),
        ("GetObjectLockConfiguration", &[Read, Lock, Configure], Extent::Bucket),
        ("PutObjectLockConfiguration", &[Configure], Extent::Bucket),
        ("ListObjects", &[List], Listing),
        ("ListObjectsV2", &[List], Listing),
        ("ListObjectVersions", &[List], Listing),
        ("ListMultipartUploads", &[List], Listing),
        ("GetObject", &[Read], Object),
        ("HeadObject", &[Read], Object),
        ("GetObjectAttributes", &[Read], Object),
        ("GetObjectAcl", &[Read], Object),
        ("PutObjectAcl", &[Write], Object),
        ("GetObjectTagging", &[Read], Object),
        ("GetObjectRetention", &[Read, Lock], Object),
        ("GetObjectLegalHold", &[Read, Lock], Object),
        ("PutObject", &[Write], Object),
        ("CopyObject", &[Write], Object),
        ("PutObjectTagging", &[Write], Object),
        ("DeleteObjectTagging", &[Write], Object),
        ("CreateMultipartUpload", &[Write], Object),
        ("UploadPart", &[Write], Object),
        ("UploadPartCopy", &[Write], Object),
        ("CompleteMultipartUpload", &[Write], Object),
        ("AbortMultipartUpload", &[Write], Object),
        ("ListParts", &[Write], Object),
        ("PutObjectRetention", &[Lock], Object),
        ("PutObjectLegalHold", &[Lock], Object),
        // With a version's id it takes another verb: see `check`.
        ("DeleteObject", &[Mark, Hide], Object),
        ("DeleteObjects", &[Mark, Hide], Named),
    ]
};

/// Headers that take a verb besides.
const HEADERS: &[(&str, Verb)] = &[
    ("x-amz-object-lock-mode", Verb::Lock),
    ("x-amz-object-lock-retain-until-date", Verb::Lock),
    ("x-amz-object-lock-legal-hold", Verb::Lock),
    ("x-amz-bypass-governance-retention", Verb::Bypass),
];

impl Scope {
    /// Whether it covers the bucket, which may be named with a moment.
    pub(crate) fn covers_bucket(&self, bucket: &str) -> bool {
        let past = Past::of(bucket);
        let bucket = past.as_ref().map_or(bucket, |past| past.bucket.as_str());
        self.buckets.is_empty() || self.buckets.contains(bucket)
    }

    fn covers_key(&self, key: &str) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Whether this may be done to a key.
    pub(crate) fn allows(&self, verb: Verb, bucket: &str, key: &str) -> bool {
        self.verbs.contains(&verb) && self.covers_bucket(bucket) && self.covers_key(key)
    }

    /// Whether what a form asks for may be put.
    pub(crate) fn allows_put(&self, path: &S3Path, headers: &hyper::HeaderMap) -> bool {
        self.check(&Asked { operation: "PutObject", path, headers, query: Vec::new() })
    }

    fn check(&self, asked: &Asked<'_>) -> bool {
        let row = TABLE.iter().find(|(name, ..)| *name == asked.operation);
        let Some((_, verbs, extent)) = row else { return false };
        let verbs: &[Verb] = match (asked.operation, asked.has("versionId")) {
            ("DeleteObject", true) => &[Verb::Hide],
            ("DeleteObject", false) => &[Verb::Mark],
            _ => verbs,
        };
        let besides = HEADERS.iter().filter(|(name, _)| asked.header(name).is_some()).map(|(_, verb)| verb);
        verbs.iter().any(|verb| self.verbs.contains(verb))
            && besides.into_iter().all(|verb| self.verbs.contains(verb))
            && self.covers(*extent, asked)
            && self.covers_source(asked)
    }

    fn covers(&self, extent: Extent, asked: &Asked<'_>) -> bool {
        let bucket = asked.path.get_bucket_name();
        let in_bucket = bucket.is_some_and(|bucket| self.covers_bucket(bucket));
        match extent {
            Extent::Account => true,
            // A bucket as a whole is more than some of its keys; but that it is there, its keys tell.
            Extent::Bucket => in_bucket,
            // Given twice, it is not known here which one counts.
            Extent::Listing => {
                let given = asked.query.iter().filter(|(name, _)| name == "prefix").count();
                in_bucket && given < 2 && self.covers_key(asked.parameter("prefix").unwrap_or_default())
            }
            Extent::Named => in_bucket,
            Extent::Object => {
                let object = asked.path.as_object();
                object.is_some_and(|(bucket, key)| self.covers_bucket(bucket) && self.covers_key(key))
            }
        }
    }

    /// A copy reads its source.
    fn covers_source(&self, asked: &Asked<'_>) -> bool {
        let Some(source) = asked.header("x-amz-copy-source") else { return true };
        match CopySource::parse(source) {
            Ok(CopySource::Bucket { bucket, key, .. }) => self.allows(Verb::Read, &bucket, &key),
            _ => false,
        }
    }
}

/// A request, as far as scopes are concerned.
struct Asked<'a> {
    operation: &'a str,
    path: &'a S3Path,
    headers: &'a hyper::HeaderMap,
    query: Vec<(String, String)>,
}

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    /// A value that is no text is an empty one, which is refused.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    }
}

/// The scopes of access keys. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scopes(pub(crate) Arc<BTreeMap<String, Scope>>);

impl Scopes {
    /// What a request's key is limited to, if it is.
    pub(crate) fn of(&self, credentials: Option<&Credentials>) -> Option<&Scope> {
        credentials.and_then(|credentials| self.0.get(&credentials.access_key))
    }
}

pub(crate) fn denied() -> S3Error {
    error(S3ErrorCode::AccessDenied, "Access Denied: the scope of this access key does not allow it.")
}

#[async_trait::async_trait]
impl S3Access for Scopes {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(error(S3ErrorCode::AccessDenied, "Anonymous requests are refused."));
        };
        let Some(scope) = self.of(Some(credentials)) else { return Ok(()) };
        let query = context.uri().query().unwrap_or_default();
        let query: Vec<(String, String)> = serde_urlencoded::from_str(query).map_err(|_| denied())?;
        // To the dispatcher a parameter that is given twice is none: a prefix must not vanish so.
        let mut names = BTreeSet::new();
        if !query.iter().all(|(name, _)| names.insert(name.as_str())) {
            return Err(denied());
        }
        let asked = Asked {
            operation: context.s3_op().name(),
            path: context.s3_path(),
            headers: context.headers(),
            query,
        };
        if scope.check(&asked) { Ok(()) } else { Err(denied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::OPERATIONS;

    #[test]
    fn every_operation_is_in_the_table_once() {
        let table: BTreeSet<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
        assert_eq!(table.len(), TABLE.len());
        let offered = OPERATIONS.iter().map(|input| input.strip_suffix("Input").expect("an input"));
        assert_eq!(offered.collect::<BTreeSet<_>>(), table);
    }

    fn scope(verbs: &[Verb], buckets: &[&str], prefixes: &[&str]) -> Scope {
        Scope {
            verbs: verbs.iter().copied().collect(),
            buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        }
    }

    fn asks(scope: &Scope, operation: &str, path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut map = hyper::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, hyper::header::HeaderValue::from_static(value));
        }
        let path = match path.split_once('/') {
            _ if path.is_empty() => S3Path::Root,
            None => S3Path::Bucket { bucket: path.into() },
            Some((bucket, key)) => S3Path::Object { bucket: bucket.into(), key: key.into() },
        };
        let query = serde_urlencoded::from_str(query).expect("a query");
        scope.check(&Asked { operation, path: &path, headers: &map, query })
    }

    #[test]
    fn one_verb_does_not_do_for_another() {
        for (verb, name) in Verb::ALL {
            assert_eq!(name.parse(), Ok(*verb));
            let alone = scope(&[*verb], &[], &[]);
            for (operation, verbs, extent) in TABLE {
                let path = if *extent == Extent::Account { "" } else { "bucket/key" };
                let expected = match *operation {
                    "DeleteObject" => *verb == Verb::Mark,
                    _ => verbs.contains(verb),
                };
                assert_eq!(asks(&alone, operation, path, &[]), expected, "{name}: {operation}");
            }
            let hides = asks(&alone, "DeleteObject", "bucket/key?versionId=1", &[]);
            assert_eq!(hides, *verb == Verb::Hide);
            assert!(!asks(&alone, "GetBucketPolicy", "bucket", &[]), "not in the table");
        }
        assert!("destroy".parse::<Verb>().is_err());
    }

    #[test]
    fn a_housekeeper_lists_and_marks_and_reads_nothing() {
        let housekeeper = scope(&[Verb::List, Verb::Mark], &["logs"], &["2025/"]);
        assert!(asks(&housekeeper, "ListObjectsV2", "logs?prefix=2025/01", &[]));
        assert!(asks(&housekeeper, "DeleteObject", "logs/2025/01/a", &[]));
        for (operation, path) in [
            ("GetObject", "logs/2025/01/a"),
            ("HeadObject", "logs/2025/01/a"),
            ("DeleteObject", "logs/2025/01/a?versionId=1"),
            ("DeleteObject", "logs/2026/a"),
            ("DeleteObject", "other/2025/a"),
            ("ListObjectsV2", "logs"),
            ("ListObjectsV2", "logs?prefix=2026/"),
            ("ListObjectVersions", "other?prefix=2025/"),
            ("PutObject", "logs/2025/a"),
        ] {
            assert!(!asks(&housekeeper, operation, path, &[]), "{operation} {path}");
        }
    }

    #[test]
    fn the_past_of_a_bucket_is_that_bucket() {
        let reader = scope(&[Verb::Read], &["logs"], &[]);
        assert!(asks(&reader, "GetObject", "logs--at-20261101t100000z/a", &[]));
        assert!(asks(&reader, "GetObject", "logs@7/a", &[]));
        assert!(!asks(&reader, "GetObject", "other--at-20261101t100000z/a", &[]));
    }

    #[test]
    fn headers_take_verbs_too() {
        let writer = scope(&[Verb::Write], &["logs"], &[]);
        let locker = scope(&[Verb::Write, Verb::Lock], &["logs"], &[]);
        let hold = [("x-amz-object-lock-legal-hold", "ON")];
        assert!(asks(&writer, "PutObject", "logs/a", &[]));
        assert!(!asks(&writer, "PutObject", "logs/a", &hold));
        assert!(asks(&locker, "PutObject", "logs/a", &hold));
        let bypass = [("x-amz-bypass-governance-retention", "true")];
        assert!(!asks(&locker, "PutObjectRetention", "logs/a", &bypass));

        let copier = scope(&[Verb::Write, Verb::Read], &["logs"], &["a"]);
        let copies = |source| asks(&copier, "CopyObject", "logs/a2", &[("x-amz-copy-source", source)]);
        assert!(copies("logs/a1") && copies("/logs/a%31"));
        assert!(!copies("logs/b") && !copies("secret/a") && !copies(""));
        assert!(!asks(&writer, "CopyObject", "logs/a", &[("x-amz-copy-source", "logs/b")]), "no reader");
    }
}

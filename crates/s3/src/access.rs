//! What an access key may do, and what anybody may.
//!
//! Every request is taken apart into what it [`Need`]s: to do what its operation is, what its headers ask for besides,
//! and to read the source of a copy. Of each:
//!
//! 1. What the bucket's policy denies is refused.
//! 2. What it allows is done, whatever the scope.
//! 3. Of what it says nothing about: a key without a scope may do everything. A key with one may do what [`TABLE`] says
//!    its verbs are for, in its buckets, to keys with its prefixes; what is not in the table it may not. Whoever has no
//!    key may do nothing.
//!
//! A bucket in the past counts as that bucket. What cannot be told from a request's line and headers (the keys of
//! DeleteObjects, what ListBuckets lists) the operations check themselves.

use crate::{
    error::{error, invalid_request},
    policy::{Act, Policies, Setting, Verdict, actions::OPERATIONS},
    store::Store,
};
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
    /// Nobody knows.
    Unknown,
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
        ("GetBucketOwnershipControls", &[Configure], Extent::Bucket),
        ("PutBucketOwnershipControls", &[Configure], Extent::Bucket),
        ("GetBucketEncryption", ANY, Extent::Bucket),
        ("PutBucketEncryption", &[Configure], Extent::Bucket),
        ("DeleteBucketEncryption", &[Configure], Extent::Bucket),
        ("GetBucketPolicy", &[Configure], Extent::Bucket),
        ("PutBucketPolicy", &[Configure], Extent::Bucket),
        ("DeleteBucketPolicy", &[Configure], Extent::Bucket),
        ("GetBucketPolicyStatus", &[Configure], Extent::Bucket),
        ("GetPublicAccessBlock", &[Configure], Extent::Bucket),
        ("PutPublicAccessBlock", &[Configure], Extent::Bucket),
        ("DeletePublicAccessBlock", &[Configure], Extent::Bucket),
        ("GetBucketLifecycleConfiguration", &[Configure], Extent::Bucket),
        ("PutBucketLifecycleConfiguration", &[Configure], Extent::Bucket),
        ("DeleteBucketLifecycle", &[Configure], Extent::Bucket),
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
        // With a version's id it takes another verb: see `needs`.
        ("DeleteObject", &[Mark, Hide], Object),
        ("DeleteObjects", &[Mark, Hide], Named),
    ]
};

/// Headers that take a verb, and are an action, besides.
const HEADERS: &[(&str, &[Verb], &[&str])] = &[
    ("x-amz-object-lock-mode", &[Verb::Lock], &["PutObjectRetention"]),
    ("x-amz-object-lock-retain-until-date", &[Verb::Lock], &["PutObjectRetention"]),
    ("x-amz-object-lock-legal-hold", &[Verb::Lock], &["PutObjectLegalHold"]),
    ("x-amz-bypass-governance-retention", &[Verb::Bypass], BYPASS),
    ("x-amz-tagging", &[Verb::Write], &["PutObjectTagging"]),
];
const BYPASS: &[&str] = &["BypassGovernanceRetention"];

/// One thing that a request does, all of which must be allowed.
#[derive(Debug)]
struct Need {
    /// To a scope it takes one of these.
    verbs: &'static [Verb],
    /// To a policy it is all of these.
    actions: &'static [&'static str],
    /// Nor may a policy deny these.
    denies: &'static [&'static str],
    extent: Extent,
    bucket: String,
    key: Option<String>,
    prefix: Option<String>,
}

impl Need {
    fn act<'a>(&'a self, who: Option<&'a str>) -> Act<'a> {
        Act { who, bucket: &self.bucket, key: self.key.as_deref(), prefix: self.prefix.as_deref() }
    }
}

/// The actions of an operation, and what must not be denied besides: what is denied of a current version is denied of
/// named ones and of the past, too.
fn actions_of(operation: &str, versioned: bool) -> (&'static [&'static str], &'static [&'static str]) {
    let found = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let (_, (now, then)) = found.expect("every operation of the table has its actions");
    if versioned { (then, now) } else { (now, &[]) }
}

/// What a request does; `None` of an operation that is not in the table.
fn needs(asked: &Asked<'_>) -> Option<Vec<Need>> {
    let (operation, verbs, extent) = TABLE.iter().find(|(name, ..)| *name == asked.operation)?;
    let named = asked.has("versionId");
    let verbs: &[Verb] = match (*operation, named) {
        ("DeleteObject", true) => &[Verb::Hide],
        ("DeleteObject", false) => &[Verb::Mark],
        _ => verbs,
    };
    let bucket = asked.path.get_bucket_name().unwrap_or_default().to_owned();
    let (actions, denies) = actions_of(operation, named || Past::of(&bucket).is_some());
    let key = match extent {
        Extent::Object => asked.path.as_object().map(|(_, key)| key.to_owned()),
        _ => None,
    };
    let extent = if *extent == Extent::Object && key.is_none() { Extent::Unknown } else { *extent };
    let prefix = asked.parameter("prefix").filter(|_| extent == Extent::Listing).map(str::to_owned);
    let need = |verbs, actions, denies| {
        let (bucket, key, prefix) = (bucket.clone(), key.clone(), prefix.clone());
        Need { verbs, actions, denies, extent, bucket, key, prefix }
    };
    let besides = HEADERS.iter().filter(|(name, ..)| asked.header(name).is_some());
    let besides = besides.map(|(_, verbs, actions)| need(*verbs, *actions, &[]));
    let source = asked.header("x-amz-copy-source").map(source);
    Some([need(verbs, actions, denies)].into_iter().chain(besides).chain(source).collect())
}

/// A copy reads its source.
fn source(header: &str) -> Need {
    let (extent, bucket, key, versioned) = match CopySource::parse(header) {
        Ok(CopySource::Bucket { bucket, key, version_id }) => {
            let versioned = version_id.is_some() || Past::of(&bucket).is_some();
            (Extent::Object, bucket.to_string(), Some(key.to_string()), versioned)
        }
        _ => (Extent::Unknown, String::new(), None, false),
    };
    let (actions, denies) = actions_of("GetObject", versioned);
    Need { verbs: &[Verb::Read], actions, denies, extent, bucket, key, prefix: None }
}

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

    fn grants(&self, need: &Need) -> bool {
        let in_bucket = self.covers_bucket(&need.bucket);
        let covered = match need.extent {
            Extent::Account => true,
            // A bucket as a whole is more than some of its keys; but that it is there, its keys tell.
            Extent::Bucket | Extent::Named => in_bucket,
            Extent::Listing => in_bucket && self.covers_key(need.prefix.as_deref().unwrap_or_default()),
            Extent::Object => in_bucket && need.key.as_deref().is_some_and(|key| self.covers_key(key)),
            Extent::Unknown => false,
        };
        covered && need.verbs.iter().any(|verb| self.verbs.contains(verb))
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

/// Who asks: an access key with its scope, or nobody in particular.
#[derive(Clone, Copy, Debug)]
struct Asker<'a> {
    key: Option<&'a str>,
    scope: Option<&'a Scope>,
}

impl Asker<'_> {
    /// Whether there are things that it may not do unless a policy allows them.
    fn is_limited(&self) -> bool {
        self.key.is_none() || self.scope.is_some()
    }

    fn grants(&self, need: &Need) -> bool {
        self.key.is_some() && self.scope.is_none_or(|scope| scope.grants(need))
    }

    /// Errors: AccessDenied.
    fn check(&self, setting: &Setting, need: &Need) -> S3Result<()> {
        match setting.decide(&need.act(self.key), need.actions, need.denies) {
            Verdict::Allowed => Ok(()),
            Verdict::Silent if self.grants(need) => Ok(()),
            Verdict::Silent => Err(self.denied()),
            Verdict::Denied => {
                Err(error(S3ErrorCode::AccessDenied, "Access Denied: the bucket's policy denies it."))
            }
        }
    }

    fn denied(&self) -> S3Error {
        let message = match self.key {
            Some(_) => "Access Denied: the scope of this access key does not allow it.",
            None => "Access Denied: anonymous requests may do what a bucket's policy allows to everybody.",
        };
        error(S3ErrorCode::AccessDenied, message)
    }
}

/// What a request may do to the keys of a bucket that its body names.
pub(crate) struct Permission {
    key: Option<String>,
    scope: Option<Scope>,
    setting: Arc<Setting>,
    bucket: String,
}

impl Permission {
    /// Whether a key may be deleted: by version, or by putting a marker. Errors: AccessDenied.
    pub(crate) fn to_delete(&self, key: &str, hides: bool, bypass: bool) -> S3Result<()> {
        let asker = Asker { key: self.key.as_deref(), scope: self.scope.as_ref() };
        let check = |verbs, (actions, denies)| {
            let (bucket, key) = (self.bucket.clone(), Some(key.to_owned()));
            let need = Need { verbs, actions, denies, extent: Extent::Object, bucket, key, prefix: None };
            asker.check(&self.setting, &need)
        };
        if bypass {
            check(&[Verb::Bypass], (BYPASS, &[]))?;
        }
        let verbs: &[Verb] = if hides { &[Verb::Hide] } else { &[Verb::Mark] };
        check(verbs, actions_of("DeleteObject", hides))
    }
}

/// Checks requests.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    pub(crate) scopes: Scopes,
    pub(crate) policies: Arc<Policies<S>>,
}

impl<S: Store> Gate<S> {
    /// What a request may do to keys that its body names. Errors: those of reading the bucket's policy.
    pub(crate) async fn permission(
        &self,
        credentials: Option<&Credentials>,
        bucket: &str,
    ) -> S3Result<Permission> {
        Ok(Permission {
            key: credentials.map(|credentials| credentials.access_key.clone()),
            scope: self.scopes.of(credentials).cloned(),
            setting: self.policies.of(bucket, credentials.is_none()).await?,
            bucket: bucket.to_owned(),
        })
    }
}

impl<S: Store> Gate<S> {
    /// Errors: AccessDenied, and those of reading the policies.
    async fn decide(&self, asker: &Asker<'_>, asked: &Asked<'_>, doubled: bool) -> S3Result<()> {
        let Some(needs) = needs(asked) else {
            return if asker.is_limited() { Err(asker.denied()) } else { Ok(()) };
        };
        for need in needs {
            let setting = match need.extent {
                Extent::Account | Extent::Unknown => Arc::default(),
                _ => self.policies.of(&need.bucket, asker.key.is_none()).await?,
            };
            if doubled && (asker.is_limited() || setting.policy.is_some()) {
                return Err(asker.denied());
            }
            match need.extent {
                // What is said of single keys is known where they are.
                Extent::Named if setting.policy.is_some() || asker.grants(&need) => {}
                Extent::Named => return Err(asker.denied()),
                _ => asker.check(&setting, &need)?,
            }
        }
        Ok(())
    }

    fn asker<'a>(&'a self, credentials: Option<&'a Credentials>) -> Asker<'a> {
        let key = credentials.map(|credentials| credentials.access_key.as_str());
        Asker { key, scope: self.scopes.of(credentials) }
    }
}

/// Whether what a form asks for may be put: for those who do not go through the dispatcher.
#[async_trait::async_trait]
pub(crate) trait Admission: Send + Sync {
    /// Errors: AccessDenied, and those of reading the bucket's policy.
    async fn to_put(
        &self,
        credentials: Option<&Credentials>,
        path: &S3Path,
        headers: &hyper::HeaderMap,
    ) -> S3Result<()>;
}

#[async_trait::async_trait]
impl<S: Store> Admission for Gate<S> {
    async fn to_put(
        &self,
        credentials: Option<&Credentials>,
        path: &S3Path,
        headers: &hyper::HeaderMap,
    ) -> S3Result<()> {
        let asked = Asked { operation: "PutObject", path, headers, query: Vec::new() };
        self.decide(&self.asker(credentials), &asked, false).await
    }
}

#[async_trait::async_trait]
impl<S: Store> S3Access for Gate<S> {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let asker = self.asker(context.credentials());
        let query = context.uri().query().unwrap_or_default();
        let query: Vec<(String, String)> = serde_urlencoded::from_str(query).map_err(|_| asker.denied())?;
        if asker.key.is_none() && query.iter().any(|(name, _)| name.starts_with("response-")) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(invalid_request(message));
        }
        // To the dispatcher a parameter that is given twice is none: a prefix must not vanish so.
        let mut names = BTreeSet::new();
        let doubled = !query.iter().all(|(name, _)| names.insert(name.clone()));
        let asked = Asked {
            operation: context.s3_op().name(),
            path: context.s3_path(),
            headers: context.headers(),
            query,
        };
        self.decide(&asker, &asked, doubled).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::OPERATIONS as OFFERED;

    #[test]
    fn every_operation_is_in_the_table_once() {
        let table: BTreeSet<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
        assert_eq!(table.len(), TABLE.len());
        let offered = OFFERED.iter().map(|input| input.strip_suffix("Input").expect("an input"));
        assert_eq!(offered.collect::<BTreeSet<_>>(), table);
        assert!(table.iter().all(|name| OPERATIONS.iter().any(|(operation, _)| operation == name)));
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
        let asked = Asked { operation, path: &path, headers: &map, query };
        let asker = Asker { key: Some("key"), scope: Some(scope) };
        needs(&asked).is_some_and(|needs| needs.iter().all(|need| asker.grants(need)))
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
            assert!(!asks(&alone, "GetBucketWebsite", "bucket", &[]), "not in the table");
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

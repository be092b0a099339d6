//! The actions that a policy can name, and which of them an operation is.

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Bucket,
    Object,
}

impl Level {
    /// Whether a pattern can be the name of such a thing in the bucket.
    pub(super) fn fits(self, pattern: &str, bucket: &str) -> bool {
        match self {
            Self::Bucket => glob(pattern, bucket),
            Self::Object => pattern.contains('/') || pattern.contains(['*', '?']),
        }
    }
}

/// All of them, without `s3:`. Policies say nothing about policies: whoever may configure a bucket can always take its
/// policy back.
pub(super) const ACTIONS: &[(&str, Level)] = {
    use Level::*;
    &[
        ("AbortMultipartUpload", Object),
        ("BypassGovernanceRetention", Object),
        ("CreateBucket", Bucket),
        ("DeleteBucket", Bucket),
        ("DeleteObject", Object),
        ("DeleteObjectTagging", Object),
        ("DeleteObjectVersion", Object),
        ("DeleteObjectVersionTagging", Object),
        ("GetBucketAcl", Bucket),
        ("GetBucketCORS", Bucket),
        ("GetBucketLocation", Bucket),
        ("GetBucketObjectLockConfiguration", Bucket),
        ("GetBucketOwnershipControls", Bucket),
        ("GetBucketTagging", Bucket),
        ("GetBucketVersioning", Bucket),
        ("GetEncryptionConfiguration", Bucket),
        ("GetLifecycleConfiguration", Bucket),
        ("GetObject", Object),
        ("GetObjectAcl", Object),
        ("GetObjectAttributes", Object),
        ("GetObjectLegalHold", Object),
        ("GetObjectRetention", Object),
        ("GetObjectTagging", Object),
        ("GetObjectVersion", Object),
        ("GetObjectVersionAcl", Object),
        ("GetObjectVersionAttributes", Object),
        ("GetObjectVersionTagging", Object),
        ("ListBucket", Bucket),
        ("ListBucketMultipartUploads", Bucket),
        ("ListBucketVersions", Bucket),
        ("ListMultipartUploadParts", Object),
        ("PutBucketAcl", Bucket),
        ("PutBucketCORS", Bucket),
        ("PutBucketObjectLockConfiguration", Bucket),
        ("PutBucketOwnershipControls", Bucket),
        ("PutBucketTagging", Bucket),
        ("PutBucketVersioning", Bucket),
        ("PutEncryptionConfiguration", Bucket),
        ("PutLifecycleConfiguration", Bucket),
        ("PutObject", Object),
        ("PutObjectAcl", Object),
        ("PutObjectLegalHold", Object),
        ("PutObjectRetention", Object),
        ("PutObjectTagging", Object),
        ("PutObjectVersionAcl", Object),
        ("PutObjectVersionTagging", Object),
    ]
};

/// The actions that an operation is, all of which must be allowed: of a current version, and of a version that is named
/// or in the past.
type Acts = (&'static [&'static str], &'static [&'static str]);

/// Operations by name. What a policy says nothing about has none.
pub(crate) const OPERATIONS: &[(&str, Acts)] = &[
    ("ListBuckets", (&[], &[])),
    ("CreateBucket", (&["CreateBucket"], &["CreateBucket"])),
    ("DeleteBucket", (&["DeleteBucket"], &["DeleteBucket"])),
    ("HeadBucket", (&["ListBucket"], &["ListBucketVersions"])),
    ("GetBucketLocation", (&["GetBucketLocation"], &["GetBucketLocation"])),
    ("GetBucketVersioning", (&["GetBucketVersioning"], &["GetBucketVersioning"])),
    ("PutBucketVersioning", (&["PutBucketVersioning"], &["PutBucketVersioning"])),
    ("GetBucketAcl", (&["GetBucketAcl"], &["GetBucketAcl"])),
    ("PutBucketAcl", (&["PutBucketAcl"], &["PutBucketAcl"])),
    ("GetBucketTagging", (&["GetBucketTagging"], &["GetBucketTagging"])),
    ("PutBucketTagging", (&["PutBucketTagging"], &["PutBucketTagging"])),
    ("DeleteBucketTagging", (&["PutBucketTagging"], &["PutBucketTagging"])),
    ("GetBucketCors", (&["GetBucketCORS"], &["GetBucketCORS"])),
    ("PutBucketCors", (&["PutBucketCORS"], &["PutBucketCORS"])),
    ("DeleteBucketCors", (&["PutBucketCORS"], &["PutBucketCORS"])),
    ("GetBucketOwnershipControls", (&["GetBucketOwnershipControls"], &["GetBucketOwnershipControls"])),
    ("PutBucketOwnershipControls", (&["PutBucketOwnershipControls"], &["PutBucketOwnershipControls"])),
    ("GetBucketEncryption", (&["GetEncryptionConfiguration"], &["GetEncryptionConfiguration"])),
    ("PutBucketEncryption", (&["PutEncryptionConfiguration"], &["PutEncryptionConfiguration"])),
    ("DeleteBucketEncryption", (&["PutEncryptionConfiguration"], &["PutEncryptionConfiguration"])),
    ("GetBucketLifecycleConfiguration", (&["GetLifecycleConfiguration"], &["GetLifecycleConfiguration"])),
    ("PutBucketLifecycleConfiguration", (&["PutLifecycleConfiguration"], &["PutLifecycleConfiguration"])),
    ("DeleteBucketLifecycle", (&["PutLifecycleConfiguration"], &["PutLifecycleConfiguration"])),
    ("GetBucketPolicy", (&[], &[])),
    ("PutBucketPolicy", (&[], &[])),
    ("DeleteBucketPolicy", (&[], &[])),
    ("GetBucketPolicyStatus", (&[], &[])),
    ("GetPublicAccessBlock", (&[], &[])),
    ("PutPublicAccessBlock", (&[], &[])),
    ("DeletePublicAccessBlock", (&[], &[])),
    (
        "GetObjectLockConfiguration",
        (&["GetBucketObjectLockConfiguration"], &["GetBucketObjectLockConfiguration"]),
    ),
    (
        "PutObjectLockConfiguration",
        (&["PutBucketObjectLockConfiguration"], &["PutBucketObjectLockConfiguration"]),
    ),
    ("ListObjects", (&["ListBucket"], &["ListBucketVersions"])),
    ("ListObjectsV2", (&["ListBucket"], &["ListBucketVersions"])),
    ("ListObjectVersions", (&["ListBucketVersions"], &["ListBucketVersions"])),
    ("ListMultipartUploads", (&["ListBucketMultipartUploads"], &["ListBucketMultipartUploads"])),
    ("GetObject", (&["GetObject"], &["GetObjectVersion"])),
    ("HeadObject", (&["GetObject"], &["GetObjectVersion"])),
    (
        "GetObjectAttributes",
        (&["GetObject", "GetObjectAttributes"], &["GetObjectVersion", "GetObjectVersionAttributes"]),
    ),
    ("GetObjectAcl", (&["GetObjectAcl"], &["GetObjectVersionAcl"])),
    ("PutObjectAcl", (&["PutObjectAcl"], &["PutObjectVersionAcl"])),
    ("GetObjectTagging", (&["GetObjectTagging"], &["GetObjectVersionTagging"])),
    ("GetObjectRetention", (&["GetObjectRetention"], &["GetObjectRetention"])),
    ("GetObjectLegalHold", (&["GetObjectLegalHold"], &["GetObjectLegalHold"])),
    ("PutObject", (&["PutObject"], &["PutObject"])),
    ("PostObject", (&["PutObject"], &["PutObject"])),
    ("CopyObject", (&["PutObject"], &["PutObject"])),
    ("PutObjectTagging", (&["PutObjectTagging"], &["PutObjectVersionTagging"])),
    ("DeleteObjectTagging", (&["DeleteObjectTagging"], &["DeleteObjectVersionTagging"])),
    ("CreateMultipartUpload", (&["PutObject"], &["PutObject"])),
    ("UploadPart", (&["PutObject"], &["PutObject"])),
    ("UploadPartCopy", (&["PutObject"], &["PutObject"])),
    ("CompleteMultipartUpload", (&["PutObject"], &["PutObject"])),
    ("AbortMultipartUpload", (&["AbortMultipartUpload"], &["AbortMultipartUpload"])),
    ("ListParts", (&["ListMultipartUploadParts"], &["ListMultipartUploadParts"])),
    ("PutObjectRetention", (&["PutObjectRetention"], &["PutObjectRetention"])),
    ("PutObjectLegalHold", (&["PutObjectLegalHold"], &["PutObjectLegalHold"])),
    ("DeleteObject", (&["DeleteObject"], &["DeleteObjectVersion"])),
    ("DeleteObjects", (&["DeleteObject"], &["DeleteObject"])),
];

/// Whether a pattern with the wildcards `*` and `?` is that of a text.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and what of the text it does not stand for.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[from] => (at, from) = (at + 1, from + 1),
            _ => match star {
                None => return false,
                Some((stands, rest)) => {
                    star = Some((stands, rest + 1));
                    (at, from) = (stands + 1, rest + 1);
                }
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_action_is_known_and_of_use() {
        let known: BTreeSet<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known.len(), ACTIONS.len());
        let used = OPERATIONS.iter().flat_map(|(_, (now, then))| now.iter().chain(*then).copied());
        let used: BTreeSet<&str> = used.chain(["BypassGovernanceRetention"]).collect();
        assert_eq!(used, known);
    }

    /// What patterns mean, said in another way.
    fn stands_for(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| stands_for(rest, &text[skip..])),
            Some((wanted, rest)) => text
                .split_first()
                .is_some_and(|(c, text)| (*wanted == '?' || wanted == c) && stands_for(rest, text)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab*?]{0,7}", text in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern, &text), stands_for(&chars(&pattern), &chars(&text)));
        }
    }
}

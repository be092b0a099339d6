//! Which `x-amz-` request headers this surface honours.
//!
//! A header that asks for something is either honoured or refused; it is never ignored. So the list is of what is
//! known, and everything else is 501 NotImplemented, with the header's name in the message.

use crate::refusal::Refusal;
use hyper::HeaderMap;

/// Prefix of all headers that mean something to S3.
pub(crate) const PREFIX: &str = "x-amz-";

/// Honoured wherever S3 defines them.
const KNOWN: &[&str] = &[
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-part-number-marker",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-trailer",
    // Ask for nothing: who pays, and what software asks.
    "x-amz-request-payer",
    "x-amz-user-agent",
];

/// Honoured with these values only, which ask for what is so anyway.
const VALUES: &[(&str, &[&str], &str)] = &[
    ("x-amz-server-side-encryption", &["AES256"], "other encryption than AES256 is not implemented"),
    ("x-amz-storage-class", &["STANDARD"], "storage classes other than STANDARD are not implemented"),
    (
        "x-amz-object-ownership",
        &["BucketOwnerEnforced"],
        "object ownership other than BucketOwnerEnforced is not implemented",
    ),
];

/// Canned access lists that S3 knows, with those first that are what is so anyway.
const CANNED: &[&str] = &[
    "private",
    "bucket-owner-full-control",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "log-delivery-write",
];

/// Must name the owner of the buckets.
const OWNERS: &[&str] = &["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"];

/// Refuses what is asked for in vain. `owner` is the account that owns the buckets.
pub(crate) fn check(headers: &HeaderMap, owner: &str) -> Result<(), Refusal> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with(PREFIX) || name.starts_with("x-amz-meta-") || KNOWN.contains(&name) {
            continue;
        }
        let value = value.to_str().unwrap_or_default();
        if name == "x-amz-acl" {
            match CANNED.iter().position(|canned| *canned == value) {
                Some(0 | 1) => {}
                Some(_) => return Err(no_access_lists()),
                None => return Err(Refusal::bad_request("InvalidArgument", "There is no such canned ACL.")),
            }
        } else if name.starts_with("x-amz-grant-") {
            return Err(no_access_lists());
        } else if let Some((_, values, why)) = VALUES.iter().find(|(known, ..)| *known == name) {
            if !values.contains(&value) {
                return Err(refused(name, why));
            }
        } else if OWNERS.contains(&name) {
            if value != owner {
                return Err(Refusal::forbidden("AccessDenied", "The bucket has another owner."));
            }
        } else if name == "x-amz-security-token" {
            return Err(Refusal::bad_request("InvalidToken", "This gateway issues no session tokens."));
        } else {
            return Err(refused(name, reason(name)));
        }
    }
    Ok(())
}

/// What S3 answers where objects belong to the bucket's owner whoever wrote them, as they do here.
fn no_access_lists() -> Refusal {
    Refusal::bad_request(
        "AccessControlListNotSupported",
        "The bucket does not allow ACLs: say who may do what in a bucket policy.",
    )
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal::not_implemented(format!("{why} (header {name})")).with("Header", name)
}

fn reason(name: &str) -> &'static str {
    if name.contains("server-side-encryption") {
        "objects are always encrypted before they leave the gateway, under the tenant's key: ask for AES256, or give a \
         key of your own; keys of a key management service are not implemented"
    } else {
        "this header asks for something that is not implemented"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{StatusCode, header::HeaderValue};

    fn verdict(name: &'static str, value: &'static str) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        check(&headers, "me").err().map(|refusal| refusal.status)
    }

    #[test]
    fn every_header_is_honoured_or_refused() {
        for (name, value) in [
            ("range", "bytes=0-1"),
            ("x-amz-meta-anything", "x"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-acl", "private"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-bucket-object-lock-enabled", "true"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-bypass-governance-retention", "true"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "a2V5"),
            ("x-amz-copy-source-server-side-encryption-customer-key", "a2V5"),
            ("x-amz-expected-bucket-owner", "me"),
        ] {
            assert_eq!(verdict(name, value), None, "{name}");
        }
        for (name, value) in [
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-bucket-object-lock-token", "t"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-context", "e30="),
            ("x-amz-website-redirect-location", "/x"),
            ("x-amz-mfa", "1"),
            ("x-amz-write-offset-bytes", "1"),
            ("x-amz-checksum-sha512", "x"),
            ("x-amz-invented-tomorrow", "x"),
        ] {
            assert_eq!(verdict(name, value), Some(StatusCode::NOT_IMPLEMENTED), "{name}");
        }
        for (name, value) in
            [("x-amz-acl", "public-read"), ("x-amz-acl", "no-such"), ("x-amz-grant-read", "id=1")]
        {
            assert_eq!(verdict(name, value), Some(StatusCode::BAD_REQUEST), "{name}");
        }
        assert_eq!(verdict("x-amz-expected-bucket-owner", "you"), Some(StatusCode::FORBIDDEN));
        assert_eq!(verdict("x-amz-security-token", "t"), Some(StatusCode::BAD_REQUEST));
    }
}

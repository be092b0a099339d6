//! Encryption as S3 has it in buckets' settings and headers.
//!
//! Everything is encrypted before it leaves the gateway, under the tenant's key, with AES-256-GCM. S3 calls that AES256: so
//! answers say, so every bucket is set, and it cannot be turned off. Asking for it asks for what is so anyway. Keys of a
//! key management service are refused; a customer's own are in [`crate::customer`].

use crate::{
    error::{invalid_argument, not_implemented, stored},
    refusal::Refusal,
    store::Store,
    surface::{Surface, bucket},
};
use hyper::{HeaderMap, Method};
use s3s::{S3Request, S3Response, S3Result, dto::*};

/// The header that asks for it.
const HEADER: &str = "x-amz-server-side-encryption";
/// The header that names a key of a key management service.
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER: &str = "x-amz-server-side-encryption-customer-algorithm";

/// Refuses what the headers cannot ask for. Errors: InvalidArgument, NotImplemented.
pub(crate) fn check(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(asked) = headers.get(HEADER) else {
        return match headers.contains_key(KEY_ID) {
            true => Err(Refusal::bad_request(
                "InvalidArgument",
                "A key's id needs x-amz-server-side-encryption: aws:kms.",
            )),
            false => Ok(()),
        };
    };
    let invalid = |message: &'static str| Err(Refusal::bad_request("InvalidArgument", message));
    if matches!(*method, Method::GET | Method::HEAD) {
        return invalid("x-amz-server-side-encryption header is not supported for this operation.");
    }
    if headers.contains_key(CUSTOMER) {
        return invalid(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        );
    }
    if asked.as_bytes() == ServerSideEncryption::AES256.as_bytes() {
        return match headers.contains_key(KEY_ID) {
            true => invalid("Server Side Encryption with AES256 takes no key's id."),
            false => Ok(()),
        };
    }
    match asked.as_bytes() {
        b"aws:kms" | b"aws:kms:dsse" => Err(Refusal::not_implemented(
            "Keys of a key management service are not implemented: ask for AES256, or give a key of your own.",
        )
        .with("Header", HEADER)),
        _ => invalid("The encryption method specified is not supported"),
    }
}

pub(crate) async fn put_bucket_encryption<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let input = request.input;
    surface.store.head_bucket(&bucket(&input.bucket)?).await.map_err(stored)?;
    let [rule] = &input.server_side_encryption_configuration.rules[..] else {
        return Err(invalid_argument("The configuration must have one rule."));
    };
    let asked = rule.apply_server_side_encryption_by_default.as_ref();
    match asked.map(|asked| (asked.sse_algorithm.as_str(), &asked.kms_master_key_id)) {
        None | Some((ServerSideEncryption::AES256, None)) => {}
        Some((ServerSideEncryption::AES256, Some(_))) => {
            return Err(invalid_argument("AES256 takes no key's id."));
        }
        Some(_) => return Err(not_implemented("Keys of a key management service are not implemented.")),
    }
    Ok(S3Response::new(PutBucketEncryptionOutput {}))
}

pub(crate) async fn get_bucket_encryption<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    surface.existing(&request.input.bucket).await?;
    let always = ServerSideEncryptionByDefault {
        kms_master_key_id: None,
        sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
    };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(always),
        bucket_key_enabled: Some(false),
    };
    Ok(S3Response::new(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration { rules: vec![rule] }),
    }))
}

/// Back to the default, which it never left.
pub(crate) async fn delete_bucket_encryption<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    surface.store.head_bucket(&bucket(&request.input.bucket)?).await.map_err(stored)?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_anyway_may_be_asked_for() {
        let verdict = |method: &Method, given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, hyper::header::HeaderValue::from_static(value));
            }
            check(method, &headers).err().map(|refusal| refusal.status.as_u16())
        };
        assert_eq!(verdict(&Method::PUT, &[]), None);
        assert_eq!(verdict(&Method::PUT, &[(HEADER, "AES256")]), None);
        assert_eq!(verdict(&Method::GET, &[(HEADER, "AES256")]), Some(400));
        assert_eq!(verdict(&Method::PUT, &[(HEADER, "aws:kms")]), Some(501));
        assert_eq!(verdict(&Method::PUT, &[(HEADER, "AES512")]), Some(400));
        assert_eq!(verdict(&Method::PUT, &[(KEY_ID, "k")]), Some(400));
        assert_eq!(verdict(&Method::PUT, &[(HEADER, "AES256"), (KEY_ID, "k")]), Some(400));
        for other in ["AES256", "aws:kms"] {
            assert_eq!(verdict(&Method::PUT, &[(HEADER, other), (CUSTOMER, "AES256")]), Some(400));
        }
    }
}

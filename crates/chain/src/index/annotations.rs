//! Annotations of buckets and versions. The newest row that is not newer than the height asked for counts; of a bucket,
//! only if it is of the life that the bucket had then.

use super::{
    layout::*,
    listings::bucket_created,
    store::{Step, Store, StoreError},
};
use crate::protocol::{AnnotationQuery, Page};
use proof::{
    TenantId, VersionId,
    transaction::{About, Target},
    wire::List,
};

/// What all rows of an annotation begin with; `None` of a version that is not named by its id.
pub(super) fn rows(tenant: &TenantId, about: &About) -> Option<Key> {
    let root = Key::new(ANNOTATIONS).tenant(tenant).bucket(about.bucket());
    Some(match about {
        About::BucketTags(_) => root.raw(&[0]),
        About::BucketCors(_) => root.raw(&[1]),
        About::BucketLifecycle(_) => root.raw(&[3]),
        About::BucketPolicy(_) => root.raw(&[4]),
        About::BucketPublicAccess(_) => root.raw(&[5]),
        About::VersionTags(at) => {
            let Target::Version(version) = &at.version else { return None };
            root.raw(&[2]).key(at.place.key.as_str().as_bytes()).newest_first(version)
        }
    })
}

/// The annotation as it was at `height`.
pub(super) fn page<S: Store>(store: &S, query: &AnnotationQuery, height: u64) -> Result<Page, StoreError> {
    let AnnotationQuery { tenant, about } = query;
    let none = Page::Annotation(List::default());
    let Some(rows) = rows(tenant, about) else { return Ok(none) };
    // A version is the same in every life of its bucket.
    let since = match (about.version(), bucket_created(store, tenant, about.bucket(), height)?) {
        (Some(_), _) => VersionId { height: 0, index: 0, operation: 0 },
        (None, Some((created, _))) => created,
        (None, None) => return Ok(Page::NoSuch),
    };
    let from = rows.clone().newest_first(&newest(height)).done();
    let mut page = none;
    store.scan(&from, &rows.past(), &mut |row, value| {
        if split_version(row)?.1 > since {
            let AnnotationRow { sealed } = decode(value)?;
            page = Page::Annotation(sealed);
        }
        Ok(Step::Stop)
    })?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Index, memory::Memory};
    use ledger::{APPLIED, BlockContext};
    use proof::{
        Digest, Genesis, SecretKey, SignedTransaction, Transaction,
        transaction::{Annotate, Attachment, CreateBucket, DeleteBucket, Operation, TargetAt},
    };

    const TENANT: TenantId = TenantId([7; 16]);

    fn genesis() -> Genesis {
        let key = SecretKey::from_seed([1; 32]).public_key();
        Genesis {
            name: Default::default(),
            created_ms: 0,
            committee: proof::Committee::new(0, vec![key]).unwrap(),
            approvers: List::default(),
            approvals_needed: 0,
            tenants: List::default(),
        }
    }

    /// Applies a block with this one transaction.
    fn apply(index: &Index<Memory>, operation: Operation, document: Option<&'static [u8]>) {
        let key = SecretKey::from_seed([1; 32]);
        let transaction = Transaction {
            network: Digest::ZERO,
            tenant: TENANT,
            signer: key.public_key(),
            nonce: [0; 16],
            expires_ms: index.height(),
            preconditions: List::default(),
            operations: List::new(vec![operation]).unwrap(),
        };
        let signed: SignedTransaction =
            transaction.sign(&key, document.map(Into::into).into_iter().collect());
        let height = index.height() + 1;
        let block = BlockContext { genesis: &genesis(), network: Digest::ZERO, height, time_ms: height };
        index.apply(&block, &[signed], &[APPLIED]).unwrap();
    }

    fn set(index: &Index<Memory>, about: &About, document: Option<&'static [u8]>) {
        let sealed = List::new(document.map(Attachment::of).into_iter().collect()).unwrap();
        apply(index, Operation::Annotate(Annotate { about: about.clone(), sealed }), document);
    }

    fn read(index: &Index<Memory>, about: &About, height: u64) -> Option<Vec<Vec<u8>>> {
        match page(&index.store, &AnnotationQuery { tenant: TENANT, about: about.clone() }, height).unwrap() {
            Page::NoSuch => None,
            Page::Annotation(sealed) => Some(sealed.iter().map(|sealed| sealed.to_vec()).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_height_has_its_own() {
        let bucket: proof::BucketName = "bucket".parse().unwrap();
        let place = proof::transaction::Place { bucket: bucket.clone(), key: "a\0b".parse().unwrap() };
        let version = |height| Target::Version(VersionId { height, index: 0, operation: 0 });
        let tags = |height| About::VersionTags(TargetAt { place: place.clone(), version: version(height) });
        let (of_bucket, cors) = (About::BucketTags(bucket.clone()), About::BucketCors(bucket.clone()));
        let index = Index::open(Memory::default()).unwrap();
        apply(&index, Operation::CreateBucket(CreateBucket { bucket: bucket.clone() }), None);
        set(&index, &of_bucket, Some(b"two"));
        set(&index, &tags(1), Some(b"three"));
        set(&index, &of_bucket, None);
        set(&index, &tags(1), Some(b"five"));
        set(&index, &cors, Some(b"six"));
        apply(&index, Operation::DeleteBucket(DeleteBucket { bucket: bucket.clone() }), None);
        apply(&index, Operation::CreateBucket(CreateBucket { bucket }), None);
        let some = |text: &[u8]| Some(vec![text.to_vec()]);
        for (about, height, expected) in [
            (&of_bucket, 0, None),
            (&of_bucket, 1, Some(vec![])),
            (&of_bucket, 3, some(b"two")),
            (&of_bucket, 4, Some(vec![])),
            (&tags(1), 2, Some(vec![])),
            (&tags(1), 4, some(b"three")),
            (&tags(1), 8, some(b"five")),
            (&tags(2), 8, Some(vec![])),
            (&cors, 6, some(b"six")),
            (&cors, 7, None),
            (&cors, 8, Some(vec![])),
        ] {
            assert_eq!(read(&index, about, height), expected, "{about:?} at {height}");
        }
    }
}

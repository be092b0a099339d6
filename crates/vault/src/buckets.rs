//! Buckets.

use crate::{Bucket, Context, Error, Vault, commit::Intent};
use chain::client::BucketsQuery;
use proof::{
    BucketName,
    transaction::{CreateBucket, DeleteBucket, Operation, UndeleteBucket},
    wire::Octets,
};

impl<E: Context> Vault<E> {
    /// The tenant's buckets, by name.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        let mut buckets: Vec<Bucket> = Vec::new();
        loop {
            let after = buckets.last().map_or("", |bucket| bucket.name.as_str());
            let after = Octets::new(after.as_bytes().to_vec()).expect("a bucket's name fits");
            let query = BucketsQuery { tenant: self.shared.tenant, after, limit: 0 };
            let page =
                self.patiently(|| async { Ok(self.shared.chain.list_buckets(query.clone()).await?) }).await?;
            let (more, before) = (page.more, buckets.len());
            let page = page.buckets.into_iter();
            buckets.extend(page.map(|bucket| Bucket { name: bucket.bucket, created_ms: bucket.created_ms }));
            if !more || buckets.len() == before {
                return Ok(buckets);
            }
        }
    }

    /// Creates a bucket. Errors: `BucketExists`.
    pub async fn create_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let create = Operation::CreateBucket(CreateBucket { bucket: bucket.clone() });
        let committed = self.commit(Intent::of(create)).await?;
        Ok(Bucket { name: bucket.clone(), created_ms: committed.time_ms() })
    }

    /// The bucket. Errors: `NoSuchBucket`.
    pub async fn head_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let record = self
            .patiently(|| async { Ok(self.shared.chain.bucket(self.shared.tenant, bucket).await?) })
            .await?;
        let record = record.ok_or(Error::NoSuchBucket)?;
        Ok(Bucket { name: bucket.clone(), created_ms: record.created_ms })
    }

    /// Brings a deleted bucket back, with what its last life had. Errors: `NoSuchBucket` when there never was one,
    /// `BucketExists`.
    pub async fn undelete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        let undelete = Operation::UndeleteBucket(UndeleteBucket { bucket: bucket.clone() });
        self.commit(Intent::of(undelete)).await.map(drop)
    }

    /// Hides a bucket that has no current objects; its versions stay. Errors: `NoSuchBucket`, `BucketNotEmpty`.
    pub async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        let delete = Operation::DeleteBucket(DeleteBucket { bucket: bucket.clone() });
        self.commit(Intent::of(delete)).await.map(drop)
    }
}

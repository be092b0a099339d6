//! How much a bucket and a tenant keep and may keep, as the ledger counts and proves it.

use crate::{Context, Error, Vault, Written, commit::Intent, commit::written};
use ledger::{Record, key, record::Usage};
use proof::{
    BucketName, SecretKey, TenantId, Transaction,
    transaction::{Operation, Quota, SetQuota, SetTenantQuota},
    wire::List,
};
use std::time::UNIX_EPOCH;

fn at_most_one(quota: Option<Quota>) -> List<Quota, 1> {
    List::new(quota.into_iter().collect()).expect("one at the most")
}

impl<E: Context> Vault<E> {
    /// What a bucket keeps and may keep. Errors: `NoSuchBucket`.
    pub async fn bucket_usage(&self, bucket: &BucketName) -> Result<Usage, Error> {
        let read = || async { Ok(self.shared.chain.bucket(self.shared.tenant, bucket).await?) };
        self.patiently(read).await?.map(|record| record.usage).ok_or(Error::NoSuchBucket)
    }

    /// What all of the tenant's buckets keep and may keep.
    pub async fn tenant_usage(&self) -> Result<Usage, Error> {
        let keys = [key::tenant(&self.shared.tenant)];
        let (_, records) = self.patiently(|| async { Ok(self.shared.chain.records(&keys).await?) }).await?;
        match records.as_slice() {
            [Some(Record::Tenant(tenant))] => Ok(tenant.usage.clone()),
            // Of a tenant that does not exist nothing is kept.
            _ => Ok(Usage::default()),
        }
    }

    /// Limits what a bucket may keep, or no longer. Errors: `NoSuchBucket`.
    pub async fn set_quota(&self, bucket: &BucketName, quota: Option<Quota>) -> Result<(), Error> {
        let set = SetQuota { bucket: bucket.clone(), quota: at_most_one(quota) };
        self.commit(Intent::of(Operation::SetQuota(set))).await.map(drop)
    }

    /// Limits what a tenant may keep, or no longer; `approver` signs. Errors: `NotAllowed` when the key is not an
    /// approver's, or there is no such tenant.
    pub async fn set_tenant_quota(
        &self,
        approver: &SecretKey,
        tenant: TenantId,
        quota: Option<Quota>,
    ) -> Result<Written, Error> {
        let set = SetTenantQuota { tenant, quota: at_most_one(quota) };
        self.govern(approver, tenant, Operation::SetTenantQuota(set)).await
    }

    /// Submits what only an approver may decide of a tenant.
    pub(crate) async fn govern(
        &self,
        approver: &SecretKey,
        tenant: TenantId,
        operation: Operation,
    ) -> Result<Written, Error> {
        let shared = &self.shared;
        let now = shared.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        let transaction = Transaction {
            network: shared.network,
            tenant,
            signer: approver.public_key(),
            nonce: self.random(),
            expires_ms: (now + shared.limits.expiry).as_millis() as u64,
            preconditions: List::default(),
            operations: List::new(vec![operation]).expect("one operation"),
        };
        let committed = self.submit(transaction.sign(approver, Vec::new())).await?;
        Ok(written(&committed))
    }
}

//! Tenants, which approvers make.

use crate::{Context, Error, Vault, Written, commit::written};
use proof::{
    PublicKey, SecretKey, TenantId, Transaction,
    transaction::{CreateTenant, Operation},
    wire::{List, Octets},
};
use std::time::UNIX_EPOCH;

impl<E: Context> Vault<E> {
    /// Makes another tenant, whose first signing key is `key`; `approver` signs. The name has at most 64 bytes.
    /// Errors: `NotAllowed` when the key is not an approver's, the tenant exists, or the name is too long.
    pub async fn create_tenant(
        &self,
        approver: &SecretKey,
        tenant: TenantId,
        name: &str,
        key: PublicKey,
    ) -> Result<Written, Error> {
        let shared = &self.shared;
        let name = Octets::new(name.as_bytes().to_vec())
            .map_err(|_| Error::NotAllowed("a tenant's name has at most 64 bytes".into()))?;
        let now = shared.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        let create = Operation::CreateTenant(CreateTenant { tenant, name, key });
        let transaction = Transaction {
            network: shared.network,
            tenant,
            signer: approver.public_key(),
            nonce: self.random(),
            expires_ms: (now + shared.limits.expiry).as_millis() as u64,
            preconditions: List::default(),
            operations: List::new(vec![create]).expect("one operation"),
        };
        let committed = self.submit(transaction.sign(approver, Vec::new())).await?;
        Ok(written(&committed))
    }
}

//! Tenants, which approvers make.

use crate::{Context, Error, Vault, Written};
use proof::{
    PublicKey, SecretKey, TenantId,
    transaction::{CreateTenant, Operation},
    wire::Octets,
};

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
        let name = Octets::new(name.as_bytes().to_vec())
            .map_err(|_| Error::NotAllowed("a tenant's name has at most 64 bytes".into()))?;
        let create = Operation::CreateTenant(CreateTenant { tenant, name, key });
        self.govern(approver, tenant, create).await
    }
}

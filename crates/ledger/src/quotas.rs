//! How much a bucket and a tenant may keep.
//!
//! Nothing that is stored is destroyed, so usage counts all that was ever accepted, and does not shrink when something is
//! deleted or hidden:
//!
//! - A bucket's: every version of an object, with the length of its ciphertext, in all lives of the bucket.
//! - A tenant's: the same of all its buckets; but of objects made of parts, their parts count when they are put, whether
//!   the upload is ever completed or not.
//!
//! A version or part that would exceed a quota is refused. Delete markers, settings, and whatever else takes no contents
//! never are: whoever has used up a quota can still delete, hide, lock and read. A quota may be set below what is used.
//! A bucket's quota is set by a key of its tenant, the tenant's by an approver.

use crate::{
    key::{self, StateKey},
    operations::live_bucket,
    overlay::{Overlay, View},
    record::{Tenant, Usage},
    refusal::Refusal,
};
use proof::{
    TenantId,
    transaction::{Place, Quota, SetQuota, SetTenantQuota},
    wire::List,
};

/// Adds to what is used, if the quota allows it.
fn add(usage: Usage, bytes: u64, objects: u64) -> Result<Usage, Refusal> {
    let used = Usage {
        bytes: usage.bytes.checked_add(bytes).ok_or(Refusal::Exhausted)?,
        objects: usage.objects.checked_add(objects).ok_or(Refusal::Exhausted)?,
        quota: usage.quota,
    };
    match used.quota.first() {
        Some(quota) if used.bytes > quota.bytes || used.objects > quota.objects => {
            Err(Refusal::QuotaExceeded)
        }
        _ => Ok(used),
    }
}

/// The tenant of whoever writes.
fn writer<V: View>(state: &Overlay<'_, V>, tenant: &TenantId) -> (StateKey, Tenant) {
    let key = key::tenant(tenant);
    let tenant = state.read::<Tenant>(&key).expect("a key that signs, signs for a tenant that exists");
    (key, tenant)
}

/// Counts a version of an object; `new_bytes` of its `bytes` were not counted as parts before.
pub(crate) fn charge_version<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    bytes: u64,
    new_bytes: u64,
) -> Result<(), Refusal> {
    let (bucket_key, bucket) = live_bucket(state, tenant, &place.bucket)?;
    let (tenant_key, tenant) = writer(state, tenant);
    let (of_bucket, of_tenant) =
        (add(bucket.usage.clone(), bytes, 1)?, add(tenant.usage.clone(), new_bytes, 1)?);
    state.write(bucket_key, crate::record::Bucket { usage: of_bucket, ..bucket });
    state.write(tenant_key, Tenant { usage: of_tenant, ..tenant });
    Ok(())
}

/// Counts a part of an upload.
pub(crate) fn charge_part<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    bytes: u64,
) -> Result<(), Refusal> {
    let (key, tenant) = writer(state, tenant);
    let usage = add(tenant.usage.clone(), bytes, 0)?;
    state.write(key, Tenant { usage, ..tenant });
    Ok(())
}

pub(crate) fn set_quota<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    set: &SetQuota,
) -> Result<(), Refusal> {
    let (key, bucket) = live_bucket(state, tenant, &set.bucket)?;
    let usage = with_quota(bucket.usage.clone(), &set.quota);
    state.write(key, crate::record::Bucket { usage, ..bucket });
    Ok(())
}

pub(crate) fn set_tenant_quota<V: View>(
    state: &mut Overlay<'_, V>,
    set: &SetTenantQuota,
) -> Result<(), Refusal> {
    let key = key::tenant(&set.tenant);
    let tenant = state.read::<Tenant>(&key).ok_or(Refusal::NoSuchTenant)?;
    let usage = with_quota(tenant.usage.clone(), &set.quota);
    state.write(key, Tenant { usage, ..tenant });
    Ok(())
}

fn with_quota(usage: Usage, quota: &List<Quota, 1>) -> Usage {
    Usage { quota: quota.clone(), ..usage }
}

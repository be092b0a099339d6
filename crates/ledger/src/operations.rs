//! What each operation requires and writes.

use crate::{
    entries::Position,
    key::{self, StateKey},
    locks::{annotatable, retain_new, set_bucket_lock, set_hold, set_retention},
    overlay::{Overlay, View},
    quotas::{charge_part, charge_version, set_quota, set_tenant_quota},
    record::{Annotation, Bucket, Head, Kind, Part, Signer, Tenant, Upload, UploadState, Usage, Version},
    refusal::Refusal,
    visibility::{hide_version, unhide_version},
};
use proof::{
    BucketName, PublicKey, TenantId, UploadId,
    entry::VersionKind,
    transaction::{Annotate, CompleteUpload, CreateUpload, Operation, Place, PutPart},
    wire::List,
};

/// Applies one operation, or says why not. After a refusal the overlay is to be dropped.
pub(crate) fn apply<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    operation: &Operation,
) -> Result<(), Refusal> {
    match operation {
        Operation::CreateBucket(create) => create_bucket(position, state, &create.bucket),
        Operation::DeleteBucket(delete) => delete_bucket(position, state, &delete.bucket),
        Operation::PutVersion(put) => {
            let bytes = put.body.ciphertext_length;
            charge_version(state, &position.tenant, &put.place, bytes, bytes)?;
            add_version(position, state, &put.place, VersionKind::Object(put.body.clone()))
        }
        Operation::PutMarker(put) => add_version(position, state, &put.place, VersionKind::Marker),
        Operation::CreateUpload(create) => create_upload(position, state, create),
        Operation::PutPart(put) => put_part(position, state, put),
        Operation::CompleteUpload(complete) => complete_upload(position, state, complete),
        Operation::AbortUpload(abort) => {
            let (key, upload) = open_upload(state, &position.tenant, &abort.upload)?;
            revise(state, key, upload, UploadState::Aborted)
        }
        Operation::CreateTenant(create) => {
            if state.get(&key::tenant(&create.tenant)).is_some() {
                return Err(Refusal::TenantExists);
            }
            enroll(state, &create.tenant, &create.key, position.time_ms)
        }
        Operation::AddKey(add) => enroll(state, &position.tenant, &add.key, position.time_ms),
        Operation::RevokeKey(revoke) => revoke_key(state, &position.tenant, &revoke.key),
        Operation::HideVersion(hide) => hide_version(position, state, hide),
        Operation::UnhideVersion(show) => unhide_version(position, state, show),
        Operation::UndeleteBucket(undelete) => undelete_bucket(position, state, &undelete.bucket),
        Operation::SetBucketLock(set) => set_bucket_lock(position, state, set),
        Operation::SetRetention(set) => set_retention(position, state, set),
        Operation::SetHold(set) => set_hold(position, state, set),
        Operation::Annotate(annotate) => set_annotation(position, state, annotate),
        Operation::SetQuota(set) => set_quota(state, &position.tenant, set),
        Operation::SetTenantQuota(set) => set_tenant_quota(state, set),
    }
}

/// The bucket, if it exists and is not deleted.
pub(crate) fn live_bucket<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    bucket: &BucketName,
) -> Result<(StateKey, Bucket), Refusal> {
    let key = key::bucket(tenant, bucket);
    let bucket = state.read::<Bucket>(&key).filter(|bucket| !bucket.deleted);
    bucket.map(|bucket| (key, bucket)).ok_or(Refusal::NoSuchBucket)
}

/// The current version of a key: its head, unless that is of an earlier life of the bucket.
pub(crate) fn head_of<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
) -> Result<Option<Head>, Refusal> {
    let (_, bucket) = live_bucket(state, tenant, &place.bucket)?;
    Ok(state.read::<Head>(&key::head(tenant, place)).filter(|head| head.is_current(&bucket)))
}

fn create_bucket<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    bucket: &BucketName,
) -> Result<(), Refusal> {
    let earlier = state.read::<Bucket>(&key::bucket(&position.tenant, bucket));
    if earlier.as_ref().is_some_and(|bucket| !bucket.deleted) {
        return Err(Refusal::BucketExists);
    }
    let record = Bucket {
        created: position.version,
        created_ms: position.time_ms,
        deleted: false,
        live: 0,
        lock: List::default(),
        annotated: false,
        // What it kept is kept, so a quota is not got rid of by a new life.
        usage: earlier.map(|bucket| bucket.usage).unwrap_or_default(),
    };
    state.write(key::bucket(&position.tenant, bucket), record);
    Ok(())
}

fn delete_bucket<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    bucket: &BucketName,
) -> Result<(), Refusal> {
    let (key, bucket) = live_bucket(state, &position.tenant, bucket)?;
    if bucket.live > 0 {
        return Err(Refusal::BucketNotEmpty);
    }
    bucket.lock.iter().try_for_each(|lock| lock.check_delete(position.time_ms))?;
    state.write(key, Bucket { deleted: true, ..bucket });
    Ok(())
}

/// All heads are as they were when it was deleted, and none of them is an object.
fn undelete_bucket<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    bucket: &BucketName,
) -> Result<(), Refusal> {
    let key = key::bucket(&position.tenant, bucket);
    let bucket = state.read::<Bucket>(&key).ok_or(Refusal::NoSuchBucket)?;
    if !bucket.deleted {
        return Err(Refusal::BucketExists);
    }
    state.write(key, Bucket { deleted: false, ..bucket });
    Ok(())
}

/// Adds a version, makes it current and keeps the bucket's count of live keys.
fn add_version<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    place: &Place,
    kind: VersionKind,
) -> Result<(), Refusal> {
    let tenant = &position.tenant;
    let Position { version, time_ms, .. } = *position;
    let entry = position.version_entry(place, kind.clone()).digest();
    let kind = if matches!(kind, VersionKind::Object(_)) { Kind::Object } else { Kind::Marker };
    set_head(state, tenant, place, Head { version, kind: kind.clone(), time_ms, entry })?;
    let is_object = kind == Kind::Object;
    state.write(key::version(tenant, place, &version), Version { kind, time_ms, entry });
    if is_object { retain_new(position, state, place) } else { Ok(()) }
}

/// Makes a version current, or none, and keeps the bucket's count of live keys.
pub(crate) fn set_head<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    head: Head,
) -> Result<(), Refusal> {
    let (bucket_key, bucket) = live_bucket(state, tenant, &place.bucket)?;
    let was_live = head_of(state, tenant, place)?.is_some_and(|head| head.kind == Kind::Object);
    let is_live = head.kind == Kind::Object;
    let live = match (was_live, is_live) {
        (false, true) => bucket.live.checked_add(1).ok_or(Refusal::Exhausted)?,
        (true, false) => bucket.live.checked_sub(1).expect("a live key is counted"),
        _ => bucket.live,
    };
    if was_live != is_live {
        state.write(bucket_key, Bucket { live, ..bucket });
    }
    state.write(key::head(tenant, place), head);
    Ok(())
}

fn create_upload<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    create: &CreateUpload,
) -> Result<(), Refusal> {
    let tenant = &position.tenant;
    live_bucket(state, tenant, &create.place.bucket)?;
    let key = key::upload(tenant, &create.upload);
    if state.get(&key).is_some() {
        return Err(Refusal::UploadExists);
    }
    let head = key::head(tenant, &create.place);
    let entry = position.upload_entry(create).digest();
    state
        .write(key, Upload { state: UploadState::Open, revision: 0, version: position.version, head, entry });
    Ok(())
}

/// The upload, if it exists and is open.
fn open_upload<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    upload: &UploadId,
) -> Result<(StateKey, Upload), Refusal> {
    let key = key::upload(tenant, upload);
    let upload = state.read::<Upload>(&key).filter(|upload| upload.state == UploadState::Open);
    upload.map(|upload| (key, upload)).ok_or(Refusal::NoSuchUpload)
}

/// Counts a change of the upload and sets where it is in its life.
fn revise<V: View>(
    state: &mut Overlay<'_, V>,
    key: StateKey,
    upload: Upload,
    next: UploadState,
) -> Result<(), Refusal> {
    let revision = upload.revision.checked_add(1).ok_or(Refusal::Exhausted)?;
    state.write(key, Upload { state: next, revision, ..upload });
    Ok(())
}

/// The part's bucket is not looked at: when it is gone, the upload can never be completed, so the part does no harm.
fn put_part<V: View>(position: &Position, state: &mut Overlay<'_, V>, put: &PutPart) -> Result<(), Refusal> {
    let (key, upload) = open_upload(state, &position.tenant, &put.upload)?;
    revise(state, key, upload, UploadState::Open)?;
    charge_part(state, &position.tenant, put.body.ciphertext_length)?;
    let part = Part { version: position.version, entry: position.part_entry(put).digest() };
    state.write(key::part(&position.tenant, &put.upload, put.number), part);
    Ok(())
}

fn complete_upload<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    complete: &CompleteUpload,
) -> Result<(), Refusal> {
    let CompleteUpload { upload, place, body } = complete;
    let tenant = &position.tenant;
    let (_, bucket) = live_bucket(state, tenant, &place.bucket)?;
    let (key, upload) = open_upload(state, tenant, upload)?;
    if upload.head != key::head(tenant, place) || upload.version < bucket.created {
        return Err(Refusal::NoSuchUpload);
    }
    revise(state, key, upload, UploadState::Completed)?;
    charge_version(state, tenant, place, body.ciphertext_length, 0)?;
    add_version(position, state, place, VersionKind::Object(body.clone()))
}

/// Sets or removes a document about a bucket or a version.
fn set_annotation<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    annotate: &Annotate,
) -> Result<(), Refusal> {
    let (bucket_key, bucket) = live_bucket(state, &position.tenant, annotate.about.bucket())?;
    if let Some((place, target)) = annotate.about.version() {
        annotatable(position, state, place, target)?;
        if !bucket.annotated {
            state.write(bucket_key, Bucket { annotated: true, ..bucket });
        }
    }
    let entry = position.annotation_entry(annotate);
    let key = key::annotation(&position.tenant, &entry.about);
    state.write(key, Annotation { changed: position.version, entry: entry.digest() });
    Ok(())
}

/// Lets a key sign for a tenant, which begins to exist with its first key.
pub(crate) fn enroll<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    signer: &PublicKey,
    time_ms: u64,
) -> Result<(), Refusal> {
    let (tenant_key, signer_key) = (key::tenant(tenant), key::signer(tenant, signer));
    if state.read::<Signer>(&signer_key).is_some_and(|signer| signer.active) {
        return Err(Refusal::SignerExists);
    }
    let tenant = state.read::<Tenant>(&tenant_key).unwrap_or(Tenant {
        created_ms: time_ms,
        keys: 0,
        usage: Usage::default(),
    });
    let keys = tenant.keys.checked_add(1).ok_or(Refusal::Exhausted)?;
    state.write(tenant_key, Tenant { keys, ..tenant });
    state.write(signer_key, Signer { active: true });
    Ok(())
}

fn revoke_key<V: View>(
    state: &mut Overlay<'_, V>,
    tenant: &TenantId,
    signer: &PublicKey,
) -> Result<(), Refusal> {
    let (tenant_key, signer_key) = (key::tenant(tenant), key::signer(tenant, signer));
    if !state.read::<Signer>(&signer_key).is_some_and(|signer| signer.active) {
        return Err(Refusal::NoSuchSigner);
    }
    let tenant = state.read::<Tenant>(&tenant_key).expect("a key that signs, signs for a tenant that exists");
    if tenant.keys <= 1 {
        return Err(Refusal::LastSigner);
    }
    state.write(tenant_key, Tenant { keys: tenant.keys - 1, ..tenant });
    state.write(signer_key, Signer { active: false });
    Ok(())
}

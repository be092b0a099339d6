//! Locks: what keeps a version from being hidden until a time, or until it is let go.
//!
//! A bucket whose versions can be locked says so for good. It may have a default retention, which every new object gets
//! unless its own transaction asks for another. Time is block time. The rules:
//!
//! 1. A version that is held, or whose retention has not ended, cannot be hidden, nor its bucket deleted.
//! 2. Retention ends ahead of now, by [`RETENTION_MS_MAX`] at most.
//! 3. Retention in compliance mode that has not ended can only be extended, in that mode.
//! 4. Retention in governance mode that has not ended can be extended in that mode; all else takes a bypass.
//! 5. What has ended, or never was, can be set anew.
//!
//! The bucket counts its shown versions that are held or retained, and knows when the last retention ends.

use crate::{
    entries::Position,
    key,
    operations::live_bucket,
    overlay::{Overlay, View},
    record::{Bucket, BucketLock, Kind, Lock},
    refusal::Refusal,
    visibility::shown,
};
use proof::{
    TenantId, VersionId,
    limits::RETENTION_MS_MAX,
    transaction::{Mode, Place, Retention, SetBucketLock, SetHold, SetRetention, Target},
    wire::List,
};

impl Lock {
    /// Whether the version can be hidden at `now_ms`.
    pub fn check_hide(&self, now_ms: u64) -> Result<(), Refusal> {
        if self.hold {
            return Err(Refusal::Held);
        }
        match self.active(now_ms) {
            None => Ok(()),
            Some(Retention { mode: Mode::Governance, .. }) => Err(Refusal::RetainedByGovernance),
            Some(Retention { mode: Mode::Compliance, .. }) => Err(Refusal::Retained),
        }
    }

    /// The retention, if it has not ended.
    fn active(&self, now_ms: u64) -> Option<&Retention> {
        self.retention.first().filter(|retention| retention.until_ms > now_ms)
    }

    fn check_change(&self, next: Option<&Retention>, bypass: bool, now_ms: u64) -> Result<(), Refusal> {
        let Some(active) = self.active(now_ms) else { return Ok(()) };
        let extends = next.is_some_and(|next| next.mode == active.mode && next.until_ms >= active.until_ms);
        match active.mode {
            _ if extends => Ok(()),
            Mode::Governance if bypass => Ok(()),
            Mode::Governance => Err(Refusal::RetainedByGovernance),
            Mode::Compliance => Err(Refusal::Retained),
        }
    }
}

impl BucketLock {
    /// Whether a bucket with these versions can be deleted at `now_ms`.
    pub(crate) fn check_delete(&self, now_ms: u64) -> Result<(), Refusal> {
        if self.held > 0 {
            Err(Refusal::Held)
        } else if self.retained > 0 && self.retained_until_ms > now_ms {
            Err(Refusal::Retained)
        } else {
            Ok(())
        }
    }
}

pub(crate) fn set_bucket_lock<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    set: &SetBucketLock,
) -> Result<(), Refusal> {
    let (key, bucket) = live_bucket(state, &position.tenant, &set.bucket)?;
    let possible = |ms: u64| (1..=RETENTION_MS_MAX).contains(&ms);
    if !set.default.iter().all(|default| possible(default.period.as_ms())) {
        return Err(Refusal::InvalidRetention);
    }
    let nothing = BucketLock { default: List::default(), retained: 0, held: 0, retained_until_ms: 0 };
    let lock = bucket.lock.first().cloned().unwrap_or(nothing);
    let lock = BucketLock { default: set.default.clone(), ..lock };
    state.write(key, Bucket { lock: one(lock), ..bucket });
    Ok(())
}

/// Retains a version that was just made as its bucket says.
pub(crate) fn retain_new<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    place: &Place,
) -> Result<(), Refusal> {
    let (_, bucket) = live_bucket(state, &position.tenant, &place.bucket)?;
    let default = bucket.lock.first().and_then(|lock| lock.default.first());
    let Some(default) = default else { return Ok(()) };
    let until_ms = position.time_ms.saturating_add(default.period.as_ms());
    let lock = Lock { retention: one(Retention { mode: default.mode.clone(), until_ms }), hold: false };
    set_lock(position, state, place, &position.version, &Lock::default(), lock)
}

pub(crate) fn set_retention<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    set: &SetRetention,
) -> Result<(), Refusal> {
    let (version, before) = target(position, state, &set.place, &set.version)?;
    let next = set.retention.first();
    let now_ms = position.time_ms;
    let ahead = |until_ms: u64| until_ms > now_ms && until_ms - now_ms <= RETENTION_MS_MAX;
    if !next.is_none_or(|next| ahead(next.until_ms)) {
        return Err(Refusal::InvalidRetention);
    }
    if matches!(set.version, Target::Version(_)) {
        before.check_change(next, set.bypass, now_ms)?;
    }
    let after = Lock { retention: set.retention.clone(), ..before.clone() };
    set_lock(position, state, &set.place, &version, &before, after)
}

pub(crate) fn set_hold<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    set: &SetHold,
) -> Result<(), Refusal> {
    let (version, before) = target(position, state, &set.place, &set.version)?;
    let after = Lock { hold: set.hold, ..before.clone() };
    set_lock(position, state, &set.place, &version, &before, after)
}

/// The version and its lock, if it can have one.
fn target<V: View>(
    position: &Position,
    state: &Overlay<'_, V>,
    place: &Place,
    target: &Target,
) -> Result<(VersionId, Lock), Refusal> {
    let tenant = &position.tenant;
    let (_, bucket) = live_bucket(state, tenant, &place.bucket)?;
    let version = annotatable(position, state, place, target)?;
    if bucket.lock.is_empty() {
        return Err(Refusal::NotLockable);
    }
    let key = key::lock(tenant, place, &version);
    let lock = match target {
        Target::Version(_) => state.read(&key),
        // Nothing below this transaction knows of it.
        Target::Made(_) => state.written(&key),
    };
    Ok((version, lock.unwrap_or_default()))
}

/// The version, if it is an object and not hidden. One that is being made is both.
pub(crate) fn annotatable<V: View>(
    position: &Position,
    state: &Overlay<'_, V>,
    place: &Place,
    target: &Target,
) -> Result<VersionId, Refusal> {
    match target {
        Target::Made(operation) => Ok(VersionId { operation: *operation, ..position.version }),
        Target::Version(version) => match shown(state, &position.tenant, place, version)?.kind {
            Kind::Object => Ok(*version),
            Kind::Marker | Kind::Nothing => Err(Refusal::NoSuchVersion),
        },
    }
}

/// The version's lock; none is an empty one.
pub(crate) fn lock_of<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    version: &VersionId,
) -> Lock {
    state.read(&key::lock(tenant, place, version)).unwrap_or_default()
}

fn set_lock<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    place: &Place,
    version: &VersionId,
    before: &Lock,
    after: Lock,
) -> Result<(), Refusal> {
    count(position, state, place, before, &after)?;
    state.write(key::lock(&position.tenant, place, version), after);
    Ok(())
}

/// Keeps the bucket's counts when the lock of one of its shown versions changes.
pub(crate) fn count<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    place: &Place,
    before: &Lock,
    after: &Lock,
) -> Result<(), Refusal> {
    let (key, bucket) = live_bucket(state, &position.tenant, &place.bucket)?;
    let Some(lock) = bucket.lock.first() else { return Ok(()) };
    let counted = |count: u64, before: bool, after: bool| match (before, after) {
        (false, true) => count.checked_add(1).ok_or(Refusal::Exhausted),
        (true, false) => Ok(count.saturating_sub(1)),
        _ => Ok(count),
    };
    let until_ms = after.retention.first().map_or(0, |retention| retention.until_ms);
    let lock = BucketLock {
        default: lock.default.clone(),
        retained: counted(lock.retained, !before.retention.is_empty(), !after.retention.is_empty())?,
        held: counted(lock.held, before.hold, after.hold)?,
        retained_until_ms: lock.retained_until_ms.max(until_ms),
    };
    state.write(key, Bucket { lock: one(lock), ..bucket });
    Ok(())
}

fn one<T: std::fmt::Debug>(value: T) -> List<T, 1> {
    List::new(vec![value]).expect("one at the most")
}

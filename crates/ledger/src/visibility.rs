//! Hiding versions, and showing them again.
//!
//! Both name a version of the bucket's present life and say whether the key's current version changes. That must be so
//! at execution (and the version not [locked](crate::locks)); if it is not, others changed the key meanwhile, and the transaction is refused.

use crate::{
    entries::Position,
    key,
    locks::{count, lock_of},
    operations::{head_of, live_bucket, set_head},
    overlay::{Overlay, View},
    record::{Head, Hidden, Kind, Lock, Version, Visibility},
    refusal::Refusal,
};
use proof::{
    TenantId, VersionId,
    transaction::{HideVersion, Place, Succession, UnhideVersion},
};

pub(crate) fn hide_version<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    hide: &HideVersion,
) -> Result<(), Refusal> {
    let HideVersion { place, version, succession } = hide;
    let tenant = &position.tenant;
    shown(state, tenant, place, version)?;
    let lock = lock_of(state, tenant, place, version);
    lock.check_hide(position.time_ms)?;
    let head = head_of(state, tenant, place)?.filter(|head| head.version == *version);
    match (head, succession.first()) {
        (None, None) => {}
        (Some(head), Some(succession)) => {
            let next = successor(state, tenant, place, &head, succession)?;
            set_head(state, tenant, place, next)?;
        }
        (Some(_), None) | (None, Some(_)) => return Err(Refusal::VersionsChanged),
    }
    count(position, state, place, &lock, &Lock::default())?;
    change(position, state, place, version, true)
}

/// What is current when `head` is hidden.
fn successor<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    head: &Head,
    succession: &Succession,
) -> Result<Head, Refusal> {
    if revision(state, tenant, place) != succession.revision {
        return Err(Refusal::VersionsChanged);
    }
    let Some(next) = succession.successor.first() else {
        return Ok(Head { kind: Kind::Nothing, ..head.clone() });
    };
    match shown(state, tenant, place, next) {
        Ok(Version { kind, time_ms, entry }) if *next < head.version => {
            Ok(Head { version: *next, kind, time_ms, entry })
        }
        Ok(_) | Err(_) => Err(Refusal::VersionsChanged),
    }
}

pub(crate) fn unhide_version<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    show: &UnhideVersion,
) -> Result<(), Refusal> {
    let UnhideVersion { place, version, current } = show;
    let tenant = &position.tenant;
    let Version { kind, time_ms, entry } = existing(state, tenant, place, version)?;
    if !is_hidden(state, tenant, place, version) {
        return Err(Refusal::VersionShown);
    }
    let becomes_current = head_of(state, tenant, place)?.is_none_or(|head| head.version < *version);
    if becomes_current != *current {
        return Err(Refusal::VersionsChanged);
    }
    if becomes_current {
        set_head(state, tenant, place, Head { version: *version, kind, time_ms, entry })?;
    }
    let lock = lock_of(state, tenant, place, version);
    count(position, state, place, &Lock::default(), &lock)?;
    change(position, state, place, version, false)
}

/// The version, if it is of the bucket's present life.
fn existing<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    version: &VersionId,
) -> Result<Version, Refusal> {
    let (_, bucket) = live_bucket(state, tenant, &place.bucket)?;
    let record = state.read::<Version>(&key::version(tenant, place, version));
    record.filter(|_| *version > bucket.created).ok_or(Refusal::NoSuchVersion)
}

/// The version, if besides it is not hidden.
pub(crate) fn shown<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    place: &Place,
    version: &VersionId,
) -> Result<Version, Refusal> {
    let record = existing(state, tenant, place, version)?;
    if is_hidden(state, tenant, place, version) { Err(Refusal::VersionHidden) } else { Ok(record) }
}

fn is_hidden<V: View>(state: &Overlay<'_, V>, tenant: &TenantId, place: &Place, version: &VersionId) -> bool {
    let record = state.read::<Hidden>(&key::hidden(tenant, place, version));
    record.is_some_and(|record| record.hidden)
}

fn revision<V: View>(state: &Overlay<'_, V>, tenant: &TenantId, place: &Place) -> u32 {
    state.read::<Visibility>(&key::visibility(tenant, place)).map_or(0, |visibility| visibility.revision)
}

/// Writes whether the version is hidden, and counts that it changed.
fn change<V: View>(
    position: &Position,
    state: &mut Overlay<'_, V>,
    place: &Place,
    version: &VersionId,
    hidden: bool,
) -> Result<(), Refusal> {
    let tenant = &position.tenant;
    let revision = revision(state, tenant, place).checked_add(1).ok_or(Refusal::Exhausted)?;
    state.write(key::visibility(tenant, place), Visibility { revision });
    let record = Hidden { hidden, changed: position.version, changed_ms: position.time_ms };
    state.write(key::hidden(tenant, place, version), record);
    Ok(())
}

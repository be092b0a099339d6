//! The lives of versions: at which heights each was current, as far as what clients were told leaves it open.
//!
//! A version begins at the height that its id names. Without hiding it is current until the next one begins. Hiding and
//! undeleting happen at heights that nobody is told, between what was known before they were asked for and what was
//! asked for after they were answered. So for each version there are heights at which it *may* be hidden, and fewer at
//! which it *must* be; and at one height there may be several versions of which one is current.

use super::{Kind, Version, Versions, heights::Heights};
use crate::history::{Call, History, Operation, Seen};
use proof::VersionId;
use std::collections::BTreeMap;

/// What hid or showed versions of a key, or may have.
struct Change {
    /// The version that was hidden; none if deletes were undone.
    hides: Option<VersionId>,
    /// The event at which it was asked for.
    invoked: u64,
    /// The event by which it had certainly happened, if it had.
    returned: Option<u64>,
    /// The least height at which it can have happened.
    from: u64,
    /// A height by which it had certainly happened, if it had.
    by: Option<u64>,
}

/// All versions of a bucket, and what may have hidden them.
pub(super) struct Lives<'a> {
    pub(super) versions: &'a Versions,
    changes: BTreeMap<&'a str, Vec<Change>>,
}

impl<'a> Lives<'a> {
    pub(super) fn of(history: &'a History, versions: &'a Versions) -> Self {
        let asked_for = |version: &Version| asked_for(history, version);
        let mut changes: BTreeMap<&str, Vec<Change>> = BTreeMap::new();
        for call in &history.calls {
            let Some((key, hides)) = changes_visibility(call) else { continue };
            let happened = match call.seen() {
                Some(Seen::Hidden(hidden)) => !hidden.is_empty(),
                Some(Seen::Undeleted(count)) => *count > 0,
                _ => false,
            };
            if !happened && !call.is_unknown() {
                continue;
            }
            let invoked = call.invoked.sequence;
            let returned = call.returned.as_ref().filter(|_| happened).map(|returned| returned.at.sequence);
            let later = |returned| {
                let later = versions.all().filter(|(_, _, version)| asked_for(version) > Some(returned));
                later.map(|(_, id, _)| id.height).min()
            };
            let from = after_all_known(versions, invoked);
            let by = returned.and_then(later);
            changes.entry(key).or_default().push(Change { hides, invoked, returned, from, by });
        }
        Self { versions, changes }
    }

    fn changes(&self, key: &str) -> impl Iterator<Item = &Change> {
        self.changes.get(key).into_iter().flatten()
    }

    /// What may have hidden this version. Undeleting hides delete markers.
    fn hiding(&self, key: &str, id: VersionId) -> impl Iterator<Item = &Change> {
        let is_marker = self.versions.get(key, id).is_some_and(|version| version.kind == Kind::Marker);
        self.changes(key).filter(move |change| match change.hides {
            Some(hidden) => hidden == id,
            None => is_marker,
        })
    }

    /// What may have shown this version after `change` hid it. Undeleting shows no delete markers.
    fn shown_after(&self, key: &str, id: VersionId, change: &Change) -> impl Iterator<Item = &Change> {
        let is_marker = self.versions.get(key, id).is_some_and(|version| version.kind == Kind::Marker);
        let hidden_at = change.invoked;
        self.changes(key).filter(move |change| {
            let is_over = change.returned.is_some_and(|returned| returned < hidden_at);
            change.hides.is_none() && !is_marker && !is_over
        })
    }

    /// Whether something asked for before this event may have hidden the version.
    pub(super) fn may_be_hidden(&self, key: &str, id: VersionId, before: u64) -> bool {
        self.hiding(key, id).any(|change| change.invoked < before)
    }

    /// Whether the version was hidden all the time between these events.
    pub(super) fn must_be_hidden(&self, key: &str, id: VersionId, from: u64, to: u64) -> bool {
        let by_name = self.hiding(key, id).filter(|change| change.hides.is_some());
        let mut hidden = by_name.filter(|change| change.returned.is_some_and(|returned| returned < from));
        hidden.any(|change| self.shown_after(key, id, change).all(|show| show.invoked > to))
    }

    /// Heights at which the version may be hidden.
    pub(super) fn hidden_perhaps(&self, key: &str, id: VersionId) -> Heights {
        self.hiding(key, id).map(|change| Heights::between(change.from.max(id.height), u64::MAX)).collect()
    }

    /// Heights at which the version is hidden, whatever happened.
    pub(super) fn hidden_surely(&self, key: &str, id: VersionId) -> Heights {
        let by_name = self.hiding(key, id).filter(|change| change.hides.is_some());
        let spans = by_name.filter_map(|change| {
            let shown = self.shown_after(key, id, change).map(|show| show.from).min();
            let to = shown.map_or(Some(u64::MAX), |shown| shown.checked_sub(1));
            Some(Heights::between(change.by?, to?))
        });
        spans.collect()
    }

    /// Heights at which the version may be current.
    pub(super) fn current(&self, key: &str, id: VersionId) -> Heights {
        let mut heights = self.newest_from(key, Some(id));
        heights.without(&self.hidden_surely(key, id));
        heights
    }

    /// Heights at which the key may have no current version at all.
    pub(super) fn nothing(&self, key: &str) -> Heights {
        self.newest_from(key, None)
    }

    /// Heights at which this version is there, and all newer ones are not yet, or may be hidden.
    fn newest_from(&self, key: &str, id: Option<VersionId>) -> Heights {
        let mut heights = Heights::between(id.map_or(0, |id| id.height), u64::MAX);
        let newer = self.versions.keys.get(key).into_iter().flatten().filter(|(other, _)| Some(**other) > id);
        for (newer, _) in newer {
            // All of a block is done before its state is seen.
            let mut passed_over = self.hidden_perhaps(key, *newer);
            if let Some(last) = newer.height.checked_sub(1) {
                passed_over.or(Heights::between(0, last));
            }
            heights.and(&passed_over);
        }
        heights
    }
}

/// The key whose versions this call shows or hides, and the version that it hides.
fn changes_visibility(call: &Call) -> Option<(&str, Option<VersionId>)> {
    match &call.operation {
        Operation::Hide { key, version } => Some((key, Some(*version))),
        Operation::Undelete { key } => Some((key, None)),
        _ => None,
    }
}

/// The least height of what is asked for at this event: above all that was known.
pub(super) fn after_all_known(versions: &Versions, event: u64) -> u64 {
    let known = versions.all().filter(|(_, _, version)| version.known_from < event);
    known.map(|(_, id, _)| id.height).max().map_or(0, |height| height.saturating_add(1))
}

/// The event at which this version's write began, if that is known.
pub(super) fn asked_for(history: &History, version: &Version) -> Option<u64> {
    let call = match version.kind {
        Kind::Object(write) => write.or(version.acknowledged),
        Kind::Marker => version.acknowledged,
    };
    Some(history.call(call?)?.invoked.sequence)
}

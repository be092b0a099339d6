//! A key as a register, or, when versions of it are hidden, as a stack of them.

use super::search::Class;
use crate::history::{Condition, Short};
use proof::VersionId;
use std::fmt;

/// What a call did to the key, or saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It wrote a version, on a condition; nobody ever saw which if it has none.
    Write { version: Option<VersionId>, is_marker: bool, condition: Condition },
    /// It saw that this condition does not hold.
    Fails(Condition),
    /// It saw this object.
    Object(VersionId),
    /// It saw no object, because of this marker.
    Absent(Option<VersionId>),
    /// It hid this version.
    Hide(VersionId),
    /// It saw that this version is not there, or hidden already.
    HidesNothing(VersionId),
    /// It showed the newest object, or hid markers above it, or both.
    Undelete,
    /// It saw an object, or that there never was one.
    UndeletesNothing,
}

impl Step {
    /// The same for steps of unknown outcome that are interchangeable.
    pub(super) fn class(&self) -> Class {
        let of = |kind, VersionId { height, index, operation }| {
            [kind, height, (u64::from(index) << 16) | u64::from(operation)]
        };
        match *self {
            Self::Write { is_marker, condition, .. } => {
                let kind = u64::from(is_marker);
                match condition {
                    Condition::None => [kind, 0, 0],
                    Condition::IfAbsent => [kind, 1, 0],
                    Condition::IfVersion(version) => of(2 + kind, version),
                }
            }
            Self::Hide(version) => of(4, version),
            Self::Undelete => [5, 0, 0],
            Self::Fails(_)
            | Self::Object(_)
            | Self::Absent(_)
            | Self::HidesNothing(_)
            | Self::UndeletesNothing => [u64::MAX; 3],
        }
    }
}

/// A version of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Layer {
    /// Which; none if nobody ever saw it, or, of a marker, yet.
    version: Option<VersionId>,
    is_marker: bool,
    hidden: bool,
}

/// A key at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The highest version that it ever had, as far as is known.
    highest: Option<VersionId>,
    /// Its versions, the newest last: all, or, if none is ever hidden, the newest alone.
    layers: Vec<Layer>,
    keeps_all: bool,
}

impl State {
    /// A key that never had a version, of which versions are hidden or not.
    pub(super) fn new(hides: bool) -> Self {
        Self { highest: None, layers: Vec::new(), keeps_all: hides }
    }

    /// The state after the step; `None` when it cannot be taken.
    pub(super) fn after(&self, step: &Step) -> Option<Self> {
        let fits = |fits: bool| fits.then(|| self.clone());
        match *step {
            Step::Write { version, is_marker, condition } => {
                self.holds(condition).then_some(())?;
                self.with(Layer { version, is_marker, hidden: false })
            }
            Step::Fails(condition) => fits(!self.holds(condition)),
            Step::Object(version) => fits(self.is_object(Some(version))),
            Step::Absent(None) => fits(self.current().is_none()),
            Step::Absent(Some(marker)) => {
                let current = self.layers[self.current()?];
                match current.version {
                    _ if !current.is_marker => None,
                    Some(version) => fits(version == marker),
                    None => self.named(self.current()?, marker).filter(|then| then.is_current(marker)),
                }
            }
            Step::Hide(version) => {
                let mut then = self.clone();
                let at = match then.find(version) {
                    Some(at) => at,
                    None => {
                        // A marker that nobody had seen before.
                        let unseen =
                            |layer: &Layer| layer.is_marker && layer.version.is_none() && !layer.hidden;
                        then = self.named(self.layers.iter().rposition(unseen)?, version)?;
                        then.find(version).expect("it has just been named")
                    }
                };
                (!then.layers[at].hidden).then(|| {
                    then.layers[at].hidden = true;
                    then
                })
            }
            Step::HidesNothing(version) => fits(self.find(version).is_none_or(|at| self.layers[at].hidden)),
            Step::Undelete => {
                let newest = self.layers.iter().rposition(|layer| !layer.is_marker)?;
                let mut then = self.clone();
                then.layers[newest].hidden = false;
                then.layers[newest + 1..].iter_mut().for_each(|marker| marker.hidden = true);
                (then != *self).then_some(then)
            }
            Step::UndeletesNothing => {
                let is_object = self.current().is_some_and(|at| !self.layers[at].is_marker);
                fits(is_object || self.layers.iter().all(|layer| layer.is_marker))
            }
        }
    }

    /// The newest version that is not hidden.
    fn current(&self) -> Option<usize> {
        self.layers.iter().rposition(|layer| !layer.hidden)
    }

    fn find(&self, version: VersionId) -> Option<usize> {
        self.layers.iter().rposition(|layer| layer.version == Some(version))
    }

    fn is_current(&self, version: VersionId) -> bool {
        self.current().is_some_and(|at| self.layers[at].version == Some(version))
    }

    /// Whether this object is current, or one of those that nobody ever saw.
    fn is_object(&self, version: Option<VersionId>) -> bool {
        self.current().is_some_and(|at| !self.layers[at].is_marker && self.layers[at].version == version)
    }

    /// A new version; one that is known is higher than all before.
    fn with(&self, layer: Layer) -> Option<Self> {
        if layer.version.is_some() && layer.version <= self.highest {
            return None;
        }
        let mut then = self.clone();
        if !then.keeps_all {
            then.layers.clear();
        }
        then.highest = self.highest.max(layer.version);
        then.layers.push(layer);
        Some(then)
    }

    /// The same, now that the version of the marker at this place is known. What of unknown outcome is taken as late as
    /// possible may have happened before versions that are hidden by now.
    fn named(&self, at: usize, marker: VersionId) -> Option<Self> {
        if !self.keeps_all && Some(marker) <= self.highest {
            return None;
        }
        let mut then = self.clone();
        let mut layer = then.layers.remove(at);
        layer.version = Some(marker);
        let newer = then.layers.iter().position(|other| other.version > Some(marker));
        then.layers.insert(newer.unwrap_or(then.layers.len()).min(at), layer);
        then.highest = self.highest.max(Some(marker));
        let known: Vec<_> = then.layers.iter().filter_map(|layer| layer.version).collect();
        known.is_sorted_by(|a, b| a < b).then_some(then)
    }

    fn holds(&self, condition: Condition) -> bool {
        match condition {
            Condition::None => true,
            Condition::IfAbsent => self.current().is_none_or(|at| self.layers[at].is_marker),
            Condition::IfVersion(version) => self.is_object(Some(version)),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current().map(|at| self.layers[at]) {
            None => write!(f, "nothing"),
            Some(Layer { version: Some(version), is_marker: false, .. }) => write!(f, "{}", Short(version)),
            Some(Layer { version: None, is_marker: false, .. }) => write!(f, "an object that nobody saw"),
            Some(Layer { version: Some(marker), .. }) => write!(f, "marker {}", Short(marker)),
            Some(Layer { version: None, .. }) => write!(f, "a marker that nobody saw"),
        }
    }
}

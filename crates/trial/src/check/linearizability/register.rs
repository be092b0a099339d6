//! A key as a register.

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
}

impl Step {
    /// The same for writes of unknown version that are interchangeable.
    pub(super) fn class(&self) -> Class {
        match *self {
            Self::Write { is_marker, condition, .. } => {
                let kind = u64::from(is_marker);
                match condition {
                    Condition::None => [kind, 0, 0],
                    Condition::IfAbsent => [kind, 1, 0],
                    Condition::IfVersion(VersionId { height, index, operation }) => {
                        [2 + kind, height, (u64::from(index) << 16) | u64::from(operation)]
                    }
                }
            }
            Self::Fails(_) | Self::Object(_) | Self::Absent(_) => [u64::MAX; 3],
        }
    }
}

/// What is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Current {
    /// Nothing ever was.
    Nothing,
    /// An object; of a version that nobody ever saw if it has none.
    Object(Option<VersionId>),
    /// A marker; of a version that nobody saw yet if it has none.
    Marker(Option<VersionId>),
}

/// A key at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The highest version that it ever had, as far as is known.
    pub highest: Option<VersionId>,
    /// What is current.
    pub current: Current,
}

impl State {
    /// The state after the step; `None` when it cannot be taken.
    pub(super) fn after(&self, step: &Step) -> Option<Self> {
        match *step {
            Step::Write { version, is_marker, condition } => {
                let current = if is_marker { Current::Marker(version) } else { Current::Object(version) };
                self.holds(condition).then_some(())?;
                self.becomes(current, version)
            }
            Step::Fails(condition) => (!self.holds(condition)).then_some(*self),
            Step::Object(version) => (self.current == Current::Object(Some(version))).then_some(*self),
            Step::Absent(None) => (self.current == Current::Nothing).then_some(*self),
            Step::Absent(Some(marker)) => match self.current {
                Current::Marker(Some(current)) => (current == marker).then_some(*self),
                Current::Marker(None) => self.becomes(Current::Marker(Some(marker)), Some(marker)),
                Current::Nothing | Current::Object(_) => None,
            },
        }
    }

    /// A version that is known is higher than all before.
    fn becomes(&self, current: Current, version: Option<VersionId>) -> Option<Self> {
        (version.is_none() || version > self.highest)
            .then_some(Self { highest: self.highest.max(version), current })
    }

    fn holds(&self, condition: Condition) -> bool {
        match condition {
            Condition::None => true,
            Condition::IfAbsent => !matches!(self.current, Current::Object(_)),
            Condition::IfVersion(version) => self.current == Current::Object(Some(version)),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current {
            Current::Nothing => write!(f, "nothing"),
            Current::Object(Some(version)) => write!(f, "{}", Short(version)),
            Current::Object(None) => write!(f, "an object that nobody saw"),
            Current::Marker(Some(marker)) => write!(f, "marker {}", Short(marker)),
            Current::Marker(None) => write!(f, "a marker that nobody saw"),
        }
    }
}

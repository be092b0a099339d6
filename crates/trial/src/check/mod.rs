//! Checkers: they judge what clients saw and what the harness collected, and share nothing with the code they judge.
//!
//! | checker | a violation is |
//! | --- | --- |
//! | [`agreement`] | nodes that differ in a block or a state root, or a node that goes back |
//! | [`bounds`] | a queue over its limit |
//! | [`confidentiality`] | plaintext where none may be |
//! | [`durability`] | a version, acknowledged or seen, that cannot be read back byte for byte |
//! | [`falsehood`] | anything read that nobody wrote |
//! | [`linearizability`] | a key whose calls no single order explains, or versions that are not ordered by age |
//! | [`listing`] | a page that was never the bucket's state at any one height |
//! | [`past`] | an answer as of a height that the history does not bear out, or a past that changes |
//! | [`progress`] | a call after the end of all faults that is not answered in time |
//! | [`reversibility`] | a version or an object that is gone though no delete or hiding explains it, or one that is hidden and is there |
//! | [`visibility`] | a page of versions that has what it must not, or lacks what it must have |
//!
//! A checker that cannot decide says so as a violation. Nothing passes for want of evidence.

pub mod agreement;
pub mod bounds;
pub mod confidentiality;
pub mod durability;
pub mod falsehood;
mod heights;
pub mod linearizability;
pub mod listing;
mod lives;
pub mod past;
pub mod progress;
pub mod reversibility;
mod versions;
pub mod visibility;

#[cfg(test)]
mod sample;

use crate::history::History;
use std::{collections::BTreeSet, fmt};

pub use agreement::BlockSeen;
pub use bounds::{Queue, Sample};
pub use confidentiality::Hit;
pub use progress::Calm;
pub use versions::{Kind, Version, Versions};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The checker that found it.
    pub checker: &'static str,
    /// What it found, for people: with the calls or nodes concerned.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.checker, self.what)
    }
}

/// What a run left to be judged.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What clients did and saw: a history for each tenant and bucket.
    pub histories: Vec<History>,
    /// Blocks that each node applied, in the order in which it did.
    pub blocks: Vec<Vec<BlockSeen>>,
    /// Lengths of queues, taken during the run.
    pub samples: Vec<Sample>,
    /// Needles found where no plaintext may be.
    pub hits: Vec<Hit>,
    /// When all faults were over, if anything was asked for after that.
    pub calm: Option<Calm>,
    /// Keys that a malicious writer of the same tenant may have damaged: there, and only there, reads may say so.
    pub damaged_keys: BTreeSet<String>,
}

/// What the checkers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Promises broken, in order of checkers.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether no promise was broken.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.violations.iter().try_for_each(|violation| writeln!(f, "{violation}"))
    }
}

/// Judges a run by all of it.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut violations = agreement::check(&evidence.blocks);
    violations.extend(bounds::check(&evidence.samples));
    violations.extend(confidentiality::check(&evidence.hits));
    for history in &evidence.histories {
        violations.extend(durability::check(history));
        violations.extend(falsehood::check(history, &evidence.damaged_keys));
        violations.extend(linearizability::check(history));
        violations.extend(listing::check(history));
        violations.extend(past::check(history));
        violations.extend(visibility::check(history));
        violations.extend(reversibility::check(history));
        if let Some(calm) = &evidence.calm {
            violations.extend(progress::check(history, calm));
        }
    }
    Verdict { violations }
}

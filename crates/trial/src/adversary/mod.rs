//! Adversaries by name, and writers who mean harm.
//!
//! An adversary is a production node whose operator meddles with all that goes in and out of it. The node itself is left
//! as it is. [`Rogue`] is the operator: he has the node's keys, a memory of what passed, dice, and one [`Adversary`]'s
//! intentions. He acts at three places, each of which is transparent on an honest node, so that all nodes of a simulation
//! are of one type:
//!
//! ```text
//!   gateways <-> Door <-> node <-> Voice  -> other nodes
//!                              <-> Ear   <-
//! ```
//!
//! * [`Door`] stands before what answers requests: `door.rs`; what it makes of honest answers is in `forge/`.
//! * [`Voice`] and [`Ear`] stand before what the node says to other nodes and hears from them: `voice.rs`; what it says
//!   instead is in `plot.rs` (votes, certificates, blocks), `perjury.rs` (what it remembers of others' votes) and
//!   `flood.rs` (far too much).
//!
//! | name | at the door | to other nodes |
//! | --- | --- | --- |
//! | equivocator | honest | two proposals, two votes, nothing for some, late old certificates |
//! | liar | stores nothing, signs that it does, boasts | honest |
//! | hoarder | stores, signs, gives nothing back | answers no request for blocks or state |
//! | forger | alters and replays whatever it answers | sometimes alters a block that it serves |
//! | censor | one tenant's transactions vanish | neither passes them on nor votes for their blocks |
//! | flooder | answers as much junk as it can | floods every channel |
//! | laggard | answers late, or too late | speaks late, and sometimes not at all |
//! | perjurer | honest | lies to nodes that ask what it remembers of their votes |
//!
//! No act is certain: whoever is honest part of the time is harder to tell. Peers block a node that sends what no honest
//! node can have sent, and a blocked adversary does no more harm; such acts are rare, so that he lasts. [`Acts`] counts
//! what was really done.
//!
//! Putting one in a node:
//!
//! ```ignore
//! let place = Place { genesis: &genesis, key: &key, votes };
//! let rogue = adversary.map(|adversary| Rogue::new(context.child("rogue"), adversary, &place, seed, &acts));
//! let channels = adversary::channels(channels, rogue.as_ref());
//! node::assemble(context, parts, channels, peers, blocker, listener, |front| Door::new(front, rogue)).await
//! ```
//!
//! `writers/` are clients with a tenant's key who try what must not be possible.

mod acts;
mod chance;
mod door;
mod flood;
mod forge;
mod memory;
mod perjury;
mod plot;
mod rogue;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod voice;
pub mod writers;

pub use acts::Acts;
pub use chance::Chance;
pub use door::Door;
pub use rogue::{Context, Place, Rogue};
pub use voice::{Ear, Hushed, Purpose, Voice, channels};

use std::{fmt, str::FromStr};

/// What a faulty node's operator is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Adversary {
    /// Tells different nodes different things.
    Equivocator,
    /// Signs for what it does not store.
    Liar,
    /// Stores, and gives nothing back.
    Hoarder,
    /// Alters answers, and gives old ones again.
    Forger,
    /// Keeps one tenant's transactions from being ordered.
    Censor,
    /// Sends as much as it can.
    Flooder,
    /// Is late with everything.
    Laggard,
    /// Lies about what it remembers of others' votes.
    Perjurer,
}

impl Adversary {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equivocator,
        Self::Liar,
        Self::Hoarder,
        Self::Forger,
        Self::Censor,
        Self::Flooder,
        Self::Laggard,
        Self::Perjurer,
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Equivocator => "equivocator",
            Self::Liar => "liar",
            Self::Hoarder => "hoarder",
            Self::Forger => "forger",
            Self::Censor => "censor",
            Self::Flooder => "flooder",
            Self::Laggard => "laggard",
            Self::Perjurer => "perjurer",
        }
    }
}

impl fmt::Display for Adversary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no adversary has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no adversary {0}")]
pub struct UnknownAdversary(String);

impl FromStr for Adversary {
    type Err = UnknownAdversary;

    fn from_str(name: &str) -> Result<Self, UnknownAdversary> {
        let found = Self::ALL.into_iter().find(|adversary| adversary.name() == name);
        found.ok_or_else(|| UnknownAdversary(name.to_owned()))
    }
}

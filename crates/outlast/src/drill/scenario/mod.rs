//! What is done to the network, a file each. Each says what it does, and what is expected of the network besides that
//! nothing is lost, refused or false.

mod disks;
mod full;
mod one;
mod rollback;
mod rolling;
mod rot;
mod slow;

use super::ground::Ground;
use crate::{
    failure::{Exit, Failure},
    files,
    layout::Layout,
};
use clap::ValueEnum;
use node::config::Config as NodeConfig;
use std::{path::Path, time::Duration};

/// How long a node may take to come back from nothing.
const HEAL_PATIENCE: Duration = Duration::from_secs(90);

/// What is done to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Kill f nodes while writing, delete all that they stored, and start them again later
    #[default]
    One,
    /// Kill and delete every node in turn, waiting only until it has healed
    Rolling,
    /// Two of seven nodes at once, as in `one`
    Several,
    /// 2f nodes lose everything at once: read all objects off the disks that are left, then go on in a new epoch
    Disks,
    /// Put a node's directories back to an earlier copy of them
    Rollback,
    /// Flip random bytes in the shard log and the archives of one node
    Rot,
    /// Let one node's disk run full, and make room again
    Full,
    /// One node behind 1 MB/s and 500 ms
    Slow,
}

/// What a scenario set up before the network was started.
pub(super) enum Prepared {
    Nothing,
    /// The node that it will be done to.
    Node(usize),
    /// The same, and the wires that it is behind.
    Slow(slow::Wires),
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Rolling => "rolling",
            Self::Several => "several",
            Self::Disks => "disks",
            Self::Rollback => "rollback",
            Self::Rot => "rot",
            Self::Full => "full",
            Self::Slow => "slow",
        }
    }

    /// Nodes of the network, unless asked otherwise.
    pub(super) fn nodes(self) -> usize {
        if self == Self::Several { 7 } else { 4 }
    }

    /// Bytes stored, unless asked otherwise.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::One => 300_000_000,
            Self::Several | Self::Disks | Self::Full => 100_000_000,
            Self::Rolling | Self::Rollback | Self::Rot => 50_000_000,
            Self::Slow => 20_000_000,
        }
    }

    /// Before anything else: gets what the process needs.
    pub(super) fn enter(self) -> Result<(), Failure> {
        if self == Self::Full { full::enter() } else { Ok(()) }
    }

    /// When all has ended: gives back what [`Self::prepare`] took.
    pub(super) fn leave(self, scratch: &Path) {
        if self == Self::Full {
            full::leave(scratch);
        }
    }

    /// Between founding and starting.
    pub(super) async fn prepare(self, layout: &Layout, n: usize, bytes: u64) -> Result<Prepared, Failure> {
        match self {
            Self::Rot => rot::prepare(layout, n),
            Self::Full => full::prepare(layout, n, bytes),
            Self::Slow => slow::prepare(layout, n).await,
            _ => Ok(Prepared::Nothing),
        }
    }

    /// While others write.
    pub(super) async fn harm(self, ground: &mut Ground<'_>, prepared: &Prepared) -> Result<(), Failure> {
        match (self, prepared) {
            (Self::One | Self::Several, _) => one::harm(ground).await,
            (Self::Rolling, _) => rolling::harm(ground).await,
            (Self::Disks, _) => Ok(()),
            (Self::Rollback, _) => rollback::harm(ground).await,
            (Self::Rot, Prepared::Node(node)) => rot::harm(ground, *node).await,
            (Self::Full, Prepared::Node(node)) => full::harm(ground, *node).await,
            (Self::Slow, Prepared::Slow(wires)) => slow::harm(ground, wires).await,
            _ => unreachable!("prepared above"),
        }
    }

    /// When all is written.
    pub(super) async fn afterwards(self, ground: &mut Ground<'_>) -> Result<(), Failure> {
        if self == Self::Disks { disks::afterwards(ground).await } else { Ok(()) }
    }
}

/// Changes a node's configuration, before it is started.
fn configure(layout: &Layout, index: usize, change: impl FnOnce(&mut NodeConfig)) -> Result<(), Failure> {
    let path = layout.node_config(index);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    let mut config: NodeConfig = toml::from_str(&text).map_err(|error| {
        Failure::new(Exit::Configuration, format!("{} is no configuration: {error}", path.display()))
    })?;
    change(&mut config);
    let text = toml::to_string(&config).expect("a configuration is a TOML table");
    files::replace(&path, text.as_bytes(), false)
}

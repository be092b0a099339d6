//! What can happen.

use crate::world::Loss;

/// Where bytes rot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// The shard log.
    Shards,
    /// The archive of blocks.
    Blocks,
}

/// One thing that happens. `node` and `gateway` are indices; `for_ms` is how long until it is over.
#[expect(missing_docs, reason = "fields are named by what they are")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node stops without a word, and starts again.
    Crash { node: usize, loss: Loss, for_ms: u64 },
    /// A node stops, its storage is gone, but not its votes, and it starts again; and loses power `again_ms` later, while it
    /// heals.
    Storage { node: usize, for_ms: u64, again_ms: Option<u64> },
    /// A node stops, its storage and its votes are gone, and it starts again; and loses power `again_ms` later, while it
    /// heals and waits until it may vote.
    Wipe { node: usize, for_ms: u64, again_ms: Option<u64> },
    /// A node stops, its storage is put back to what it was when [`Fault::Snapshot`] happened, and it starts again.
    Rollback { node: usize, for_ms: u64 },
    /// A node's storage is remembered, for a later [`Fault::Rollback`].
    Snapshot { node: usize },
    /// Bits of a node's storage flip.
    Rotten { node: usize, rot: Rot, bits: usize },
    /// Some of a node's reads, writes or syncs fail. `per_mille` of them.
    DiskErrors { node: usize, per_mille: u32, for_ms: u64 },
    /// `per_mille` of a node's syncs fail, and what they should have written is not on disk, though it is read as if it were;
    /// until the power fails, and then some of it is gone. The node starts again.
    Forgetful { node: usize, per_mille: u32, for_ms: u64 },
    /// A node's disk has no room left.
    DiskFull { node: usize, for_ms: u64 },
    /// A node's disk is slow.
    DiskSlow { node: usize, latency_ms: u64, for_ms: u64 },
    /// Nothing reaches a node (`inward`), nothing leaves it (`outward`), or both.
    Cut { node: usize, inward: bool, outward: bool, for_ms: u64 },
    /// All that a node sends takes so much longer.
    Slow { node: usize, latency_ms: u64, for_ms: u64 },
    /// A node's clock jumps, and drifts.
    Clock { node: usize, offset_ms: i64, drift_ppm: i64, for_ms: u64 },
    /// All consensus links lose `per_mille` of their messages, and all links are slower.
    Storm { per_mille: u32, latency_ms: u64, for_ms: u64 },
    /// What nodes send one another for consensus takes so much longer, but for what this node gets: it knows of what is final
    /// long before the others do.
    Ahead { node: usize, latency_ms: u64, for_ms: u64 },
    /// Of a thousand messages between nodes, and of a thousand requests to them, `per_mille` arrive twice, some at once and
    /// some up to `late_ms` later.
    Echo { per_mille: u32, late_ms: u64, for_ms: u64 },
    /// A second process runs with a node's key, from now on: of a copy of the node's disks (`copied`), or of nothing but
    /// the key and the permit to vote that was made with it.
    Twin { node: usize, copied: bool },
    /// A gateway dies, at once, or so many steps of its tasks after it begins the next write; and another process takes
    /// its place.
    Gateway { gateway: usize, steps: Option<u32>, for_ms: u64 },
    /// All machines lose power.
    Blackout { for_ms: u64 },
    /// These nodes lose their disks at once, and start again; and lose power `again_ms` later, while they heal.
    Disks { nodes: Vec<usize>, again_ms: Option<u64> },
}

impl Fault {
    /// Whether it leaves the node with less than it signed for, or not itself any more, to the end of the run.
    pub fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Wipe { .. }
                | Self::Rollback { .. }
                | Self::Rotten { .. }
                | Self::Twin { .. }
                | Self::Forgetful { .. }
        )
    }

    /// Which nodes lose power once more, how long after they were started again.
    pub fn again(&self) -> Option<(Vec<usize>, u64)> {
        match self {
            Self::Storage { node, again_ms, .. } | Self::Wipe { node, again_ms, .. } => {
                Some((vec![*node], (*again_ms)?))
            }
            Self::Disks { nodes, again_ms } => Some((nodes.clone(), (*again_ms)?)),
            _ => None,
        }
    }

    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { loss: Loss::Process, .. } => "crash",
            Self::Crash { loss: Loss::Power, .. } => "power loss",
            Self::Storage { .. } => "storage wipe",
            Self::Wipe { .. } => "wipe",
            Self::Rollback { .. } => "rollback",
            Self::Snapshot { .. } => "snapshot",
            Self::Rotten { rot: Rot::Shards, .. } => "rot in shards",
            Self::Rotten { rot: Rot::Blocks, .. } => "rot in blocks",
            Self::DiskErrors { .. } => "disk errors",
            Self::Forgetful { .. } => "forgetful disk",
            Self::DiskFull { .. } => "disk full",
            Self::DiskSlow { .. } => "slow disk",
            Self::Cut { inward: true, outward: true, .. } => "partition",
            Self::Cut { .. } => "one-way partition",
            Self::Slow { .. } => "slow node",
            Self::Clock { .. } => "clock",
            Self::Storm { .. } => "storm",
            Self::Ahead { .. } => "one node ahead",
            Self::Echo { .. } => "duplication",
            Self::Twin { .. } => "twin",
            Self::Gateway { .. } => "gateway crash",
            Self::Blackout { .. } => "blackout",
            Self::Disks { .. } => "2f disks lost",
        }
    }
}

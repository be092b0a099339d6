//! Agreement: one chain.
//!
//! * At a height there is one block and one state root, whichever node applied it and however often.
//! * While it runs, a node applies blocks in ascending order; after a restart it may begin again below, with the same
//!   blocks.
//! * Block time never goes back from a height to a higher one.

use super::Violation;
use proof::Digest;
use std::collections::BTreeMap;

/// A block as a node applied it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSeen {
    /// How often the node had been started before.
    pub restarts: u32,
    /// The block's height.
    pub height: u64,
    /// The block's hash.
    pub block: Digest,
    /// The root of the state after it.
    pub state_root: Digest,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

fn violation(what: String) -> Violation {
    Violation { checker: "agreement", what }
}

/// Judges the blocks that each node applied, in the order in which it did.
pub fn check(nodes: &[Vec<BlockSeen>]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut chain: BTreeMap<u64, (usize, BlockSeen)> = BTreeMap::new();
    for (node, blocks) in nodes.iter().enumerate() {
        for block in blocks {
            let (first_node, first) = chain.entry(block.height).or_insert((node, *block));
            violations.extend(compare((*first_node, first), (node, block)));
        }
        violations.extend(blocks.windows(2).filter_map(|pair| ascending(node, &pair[0], &pair[1])));
    }
    let heights: Vec<_> = chain.values().collect();
    for pair in heights.windows(2) {
        let ((_, lower), (_, higher)) = (pair[0], pair[1]);
        if higher.time_ms < lower.time_ms {
            let (from, to) = (lower.height, higher.height);
            let what = format!("block time goes back from {} to {}", lower.time_ms, higher.time_ms);
            violations.push(violation(format!("{what} between heights {from} and {to}")));
        }
    }
    violations
}

fn compare((of, first): (usize, &BlockSeen), (by, other): (usize, &BlockSeen)) -> Option<Violation> {
    let height = first.height;
    let differs = if first.block != other.block {
        "different blocks"
    } else if first.state_root != other.state_root {
        "different state roots for one block"
    } else if first.time_ms != other.time_ms {
        "different times for one block"
    } else {
        return None;
    };
    Some(violation(format!("nodes {of} and {by} have {differs} at height {height}: {first:?}, {other:?}")))
}

fn ascending(node: usize, before: &BlockSeen, after: &BlockSeen) -> Option<Violation> {
    let goes_back = match before.restarts == after.restarts {
        true => after.height <= before.height,
        false => after.restarts < before.restarts,
    };
    let (from, to) = (before.height, after.height);
    goes_back
        .then(|| violation(format!("node {node} went back from height {from} to {to} without a restart")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(restarts: u32, height: u64) -> BlockSeen {
        let name = |of: u8| Digest([of.wrapping_add(height as u8); 32]);
        BlockSeen { restarts, height, block: name(0), state_root: name(100), time_ms: 10 * height }
    }

    fn only(nodes: &[Vec<BlockSeen>]) -> String {
        let violations = check(nodes);
        assert_eq!(violations.len(), 1, "{violations:?}");
        violations[0].what.clone()
    }

    #[test]
    fn one_chain_is_accepted_with_restarts_and_gaps() {
        let all: Vec<_> = (1..6).map(|height| block(0, height)).collect();
        let restarted = vec![block(0, 1), block(0, 2), block(1, 2), block(1, 3), block(2, 1), block(2, 5)];
        assert_eq!(check(&[all, restarted, vec![]]), []);
    }

    #[test]
    fn a_fork_is_found() {
        let forked = BlockSeen { block: Digest([9; 32]), ..block(0, 2) };
        assert!(only(&[vec![block(0, 2)], vec![forked]]).contains("different blocks at height 2"));
    }

    #[test]
    fn a_node_that_differs_from_itself_after_a_restart_is_found() {
        let other = BlockSeen { state_root: Digest([9; 32]), ..block(1, 2) };
        assert!(only(&[vec![block(0, 2), other]]).contains("different state roots"));
    }

    #[test]
    fn two_times_of_one_block_are_found() {
        let other = BlockSeen { time_ms: 21, ..block(0, 2) };
        assert!(only(&[vec![block(0, 2)], vec![other]]).contains("different times"));
    }

    #[test]
    fn going_back_is_found() {
        assert!(only(&[vec![block(0, 3), block(0, 2)]]).contains("went back"));
        assert!(only(&[vec![block(0, 3), block(0, 3)]]).contains("went back"));
    }

    #[test]
    fn time_that_goes_back_is_found() {
        let early = BlockSeen { time_ms: 9, ..block(0, 3) };
        assert!(only(&[vec![block(0, 1)], vec![early]]).contains("block time goes back"));
    }
}

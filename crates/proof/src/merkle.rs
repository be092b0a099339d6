//! The Merkle tree over a block's transactions, shaped as in RFC 6962 (Certificate Transparency) section 2.1.
//!
//! Leaves and inner nodes are hashed in different domains, so neither passes for the other.

use crate::{
    Digest, Signature,
    digest::sha256,
    limits::BLOCK_TRANSACTIONS_MAX,
    wire::{Encode, List},
};

/// Longest path from a leaf to the root.
pub const PATH_MAX: usize = BLOCK_TRANSACTIONS_MAX.next_power_of_two().trailing_zeros() as usize;

crate::wire_struct! {
    /// What the tree commits to for one transaction.
    pub struct Leaf {
        /// The transaction.
        pub transaction: Digest,
        /// Its signature, so that a block's hash binds every byte of the block.
        pub signature: Signature,
        /// Zero when it was applied, otherwise why it was refused.
        pub outcome: u16,
    }
}

impl Leaf {
    fn digest(&self) -> Digest {
        sha256("outlast/tree/leaf/1", &[&self.encode()])
    }
}

fn inner(left: &Digest, right: &Digest) -> Digest {
    sha256("outlast/tree/inner/1", &[&left.0, &right.0])
}

/// The siblings on the way from a leaf to the root, lowest first.
pub type Path = List<Digest, PATH_MAX>;

/// The root over `leaves`; of none, the hash of the empty string in a domain of its own.
pub fn root(leaves: &[Leaf]) -> Digest {
    if leaves.is_empty() {
        return sha256("outlast/tree/empty/1", &[]);
    }
    let mut level: Vec<Digest> = leaves.iter().map(Leaf::digest).collect();
    while level.len() > 1 {
        level = climb(&level);
    }
    level[0]
}

/// The next level up: pairs are joined, a last odd one moves up unchanged.
fn climb(level: &[Digest]) -> Vec<Digest> {
    level.chunks(2).map(|pair| if let [left, right] = pair { inner(left, right) } else { pair[0] }).collect()
}

/// The path of the leaf at `index`.
///
/// # Panics
///
/// If there is no such leaf, or there are more leaves than a block may have.
pub fn path(leaves: &[Leaf], index: usize) -> Path {
    assert!(index < leaves.len(), "a path is asked for a leaf that exists");
    let mut level: Vec<Digest> = leaves.iter().map(Leaf::digest).collect();
    let (mut at, mut siblings) = (index, Vec::new());
    while level.len() > 1 {
        if let Some(sibling) = level.get(at ^ 1) {
            siblings.push(*sibling);
        }
        level = climb(&level);
        at /= 2;
    }
    List::new(siblings).expect("a block has at most BLOCK_TRANSACTIONS_MAX leaves")
}

/// Whether `leaf` is at `index` of the `count` leaves under `root`.
pub fn verify(root: &Digest, count: u32, index: u32, leaf: &Leaf, path: &Path) -> bool {
    if index >= count {
        return false;
    }
    let (mut at, mut width, mut siblings, mut hash) = (index, count, path.iter(), leaf.digest());
    while width > 1 {
        if at ^ 1 < width {
            let Some(sibling) = siblings.next() else { return false };
            hash = if at % 2 == 0 { inner(&hash, sibling) } else { inner(sibling, &hash) };
        }
        at /= 2;
        width = width.div_ceil(2);
    }
    siblings.next().is_none() && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_verifies_only_at_its_place() {
        for count in 1..40u32 {
            let leaves: Vec<Leaf> = (0..count)
                .map(|i| Leaf {
                    transaction: Digest([i as u8; 32]),
                    signature: Signature([i as u8; 64]),
                    outcome: i as u16 % 3,
                })
                .collect();
            let root = root(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let path = path(&leaves, index);
                for claimed in 0..count + 2 {
                    assert_eq!(verify(&root, count, claimed, leaf, &path), claimed == index as u32);
                }
                let other = Leaf { outcome: leaf.outcome + 1, ..leaf.clone() };
                assert!(!verify(&root, count, index as u32, &other, &path));
            }
        }
    }
}

//! Who the nodes of an epoch are, and the arithmetic of trust.
//!
//! With `n = 3f + 1` nodes of which at most `f` are faulty: a `quorum` of `n - f = 2f + 1` intersects any other quorum
//! in an honest node, and any `k = f + 1` nodes include one. (Castro and Liskov, "Practical Byzantine Fault
//! Tolerance", OSDI 1999.)

use crate::{
    Digest, PublicKey,
    digest::sha256,
    limits::NODES_MAX,
    wire::{Buf, Encode, EncodeSize, Error, List, Read, Write},
};
use bytes::BufMut;

/// Faulty nodes tolerated among `n`.
pub const fn faults(n: usize) -> usize {
    n.saturating_sub(1) / 3
}

/// Nodes whose agreement decides.
pub const fn quorum(n: usize) -> usize {
    n - faults(n)
}

/// Shards that give a chunk back; also the number of equal answers of which one is honest.
pub const fn threshold(n: usize) -> usize {
    faults(n) + 1
}

/// The nodes of one epoch, each in its place. A node's index is its place: it says which shards the node holds.
///
/// The founding committee is sorted by key. In later ones a node that takes over from another has that one's place
/// ([`crate::lineage`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    epoch: u64,
    nodes: List<PublicKey, NODES_MAX>,
}

/// Why a list of keys is not a committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// The number of nodes is not 3f + 1, or too large.
    #[error("a network has 1, 4, 7, ... 31 nodes (3f + 1), not {0}")]
    Size(usize),
    /// Two nodes share a key.
    #[error("two nodes have the same key {0}")]
    Duplicate(PublicKey),
}

impl Committee {
    /// A committee of these keys, sorted.
    pub fn new(epoch: u64, mut nodes: Vec<PublicKey>) -> Result<Self, CommitteeError> {
        nodes.sort_unstable();
        Self::placed(epoch, nodes)
    }

    /// A committee of these keys, each in its place.
    pub fn placed(epoch: u64, nodes: Vec<PublicKey>) -> Result<Self, CommitteeError> {
        if nodes.is_empty() || nodes.len() % 3 != 1 {
            return Err(CommitteeError::Size(nodes.len()));
        }
        let mut sorted = nodes.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CommitteeError::Duplicate(pair[0]));
        }
        let nodes = List::new(nodes).map_err(|nodes| CommitteeError::Size(nodes.len()))?;
        Ok(Self { epoch, nodes })
    }

    /// The epoch in which these nodes decide.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The keys in index order.
    pub fn nodes(&self) -> &[PublicKey] {
        &self.nodes
    }

    /// The keys sorted, which is how consensus numbers its voters.
    pub fn voters(&self) -> Vec<PublicKey> {
        let mut voters = self.nodes.to_vec();
        voters.sort_unstable();
        voters
    }

    /// The number of nodes.
    pub fn n(&self) -> usize {
        self.nodes.len()
    }

    /// Faulty nodes tolerated.
    pub fn f(&self) -> usize {
        faults(self.n())
    }

    /// Nodes whose agreement decides: 2f + 1.
    pub fn quorum(&self) -> usize {
        quorum(self.n())
    }

    /// Shards that give a chunk back: f + 1.
    pub fn k(&self) -> usize {
        threshold(self.n())
    }

    /// The index of `key`, if it is a member.
    pub fn index(&self, key: &PublicKey) -> Option<u32> {
        self.nodes.iter().position(|node| node == key).map(|index| index as u32)
    }

    /// The committee's name in headers.
    pub fn digest(&self) -> Digest {
        sha256("outlast/committee/1", &[&self.encode()])
    }
}

impl Write for Committee {
    fn write(&self, buf: &mut impl BufMut) {
        self.epoch.write(buf);
        self.nodes.write(buf);
    }
}

impl EncodeSize for Committee {
    fn encode_size(&self) -> usize {
        8 + self.nodes.encode_size()
    }
}

impl Read for Committee {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let epoch = u64::read_cfg(buf, &())?;
        let nodes = List::<PublicKey, NODES_MAX>::read_cfg(buf, &())?;
        if epoch == 0 && !nodes.is_sorted() {
            return Err(Error::Invalid("Committee", "keys are not in order"));
        }
        Self::placed(epoch, nodes.into_inner()).map_err(|_| Error::Invalid("Committee", "not a committee"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_of_trust() {
        for (n, f, q, k) in [(1, 0, 1, 1), (4, 1, 3, 2), (7, 2, 5, 3), (10, 3, 7, 4), (31, 10, 21, 11)] {
            assert_eq!((faults(n), quorum(n), threshold(n)), (f, q, k), "n = {n}");
            assert!(2 * q > n + f, "two quorums of {n} share an honest node");
            assert!(q >= k + f, "a quorum of {n} holds k honest shards");
        }
    }

    #[test]
    fn odd_sizes_and_duplicates_are_refused() {
        let key = |byte| PublicKey([byte; 32]);
        for size in [0usize, 2, 3, 5, 6, 8, 34] {
            let nodes = (0..size as u8).map(key).collect();
            assert_eq!(Committee::new(0, nodes), Err(CommitteeError::Size(size)));
        }
        assert_eq!(
            Committee::new(0, vec![key(1), key(2), key(3), key(1)]),
            Err(CommitteeError::Duplicate(key(1)))
        );
    }
}

//! The chain in bare files that no node works on: which blocks there are, and which of them are final.
//!
//! Nothing here trusts the files, or needs them whole. They may be of a process that crashed, damaged, or made by a liar.
//!
//! 1. [`Archive::add_blocks`] goes through a file for whatever decodes as a block of this network, wherever it begins. A
//!    block binds all its bytes by its digest, so it needs no index, no checksum, and no order. What is damaged is passed
//!    over; the next block is found by the network's id, with which every header begins.
//! 2. [`Archive::add_finalizations`] does the same for certificates, and keeps those over blocks that it has.
//! 3. [`Archive::prove`] goes from the highest block down: a block is final if its certificate verifies, and then so are
//!    its ancestors, each named by its child. Where an ancestor is in no file it goes on below with the next certificate.
//!    So whatever set of directories this was read from, what comes out is a part of the one chain. What is missing is
//!    told exactly.
//!
//! Memory is about 100 bytes for each block, however large it is.

use crate::block::Block;
use bytes::{Bytes, BytesMut};
use commonware_codec::ReadExt as _;
use commonware_consensus::BoundedBlock as _;
use proof::{Digest, Header, Lineage, finality::Finalization};
use std::{io, ops::RangeInclusive};

/// What the names of the partitions begin with that have blocks and finalizations, below a node's storage directory.
pub const PARTITIONS: &str = "node-chain-";
/// What the names of those of them end with that have values: blocks, or certificates.
pub const VALUES: &str = "-value";
/// What the names of those of them end with that have finalizations.
pub const FINALIZATIONS: &str = "finalizations-value";

/// Bytes read at a time.
const WINDOW: usize = 4 << 20;
/// Bytes of the longest certificate: three varints, a digest, a bitmap, the signatures.
const FINALIZATION_MAX: usize = 3 * 10 + 32 + 8 + 4 + 5 + 64 * proof::limits::NODES_MAX;

/// Where something is: in which file, given by whoever reads, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The file.
    pub file: u32,
    /// Bytes before it.
    pub offset: u64,
}

/// A block that some file has.
#[derive(Clone, Copy)]
struct Entry {
    digest: Digest,
    parent: Digest,
    height: u64,
    spot: Spot,
}

/// A block that is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// Its height.
    pub height: u64,
    /// Its digest.
    pub digest: Digest,
    /// Where it is.
    pub spot: Spot,
}

/// What is proven.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// Blocks that are final, ascending.
    pub blocks: Vec<FinalBlock>,
    /// The newest certificate, whose block is the last of them.
    pub newest: Option<Finalization>,
    /// Heights below the last block that no file has a proven block of. (Block 0 is made from the genesis.)
    pub missing: Vec<RangeInclusive<u64>>,
    /// Greatest height of blocks that are there and not proven final, if it is above all that are.
    pub unproven_to: Option<u64>,
}

/// What files have of a network's chain.
pub struct Archive {
    lineage: Lineage,
    blocks: Vec<Entry>,
    certificates: Vec<(Digest, Spot)>,
    sorted: bool,
}

impl Archive {
    /// Of this network.
    pub fn new(lineage: Lineage) -> Self {
        Self { lineage, blocks: Vec::new(), certificates: Vec::new(), sorted: true }
    }

    /// Takes the blocks of a file. Gives how many there are.
    pub fn add_blocks(&mut self, file: u32, reader: impl io::Read) -> io::Result<u64> {
        let (lineage, network, mut found) = (&self.lineage, self.lineage.network(), 0);
        let blocks = &mut self.blocks;
        scan(reader, Block::max_encode_size(&()), |offset, bytes| {
            if bytes.len() < 32 || bytes[..32] != network.0 {
                return Step::Skip(next_of(&bytes, &network));
            }
            let mut rest = bytes.clone();
            match Block::read(&mut rest) {
                Ok(block) if lineage.check_header(&block.header).is_ok() => {
                    let Header { parent, height, .. } = block.header;
                    let spot = Spot { file, offset };
                    blocks.push(Entry { digest: block.header.digest(), parent, height, spot });
                    found += 1;
                    Step::Taken(bytes.len() - rest.len())
                }
                _ => Step::Skip(1),
            }
        })?;
        self.sorted = false;
        Ok(found)
    }

    /// Takes the finalizations of a file that are of blocks taken before. Gives how many there are.
    pub fn add_finalizations(&mut self, file: u32, reader: impl io::Read) -> io::Result<u64> {
        self.sort();
        let (blocks, certificates) = (&self.blocks, &mut self.certificates);
        let (nodes, mut found) = (self.lineage.committee().n(), 0);
        scan(reader, FINALIZATION_MAX, |offset, bytes| {
            let mut rest = bytes.clone();
            match Finalization::read(&mut rest) {
                Ok(finalization) if usize::from(finalization.committee_size) == nodes => {
                    let known = blocks.binary_search_by_key(&finalization.block, |entry| entry.digest);
                    if known.is_ok() {
                        certificates.push((finalization.block, Spot { file, offset }));
                        found += 1;
                    }
                    Step::Taken(bytes.len() - rest.len())
                }
                _ => Step::Skip(1),
            }
        })?;
        Ok(found)
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.blocks.sort_unstable_by_key(|entry| (entry.digest, entry.spot));
            self.blocks.dedup_by_key(|entry| entry.digest);
            self.sorted = true;
        }
    }

    /// Finds out what is final. `read` gives as many bytes from a spot on as it is asked for, or fewer at the file's end.
    pub fn prove(mut self, mut read: impl FnMut(Spot, usize) -> io::Result<Bytes>) -> Proven {
        self.sort();
        self.certificates.sort_unstable();
        self.certificates.dedup();
        let mut by_height: Vec<u32> = (0..self.blocks.len() as u32).collect();
        by_height.sort_unstable_by_key(|at| std::cmp::Reverse(self.blocks[*at as usize].height));
        let mut proven = Proven::default();
        // The block that the one above it names, once there is one above it.
        let mut named: Option<(u64, Digest)> = None;
        for at in by_height {
            let entry = self.blocks[at as usize];
            if let Some((height, digest)) = named {
                if entry.height > height || (entry.height == height && entry.digest != digest) {
                    continue;
                }
                if entry.height == height {
                    named = Self::accept(&mut proven, &entry);
                    continue;
                }
                // The one named is nowhere: this one needs a certificate of its own.
            }
            if let Some(finalization) = self.certificate(&entry.digest, &mut read) {
                proven.newest.get_or_insert(finalization);
                named = Self::accept(&mut proven, &entry);
            } else if proven.blocks.is_empty() {
                proven.unproven_to.get_or_insert(entry.height);
            }
        }
        proven.blocks.reverse();
        let mut next = 1;
        for block in &proven.blocks {
            if block.height > next {
                proven.missing.push(next..=block.height - 1);
            }
            next = block.height + 1;
        }
        proven
    }

    fn accept(proven: &mut Proven, entry: &Entry) -> Option<(u64, Digest)> {
        let Entry { digest, parent, height, spot } = *entry;
        if height > 0 {
            proven.blocks.push(FinalBlock { height, digest, spot });
        }
        Some((height.saturating_sub(1), parent))
    }

    /// A certificate over this block that verifies.
    fn certificate(
        &self,
        block: &Digest,
        read: &mut impl FnMut(Spot, usize) -> io::Result<Bytes>,
    ) -> Option<Finalization> {
        let from = self.certificates.partition_point(|(other, _)| other < block);
        let over = self.certificates[from..].iter().take_while(|(other, _)| other == block);
        over.filter_map(|(_, spot)| {
            let mut bytes = read(*spot, FINALIZATION_MAX).ok()?;
            Finalization::read(&mut bytes).ok()
        })
        .find(|finalization| {
            let committee = self.lineage.committee_of(finalization.epoch);
            let verifies = |committee| finalization.verify(self.lineage.network(), committee).is_ok();
            finalization.block == *block && committee.is_some_and(verifies)
        })
    }
}

/// Reads the block at a spot again, if it is still the one that was found there.
pub fn read_block(
    block: &FinalBlock,
    mut read: impl FnMut(Spot, usize) -> io::Result<Bytes>,
) -> io::Result<Block> {
    let mut bytes = read(block.spot, Block::max_encode_size(&()))?;
    let decoded = Block::read(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    if decoded.header.digest() == block.digest {
        Ok(decoded)
    } else {
        Err(io::Error::other("the file has changed while it was read"))
    }
}

/// What was made of the bytes at a place.
enum Step {
    /// So many of them were it.
    Taken(usize),
    /// Nothing, and neither before so many more.
    Skip(usize),
}

/// Shows all places of a file, each with `ahead` bytes behind it at least, as far as the file has them.
fn scan(mut reader: impl io::Read, ahead: usize, mut look: impl FnMut(u64, Bytes) -> Step) -> io::Result<()> {
    let (mut window, mut base, mut ended) = (Bytes::new(), 0u64, false);
    while !ended {
        let mut longer = BytesMut::with_capacity(window.len() + WINDOW);
        longer.extend_from_slice(&window);
        longer.resize(window.len() + WINDOW, 0);
        let mut length = window.len();
        while length < longer.len() {
            match reader.read(&mut longer[length..]) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        longer.truncate(length);
        window = longer.freeze();
        let mut at = 0;
        while at < window.len() && (ended || window.len() - at >= ahead) {
            let (Step::Taken(step) | Step::Skip(step)) = look(base + at as u64, window.slice(at..));
            at = (at + step.max(1)).min(window.len());
        }
        base += at as u64;
        window = window.slice(at..);
    }
    Ok(())
}

/// Bytes until the network's id may begin, which is not at once.
fn next_of(bytes: &[u8], network: &Digest) -> usize {
    let first = &network.0[..8];
    let found = bytes.get(1..).and_then(|rest| rest.windows(first.len()).position(|at| at == first));
    found.map_or_else(|| bytes.len().saturating_sub(31).max(1), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{Encode as _, EncodeSize as _};
    use proof::{Committee, Genesis, SecretKey, merkle, wire::List};

    /// A chain of empty blocks, with a certificate for each.
    struct Sample {
        genesis: Genesis,
        keys: Vec<SecretKey>,
        blocks: Vec<Block>,
    }

    fn sample(length: u64) -> Sample {
        let mut keys: Vec<SecretKey> = (0..4).map(|i| SecretKey::from_seed([i; 32])).collect();
        keys.sort_unstable_by_key(SecretKey::public_key);
        let public: Vec<_> = keys.iter().map(SecretKey::public_key).collect();
        let genesis = Genesis {
            name: proof::wire::Octets::new("test".as_bytes()).unwrap(),
            created_ms: 1,
            committee: Committee::new(0, public.clone()).unwrap(),
            approvers: List::new(public).unwrap(),
            approvals_needed: 1,
            tenants: List::default(),
        };
        let mut blocks =
            vec![Block::genesis(&genesis, commonware_cryptography::sha256::Digest([7; 32]), 0, 1)];
        for height in 1..=length {
            let parent = &blocks.last().unwrap().header;
            let header = Header {
                height,
                view: height,
                parent_view: height - 1,
                parent: parent.digest(),
                transactions_root: merkle::root(&[]),
                ..parent.clone()
            };
            blocks.push(Block { header, transactions: List::default(), outcomes: List::default() });
        }
        Sample { genesis, keys, blocks }
    }

    impl Sample {
        fn certificate(&self, height: usize, signers: std::ops::Range<u8>) -> Finalization {
            let block = &self.blocks[height].header;
            let mut finalization = Finalization {
                epoch: 0,
                view: block.view,
                parent_view: block.parent_view,
                block: block.digest(),
                committee_size: 4,
                signatures: signers.clone().map(|node| (node, proof::Signature([0; 64]))).collect(),
            };
            // The proposal is what comes before the committee's size.
            let proposal = finalization.encode();
            let proposal = &proposal[..3 + 32];
            let namespace = [self.genesis.consensus_namespace(), b"_FINALIZE".to_vec()].concat();
            for (node, signature) in &mut finalization.signatures {
                *signature = self.keys[usize::from(*node)].sign(&namespace, proposal);
            }
            finalization
        }

        /// Values as an archive has them: each with four bytes of a checksum behind it, all behind a preface.
        fn file<T: commonware_codec::Write + commonware_codec::EncodeSize>(values: &[T]) -> Vec<u8> {
            let mut bytes = vec![0; 4096];
            for value in values {
                bytes.reserve(value.encode_size());
                value.write(&mut bytes);
                bytes.extend([0xcc; 4]);
            }
            bytes
        }

        fn prove(&self, files: &[(bool, Vec<u8>)]) -> Proven {
            let mut archive = Archive::new(self.genesis.clone().into());
            for certificates in [false, true] {
                for (number, (_, bytes)) in (0..).zip(files).filter(|(_, file)| file.0 == certificates) {
                    if certificates {
                        archive.add_finalizations(number, bytes.as_slice()).unwrap();
                    } else {
                        archive.add_blocks(number, bytes.as_slice()).unwrap();
                    }
                }
            }
            let read = |spot: Spot, length: usize| {
                let bytes = &files[spot.file as usize].1[spot.offset as usize..];
                Ok(Bytes::copy_from_slice(&bytes[..length.min(bytes.len())]))
            };
            let proven = archive.prove(read);
            for block in &proven.blocks {
                assert_eq!(read_block(block, read).unwrap(), self.blocks[block.height as usize]);
            }
            proven
        }
    }

    fn heights(proven: &Proven) -> Vec<u64> {
        proven.blocks.iter().map(|block| block.height).collect()
    }

    #[test]
    fn one_certificate_proves_all_below() {
        let sample = sample(20);
        let blocks = (false, Sample::file(&sample.blocks[1..]));
        let proven = sample.prove(&[blocks, (true, Sample::file(&[sample.certificate(15, 0..3)]))]);
        assert_eq!(heights(&proven), (1..=15).collect::<Vec<_>>());
        assert_eq!((proven.newest.unwrap().view, proven.unproven_to), (15, Some(20)));
        assert!(proven.missing.is_empty());
    }

    #[test]
    fn files_complete_one_another_and_gaps_are_told() {
        let sample = sample(20);
        let one = (false, Sample::file(&sample.blocks[1..8]));
        let two = (false, Sample::file(&sample.blocks[6..=20]));
        let certificates = [5, 20].map(|height| sample.certificate(height, 1..4));
        let both = sample.prove(&[one.clone(), two.clone(), (true, Sample::file(&certificates))]);
        assert_eq!(heights(&both), (1..=20).collect::<Vec<_>>());
        // Block 10 is nowhere: what is below is proven by its own certificate, as far as that goes.
        let mut holed = two.1.clone();
        let size = sample.blocks[1].encode_size() + 4;
        holed[4096 + 4 * size + 50] ^= 1;
        let proven = sample.prove(&[one, (false, holed), (true, Sample::file(&certificates))]);
        assert_eq!(heights(&proven), (1..=5).chain(11..=20).collect::<Vec<_>>());
        assert_eq!(proven.missing, [6..=10]);
    }

    #[test]
    fn what_no_quorum_signed_is_not_believed() {
        let sample = sample(5);
        let blocks = (false, Sample::file(&sample.blocks[1..]));
        let few = sample.certificate(5, 0..2);
        let mut forged = sample.certificate(4, 0..3);
        forged.signatures[1].1 = few.signatures[0].1;
        let good = sample.certificate(3, 0..3);
        let proven =
            sample.prove(&[blocks.clone(), (true, Sample::file(&[few.clone(), forged.clone(), good]))]);
        assert_eq!(heights(&proven), [1, 2, 3]);
        assert_eq!(proven.unproven_to, Some(5));
        let proven = sample.prove(&[blocks.clone(), (true, Sample::file(&[few, forged.clone()]))]);
        assert_eq!((heights(&proven), proven.newest), (vec![], None));
        // A bad certificate does not hide a good one over the same block.
        let both = [forged, sample.certificate(4, 0..4)];
        assert_eq!(heights(&sample.prove(&[blocks, (true, Sample::file(&both))])), [1, 2, 3, 4]);
    }

    #[test]
    fn another_network_counts_for_nothing() {
        let (sample, mut other) = (sample(5), sample(5));
        other.genesis.created_ms = 2;
        let files = [
            (false, Sample::file(&sample.blocks[1..])),
            (true, Sample::file(&[sample.certificate(5, 0..4)])),
        ];
        assert!(heights(&other.prove(&files)).is_empty());
    }

    /// Wherever a byte is damaged, what is proven is a part of the chain, and nearly all of it.
    #[test]
    fn damage_costs_what_it_hits() {
        let sample = sample(12);
        let blocks = Sample::file(&sample.blocks[1..]);
        let all: Vec<Finalization> = (1..=12).map(|height| sample.certificate(height, 0..3)).collect();
        let certificates = Sample::file(&all);
        for at in (4096..blocks.len()).step_by(29) {
            let mut damaged = blocks.clone();
            damaged[at] ^= 0x10;
            let proven = sample.prove(&[(false, damaged), (true, certificates.clone())]);
            assert!(heights(&proven).len() >= 11, "byte {at}");
        }
        for at in (4096..certificates.len()).step_by(31) {
            let mut damaged = certificates.clone();
            damaged[at] ^= 0x10;
            let proven = sample.prove(&[(false, blocks.clone()), (true, damaged)]);
            assert!(heights(&proven).len() >= 11, "byte {at}");
        }
    }

    /// Values that straddle what is read at a time.
    #[test]
    fn windows_hide_nothing() {
        let sample = sample(40);
        let far = WINDOW - Block::max_encode_size(&()) / 2;
        let padding = [WINDOW - 100, far, 2 * WINDOW - 700];
        for padding in padding {
            let bytes = [vec![3; padding], Sample::file(&sample.blocks[1..])].concat();
            let proven =
                sample.prove(&[(false, bytes), (true, Sample::file(&[sample.certificate(40, 0..3)]))]);
            assert_eq!(heights(&proven).len(), 40);
        }
    }
}

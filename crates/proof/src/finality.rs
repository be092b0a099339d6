//! The finalization certificate: a quorum's signatures over a block's hash.
//!
//! The bytes are the consensus engine's own (Commonware simplex with Ed25519): the proposal (epoch, view and parent
//! view as varints, then the block's hash), the signers as a bitmap over the committee sorted by key, their signatures in
//! that order. Each signs the encoded proposal in the namespace `consensus namespace || "_FINALIZE"`. A differential test
//! in crate `chain` keeps this decoder equal to the engine's.

use crate::{
    Committee, Digest, Signature,
    genesis::consensus_namespace,
    header::Header,
    limits::{HEADER_CHAIN_MAX, NODES_MAX},
    wire::{Buf, EncodeSize, Error, List, Read, ReadExt, Write},
};
use bytes::BufMut;
use commonware_codec::varint::UInt;

const SUFFIX: &[u8] = b"_FINALIZE";

/// A quorum's agreement that a block can never be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalization {
    /// Epoch of the round.
    pub epoch: u64,
    /// View of the round.
    pub view: u64,
    /// View of the parent.
    pub parent_view: u64,
    /// The block's hash.
    pub block: Digest,
    /// Size of the committee as the bitmap states it.
    pub committee_size: u8,
    /// Who signed: ascending numbers among the committee's keys, sorted, with their signatures.
    pub signatures: Vec<(u8, Signature)>,
}

impl Finalization {
    fn write_proposal(&self, buf: &mut impl BufMut) {
        UInt(self.epoch).write(buf);
        UInt(self.view).write(buf);
        UInt(self.parent_view).write(buf);
        self.block.write(buf);
    }

    /// Checks that a quorum of `committee` finalized the block. All signatures are checked, not only a quorum of them.
    pub fn verify(&self, network: Digest, committee: &Committee) -> Result<(), FinalityError> {
        if self.epoch != committee.epoch() || usize::from(self.committee_size) != committee.n() {
            return Err(FinalityError::Committee);
        }
        if self.signatures.len() < committee.quorum() {
            return Err(FinalityError::TooFew { got: self.signatures.len(), needed: committee.quorum() });
        }
        if self.signatures.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(FinalityError::Signers);
        }
        let namespace = [&consensus_namespace(network), SUFFIX].concat();
        let mut proposal = Vec::with_capacity(64);
        self.write_proposal(&mut proposal);
        let voters = committee.voters();
        for (node, signature) in &self.signatures {
            let key = voters.get(usize::from(*node)).ok_or(FinalityError::Committee)?;
            if !key.verify(&namespace, &proposal, signature) {
                return Err(FinalityError::Signature(*node));
            }
        }
        Ok(())
    }
}

impl Write for Finalization {
    fn write(&self, buf: &mut impl BufMut) {
        self.write_proposal(buf);
        u64::from(self.committee_size).write(buf);
        let mut bitmap = vec![0u8; usize::from(self.committee_size).div_ceil(8)];
        for (node, _) in &self.signatures {
            bitmap[usize::from(*node) / 8] |= 1 << (node % 8);
        }
        buf.put_slice(&bitmap);
        UInt(self.signatures.len() as u32).write(buf);
        for (_, signature) in &self.signatures {
            signature.write(buf);
        }
    }
}

impl EncodeSize for Finalization {
    fn encode_size(&self) -> usize {
        UInt(self.epoch).encode_size()
            + UInt(self.view).encode_size()
            + UInt(self.parent_view).encode_size()
            + 32
            + 8
            + usize::from(self.committee_size).div_ceil(8)
            + UInt(self.signatures.len() as u32).encode_size()
            + 64 * self.signatures.len()
    }
}

impl Read for Finalization {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let epoch = UInt::read(buf)?.into();
        let view = UInt::read(buf)?.into();
        let parent_view = UInt::read(buf)?.into();
        let block = Digest::read(buf)?;
        let bits = u64::read(buf)?;
        if bits == 0 || bits > NODES_MAX as u64 {
            return Err(Error::InvalidLength(bits as usize));
        }
        let mut bitmap = 0u64;
        for byte in 0..bits.div_ceil(8) {
            bitmap |= u64::from(u8::read(buf)?) << (8 * byte);
        }
        if bitmap >> bits != 0 {
            return Err(Error::Invalid("Finalization", "signers beyond the committee"));
        }
        let count: u32 = UInt::read(buf)?.into();
        if count == 0 || count != bitmap.count_ones() {
            return Err(Error::Invalid("Finalization", "signers and signatures differ in number"));
        }
        let signatures = (0..bits as u8)
            .filter(|node| bitmap >> node & 1 == 1)
            .map(|node| Ok((node, Signature::read(buf)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { epoch, view, parent_view, block, committee_size: bits as u8, signatures })
    }
}

const _: () = assert!(NODES_MAX < 64, "the signers fit one word");

/// Why a block is not proved final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinalityError {
    /// The certificate is of another committee or epoch.
    #[error("the finalization is of another committee or epoch")]
    Committee,
    /// Fewer signatures than a quorum.
    #[error("{got} finalize votes where {needed} are needed")]
    TooFew {
        /// Signatures present.
        got: usize,
        /// A quorum.
        needed: usize,
    },
    /// Votes out of order or repeated. None decoded from bytes is.
    #[error("the finalize votes are not of distinct nodes in order")]
    Signers,
    /// A signature does not verify.
    #[error("the finalize vote of node {0} does not verify")]
    Signature(u8),
    /// The headers do not lead from the block to the one that was voted on.
    #[error("the headers do not link the block to the finalized one")]
    Chain,
    /// A header is of another network.
    #[error("the header is of another network or committee")]
    Network,
    /// A header is of an epoch that is not known.
    #[error("the header is of epoch {0}, which the genesis file does not know: get the newest genesis file")]
    Epoch(u64),
    /// A header is of an epoch, but not of the heights that it decided.
    #[error(
        "the block at height {0} is not on the chain that the network went on with: a recovery left it behind"
    )]
    Abandoned(u64),
}

crate::wire_struct! {
    /// A header with the proof that it is final: a certificate over it or over a descendant.
    pub struct FinalizedHeader {
        /// The header.
        pub header: Header,
        /// Its descendants, ascending, up to the one that the certificate is over. Usually none.
        pub descendants: List<Header, HEADER_CHAIN_MAX>,
        /// The certificate.
        pub finalization: Finalization,
    }
}

impl FinalizedHeader {
    /// The header, then its descendants.
    pub fn headers(&self) -> impl Iterator<Item = &Header> {
        std::iter::once(&self.header).chain(self.descendants.iter())
    }

    /// The header that the certificate is over, to which the others lead.
    pub(crate) fn newest(&self) -> Result<&Header, FinalityError> {
        let mut newest = &self.header;
        for descendant in self.descendants.iter() {
            let follows = newest.height.checked_add(1) == Some(descendant.height);
            if descendant.parent != newest.digest() || !follows {
                return Err(FinalityError::Chain);
            }
            newest = descendant;
        }
        if newest.digest() == self.finalization.block { Ok(newest) } else { Err(FinalityError::Chain) }
    }
}

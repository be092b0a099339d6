//! The committees of a network, from its genesis on.
//!
//! A network begins with the committee of its genesis. When more than f of its nodes are lost for good, its approvers may
//! let it go on with another one ([`Recovery`]): *epoch* e + 1 begins with the block after a final block of an earlier
//! epoch, which they name. What was decided above that block by a former committee is no part of the chain any more. So
//! that nothing that was acknowledged is, it is the highest final block that any survivor has: a write is acknowledged
//! when 2f + 1 nodes have applied it, and of these at most 2f can be lost.
//!
//! A committee of a later epoch has as many nodes as the first, *in their places*: whoever replaces a lost node takes its
//! place, and holds the shards of that place. A recovery counts when as many approvers as the genesis asks for have signed
//! it. Nobody can have voted in an epoch before its recovery was signed, so all its members may begin with empty journals
//! of votes; approvers must therefore never sign two recoveries for one epoch.
//!
//! `genesis file, version 2 = magic || 2 || genesis || its id || recoveries || sha256 of all before`. Without recoveries it
//! is of version 1 ([`crate::genesis`]). Everything that is trusted still follows from the genesis: who has an older file
//! than others knows fewer epochs, and never a false one.

use crate::{
    Committee, Digest, Genesis, Header, PublicKey, SecretKey, Signature,
    digest::sha256,
    finality::{FinalityError, FinalizedHeader},
    genesis::{GenesisError, MAGIC},
    wire::{DecodeExt, Encode, Error, List, ReadExt, Write},
};
use bytes::Bytes;

/// Recoveries that a genesis file has at most.
pub const RECOVERIES_MAX: usize = 256;
const VERSION: u8 = 2;
const NAMESPACE: &[u8] = b"outlast/recovery/1";
/// First bytes of a file with one recovery.
pub const RECOVERY_MAGIC: [u8; 8] = *b"OUTLASTE";
const RECOVERY_VERSION: u8 = 1;

crate::wire_struct! {
    /// What approvers decide.
    pub struct Terms {
        /// The network's id.
        pub network: Digest,
        /// Who decides from now on: each node in its place, and the number of the epoch that begins.
        pub committee: Committee,
        /// The block after which it begins, with the certificate of those who decided before.
        pub last: FinalizedHeader,
    }
}

crate::wire_struct! {
    /// An approver's signature under [`Terms`].
    pub struct Approval {
        /// The approver.
        pub approver: PublicKey,
        /// Over the terms' hash, in the namespace `outlast/recovery/1`.
        pub signature: Signature,
    }
}

crate::wire_struct! {
    /// A decision to go on with another committee, and who approved it so far.
    pub struct Recovery {
        /// What is decided.
        pub terms: Terms,
        /// By whom.
        pub approvals: List<Approval, 32>,
    }
}

/// Why a recovery does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// Of another network.
    #[error("the recovery is of another network")]
    Network,
    /// Not the next epoch, or another number of nodes.
    #[error("the recovery begins epoch {0}, of {1} nodes, where epoch {2}, of {3} nodes, is to begin")]
    Committee(u64, usize, u64, usize),
    /// It begins where the epoch before did not come to, or with what is not final.
    #[error("the block that the recovery begins after is not proved final: {0}")]
    Last(#[from] FinalityError),
    /// It begins before the epoch that it ends.
    #[error("the recovery begins before the epoch that it ends")]
    Before,
    /// Signatures that are not of different approvers, or do not verify.
    #[error("{0} did not approve this recovery, or is no approver, or is named twice")]
    Approval(PublicKey),
    /// Fewer than needed.
    #[error("{got} of {needed} approvals: have more approvers sign it")]
    TooFew {
        /// Approvals that there are.
        got: usize,
        /// Approvals that the genesis asks for.
        needed: usize,
    },
}

/// Bytes that are not a recovery file.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryFileError {
    /// Wrong magic or version.
    #[error("this is not a recovery file of version {RECOVERY_VERSION}")]
    NotRecovery,
    /// Damaged or cut short.
    #[error("the recovery file is damaged: {0}")]
    Damaged(Error),
}

impl Terms {
    /// What approvers sign.
    pub fn digest(&self) -> Digest {
        sha256("outlast/recovery-terms/1", &[&self.encode()])
    }

    /// An approver's signature.
    pub fn approve(&self, approver: &SecretKey) -> Approval {
        let signature = approver.sign(NAMESPACE, &self.digest().0);
        Approval { approver: approver.public_key(), signature }
    }
}

impl Recovery {
    /// Checks the approvals that there are, and gives how many.
    pub fn approvals(&self, genesis: &Genesis) -> Result<usize, RecoveryError> {
        let digest = self.terms.digest();
        for (at, approval) in self.approvals.iter().enumerate() {
            let key = approval.approver;
            let again = self.approvals[..at].iter().any(|earlier| earlier.approver == key);
            if again
                || !genesis.approvers.contains(&key)
                || !key.verify(NAMESPACE, &digest.0, &approval.signature)
            {
                return Err(RecoveryError::Approval(key));
            }
        }
        Ok(self.approvals.len())
    }

    /// The bytes of a recovery file: magic, version, encoding, hash.
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = RECOVERY_MAGIC.to_vec();
        RECOVERY_VERSION.write(&mut bytes);
        self.write(&mut bytes);
        sha256("outlast/recovery-file/1", &[&bytes]).write(&mut bytes);
        bytes
    }

    /// Reads a recovery file. It counts for nothing yet: see [`Lineage::recover`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, RecoveryFileError> {
        let split = bytes.len().checked_sub(32).ok_or(RecoveryFileError::NotRecovery)?;
        let (signed, checksum) = bytes.split_at(split);
        let body =
            signed.strip_prefix(&RECOVERY_MAGIC).and_then(|rest| rest.strip_prefix(&[RECOVERY_VERSION]));
        let body = body.ok_or(RecoveryFileError::NotRecovery)?;
        if sha256("outlast/recovery-file/1", &[signed]).0 != checksum {
            let why = Error::Invalid("Recovery", "the hash at its end does not match");
            return Err(RecoveryFileError::Damaged(why));
        }
        Self::decode(Bytes::copy_from_slice(body)).map_err(RecoveryFileError::Damaged)
    }
}

/// An epoch: who decides, and from which height on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Epoch {
    committee: Committee,
    digest: Digest,
    /// Height of its first block.
    first: u64,
}

/// A genesis and the recoveries after it: all that whoever verifies trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    genesis: Genesis,
    network: Digest,
    recoveries: Vec<Recovery>,
    /// One more than recoveries.
    epochs: Vec<Epoch>,
}

/// # Panics
///
/// If the committee is not of the first epoch. No genesis file has such a one.
impl From<Genesis> for Lineage {
    fn from(genesis: Genesis) -> Self {
        let committee = genesis.committee.clone();
        assert_eq!(committee.epoch(), 0, "a genesis names the committee of the first epoch");
        let epoch = Epoch { digest: committee.digest(), committee, first: 1 };
        Self { network: genesis.id(), genesis, recoveries: Vec::new(), epochs: vec![epoch] }
    }
}

impl Lineage {
    /// The founding facts.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The network's id.
    pub fn network(&self) -> Digest {
        self.network
    }

    /// Who decides now.
    pub fn committee(&self) -> &Committee {
        &self.newest().committee
    }

    /// Who decided in an epoch.
    pub fn committee_of(&self, epoch: u64) -> Option<&Committee> {
        self.epoch(epoch).map(|epoch| &epoch.committee)
    }

    /// The recoveries, in their order.
    pub fn recoveries(&self) -> &[Recovery] {
        &self.recoveries
    }

    /// The block after which the newest epoch began; none if that is the first.
    pub fn last(&self) -> Option<&FinalizedHeader> {
        self.recoveries.last().map(|recovery| &recovery.terms.last)
    }

    /// Heights of an epoch's first block, and of its last one unless it is the newest. An epoch that had none ends before
    /// it begins.
    pub fn span(&self, epoch: u64) -> Option<(u64, Option<u64>)> {
        let first = self.epoch(epoch)?.first;
        Some((first, self.epoch(epoch + 1).map(|next| next.first - 1)))
    }

    /// The epoch that decides the block at a height above zero.
    pub fn epoch_at(&self, height: u64) -> u64 {
        let later = self.epochs.iter().rposition(|epoch| epoch.first <= height);
        later.unwrap_or(0) as u64
    }

    fn epoch(&self, number: u64) -> Option<&Epoch> {
        usize::try_from(number).ok().and_then(|number| self.epochs.get(number))
    }

    fn newest(&self) -> &Epoch {
        self.epochs.last().expect("there is the first epoch")
    }

    /// Checks that a header is final, and on the chain that the newest epoch goes on with.
    pub fn verify(&self, block: &FinalizedHeader) -> Result<(), FinalityError> {
        let newest = block.newest()?;
        for header in block.headers() {
            self.check_header(header)?;
        }
        let committee = self.committee_of(newest.epoch).ok_or(FinalityError::Epoch(newest.epoch))?;
        block.finalization.verify(self.network, committee)
    }

    /// Whether a header says that it was decided by whom, and at a height where, it can have been. It proves nothing yet.
    pub fn check_header(&self, header: &Header) -> Result<(), FinalityError> {
        let epoch = self.epoch(header.epoch).ok_or(FinalityError::Epoch(header.epoch))?;
        if header.network != self.network || header.committee != epoch.digest {
            return Err(FinalityError::Network);
        }
        let begun = header.height >= epoch.first;
        // Epochs without blocks begin where the next one does.
        let later =
            self.recoveries[header.epoch as usize..].iter().map(|recovery| &recovery.terms.last.header);
        let abandoned = later.into_iter().any(|last| {
            header.height > last.height || (header.height == last.height && header.digest() != last.digest())
        });
        if begun && !abandoned { Ok(()) } else { Err(FinalityError::Abandoned(header.height)) }
    }

    /// Terms under which these nodes, each in its place, go on after this block.
    ///
    /// # Errors
    ///
    /// When the nodes are no committee.
    pub fn terms(
        &self,
        nodes: Vec<PublicKey>,
        last: FinalizedHeader,
    ) -> Result<Terms, crate::committee::CommitteeError> {
        let committee = Committee::placed(self.newest().committee.epoch() + 1, nodes)?;
        Ok(Terms { network: self.network, committee, last })
    }

    /// Takes the next recovery, if it counts.
    pub fn recover(&mut self, recovery: Recovery) -> Result<(), RecoveryError> {
        self.check(&recovery.terms)?;
        let (got, needed) = (recovery.approvals(&self.genesis)?, usize::from(self.genesis.approvals_needed));
        if got < needed {
            return Err(RecoveryError::TooFew { got, needed });
        }
        let Terms { committee, last, .. } = &recovery.terms;
        let first = last.header.height + 1;
        self.epochs.push(Epoch { digest: committee.digest(), committee: committee.clone(), first });
        self.recoveries.push(recovery);
        Ok(())
    }

    /// Whether the terms can be approved: all of a recovery but the approvals.
    pub fn check(&self, terms: &Terms) -> Result<(), RecoveryError> {
        let (Terms { network, committee, last }, newest) = (terms, self.newest());
        if *network != self.network {
            return Err(RecoveryError::Network);
        }
        let (epoch, n) = (newest.committee.epoch() + 1, newest.committee.n());
        if (committee.epoch(), committee.n()) != (epoch, n) {
            return Err(RecoveryError::Committee(committee.epoch(), committee.n(), epoch, n));
        }
        self.verify(last)?;
        if !last.descendants.is_empty() {
            // Its proof would be of blocks that are left behind.
            return Err(FinalityError::Chain.into());
        }
        if last.header.height + 1 < newest.first {
            return Err(RecoveryError::Before);
        }
        Ok(())
    }

    /// The bytes of a genesis file.
    pub fn to_file(&self) -> Vec<u8> {
        if self.recoveries.is_empty() {
            return self.genesis.to_file();
        }
        let mut bytes = MAGIC.to_vec();
        VERSION.write(&mut bytes);
        self.genesis.write(&mut bytes);
        self.network.write(&mut bytes);
        let recoveries = List::<_, RECOVERIES_MAX>::new(self.recoveries.clone());
        recoveries.expect("a lineage has no more recoveries than a file").write(&mut bytes);
        sha256("outlast/lineage/1", &[&bytes]).write(&mut bytes);
        bytes
    }

    /// Reads a genesis file, of either version, and checks every recovery.
    pub fn from_file(bytes: &[u8]) -> Result<Self, GenesisError> {
        let Some(body) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.strip_prefix(&[VERSION])) else {
            return Genesis::from_file(bytes).map(Self::from);
        };
        let damaged = |why| GenesisError::Damaged(Error::Invalid("Lineage", why));
        let split = body.len().checked_sub(32).ok_or(GenesisError::Damaged(Error::EndOfBuffer))?;
        let (written, checksum) = (&bytes[..bytes.len() - 32], &body[split..]);
        if sha256("outlast/lineage/1", &[written]).0 != checksum {
            return Err(damaged("the hash at its end does not match"));
        }
        let mut rest = Bytes::copy_from_slice(&body[..split]);
        let mut read = || {
            let genesis = Genesis::read(&mut rest)?;
            let id = Digest::read(&mut rest)?;
            let recoveries = List::<Recovery, RECOVERIES_MAX>::read(&mut rest)?;
            Ok::<_, Error>((genesis, id, recoveries))
        };
        let (genesis, id, recoveries) = read().map_err(GenesisError::Damaged)?;
        if !rest.is_empty() || genesis.id() != id || recoveries.is_empty() {
            return Err(damaged("it is longer than its contents, or they are not what it says"));
        }
        genesis.check()?;
        let mut lineage = Self::from(genesis);
        for recovery in recoveries.into_inner() {
            lineage.recover(recovery).map_err(GenesisError::Recovery)?;
        }
        Ok(lineage)
    }
}

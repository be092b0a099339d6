//! The flooder's floods: on every channel, as fast as its quota lets him, what costs others the most and shows least.
//!
//! Junk goes only where a node that receives it merely drops it; on the other channels he repeats what his node has said.

use super::{Rogue, chance::Chance, plot, rogue::Context, voice::Purpose};
use bytes::Bytes;
use chain::block::{Block, leaves};
use commonware_codec::Encode as _;
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Recipients, Sender};
use proof::{
    Digest, Header, SecretKey, SignedTransaction, TenantId, Transaction,
    limits::INLINE_MAX,
    merkle,
    transaction::{Attachment, Body, Operation, Payload, Place, PutVersion},
    wire::List,
};

/// Transactions of a bulky block: together a quarter of the most that a block may have.
const BULK: usize = 16;

/// Floods until the task that the rogue's context belongs to ends.
pub(super) fn start<E: Context, S: Sender<PublicKey = PublicKey>>(rogue: &Rogue<E>, senders: [S; 8]) {
    let rogue = rogue.clone();
    rogue.context().child("flood").spawn({
        let rogue = rogue.clone();
        move |context| async move {
            let mut senders = senders;
            loop {
                context.sleep(rogue.chance().ms(5..60)).await;
                let Some((on, message, act)) = rogue.flood() else { continue };
                rogue.count(act);
                let to = Recipients::Some(rogue.others().to_vec());
                senders[on as usize].send(to, message, false);
            }
        }
    });
}

impl<E: Context> Rogue<E> {
    /// The next message of the flood.
    fn flood(&self) -> Option<(Purpose, Bytes, &'static str)> {
        let chance = self.chance();
        match chance.below(100) {
            0..50 => {
                let on = Purpose::ALL[chance.below(Purpose::ALL.len())];
                let said = self.memory().lock().said(on as u64);
                Some((on, chance.one_of(&said)?.clone(), "repeated a message"))
            }
            50..70 => {
                let view = self.memory().lock().view;
                let vote = plot::distant_nullify(self.scheme(), chance, view)?;
                Some((Purpose::Votes, vote, "voted in a distant view"))
            }
            70..80 => {
                let known = self.memory().lock().transactions();
                let signed = chance.one_of(&known)?.encode();
                Some((Purpose::Gossip, signed, "passed on a transaction again"))
            }
            80..90 => {
                let signed = bulky_transaction(chance).encode();
                Some((Purpose::Gossip, signed, "passed on a transaction that nobody signed"))
            }
            90..97 => {
                let length = 1 + chance.below(64 << 10);
                Some((Purpose::Broadcast, chance.junk(length).into(), "sent junk for a block"))
            }
            _ => {
                let block = bulky_block(chance, self.public_key());
                Some((Purpose::Broadcast, block.encode(), "sent a large block that nobody proposed"))
            }
        }
    }
}

/// A transaction that decodes, is large, and is admissible nowhere.
fn bulky_transaction(chance: &Chance) -> SignedTransaction {
    let key = SecretKey::from_seed(chance.bytes());
    let (sealed, inline) = (Bytes::from(chance.junk(4 << 10)), Bytes::from(chance.junk(INLINE_MAX)));
    let body = Body {
        ciphertext_length: INLINE_MAX as u64,
        content: Digest(chance.bytes()),
        sealed: Attachment::of(&sealed),
        payload: Payload::Inline(Attachment::of(&inline)),
    };
    let place = Place {
        bucket: "junk".parse().expect("a bucket's name"),
        key: "junk".parse().expect("an object's key"),
    };
    let transaction = Transaction {
        network: Digest(chance.bytes()),
        tenant: TenantId(chance.bytes()),
        signer: key.public_key(),
        nonce: chance.bytes(),
        expires_ms: u64::MAX,
        preconditions: List::default(),
        operations: List::new(vec![Operation::PutVersion(PutVersion { place, body })])
            .expect("one operation"),
    };
    transaction.sign(&key, vec![sealed, inline])
}

/// A block that decodes, is large, and continues nothing.
fn bulky_block(chance: &Chance, leader: proof::PublicKey) -> Block {
    let transactions: Vec<_> = (0..BULK).map(|_| bulky_transaction(chance)).collect();
    let outcomes = vec![0; BULK];
    let header = Header {
        network: Digest(chance.bytes()),
        committee: Digest(chance.bytes()),
        epoch: 0,
        view: chance.below(1 << 20) as u64,
        leader,
        parent_view: 0,
        parent: Digest(chance.bytes()),
        height: chance.below(1 << 20) as u64,
        time_ms: 0,
        transactions: BULK as u32,
        transactions_root: merkle::root(&leaves(&transactions, &outcomes)),
        state_root: Digest(chance.bytes()),
        log_root: Digest(chance.bytes()),
        log_start: 0,
        log_end: 1,
    };
    Block {
        header,
        transactions: List::new(transactions).expect("few transactions"),
        outcomes: List::new(outcomes).expect("few transactions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::DecodeExt as _;

    #[test]
    fn what_is_flooded_decodes() {
        let chance = Chance::new(1);
        let signed = bulky_transaction(&chance);
        assert_eq!(SignedTransaction::decode(signed.encode()).unwrap(), signed);
        let block = bulky_block(&chance, SecretKey::from_seed([1; 32]).public_key());
        assert_eq!(Block::decode(block.encode()).unwrap(), block);
        assert!(block.encode().len() > 256 << 10);
    }
}

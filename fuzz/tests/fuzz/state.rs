//! State proofs as a gateway verifies them, and blocks as nodes take them from one another.

use crate::chain_samples::{State, block, state};
use bytes::Bytes;
use chain::{
    block::{Block, leaves},
    state::StateProof,
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::CertifiableBlock as _;
use fuzz::{bounded, fuzz};
use proof::{Header, SignedTransaction, limits::BLOCK_TRANSACTIONS_MAX, merkle, wire::List};
use std::sync::LazyLock;

static STATE: LazyLock<State> = LazyLock::new(state);

/// However a proof is damaged, and whichever key it is shown for: it proves what the state holds, or nothing.
#[test]
fn state_proofs() {
    let proofs = STATE.proofs.iter().enumerate();
    let seeds = proofs.map(|(at, (_, _, proof))| (format!("proof {at}"), proof.encode().to_vec()));
    fuzz!("state_proofs", seeds, |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        let Ok(proof) = bounded(input.len(), || StateProof::decode(bytes)) else { return };
        for (key, held, _) in &STATE.proofs {
            if let Ok(claimed) = proof.verify(key, &STATE.root) {
                assert_eq!(claimed, *held, "a damaged proof of {key}");
            }
        }
    });
}

type Body = (List<SignedTransaction, BLOCK_TRANSACTIONS_MAX>, List<u16, BLOCK_TRANSACTIONS_MAX>);

/// A block is taken only if its header binds its body; whatever is taken can be asked for its context.
#[test]
fn blocks() {
    fuzz!("blocks", [("block".to_owned(), block().encode().to_vec())], |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        if let Ok(block) = bounded(input.len(), || Block::decode(bytes.clone())) {
            assert_eq!(block.encode(), input);
            assert_eq!(block.header.transactions_root, merkle::root(&block.leaves()));
            block.context();
        }
        // A forger's leader would bind whatever body it likes: then only the body itself can be wrong.
        let Ok((mut header, (transactions, outcomes))) = <(Header, Body)>::decode(bytes) else { return };
        header.transactions = transactions.len() as u32;
        header.transactions_root = merkle::root(&leaves(&transactions, &outcomes));
        let whole = transactions.len() == outcomes.len()
            && transactions.iter().all(SignedTransaction::attachments_match)
            && header.log_start < header.log_end
            && header.log_end <= 1 << 60;
        let bound = Block { header, transactions, outcomes };
        let taken = Block::decode(bound.encode());
        assert_eq!(taken.is_ok(), whole, "{taken:?}");
        bound.context();
    });
}

//! What the state says of a transaction that came from outside, before it is given room in the pool.
//!
//! A submitter hears of one that was decided already how it was decided. What the state does not entitle its signer to
//! is given a stranger's room, for the proof of the refusal; the state here may be behind, so it is not called wrong.
//!
//! What another *node* passes on has no submitter waiting here, and that node may be malicious. It is taken only if it is
//! undecided, unexpired, and signed by whoever may; anything else would only take room, now or in blocks for ever. What
//! a tenant signed counts for that tenant's share, whoever passes it on.

use crate::{
    application::{Databases, Network},
    applied::Applied,
    block::engine_digest,
    mempool::{Mempool, Signatory},
    state::from_value,
};
use commonware_runtime::Spawner;
use commonware_storage::Context as StorageContext;
use ledger::{
    Record, key,
    record::{Outcome, Signer},
};
use proof::{Genesis, SignedTransaction};
use std::sync::Arc;

/// What the newest state says of a transaction.
pub(crate) enum Said {
    /// It was decided.
    Decided(Outcome),
    /// It was not, and this is who signed it.
    Undecided(Signatory),
}

/// Asks the newest state.
pub(crate) async fn ask<E: StorageContext + Spawner>(
    state: &Databases<E>,
    genesis: &Genesis,
    signed: &SignedTransaction,
) -> Said {
    let transaction = &signed.transaction;
    let outcome = engine_digest(&key::outcome(&transaction.id()));
    let signer = engine_digest(&key::signer(&transaction.tenant, &transaction.signer));
    let state = state.read().await;
    if let Some(value) = state.get(&outcome).await.expect("the state is readable") {
        let Record::Outcome(outcome) = from_value(&value) else {
            unreachable!("an outcome's key holds an outcome");
        };
        return Said::Decided(outcome);
    }
    let signer = state.get(&signer).await.expect("the state is readable").map(|value| {
        let Record::Signer(signer) = from_value(&value) else {
            unreachable!("a signer's key holds a signer");
        };
        signer
    });
    Said::Undecided(signatory(genesis, signed, signer))
}

/// Whether a transaction is signed by whoever may: an approver if it creates or limits a tenant, else a key of its tenant.
fn signatory(genesis: &Genesis, signed: &SignedTransaction, signer: Option<Signer>) -> Signatory {
    let transaction = &signed.transaction;
    let governs = transaction.operations.iter().any(|operation| operation.governs().is_some());
    let is_entitled = if governs {
        genesis.approvers.contains(&transaction.signer)
    } else {
        signer.is_some_and(|signer| signer.active)
    };
    if is_entitled { Signatory::Entitled } else { Signatory::Stranger }
}

/// A transaction that another node passed on is not admissible, which an honest one does not do.
#[derive(Debug)]
pub(crate) struct Inadmissible;

/// Takes what another node passed on, if it is of use.
pub(crate) async fn take_gossip<E: StorageContext + Spawner>(
    network: &Network,
    state: &Databases<E>,
    applied: &Applied,
    mempool: &Mempool,
    signed: SignedTransaction,
    now_ms: u64,
) -> Result<(), Inadmissible> {
    if mempool.has_admitted(&signed.transaction.id(), &signed) {
        return Ok(());
    }
    ledger::admit(&signed, network.lineage.committee(), network.id).map_err(|_| Inadmissible)?;
    let block_time_ms = applied.reached().map_or(0, |header| header.time_ms);
    if signed.transaction.expires_ms <= block_time_ms {
        return Ok(());
    }
    if let Said::Undecided(Signatory::Entitled) = ask(state, network.lineage.genesis(), &signed).await {
        // A full pool is not the sender's fault, and the transaction is in other pools.
        let _ = mempool.insert(Arc::new(signed), Signatory::Entitled, now_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{
        Committee, Digest, SecretKey, TenantId, Transaction,
        transaction::{CreateBucket, CreateTenant, Operation},
        wire::{List, Octets},
    };

    #[test]
    fn the_state_says_who_may_sign_for_a_tenant_and_the_genesis_who_may_create_one() {
        let [node, approver, other] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]));
        let genesis = Genesis {
            name: Octets::new("test".as_bytes()).unwrap(),
            created_ms: 0,
            committee: Committee::new(0, vec![node.public_key()]).unwrap(),
            approvers: List::new(vec![approver.public_key()]).unwrap(),
            approvals_needed: 1,
            tenants: List::default(),
        };
        let tenant = TenantId([7; 16]);
        let bucket = Operation::CreateBucket(CreateBucket { bucket: "bucket".parse().unwrap() });
        let create = CreateTenant { tenant, name: Octets::default(), key: other.public_key() };
        let create = Operation::CreateTenant(create);
        let says = |key: &SecretKey, operation: &Operation, signer| {
            let transaction = Transaction {
                network: Digest::ZERO,
                tenant,
                signer: key.public_key(),
                nonce: [0; 16],
                expires_ms: 1,
                preconditions: List::default(),
                operations: List::new(vec![operation.clone()]).unwrap(),
            };
            signatory(&genesis, &transaction.sign(key, Vec::new()), signer)
        };
        let active = |active| Some(Signer { active });
        assert_eq!(says(&other, &bucket, active(true)), Signatory::Entitled);
        assert_eq!(says(&other, &bucket, active(false)), Signatory::Stranger, "revoked");
        assert_eq!(says(&other, &bucket, None), Signatory::Stranger);
        assert_eq!(says(&approver, &bucket, None), Signatory::Stranger, "of the tenant by his word only");
        assert_eq!(says(&approver, &create, None), Signatory::Entitled);
        assert_eq!(says(&other, &create, active(true)), Signatory::Stranger);
    }
}

//! Executing a block.
//!
//! For each transaction in order:
//!
//! 1. It must be new, for this network, in time, and signed by a key that may.
//! 2. All its preconditions must hold, each in the state before its first operation.
//! 3. Its operations are applied in order, each seeing the writes of those before it.
//! 4. When all of that succeeded, its writes join the block's, where later transactions see them; otherwise they are
//!    dropped. Either way its outcome is recorded.

use crate::{
    entries::Position,
    key::{self, StateKey},
    operations::{apply, enroll, head_of},
    overlay::{Overlay, View},
    record::{Chain, Kind, Outcome, Record, Signer, Upload, UploadState},
    refusal::{APPLIED, Refusal},
};
use proof::{
    Digest, Genesis, SignedTransaction, TenantId, Transaction,
    limits::EXPIRY_AHEAD_MS_MAX,
    transaction::{Operation, Precondition},
};
use std::collections::BTreeMap;

/// What execution knows of the block.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext<'a> {
    /// The founding facts.
    pub genesis: &'a Genesis,
    /// Their hash, the network's id.
    pub network: Digest,
    /// The block's height. The first block, at height 1, also founds the tenants of the genesis.
    pub height: u64,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// What executing a block gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Records to set. Records are never removed.
    pub writes: BTreeMap<StateKey, Record>,
    /// For each transaction [`APPLIED`] or the code of its [`Refusal`].
    pub outcomes: Vec<u16>,
}

/// Executes a block's transactions on the state before it.
///
/// They must have passed [`admit`](crate::admit): what it checked is not checked again. Of `view`, only the keys that
/// [`reads`](crate::reads) names are read.
pub fn execute(block: &BlockContext<'_>, view: &impl View, transactions: &[SignedTransaction]) -> Execution {
    let mut state = Overlay::new(view);
    state.write(key::chain(), Chain { height: block.height, time_ms: block.time_ms });
    if block.height == 1 {
        state.absorb(found(block.genesis));
    }
    let settled = (0u32..).zip(transactions).map(|(index, signed)| {
        settle(block, index, &mut state, &signed.transaction).map_or_else(Refusal::code, |()| APPLIED)
    });
    let outcomes = settled.collect();
    Execution { writes: state.into_writes(), outcomes }
}

/// The tenants of the genesis, written to a state that holds nothing yet.
fn found(genesis: &Genesis) -> BTreeMap<StateKey, Record> {
    let nothing = BTreeMap::new();
    let mut state = Overlay::new(&nothing);
    for tenant in genesis.tenants.iter() {
        // A tenant listed with two keys has two keys; the same key listed twice is one key.
        let _ = enroll(&mut state, &tenant.tenant, &tenant.key, genesis.created_ms);
    }
    state.into_writes()
}

/// Executes one transaction on the block's overlay and records its outcome.
fn settle<V: View>(
    block: &BlockContext<'_>,
    index: u32,
    state: &mut Overlay<'_, V>,
    transaction: &Transaction,
) -> Result<(), Refusal> {
    let outcome = key::outcome(&transaction.id());
    if state.get(&outcome).is_some() {
        return Err(Refusal::Duplicate);
    }
    let mut attempt = Overlay::new(&*state);
    let result = apply_all(block, index, &mut attempt, transaction);
    let writes = attempt.into_writes();
    if result.is_ok() {
        state.absorb(writes);
    }
    let code = result.map_or_else(Refusal::code, |()| APPLIED);
    state.write(outcome, Outcome { height: block.height, index, code, time_ms: block.time_ms });
    result
}

/// Executes one transaction on an overlay of its own, which is to be dropped after a refusal.
fn apply_all<V: View>(
    block: &BlockContext<'_>,
    index: u32,
    state: &mut Overlay<'_, V>,
    transaction: &Transaction,
) -> Result<(), Refusal> {
    check_time(block, transaction)?;
    check_authority(block, state, transaction)?;
    for precondition in transaction.preconditions.iter() {
        check_precondition(state, &transaction.tenant, precondition)?;
    }
    for (at, operation) in transaction.operations.iter().enumerate() {
        apply(&Position::new(block, index, at, transaction.tenant), state, operation)?;
    }
    Ok(())
}

fn check_time(block: &BlockContext<'_>, transaction: &Transaction) -> Result<(), Refusal> {
    if transaction.network != block.network {
        return Err(Refusal::OtherNetwork);
    }
    if block.time_ms >= transaction.expires_ms {
        return Err(Refusal::Expired);
    }
    if transaction.expires_ms > block.time_ms.saturating_add(EXPIRY_AHEAD_MS_MAX) {
        return Err(Refusal::ExpiryTooFar);
    }
    Ok(())
}

/// A tenant is created and limited by an approver, in a transaction of its own; all else is done by a key of the tenant.
fn check_authority<V: View>(
    block: &BlockContext<'_>,
    state: &Overlay<'_, V>,
    transaction: &Transaction,
) -> Result<(), Refusal> {
    if !transaction.operations.iter().any(|operation| operation.governs().is_some()) {
        let signer = state.read::<Signer>(&key::signer(&transaction.tenant, &transaction.signer));
        return signer.filter(|signer| signer.active).map(|_| ()).ok_or(Refusal::NotSigner);
    }
    if !block.genesis.approvers.contains(&transaction.signer) {
        return Err(Refusal::NotApprover);
    }
    let own = |operation: &Operation| operation.governs() == Some(transaction.tenant);
    if transaction.operations.iter().all(own) { Ok(()) } else { Err(Refusal::MixedCreation) }
}

fn check_precondition<V: View>(
    state: &Overlay<'_, V>,
    tenant: &TenantId,
    precondition: &Precondition,
) -> Result<(), Refusal> {
    match precondition {
        Precondition::KeyAbsent(place) => match head_of(state, tenant, place) {
            Ok(Some(head)) if head.kind == Kind::Object => Err(Refusal::KeyPresent),
            // In a bucket that does not exist there are no keys.
            Ok(_) | Err(_) => Ok(()),
        },
        Precondition::KeyAt(at) => match head_of(state, tenant, &at.place)? {
            Some(head) if head.kind == Kind::Object && head.version == at.version => Ok(()),
            Some(head) if head.kind == Kind::Object => Err(Refusal::KeyChanged),
            Some(_) | None => Err(Refusal::KeyMissing),
        },
        Precondition::UploadAt(at) => match state.read::<Upload>(&key::upload(tenant, &at.upload)) {
            Some(upload) if upload.state != UploadState::Open => Err(Refusal::NoSuchUpload),
            Some(upload) if upload.revision != at.revision => Err(Refusal::UploadChanged),
            Some(_) => Ok(()),
            None => Err(Refusal::NoSuchUpload),
        },
    }
}

//! `rolling`: every node in turn is killed, its directory deleted, and it is started again. The next one follows as soon as
//! it has healed. In the end no node has a byte that it had in the beginning.
//!
//! Expected: each heals.

use super::HEAL_PATIENCE;
use crate::{
    drill::ground::{Ground, names},
    failure::Failure,
};

/// Share of the bytes acknowledged when it begins, in percent.
const BEGIN_AT: u64 = 30;

pub(super) async fn harm(ground: &mut Ground<'_>) -> Result<(), Failure> {
    ground.acknowledged(BEGIN_AT).await;
    for node in 0..ground.n() {
        ground.fault_begins();
        ground.kill(node).await;
        ground.delete(node)?;
        ground.start(node);
        ground.tell(format!("{} killed, deleted, and back, empty", names(&[node])));
        ground.await_healed(&[node], HEAL_PATIENCE).await;
        ground.fault_ends();
    }
    Ok(())
}

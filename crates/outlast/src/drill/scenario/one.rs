//! `one`, `several`: f nodes drawn at random are killed (SIGKILL) when [`FAULT_AT`] of the bytes are acknowledged, and
//! their whole directories deleted. Writing and reading go on without them. When [`RETURN_AT`] of the bytes are
//! acknowledged they are started again, empty: they fetch the chain and heal.

use crate::{
    drill::ground::{Ground, drawn, names},
    failure::Failure,
};

/// Share of the bytes acknowledged when nodes are deleted, in percent.
const FAULT_AT: u64 = 30;
/// Share of the bytes acknowledged when they are started again, in percent.
const RETURN_AT: u64 = 65;

pub(super) async fn harm(ground: &mut Ground<'_>) -> Result<(), Failure> {
    ground.acknowledged(FAULT_AT).await;
    let nodes = drawn(ground.n(), ground.f());
    ground.fault_begins();
    for node in &nodes {
        ground.kill(*node).await;
        ground.delete(*node)?;
    }
    ground.tell(format!("{} killed and deleted", names(&nodes)));
    ground.acknowledged(RETURN_AT).await;
    ground.fault_ends();
    nodes.iter().for_each(|node| ground.start(*node));
    ground.tell(format!("{} back, empty", names(&nodes)));
    Ok(())
}

//! Going on with other nodes, when more than f are lost for good. `proof::lineage` has the rules.
//!
//! 1. *Draft*: from what the survivors' disks have together, the block to go on from and who has which place from then on.
//! 2. *Approve*: each approver signs. Approvers should look at the survey first: what no survivor has is left behind.
//! 3. *Install*: on every machine, the configurations name the new nodes, each node gets the permit to vote in the new epoch,
//!    and last of all the genesis file has the recovery. From then on the process can be started.
//!
//! [`here`] does all of it for the network of `outlast up`, whose approvers' keys are at hand.

pub(crate) mod here;
mod install;

pub(crate) use install::{Installed, Moved, install};

use crate::{
    bare::Survey,
    failure::{Exit, Failure},
    files,
};
use proof::{Lineage, PublicKey, SecretKey, lineage::Recovery, wire::List};
use std::path::Path;

/// A recovery that nobody has approved yet: after the last block of a survey, with these nodes in the places of others.
pub(crate) fn draft(
    lineage: &Lineage,
    survey: &Survey,
    replaced: &[(usize, PublicKey)],
) -> Result<Recovery, Failure> {
    if let Some([from, to]) = survey.missing_blocks.first() {
        let message = format!("blocks {from} to {to} are in none of these directories");
        return Err(Failure::new(Exit::Failed, message).hint(
            "nodes need all blocks to go on: name more survivors' directories, as damaged as they may be; \
             `outlast salvage` reads objects without",
        ));
    }
    let last = survey.last.clone().ok_or_else(|| {
        Failure::new(Exit::Failed, "these directories prove no block final")
            .hint("name the directories of all survivors")
    })?;
    let mut nodes = lineage.committee().nodes().to_vec();
    for (place, key) in replaced {
        let node = nodes
            .get_mut(*place)
            .ok_or_else(|| Failure::new(Exit::Usage, format!("there is no node-{place} to be replaced")))?;
        *node = *key;
    }
    let terms = lineage.terms(nodes, last).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    lineage.check(&terms).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok(Recovery { terms, approvals: List::default() })
}

/// Whether a recovery could be the next, and whoever is said to have approved it has.
pub(crate) fn check(lineage: &Lineage, recovery: &Recovery) -> Result<(), Failure> {
    let refused = |error: proof::lineage::RecoveryError| {
        Failure::new(Exit::NotProven, error.to_string())
            .hint("see that recovery and genesis file are of the same network, and the newest")
    };
    lineage.check(&recovery.terms).map_err(refused)?;
    recovery.approvals(lineage.genesis()).map(drop).map_err(refused)
}

/// Adds an approver's signature, unless it is there.
pub(crate) fn approve(lineage: &Lineage, recovery: &mut Recovery, key: &SecretKey) -> Result<(), Failure> {
    let genesis = lineage.genesis();
    check(lineage, recovery)?;
    let own = key.public_key();
    if !genesis.approvers.contains(&own) {
        return Err(Failure::new(Exit::Configuration, format!("{own} is no approver of this network"))
            .hint("name the key file of an approver"));
    }
    let mut approvals = recovery.approvals.to_vec();
    if approvals.iter().all(|approval| approval.approver != own) {
        approvals.push(recovery.terms.approve(key));
    }
    recovery.approvals = List::new(approvals).expect("at most one of each approver");
    Ok(())
}

/// Reads a recovery file.
pub(crate) fn read(path: &Path) -> Result<Recovery, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    Recovery::from_file(&bytes).map_err(|error| {
        Failure::new(Exit::Configuration, format!("{}: {error}", path.display()))
            .hint("get the file again from whoever drafted it")
    })
}

/// Writes a recovery file.
pub(crate) fn write(path: &Path, recovery: &Recovery) -> Result<(), Failure> {
    files::replace(path, &recovery.to_file(), false)
}

/// What a recovery says, for people.
pub(crate) fn describe(lineage: &Lineage, recovery: &Recovery) -> Vec<String> {
    let terms = &recovery.terms;
    let header = &terms.last.header;
    let mut lines = vec![
        format!("goes on        after block {} of {}", header.height, crate::output::time(header.time_ms)),
        format!("               {}", header.digest()),
        format!("epoch          {}", terms.committee.epoch()),
    ];
    let former = lineage.committee_of(terms.committee.epoch() - 1);
    for (place, key) in terms.committee.nodes().iter().enumerate() {
        let stays = former.is_some_and(|former| former.nodes()[place] == *key);
        lines.push(format!("               node-{place}  {key}{}", if stays { "" } else { "  (new)" }));
    }
    let needed = lineage.genesis().approvals_needed;
    lines.push(format!("approved       by {} of {needed}", recovery.approvals.len()));
    lines
}

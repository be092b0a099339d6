//! A recovery of the network of `outlast up`: everything is on this machine, the approvers' keys too.
//!
//! The approved recovery and the keys of new nodes are written below `DIR/.recovery` first, then installed, and removed at
//! last. A run that finds them there goes on with them, and draws nothing anew.

use super::{Installed, Moved, approve, draft, install, read, write};
use crate::{
    bare::{self, Survey},
    failure::{Exit, Failure},
    files, keys,
    layout::{self, Layout, node_name},
    output::Output,
};
use proof::{Lineage, lineage::Recovery};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const RECOVERY: &str = "recovery";

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// Nodes that get a new key although theirs is there.
    pub replace: BTreeSet<usize>,
    /// Go on although at most f nodes are lost.
    pub unneeded: bool,
    /// Go on although versions are lost.
    pub accept_loss: bool,
    /// Change nothing.
    pub only_look: bool,
}

/// What was found, and done.
pub(crate) struct Done {
    pub lineage: Lineage,
    pub survey: Option<Survey>,
    /// None, if it was only looked.
    pub recovery: Option<Recovery>,
    pub installed: Vec<Installed>,
}

/// Recovers the network in a directory. None of its processes runs, and nobody else works on it.
pub(crate) fn recover(output: Output, layout: &Layout, wishes: &Wishes) -> Result<Done, Failure> {
    let lineage = node::config::load_lineage(&layout.genesis())?;
    let prepared = layout.recovery();
    if prepared.join(RECOVERY).exists() && !wishes.only_look {
        let recovery = read(&prepared.join(RECOVERY))?;
        let installed = finish(layout, &recovery)?;
        return Ok(Done { lineage, survey: None, recovery: Some(recovery), installed });
    }
    let directories = survivors(layout, lineage.committee().n());
    if directories.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} has no node's directory left", layout.root().display()),
        )
        .hint("put back what you have of them, or of their disks"));
    }
    let survey = bare::survey(output, &lineage, &directories)?;
    if wishes.only_look {
        return Ok(Done { lineage, survey: Some(survey), recovery: None, installed: Vec::new() });
    }
    check(layout, &lineage, &survey, wishes)?;
    files::remove_directory(&prepared)?;
    let recovery = prepare(layout, &lineage, &survey, wishes)?;
    let installed = finish(layout, &recovery)?;
    Ok(Done { lineage, survey: Some(survey), recovery: Some(recovery), installed })
}

/// Directories that are left of nodes.
fn survivors(layout: &Layout, n: usize) -> Vec<PathBuf> {
    let all = (0..n).map(|index| layout.node_directory(index));
    all.filter(|path| bare::is_node_directory(path)).collect()
}

/// Nodes that cannot vote by themselves any more: key or votes are gone.
fn voteless(layout: &Layout, lineage: &Lineage) -> Vec<usize> {
    let epoch = (lineage.network(), lineage.committee().epoch());
    let claim = |index: usize| {
        let loaded = node::config::Config::load(&layout.node_config(index)).ok()?;
        let (votes, permit) = (loaded.config.votes(), &loaded.config.permit);
        if !votes.exists() && !node::voting::permit_in(permit, epoch.1).exists() {
            return None;
        }
        let votes = node::voting::Votes::open(&votes, permit, epoch, &loaded.key.public_key()).ok()?;
        votes.claim().ok().filter(|claim| *claim != node::voting::Claim::Lost)
    };
    (0..lineage.committee().n()).filter(|index| claim(*index).is_none()).collect()
}

fn check(layout: &Layout, lineage: &Lineage, survey: &Survey, wishes: &Wishes) -> Result<(), Failure> {
    let (lost, f) = (voteless(layout, lineage), lineage.committee().f());
    if lost.len() <= f && wishes.replace.is_empty() && !wishes.unneeded {
        let message =
            format!("{} of {} nodes have lost their votes or keys", lost.len(), lineage.committee().n());
        return Err(Failure::new(Exit::Conflict, message).hint(format!(
            "up to {f} come back by themselves: run `outlast up`. --even-so begins a new epoch all the same"
        )));
    }
    if survey.unreadable > 0 && !wishes.accept_loss {
        let message =
            format!("{} of {} versions have too few shards here", survey.unreadable, survey.versions);
        return Err(Failure::new(Exit::Failed, message).hint(
            "put back whatever is left of other nodes' directories; --accept-loss goes on without, and they stay \
             listed and unreadable",
        ));
    }
    Ok(())
}

/// Draws keys, drafts, approves, and writes it all down.
fn prepare(
    layout: &Layout,
    lineage: &Lineage,
    survey: &Survey,
    wishes: &Wishes,
) -> Result<Recovery, Failure> {
    let places = 0..lineage.committee().n();
    let keyless = places.filter(|index| {
        wishes.replace.contains(index) || node::config::load_key(&layout.node_key(*index)).is_err()
    });
    let drawn: Vec<_> = keyless.map(|index| (index, keys::draw_signing())).collect();
    let new: Vec<_> = drawn.iter().map(|(index, key)| (*index, key.public_key())).collect();
    let mut recovery = draft(lineage, survey, &new)?;
    let needed = usize::from(lineage.genesis().approvals_needed);
    for index in 0..lineage.genesis().approvers.len() {
        if recovery.approvals.len() < needed
            && let Ok(key) = node::config::load_key(&layout.approver_key(index))
        {
            approve(lineage, &mut recovery, &key)?;
        }
    }
    if recovery.approvals.len() < needed {
        let message = format!(
            "{} of {needed} approvers' keys are in {}",
            recovery.approvals.len(),
            layout.root().display()
        );
        return Err(Failure::new(Exit::Configuration, message).hint(
            "put approvers/approver-*.key back; where approvers are others, use `outlast recover draft`, `approve` and \
             `install`",
        ));
    }
    let key_file = |(index, key): &(usize, proof::SecretKey)| {
        files::NewFile::secret(format!("{}.key", node_name(*index)), keys::to_file(&key.seed()))
    };
    files::write_new(&layout.recovery(), &drawn.iter().map(key_file).collect::<Vec<_>>())?;
    write(&layout.recovery().join(RECOVERY), &recovery)?;
    Ok(recovery)
}

/// Installs what is prepared.
fn finish(layout: &Layout, recovery: &Recovery) -> Result<Vec<Installed>, Failure> {
    let prepared = layout.recovery();
    let n = recovery.terms.committee.n();
    for index in 0..n {
        let (from, to) = (prepared.join(format!("{}.key", node_name(index))), layout.node_key(index));
        if from.exists() {
            let key = fs::read(&from).map_err(|error| Failure::file("read", &from, &error))?;
            put_aside(&to, &key, recovery.terms.committee.epoch())?;
            files::replace(&to, &key, true)?;
        }
    }
    let nodes = (0..n).map(|index| layout.node_config(index));
    let gateways = layout.gateways()?.into_iter().map(|gateway| gateway.join(layout::GATEWAY_CONFIG));
    let installed = install(&nodes.chain(gateways).collect::<Vec<_>>(), recovery, &Moved::new())?;
    files::remove_directory(&prepared)?;
    Ok(installed)
}

/// Keeps a key that is replaced: it signs nothing that counts any more, but keys are never destroyed.
fn put_aside(path: &Path, new: &[u8], epoch: u64) -> Result<(), Failure> {
    match fs::read(path) {
        Ok(old) if old != new => {
            let aside = path.with_extension(format!("key-before-epoch-{epoch}"));
            fs::rename(path, &aside).map_err(|error| Failure::file("rename", path, &error))
        }
        _ => Ok(()),
    }
}

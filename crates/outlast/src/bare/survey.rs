//! What the disks of those that are left have: how far the chain is proven, and how many of its versions can be read.
//!
//! This is what has to be known before a network that lost more than f nodes goes on from the survivors. It needs no key of
//! a tenant, and changes nothing.

use super::{BareChain, NodeDirectory, Segments, entries, find};
use crate::{failure::Failure, output, output::Output};
use proof::{
    Lineage,
    finality::{Finalization, FinalizedHeader},
    wire::List,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use vault::salvage::{Shelf, blocks::read_block, logs::Log, payloads};

/// Where a node's votes are: `DIR/votes/NAME` for `DIR/nodes/NAME`. One file for each view that it took part in.
const JOURNALS: &str = "journal";

/// What one directory has.
#[derive(Debug, Serialize)]
pub(crate) struct Survivor {
    pub path: String,
    /// The newest block that this directory alone proves final; 0 if none.
    pub height: u64,
    /// Heights below that it has no proven block of.
    pub missing_blocks: u64,
    /// The last view that its node took part in, where its votes are found beside it.
    pub last_view: Option<u64>,
    /// Shards and pages.
    pub records: usize,
    pub unreadable: Vec<String>,
}

/// What all of them have together.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    pub network: String,
    /// Nodes of the network, and how many shards give a chunk back.
    pub nodes: usize,
    pub shards_needed: usize,
    pub survivors: Vec<Survivor>,
    /// The highest finalization that any of them holds: its height, block, view, and who signed.
    pub height: u64,
    pub block: Option<String>,
    pub view: Option<u64>,
    pub signers: Vec<u8>,
    pub time: Option<String>,
    pub missing_blocks: Vec<[u64; 2]>,
    /// There are blocks up to here that nothing proves final.
    pub unproven_to: Option<u64>,
    /// Versions, of all tenants, by how many different shards there are of what has the fewest.
    pub by_shards: BTreeMap<usize, u64>,
    /// Versions that are in their blocks.
    pub inline: u64,
    pub versions: u64,
    /// The last block, with the certificate over it.
    #[serde(skip)]
    pub last: Option<FinalizedHeader>,
    pub readable: u64,
    pub unreadable: u64,
    /// Readable, and one more loss from not being.
    pub at_risk: u64,
}

impl Survey {
    /// Whether nothing that was final is lost.
    pub(crate) fn is_whole(&self) -> bool {
        self.height > 0 && self.unreadable == 0 && self.missing_blocks.is_empty()
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("network        {}, {} nodes", self.network, self.nodes)];
        for survivor in &self.survivors {
            let view = survivor
                .last_view
                .map_or("votes not found".into(), |view| format!("votes up to view {view}"));
            let missing = match survivor.missing_blocks {
                0 => String::new(),
                missing => format!(" ({missing} blocks below are missing)"),
            };
            lines.push(format!(
                "survivor       {}: block {}{missing}, {view}, {} shards and pages",
                survivor.path, survivor.height, survivor.records
            ));
            lines.extend(survivor.unreadable.iter().map(|what| format!("               unreadable: {what}")));
        }
        match (&self.block, &self.time, self.view) {
            (Some(block), Some(time), Some(view)) => {
                lines.push(format!("finalized      block {} of {time}, view {view}", self.height));
                lines.push(format!("               {block}"));
                let signers: Vec<String> = self.signers.iter().map(|node| format!("node-{node}")).collect();
                lines.push(format!("               signed by {}", signers.join(", ")));
            }
            _ => lines.push("finalized      nothing that these directories prove".into()),
        }
        for [from, to] in &self.missing_blocks {
            lines.push(format!("missing        blocks {from} to {to}: what they changed is not known"));
        }
        if let Some(to) = self.unproven_to {
            lines.push(format!(
                "not proven     blocks up to {to} are here too, which no certificate here proves final"
            ));
        }
        lines.push(format!(
            "versions       {} in all, {} of them in their blocks",
            self.versions, self.inline
        ));
        for (shards, versions) in self.by_shards.iter().rev() {
            let what = match *shards {
                shards if shards < self.shards_needed => "NOT readable",
                shards if shards == self.shards_needed => "readable; one more loss and they are not",
                shards if shards == self.nodes => "full redundancy",
                _ => "readable",
            };
            lines.push(format!("               {versions} with {shards} of {} shards: {what}", self.nodes));
        }
        lines.push(format!("readable       {} versions", self.readable));
        lines.push(format!(
            "not readable   {} versions{}",
            self.unreadable,
            if self.unreadable == 0 { "" } else { "   <- lost, unless another disk has them" }
        ));
        lines.join("\n")
    }
}

/// Reads all that the directories have.
pub(crate) fn survey(output: Output, lineage: &Lineage, paths: &[PathBuf]) -> Result<Survey, Failure> {
    let directories = find(paths)?;
    let bar = output.bytes_bar(None, "reading the chain");
    let mut survivors = Vec::new();
    let mut logs = Vec::new();
    for directory in &directories {
        let (alone, mut found) =
            BareChain::read(lineage, std::slice::from_ref(directory), |bytes| bar.inc(bytes));
        let mut unreadable = found.pop().map(|found| found.unreadable).unwrap_or_default();
        let records = directory.open_log(&mut logs, &mut unreadable);
        let missing = alone.proven.missing.iter().map(|range| range.end() - range.start() + 1).sum();
        survivors.push(Survivor {
            path: directory.name(),
            height: alone.proven.blocks.last().map_or(0, |block| block.height),
            missing_blocks: missing,
            last_view: last_view(directory, lineage.committee().epoch()),
            records,
            unreadable,
        });
    }
    let (chain, _) = BareChain::read(lineage, &directories, |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let newest = chain.proven.newest.as_ref();
    let survey = Survey {
        network: lineage.network().to_string(),
        nodes: lineage.committee().n(),
        shards_needed: lineage.committee().k(),
        survivors,
        height: chain.proven.blocks.last().map_or(0, |block| block.height),
        block: newest.map(|newest| newest.block.to_string()),
        view: newest.map(|newest| newest.view),
        signers: newest.map(|newest| signers(lineage, newest)).unwrap_or_default(),
        time: None,
        missing_blocks: chain.proven.missing.iter().map(|range| [*range.start(), *range.end()]).collect(),
        unproven_to: chain.proven.unproven_to,
        by_shards: BTreeMap::new(),
        inline: 0,
        versions: 0,
        last: None,
        readable: 0,
        unreadable: 0,
        at_risk: 0,
    };
    count(output, lineage, &chain, logs, survey)
}

/// The places of those who signed.
fn signers(lineage: &Lineage, finalization: &Finalization) -> Vec<u8> {
    let committee = lineage.committee_of(finalization.epoch).expect("it was verified with it");
    let voters = committee.voters();
    let place =
        |(voter, _): &(u8, _)| committee.index(&voters[usize::from(*voter)]).expect("a voter is a member");
    finalization.signatures.iter().map(|signature| place(signature) as u8).collect()
}

fn count(
    output: Output,
    lineage: &Lineage,
    chain: &BareChain,
    logs: Vec<Log<Segments>>,
    mut survey: Survey,
) -> Result<Survey, Failure> {
    let shelf = Shelf::new(lineage.committee(), logs);
    let bar = output.count_bar("versions");
    for found in &chain.proven.blocks {
        let block = read_block(found, |spot, length| chain.spot(spot, length));
        let block = block.map_err(|error| {
            Failure::new(crate::failure::Exit::Failed, format!("block {}: {error}", found.height))
                .hint("it was there a moment ago: is a node running on these directories?")
        })?;
        survey.time = Some(output::time(block.header.time_ms));
        if let Some(newest) = chain.proven.newest.as_ref().filter(|newest| newest.block == found.digest) {
            let (header, finalization) = (block.header.clone(), newest.clone());
            survey.last = Some(FinalizedHeader { header, descendants: List::default(), finalization });
        }
        for manifest in payloads(&block) {
            survey.versions += 1;
            bar.inc(1);
            let Some(manifest) = manifest else {
                survey.inline += 1;
                survey.readable += 1;
                continue;
            };
            let shards = shelf.redundancy(&manifest);
            *survey.by_shards.entry(shards).or_default() += 1;
            if shards < survey.shards_needed {
                survey.unreadable += 1;
            } else {
                survey.readable += 1;
                survey.at_risk += u64::from(shards == survey.shards_needed);
            }
        }
    }
    bar.finish_and_clear();
    Ok(survey)
}

/// The last view in the journal of votes beside a node's directory, if that is where `outlast up` or `init` puts it.
fn last_view(directory: &NodeDirectory, epoch: u64) -> Option<u64> {
    let path = fs::canonicalize(&directory.path).ok()?;
    let (parent, name) = (path.parent()?, path.file_name()?);
    let up = parent.parent().map(|root| root.join("votes").join(name));
    let places = up.into_iter().chain([parent.join("votes")]);
    let journals = places.flat_map(|votes| {
        let journals = votes.join(JOURNALS);
        entries(&journals).into_iter().map(move |name| journals.join(name))
    });
    let first = node::voting::journal(epoch, 0);
    let prefix = first.trim_end_matches('0').to_owned();
    let is_of_epoch = move |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(&prefix).is_some_and(|number| number.parse::<u64>().is_ok())
    };
    journals.filter(is_of_epoch).filter_map(|journal| newest_section(&journal)).max()
}

fn newest_section(journal: &Path) -> Option<u64> {
    let entries = fs::read_dir(journal).ok()?.filter_map(Result::ok);
    entries.filter_map(|entry| u64::from_str_radix(entry.file_name().to_str()?, 16).ok()).max()
}

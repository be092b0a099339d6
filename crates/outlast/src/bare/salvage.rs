//! Reading objects off bare disks into files.
//!
//! 1. The chain is read from all directories and proven ([`BareChain`]).
//! 2. Its blocks tell which objects there are.
//! 3. The directories' shard logs are opened, and each object is read, checked, and written: into one unfinished file
//!    that gets its name when all of it is there, and synced. A line of the list [`LIST`] tells what it is.
//!
//! What cannot be read is listed too, with the reason, and the rest goes on. Memory is a few chunks, about 100 bytes for each
//! block of the chain, 56 for each record of the shard logs, and the list of versions.

use super::{BareChain, ChainFound, NodeDirectory, Segments, find, names};
use crate::{
    failure::{Exit, Failure},
    files,
    output::{self, Output},
};
use indicatif::ProgressBar;
use proof::{BucketName, Lineage, TenantId};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
};
use vault::{
    Moment,
    salvage::{Catalogue, Salvage, SalvageError, Selected, blocks::read_block},
};
use zeroize::Zeroizing;

/// The list of what was written, and what was not: a JSON object a line. No bucket can have this name.
pub(crate) const LIST: &str = "SALVAGED.jsonl";
/// What files that are being written are called. No bucket can have such a name.
const UNFINISHED: &str = ".unfinished";
/// Versions written at a time: each waits for the disk when it is synced.
const WORKERS: usize = 8;
/// Reasons that are shown; all are in the list.
const REASONS_SHOWN: usize = 20;

/// Whose objects, and what reads them.
pub(crate) struct Key {
    pub lineage: Lineage,
    pub tenant: TenantId,
    pub master_key: Zeroizing<[u8; 32]>,
}

/// What to read, and where to.
pub(crate) struct Task {
    pub output: Output,
    pub directories: Vec<PathBuf>,
    pub key: Key,
    pub to: PathBuf,
    pub bucket: Option<BucketName>,
    pub at: Option<Moment>,
    pub all_versions: bool,
}

/// What a directory had.
#[derive(Debug, Serialize)]
pub(crate) struct DirectoryFound {
    pub path: String,
    /// Blocks, as often as it has them.
    pub blocks: u64,
    /// Shards and pages.
    pub records: usize,
    /// What could not be read of it.
    pub unreadable: Vec<String>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Salvaged {
    pub network: String,
    pub directories: Vec<DirectoryFound>,
    /// Height up to which the chain is proven.
    pub height: u64,
    /// Block time of that.
    pub time: Option<String>,
    /// Heights below it of which no directory has the block: what they changed is not known.
    pub missing_blocks: Vec<[u64; 2]>,
    /// There are blocks up to here that no certificate proves, and that were left out.
    pub unproven_to: Option<u64>,
    pub out: PathBuf,
    /// Versions written.
    pub written: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Versions that could not be read.
    pub failed: u64,
}

impl Salvaged {
    /// Whether all that there was is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.failed == 0 && self.missing_blocks.is_empty() && self.height > 0
    }

    /// The report for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("network      {}", self.network)];
        for found in &self.directories {
            lines.push(format!(
                "directory    {}: {} blocks, {} shards and pages",
                found.path, found.blocks, found.records
            ));
            lines.extend(found.unreadable.iter().map(|what| format!("             unreadable: {what}")));
        }
        let time = self.time.as_ref().map(|time| format!(", {time}")).unwrap_or_default();
        lines.push(format!("chain        proven to block {}{time}", self.height));
        for [from, to] in &self.missing_blocks {
            let what = if from == to { format!("block {from}") } else { format!("blocks {from} to {to}") };
            lines.push(format!(
                "             {what} in none of the directories: what was stored there is not known"
            ));
        }
        if let Some(to) = self.unproven_to {
            lines.push(format!("             left out: blocks up to {to} that nothing here proves final"));
        }
        lines.push(format!(
            "written      {} objects, {} bytes ({}), below {}",
            self.written,
            self.bytes,
            output::bytes(self.bytes),
            self.out.display()
        ));
        lines.push(format!(
            "not read     {}{}",
            self.failed,
            if self.failed == 0 { "" } else { "   <- reasons above" }
        ));
        lines.join("\n")
    }
}

/// Does it. Fails as a whole only if nothing can be read at all, or nothing written.
pub(crate) fn salvage(task: &Task) -> Result<Salvaged, Failure> {
    let directories = find(&task.directories)?;
    make_empty(&task.to)?;
    let Key { lineage, tenant, master_key } = &task.key;
    let bar = task.output.bytes_bar(None, "reading the chain");
    let (chain, found) = BareChain::read(lineage, &directories, |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let (catalogue, mut report) = catalogue(task, &chain)?;
    if task.bucket.as_ref().is_some_and(|bucket| !catalogue.knows(bucket)) && report.missing_blocks.is_empty()
    {
        let bucket = task.bucket.as_ref().expect("it was just looked at");
        return Err(Failure::new(Exit::NotFound, format!("the tenant never had a bucket {bucket}"))
            .hint("leave --bucket out to get all there is"));
    }
    let logs = open_logs(task, &directories, found, &mut report);
    let salvage = Salvage::new(lineage.genesis().clone(), *tenant, master_key, logs);
    let selected = catalogue.select(task.bucket.as_ref(), task.all_versions);
    drop(catalogue);
    Writing { task, chain: &chain, salvage: &salvage }.all(&selected, report)
}

/// The directory for what is written, which must be empty, so that nothing that was there is harmed or taken for ours.
fn make_empty(to: &Path) -> Result<(), Failure> {
    files::make_directory(to)?;
    let mut listed = fs::read_dir(to).map_err(|error| Failure::file("list", to, &error))?;
    match listed.next() {
        None => Ok(()),
        Some(_) => Err(Failure::new(Exit::Conflict, format!("{} is not empty", to.display()))
            .hint("name a new directory with --out")),
    }
}

/// What the proven blocks did, up to the moment asked for.
fn catalogue(task: &Task, chain: &BareChain) -> Result<(Catalogue, Salvaged), Failure> {
    let lineage = &task.key.lineage;
    let mut catalogue = Catalogue::new(lineage.genesis().clone(), task.key.tenant);
    let mut report = Salvaged {
        network: lineage.network().to_string(),
        directories: Vec::new(),
        height: 0,
        time: None,
        missing_blocks: Vec::new(),
        unproven_to: chain.proven.unproven_to,
        out: task.to.clone(),
        written: 0,
        bytes: 0,
        failed: 0,
    };
    let bar = task.output.count_bar("blocks");
    let mut expected = 1;
    for found in &chain.proven.blocks {
        if matches!(task.at, Some(Moment::Height(height)) if found.height > height) {
            break;
        }
        let block = match read_block(found, |spot, length| chain.spot(spot, length)) {
            Ok(block) => block,
            // It was there a moment ago, so this is rare: a disk that fails just now.
            Err(error) => {
                eprintln!("block {}: {error}", found.height);
                continue;
            }
        };
        if matches!(task.at, Some(Moment::TimeMs(time_ms)) if block.header.time_ms > time_ms) {
            break;
        }
        if found.height > expected {
            report.missing_blocks.push([expected, found.height - 1]);
        }
        expected = found.height + 1;
        report.height = found.height;
        report.time = Some(output::time(block.header.time_ms));
        catalogue.add(&block);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if report.height == 0 {
        let message = "these directories have no block that the network's nodes are proven to have agreed on";
        return Err(Failure::new(Exit::NotProven, message)
            .hint("check that --genesis, or the gateway's configuration, is of the same network; name more directories"));
    }
    Ok((catalogue, report))
}

fn open_logs(
    task: &Task,
    directories: &[NodeDirectory],
    found: Vec<ChainFound>,
    report: &mut Salvaged,
) -> Vec<vault::salvage::logs::Log<Segments>> {
    let bar = task.output.count_bar("shard logs");
    let mut logs = Vec::new();
    for (directory, ChainFound { blocks, mut unreadable }) in directories.iter().zip(found) {
        let records = directory.open_log(&mut logs, &mut unreadable);
        report.directories.push(DirectoryFound { path: directory.name(), blocks, records, unreadable });
        bar.inc(1);
    }
    bar.finish_and_clear();
    logs
}

struct Writing<'a> {
    task: &'a Task,
    chain: &'a BareChain,
    salvage: &'a Salvage<Segments>,
}

/// What the workers share.
struct Told<'a> {
    report: Salvaged,
    list: BufWriter<File>,
    waiting: std::slice::Iter<'a, (&'a Selected, names::Mark)>,
}

/// A version as it was written.
struct Written {
    file: PathBuf,
    bytes: u64,
    sha256: [u8; 32],
}

impl Writing<'_> {
    fn all(self, selected: &[Selected], report: Salvaged) -> Result<Salvaged, Failure> {
        let total = selected.iter().map(|version| version.ciphertext_length).sum();
        let bar = self.task.output.bytes_bar(Some(total), "writing");
        let path = self.task.to.join(LIST);
        let unwritable = |error: io::Error| Failure::file("write", &path, &error);
        let list = OpenOptions::new().write(true).create_new(true).open(&path).map_err(unwritable)?;
        let named = self.named(selected);
        let told = Mutex::new(Told { report, list: BufWriter::new(list), waiting: named.iter() });
        let outcomes: Vec<io::Result<()>> = std::thread::scope(|scope| {
            let work = |worker| {
                let (writing, told, bar) = (&self, &told, &bar);
                scope.spawn(move || writing.work(worker, told, bar))
            };
            let workers: Vec<_> = (0..WORKERS).map(work).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
        });
        bar.finish_and_clear();
        outcomes.into_iter().collect::<io::Result<()>>().map_err(unwritable)?;
        let Told { report, list, .. } = told.into_inner().expect("no worker panics");
        let list = list.into_inner().map_err(|error| unwritable(error.into_error()))?;
        list.sync_all().map_err(unwritable)?;
        files::sync_directory(&self.task.to)?;
        if report.failed as usize > REASONS_SHOWN {
            eprintln!("and {} more: {}", report.failed as usize - REASONS_SHOWN, path.display());
        }
        Ok(report)
    }

    /// What is to be written, and how it is called. The versions are in the order of buckets and keys.
    fn named<'a>(&self, selected: &'a [Selected]) -> Vec<(&'a Selected, names::Mark)> {
        let buckets = selected.chunk_by(|a, b| a.place.bucket == b.place.bucket);
        let named = buckets.flat_map(|bucket| {
            let keys: Vec<&str> = bucket.iter().map(|version| version.place.key.as_str()).collect();
            bucket.iter().map(move |version| {
                let mark = if self.task.all_versions {
                    names::Mark::Version(version.version)
                } else if names::is_directory(&keys, version.place.key.as_str()) {
                    names::Mark::Beside
                } else {
                    names::Mark::Plain
                };
                (version, mark)
            })
        });
        named.collect()
    }

    /// Writes one version after the other, until none waits. Fails only if that cannot be listed.
    fn work(&self, worker: usize, told: &Mutex<Told<'_>>, bar: &ProgressBar) -> io::Result<()> {
        let unfinished = self.task.to.join(format!("{UNFINISHED}-{worker}"));
        loop {
            let next = told.lock().expect("no worker panics").waiting.next();
            let Some((version, mark)) = next else { return Ok(()) };
            let written = self.write(version, *mark, &unfinished);
            let mut told = told.lock().expect("no worker panics");
            let line = line(&mut told.report, version, written);
            writeln!(told.list, "{line}")?;
            bar.inc(version.ciphertext_length);
        }
    }

    fn write(
        &self,
        version: &Selected,
        mark: names::Mark,
        unfinished: &Path,
    ) -> Result<Written, SalvageError> {
        let blocks = &self.chain.proven.blocks;
        let at = blocks.binary_search_by_key(&version.version.height, |block| block.height);
        let block = &blocks[at.expect("the catalogue was made from these blocks")];
        let block = read_block(block, |spot, length| self.chain.spot(spot, length))?;
        let object = self.salvage.open(&block, version)?;
        let file =
            Path::new(version.place.bucket.as_str()).join(names::path(version.place.key.as_str(), mark));
        let path = self.task.to.join(&file);
        let written = self.copy(&object, unfinished).and_then(|sha256| {
            let parent = files::directory_of(&path);
            fs::create_dir_all(parent)?;
            if path.symlink_metadata().is_ok() {
                return Err(std::io::Error::other(format!("{} is there already", path.display())).into());
            }
            fs::rename(unfinished, &path)?;
            File::open(parent)?.sync_all()?;
            Ok(sha256)
        });
        if written.is_err() {
            files::remove(unfinished)?;
        }
        Ok(Written { file, bytes: object.length, sha256: written? })
    }

    fn copy(&self, object: &vault::Object, to: &Path) -> Result<[u8; 32], SalvageError> {
        let mut file = File::create(to)?;
        let mut hasher = Sha256::new();
        let mut length = 0;
        self.salvage.read(object, |bytes| {
            hasher.update(bytes);
            length += bytes.len() as u64;
            file.write_all(bytes)
        })?;
        assert_eq!(length, object.length, "what was located are the object's bytes");
        file.sync_all()?;
        Ok(hasher.finalize().into())
    }
}

/// Counts a version, and gives its line of the list.
fn line(report: &mut Salvaged, version: &Selected, written: Result<Written, SalvageError>) -> Value {
    let place = &version.place;
    let mut line = json!({
        "bucket": place.bucket.as_str(),
        "key": place.key.as_str(),
        "version": version.version.to_string(),
        "time": output::time(version.time_ms),
        "current": version.current,
        "hidden": version.hidden,
    });
    let told = line.as_object_mut().expect("it was just made as one");
    match written {
        Ok(written) => {
            report.written += 1;
            report.bytes += written.bytes;
            told.insert("bytes".into(), written.bytes.into());
            told.insert("sha256".into(), proof::Digest(written.sha256).to_string().into());
            told.insert("file".into(), written.file.display().to_string().into());
        }
        Err(why) => {
            report.failed += 1;
            if report.failed as usize <= REASONS_SHOWN {
                eprintln!("{}/{} version {}: {why}", place.bucket, place.key, version.version);
            }
            told.insert("error".into(), why.to_string().into());
        }
    }
    line
}

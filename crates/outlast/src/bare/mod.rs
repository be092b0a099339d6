//! Nodes' directories without their nodes: where things are in them, opened for reading only.
//!
//! A directory may be whole, of a process that crashed, a copy, damaged, or a liar's. Nothing is ever written into it,
//! also no lock; and what is read from it counts only as far as it is proven.

mod names;
mod salvage;
mod survey;

pub(crate) use salvage::{Key, LIST, Salvaged, Task, salvage};
pub(crate) use survey::{Survey, survey};

use crate::failure::{Exit, Failure};
use bytes::Bytes;
use proof::Lineage;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Mutex,
};
use vault::salvage::{
    blocks::{Archive, FINALIZATIONS, PARTITIONS, Proven, Spot, VALUES},
    logs::{Files, Log, PARTITION},
};

/// Where a node's runtime keeps everything but votes and index, below the node's directory.
const STORAGE: &str = "storage";
/// Where `outlast up` keeps the nodes' directories.
const NODES: &str = "nodes";

/// A node's directory.
#[derive(Clone, Debug)]
pub(crate) struct NodeDirectory {
    /// As it was named, or found.
    pub path: PathBuf,
    /// Where its partitions are.
    storage: PathBuf,
}

/// The nodes' directories that these paths name: each is one itself, or the storage in one, or the directory of a whole
/// network, or one with several of them.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<NodeDirectory>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let listed = fs::read_dir(path).map(drop);
        listed.map_err(|error| Failure::file("list", path, &error))?;
        if let Some(directory) = node_directory(path) {
            found.push(directory);
            continue;
        }
        let inside = [path.join(NODES), path.clone()];
        let several = inside.iter().map(|parent| subdirectories(parent)).find(|several| !several.is_empty());
        found.extend(several.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{} is no node's directory", path.display()))
                .hint("name directories like outlast-data/nodes/node-1: they have a directory `storage`")
        })?);
    }
    Ok(found)
}

/// Whether a directory is a node's, with anything in it that the node has stored.
pub(crate) fn is_node_directory(path: &Path) -> bool {
    node_directory(path).is_some()
}

fn node_directory(path: &Path) -> Option<NodeDirectory> {
    let is_storage =
        |path: &Path| entries(path).iter().any(|name| name.starts_with("node-chain") || name == PARTITION);
    let storage = [path.join(STORAGE), path.to_owned()].into_iter().find(|storage| is_storage(storage))?;
    Some(NodeDirectory { path: path.to_owned(), storage })
}

fn subdirectories(parent: &Path) -> Vec<NodeDirectory> {
    entries(parent).iter().filter_map(|name| node_directory(&parent.join(name))).collect()
}

/// Names of what is in a directory, sorted; none if it cannot be listed.
fn entries(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Opens a regular file: anything else, such as a pipe, could be waited for in vain.
fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("not a regular file")) }
}

impl NodeDirectory {
    /// Its name, for reports.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Files with blocks or certificates, and whether they have certificates.
    fn chain_files(&self) -> Vec<(PathBuf, bool)> {
        let partitions = entries(&self.storage);
        let partitions =
            partitions.iter().filter(|name| name.starts_with(PARTITIONS) && name.ends_with(VALUES));
        let files = partitions.flat_map(|partition| {
            let (directory, certificates) =
                (self.storage.join(partition), partition.ends_with(FINALIZATIONS));
            entries(&directory).into_iter().map(move |name| (directory.join(name), certificates))
        });
        files.collect()
    }

    /// Adds its shard log to others, and what is wrong with it to what cannot be read. How many records it seems to have.
    pub(crate) fn open_log(&self, logs: &mut Vec<Log<Segments>>, unreadable: &mut Vec<String>) -> usize {
        match self.log() {
            Ok(log) => {
                unreadable.extend(log.unreadable.iter().cloned());
                let records = log.records();
                logs.push(log);
                records
            }
            Err(why) => {
                unreadable.push(why);
                0
            }
        }
    }

    fn log(&self) -> Result<Log<Segments>, String> {
        let directory = self.storage.join(PARTITION);
        let numbers = entries(&directory);
        let numbers = numbers
            .iter()
            .filter_map(|name| (name.len() == 8).then(|| u32::from_str_radix(name, 16).ok()).flatten());
        let lengths = numbers.map(|number| {
            let length = fs::metadata(directory.join(format!("{number:08x}"))).map_or(0, |file| file.len());
            (number, length)
        });
        let lengths: Vec<_> = lengths.collect();
        if lengths.is_empty() {
            return Err(format!("no shards: {} has no segments", directory.display()));
        }
        Log::open(Segments { directory, opened: Mutex::default() }, &lengths)
            .map_err(|error| error.to_string())
    }
}

/// The segments of a shard log, one file open at a time.
pub(crate) struct Segments {
    directory: PathBuf,
    opened: Mutex<Option<(u32, File)>>,
}

impl Files for Segments {
    fn read_at(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut opened = self.opened.lock().expect("nobody panics with it");
        if opened.as_ref().is_none_or(|(number, _)| *number != segment) {
            *opened = Some((segment, open(&self.directory.join(format!("{segment:08x}")))?));
        }
        let (_, file) = opened.as_ref().expect("it was just opened");
        file.read_exact_at(buffer, offset)
    }
}

/// What a directory has of the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainFound {
    /// Blocks that are whole, those not final among them; a block may be there twice.
    pub blocks: u64,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

/// The chain, as far as directories have it.
pub(crate) struct BareChain {
    pub proven: Proven,
    files: Vec<PathBuf>,
}

impl BareChain {
    /// Reads what the directories have, and proves it. `seen` is told of bytes as they are read.
    pub(crate) fn read(
        lineage: &Lineage,
        directories: &[NodeDirectory],
        mut seen: impl FnMut(u64),
    ) -> (Self, Vec<ChainFound>) {
        let mut archive = Archive::new(lineage.clone());
        let mut found = vec![ChainFound::default(); directories.len()];
        let files: Vec<(usize, PathBuf, bool)> = directories
            .iter()
            .enumerate()
            .flat_map(|(at, directory)| {
                directory.chain_files().into_iter().map(move |file| (at, file.0, file.1))
            })
            .collect();
        // Certificates count only over blocks that are known, so blocks come first.
        for certificates in [false, true] {
            for (number, (at, path, _)) in (0..).zip(&files).filter(|(_, file)| file.2 == certificates) {
                let read = open(path).and_then(|file| {
                    let file = Watched { file, seen: &mut seen };
                    if certificates {
                        archive.add_finalizations(number, file).map(|_| 0)
                    } else {
                        archive.add_blocks(number, file)
                    }
                });
                match read {
                    Ok(blocks) => found[*at].blocks += blocks,
                    Err(error) => found[*at].unreadable.push(format!("{}: {error}", path.display())),
                }
            }
        }
        let files: Vec<PathBuf> = files.into_iter().map(|(_, path, _)| path).collect();
        let proven = archive.prove(|spot, length| read_spot(&files, spot, length));
        (Self { proven, files }, found)
    }

    /// Reads from a spot on, as much as asked for, or up to the file's end.
    pub(crate) fn spot(&self, spot: Spot, length: usize) -> io::Result<Bytes> {
        read_spot(&self.files, spot, length)
    }
}

fn read_spot(files: &[PathBuf], spot: Spot, length: usize) -> io::Result<Bytes> {
    let file = open(&files[spot.file as usize])?;
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        match file.read_at(&mut bytes[read..], spot.offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes.into())
}

struct Watched<S> {
    file: File,
    seen: S,
}

impl<S: FnMut(u64)> io::Read for Watched<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        (self.seen)(read as u64);
        Ok(read)
    }
}

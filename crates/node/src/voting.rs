//! Whether a node may vote.
//!
//! A node that has forgotten votes it cast could cast others that contradict them, and with one malicious node more
//! the chain could fork. So voting has to be earned: a node votes only if it can tell that its journal of votes is the
//! one that this key has always had.
//!
//! * A *permit* is made together with the key and says: this key has never voted. It lies beside the key.
//! * On the first start the node writes the *marker* beside the journal, into the directory of all its storage. From
//!   then on the marker says: the journal here is this key's, and complete.
//! * When the journal has its first entry, the permit is spent: removed. Until then a crash, or a stop, loses nothing.
//! * A node that has no permit, and not both marker and journal, has lost its storage or part of it. It *observes*: it
//!   stores, serves and follows, but does not vote. So does one that is started while its directory is being deleted.
//!
//! The permit is spent within [`LOOK_EVERY`] of the first vote; a node that is wiped in just that moment would vote
//! again. What this does not see is storage that was put back to an older state; see `THREATS.md`.

use proof::{Digest, PublicKey};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

/// How often it is looked whether the permit is to be spent.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where the runtime keeps everything, the journal of votes among it, below the node's directory.
pub const STORAGE: &str = "storage";
const MARKER: &str = "voter";
/// The engine's partition with the journal of votes. Should it ever get another name, every restarted node observes.
const JOURNAL: &str = "node-chain-votes-0";

/// Whether this node votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its journal of votes is complete: it votes.
    Voter,
    /// It may have forgotten votes: it observes.
    Observer,
}

/// What a node finds when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Beside its key: the permit.
    pub permit: bool,
    /// In its storage: the marker, whole and its own.
    pub marker: bool,
    /// In its storage: a journal of votes that has an entry.
    pub journal: bool,
}

/// Decides whether a node that finds this votes. A voter without a marker must write it, synced, before it votes.
pub fn decide(found: Found) -> Standing {
    if found.permit || (found.marker && found.journal) { Standing::Voter } else { Standing::Observer }
}

/// Decides whether the node with this key votes, given its directory and its permit. A marker is synced when it returns.
/// Whoever starts a voter must see to it that the permit is [spent](spend).
pub fn standing(directory: &Path, permit: &Path, network: Digest, key: &PublicKey) -> io::Result<Standing> {
    let storage = directory.join(STORAGE);
    fs::create_dir_all(&storage)?;
    let marker = storage.join(MARKER);
    let words = format!("outlast voter 1\nnetwork {network}\nkey {key}\n");
    let marked = match fs::read(&marker) {
        // Torn, or of another network or key: it vouches for nothing.
        Ok(found) => found == words.as_bytes(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let found =
        Found { permit: permit.exists(), marker: marked, journal: has_files(&storage.join(JOURNAL))? };
    let standing = decide(found);
    if standing == Standing::Voter && !marked {
        let mut file = File::create(&marker)?;
        file.write_all(words.as_bytes())?;
        file.sync_all()?;
        File::open(&storage)?.sync_all()?;
        File::open(directory)?.sync_all()?;
    }
    Ok(standing)
}

/// Removes the permit if the journal below `directory` has an entry. Whether it is gone, synced.
pub fn spend(directory: &Path, permit: &Path) -> io::Result<bool> {
    if !has_files(&directory.join(STORAGE).join(JOURNAL))? {
        return Ok(false);
    }
    remove(permit)?;
    Ok(true)
}

/// Whether there is a directory with anything in it.
fn has_files(directory: &Path) -> io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(permit: &Path) -> io::Result<()> {
    match fs::remove_file(permit) {
        Ok(()) => {
            let parent = permit.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

//! Whether a node may vote.
//!
//! A node that has forgotten votes it cast could cast others that contradict them, and with one malicious node more
//! the chain could fork. So voting has to be earned: a node votes only if it can tell that its journal of votes is the
//! one that this key has always had.
//!
//! The journal, and what vouches for it, are in a directory of their own, the *votes directory*, apart from everything
//! else that the node stores. It is small. Whoever deletes the rest costs the node nothing that it cannot get back: it
//! follows the chain from the start again, and goes on voting, because it still knows what it has voted for.
//!
//! * A *permit* is made together with the key and says: this key has never voted. It lies beside the key.
//! * On the first start the node writes the *marker* into the votes directory. From then on the marker says: the journal
//!   here is this key's, and complete.
//! * When the journal has its first entry, the permit is spent: removed. Until then a crash, or a stop, loses nothing.
//! * A node that has no permit, and not both marker and journal, has lost its votes or part of them. It *observes*: it
//!   stores, serves and follows, but does not vote. So does one that is started while its votes are being deleted.
//!
//! # Why the journal is enough
//!
//! The engine writes and syncs a vote into its journal before it sends it. When it starts it reads the journal first, and
//! votes in a view only if no vote in the journal contradicts that; it needs nothing else that is stored for it. Blocks
//! and state it needs to find out *what* to vote for: without them it waits until it has fetched the blocks below, and
//! is silent meanwhile, like a slow node. What a node promises with a vote besides (that it can give out the block) is
//! then not kept by this node for the blocks that it has lost; that is one of the f faults, and others have them.
//!
//! The journal must never be in two places. So it is kept by a runtime of its own, whose only directory this is: were it
//! below a link in the directory that gets deleted, the engine would make that path anew as a plain directory and go on
//! there, out of sight of the next start.
//!
//! The permit is spent within [`LOOK_EVERY`] of the first vote; a node that loses its votes in just that moment would
//! vote again. What this does not see is a votes directory that was put back to an older state; see `THREATS.md`.

use proof::{Digest, PublicKey};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

/// How often it is looked whether the permit is to be spent.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Where the runtime of consensus keeps the journal of votes, below the votes directory.
pub const JOURNALS: &str = "journal";
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
    /// In its votes directory: the marker, whole and its own.
    pub marker: bool,
    /// There too: a journal of votes that has an entry.
    pub journal: bool,
}

/// Decides whether a node that finds this votes. A voter without a marker must write it, synced, before it votes.
pub fn decide(found: Found) -> Standing {
    if found.permit || (found.marker && found.journal) { Standing::Voter } else { Standing::Observer }
}

/// Decides whether the node with this key votes, given its votes directory and its permit. A marker is synced when it
/// returns, and so are the directories on the way to the journal. Whoever starts a voter must see to it that the permit
/// is [spent](spend).
pub fn standing(votes: &Path, permit: &Path, network: Digest, key: &PublicKey) -> io::Result<Standing> {
    let journals = votes.join(JOURNALS);
    fs::create_dir_all(&journals)?;
    let marker = votes.join(MARKER);
    let words = format!("outlast voter 1\nnetwork {network}\nkey {key}\n");
    let marked = match fs::read(&marker) {
        // Torn, or of another network or key: it vouches for nothing.
        Ok(found) => found == words.as_bytes(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let found =
        Found { permit: permit.exists(), marker: marked, journal: has_files(&journals.join(JOURNAL))? };
    let standing = decide(found);
    if standing == Standing::Voter && !marked {
        let mut file = File::create(&marker)?;
        file.write_all(words.as_bytes())?;
        file.sync_all()?;
        for directory in [journals.as_path(), votes, parent(votes)] {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(standing)
}

/// Removes the permit if the journal in the votes directory has an entry. Whether it is gone, synced.
pub fn spend(votes: &Path, permit: &Path) -> io::Result<bool> {
    if !has_files(&votes.join(JOURNALS).join(JOURNAL))? {
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
        Ok(()) => File::open(parent(permit))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

//! What vouches for a node's journal of votes, across starts.
//!
//! Whether a node votes is decided in [`chain::voting`], which has the argument. Here is what it begins with: a node votes
//! only if it can tell that its journal of votes is the one that this key has always had, or has been through the
//! quarantine.
//!
//! The journal, and what vouches for it, are in a directory of their own, the *votes directory*, apart from everything
//! else that the node stores. It is small. Whoever deletes the rest costs the node nothing that it cannot get back: it
//! follows the chain from the start again, and goes on voting, because it still knows what it has voted for.
//!
//! * A *permit* is made together with the key and says: this key has never voted. It lies beside the key.
//! * The *marker* lies in the votes directory. It names a journal that is there, and says: it is this key's, and complete
//!   above the view that is its number. Journal zero is the first one; others begin after a quarantine.
//! * A journal is begun, with an entry in it, and synced; then the marker is written and synced; then the permit is
//!   removed; only then the node may sign. So a permit is spent before the first vote exists, and a crash at any moment
//!   leaves either the permit, or marker and journal.
//! * A node that has neither the permit, nor both marker and the journal that it names, has lost its votes or part of
//!   them. It *observes*: it stores, serves and follows, until the quarantine is over. So does one that is started while
//!   its votes are being deleted.
//! * When other nodes show that the journal is not complete, marker and permit are removed before anything else happens.
//!
//! # Why the journal is enough
//!
//! The engine writes and syncs a vote into its journal before it sends it. When it starts it reads the journal first, and
//! votes in a view only if no vote in the journal contradicts that; it needs nothing else that is stored for it. Blocks
//! and state it needs to find out *what* to vote for: without them it waits until it has fetched the blocks below, and
//! is silent meanwhile, like a slow node. What a node promises with a vote besides (that it can give out the block) is
//! then not kept by this node for the blocks that it has lost; that is one of the f faults, and others have them.
//!
//! # Epochs
//!
//! When the approvers let the network go on with another committee (`proof::lineage`), an epoch begins in which no key has
//! voted, whatever it voted for before. So each epoch has journals, a marker and a permit of its own, with its number in
//! their names. A permit for an epoch is written with the recovery that begins it, and by nothing else.
//!
//! The journal must never be in two places. So it is kept by a runtime of its own, whose only directory this is: were it
//! below a link in the directory that gets deleted, the engine would make that path anew as a plain directory and go on
//! there, out of sight of the next start.

pub use chain::voting::Claim;
use chain::voting::Register;
use proof::{Digest, PublicKey};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the runtime of consensus keeps the journals of votes, below the votes directory.
pub const JOURNALS: &str = "journal";
const MARKER: &str = "voter";
/// What the names of the engine's partitions with journals of votes begin with. Should they ever get another name, every
/// restarted node goes through the quarantine.
const JOURNAL: &str = "node-chain-votes-";

/// What a node finds when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Beside its key: the permit.
    pub permit: bool,
    /// In its votes directory: the marker, whole and its own, and which journal it names.
    pub marker: Option<u64>,
    /// There too: whether that journal has an entry.
    pub journal: bool,
}

/// Decides what vouches for the journal of a node that finds this.
pub fn decide(found: Found) -> Claim {
    match found.marker {
        Some(journal) if found.journal => Claim::Journal(journal),
        _ if found.permit => Claim::First,
        _ => Claim::Lost,
    }
}

/// The name of a journal's partition.
pub fn journal(epoch: u64, number: u64) -> String {
    if epoch == 0 { format!("{JOURNAL}{number}") } else { format!("{JOURNAL}{epoch}-{number}") }
}

/// The permit for an epoch, given that of the first.
pub fn permit_in(permit: &Path, epoch: u64) -> PathBuf {
    if epoch == 0 {
        return permit.to_owned();
    }
    let mut name = permit.as_os_str().to_owned();
    name.push(format!("-{epoch}"));
    name.into()
}

/// A node's votes directory and permit, of one epoch. Clones share it.
#[derive(Clone, Debug)]
pub struct Votes(Arc<Paths>);

#[derive(Debug)]
struct Paths {
    directory: PathBuf,
    permit: PathBuf,
    marker: PathBuf,
    network: Digest,
    epoch: u64,
    key: PublicKey,
}

impl Votes {
    /// Those of the node with this key in an epoch of a network. `permit` is that for the first epoch. Makes the directory, synced, if it is not there.
    pub fn open(
        directory: &Path,
        permit: &Path,
        (network, epoch): (Digest, u64),
        key: &PublicKey,
    ) -> io::Result<Self> {
        let journals = directory.join(JOURNALS);
        fs::create_dir_all(&journals)?;
        for directory in [journals.as_path(), directory, parent(directory)] {
            File::open(directory)?.sync_all()?;
        }
        let marker = if epoch == 0 { MARKER.to_owned() } else { format!("{MARKER}-{epoch}") };
        let paths = Paths {
            directory: directory.into(),
            permit: permit_in(permit, epoch),
            marker: directory.join(marker),
            network,
            epoch,
            key: *key,
        };
        Ok(Self(Arc::new(paths)))
    }

    /// What vouches for its journal now.
    pub fn claim(&self) -> io::Result<Claim> {
        let Paths { directory, permit, marker, epoch, .. } = &*self.0;
        let marker = match fs::read_to_string(marker) {
            // Torn, or of another network or key: it vouches for nothing.
            Ok(found) => self.named(&found),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                None
            }
            Err(error) => return Err(error),
        };
        let journal = match marker {
            Some(number) => has_files(&directory.join(JOURNALS).join(journal(*epoch, number)))?,
            None => false,
        };
        Ok(decide(Found { permit: permit.exists(), marker, journal }))
    }

    /// Has the marker name a journal, then removes the permit.
    pub fn mark(&self, journal: u64) -> io::Result<()> {
        let Paths { directory, permit, marker, .. } = &*self.0;
        let words = self.words(journal);
        if fs::read(marker).ok().as_deref() != Some(words.as_bytes()) {
            let mut file = File::create(marker)?;
            file.write_all(words.as_bytes())?;
            file.sync_all()?;
            File::open(directory)?.sync_all()?;
        }
        remove(permit)
    }

    /// Removes marker and permit.
    pub fn unmark(&self) -> io::Result<()> {
        remove(&self.0.marker)?;
        remove(&self.0.permit)
    }

    fn words(&self, journal: u64) -> String {
        let Paths { network, epoch, key, .. } = &*self.0;
        let epoch = if *epoch == 0 { String::new() } else { format!("epoch {epoch}\n") };
        format!("outlast voter 1\nnetwork {network}\n{epoch}key {key}\njournal {journal}\n")
    }

    /// The journal that a marker names.
    fn named(&self, marker: &str) -> Option<u64> {
        let (_, number) = marker.trim_end().rsplit_once(' ')?;
        let number = number.parse().ok()?;
        (self.words(number) == marker).then_some(number)
    }
}

/// # Panics
///
/// If the disk fails: the process is the unit of failure, and what it finds at its next start decides.
impl Register for Votes {
    async fn vouch(&self, journal: u64) {
        self.mark(journal).expect("what vouches for the journal of votes can be written");
    }

    async fn disown(&self) -> bool {
        self.unmark().expect("what vouches for the journal of votes can be removed");
        true
    }
}

/// Whether there is a directory with anything in it.
fn has_files(directory: &Path) -> io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Ok(()) => File::open(parent(file))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

//! Whether a node may vote.
//!
//! A node that has forgotten votes it cast could cast others that contradict them, and with one malicious node more
//! the chain could fork. So voting has to be earned: a node votes only if it can tell that its journal of votes is the
//! one that this key has always had.
//!
//! * A *permit* is made together with the key and says: this key has never voted. It lies beside the key.
//! * On the first start the node writes the *marker* beside the journal, into the directory of all its storage, and
//!   then removes the permit. From then on the marker says: the journal here is complete.
//! * A node that finds neither has lost its storage, and with it its journal. It *observes*: it stores, serves and
//!   follows, but does not vote.
//!
//! A crash between the two steps leaves both, which is as good as the marker alone: nothing is signed before the
//! permit is gone. What this does not see is storage that was put back to an older state, or out of which the journal
//! alone was deleted; see `THREATS.md`.

use proof::{Digest, PublicKey};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Where the runtime keeps everything, the journal of votes among it, below the node's directory.
pub const STORAGE: &str = "storage";
const MARKER: &str = "voter";

/// Whether this node votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its journal of votes is complete: it votes.
    Voter,
    /// It may have forgotten votes: it observes.
    Observer,
}

/// Decides whether the node with this key votes, given its directory and its permit. Synced when it returns.
pub fn standing(directory: &Path, permit: &Path, network: Digest, key: &PublicKey) -> io::Result<Standing> {
    let storage = directory.join(STORAGE);
    fs::create_dir_all(&storage)?;
    let marker = storage.join(MARKER);
    let words = format!("outlast voter 1\nnetwork {network}\nkey {key}\n");
    match fs::read(&marker) {
        Ok(found) if found == words.as_bytes() => {
            remove(permit)?;
            return Ok(Standing::Voter);
        }
        // Torn, or of another network or key: it vouches for nothing.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if !permit.exists() {
        return Ok(Standing::Observer);
    }
    let mut file = File::create(&marker)?;
    file.write_all(words.as_bytes())?;
    file.sync_all()?;
    File::open(&storage)?.sync_all()?;
    File::open(directory)?.sync_all()?;
    remove(permit)?;
    Ok(Standing::Voter)
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

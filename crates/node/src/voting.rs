//! Whether a node may vote.
//!
//! A node that has forgotten votes it cast could cast others that contradict them, and with one malicious node more
//! the chain could fork. So voting has to be earned: a node votes only if it can tell that its journal of votes is the
//! one that this key has always had.
//!
//! * A *permit* is made together with the key and says: this key has never voted. It lies beside the key.
//! * On the first start the node writes the *marker* into its directory, beside the journal, and then removes the
//!   permit. From then on the marker says: the journal here is complete.
//! * A node that finds neither has lost its directory, and with it its journal. It *observes*: it stores, serves and
//!   follows, but does not vote.
//!
//! A crash between the two steps leaves both, which is as good as the marker alone: nothing is signed before the
//! permit is gone. What this does not see is a directory that was put back to an older state; see `THREATS.md`.

use proof::{Digest, PublicKey};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

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
    fs::create_dir_all(directory)?;
    let marker = directory.join(MARKER);
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

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: Digest = Digest([1; 32]);
    const KEY: PublicKey = PublicKey([2; 32]);

    #[test]
    fn voting_is_earned_once_and_lost_with_the_directory() {
        let base = tempfile::tempdir().unwrap();
        let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
        let now = |key| standing(&directory, &permit, NETWORK, key).unwrap();
        assert_eq!(now(&KEY), Standing::Observer, "no permit, no marker");
        fs::write(&permit, "").unwrap();
        assert_eq!(now(&KEY), Standing::Voter);
        assert!(!permit.exists());
        assert_eq!(now(&KEY), Standing::Voter, "a restart");
        assert_eq!(now(&PublicKey([3; 32])), Standing::Observer, "another key");
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(now(&KEY), Standing::Observer, "wiped");
        assert_eq!(now(&KEY), Standing::Observer, "and restarted");
    }

    #[test]
    fn a_torn_marker_vouches_for_nothing() {
        let base = tempfile::tempdir().unwrap();
        let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
        fs::write(&permit, "").unwrap();
        standing(&directory, &permit, NETWORK, &KEY).unwrap();
        let marker = directory.join(MARKER);
        let whole = fs::read(&marker).unwrap();
        fs::write(&marker, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(standing(&directory, &permit, NETWORK, &KEY).unwrap(), Standing::Observer);
        fs::write(&permit, "").unwrap();
        let again = standing(&directory, &permit, NETWORK, &KEY).unwrap();
        assert_eq!(again, Standing::Voter, "a crash on the first start, before anything was signed");
    }
}

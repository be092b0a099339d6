//! Voting has to be earned: a node that has lost its journal of votes observes.

use node::voting::{JOURNALS, Standing, spend, standing};
use proof::{Digest, PublicKey};
use std::{fs, path::Path};

const NETWORK: Digest = Digest([1; 32]);
const KEY: PublicKey = PublicKey([2; 32]);
const JOURNAL: &str = "node-chain-votes-0";

/// What the engine writes before its first vote leaves.
fn vote(directory: &Path) {
    let journal = directory.join(JOURNALS).join(JOURNAL);
    fs::create_dir_all(&journal).unwrap();
    fs::write(journal.join("0000000000000001"), "a vote").unwrap();
}

#[test]
fn voting_is_earned_once_and_lost_with_the_directory() {
    let base = tempfile::tempdir().unwrap();
    let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
    let now = |key| standing(&directory, &permit, NETWORK, key).unwrap();
    assert_eq!(now(&KEY), Standing::Observer, "no permit, no marker");
    fs::write(&permit, "").unwrap();
    assert_eq!(now(&KEY), Standing::Voter);
    assert!(!spend(&directory, &permit).unwrap(), "nothing is signed yet");
    assert_eq!(now(&KEY), Standing::Voter, "stopped before its first vote");
    vote(&directory);
    assert!(spend(&directory, &permit).unwrap() && !permit.exists());
    assert_eq!(now(&KEY), Standing::Voter, "a restart");
    assert_eq!(now(&PublicKey([3; 32])), Standing::Observer, "another key");
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(now(&KEY), Standing::Observer, "wiped");
    assert_eq!(now(&KEY), Standing::Observer, "and restarted");
}

#[test]
fn voting_is_lost_with_the_storage_alone() {
    let base = tempfile::tempdir().unwrap();
    let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
    let now = || standing(&directory, &permit, NETWORK, &KEY).unwrap();
    fs::write(&permit, "").unwrap();
    assert_eq!(now(), Standing::Voter);
    vote(&directory);
    assert!(spend(&directory, &permit).unwrap());
    fs::remove_dir_all(directory.join(JOURNALS)).unwrap();
    assert_eq!(now(), Standing::Observer);
    assert_eq!(now(), Standing::Observer, "and restarted");
}

#[test]
fn a_torn_marker_vouches_for_nothing() {
    let base = tempfile::tempdir().unwrap();
    let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
    fs::write(&permit, "").unwrap();
    standing(&directory, &permit, NETWORK, &KEY).unwrap();
    vote(&directory);
    assert!(spend(&directory, &permit).unwrap());
    let marker = directory.join("voter");
    let whole = fs::read(&marker).unwrap();
    fs::write(&marker, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(standing(&directory, &permit, NETWORK, &KEY).unwrap(), Standing::Observer);
    fs::write(&permit, "").unwrap();
    let again = standing(&directory, &permit, NETWORK, &KEY).unwrap();
    assert_eq!(again, Standing::Voter, "a crash on the first start, before anything was signed");
}

#[test]
fn voting_is_lost_with_the_journal_alone() {
    let base = tempfile::tempdir().unwrap();
    let (directory, permit) = (base.path().join("node"), base.path().join("permit"));
    let now = || standing(&directory, &permit, NETWORK, &KEY).unwrap();
    fs::write(&permit, "").unwrap();
    assert_eq!(now(), Standing::Voter);
    vote(&directory);
    assert!(spend(&directory, &permit).unwrap());
    let journal = directory.join(JOURNALS).join(JOURNAL);
    fs::remove_file(journal.join("0000000000000001")).unwrap();
    assert_eq!(now(), Standing::Observer, "its files are gone, as while a deletion is going on");
    fs::remove_dir(&journal).unwrap();
    assert_eq!(now(), Standing::Observer, "so is its directory");
}

//! Voting has to be earned: what vouches for the journal of votes, and what does not.

use chain::voting::Claim;
use node::voting::{JOURNALS, Votes, journal, permit_in};
use proof::{Digest, PublicKey};
use std::{
    fs,
    path::{Path, PathBuf},
};

const NETWORK: Digest = Digest([1; 32]);
const KEY: PublicKey = PublicKey([2; 32]);

struct Node {
    base: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { base: tempfile::tempdir().unwrap() };
        fs::write(node.permit(), "").unwrap();
        node
    }

    fn directory(&self) -> PathBuf {
        self.base.path().join("votes")
    }

    fn permit(&self) -> PathBuf {
        self.base.path().join("permit")
    }

    fn votes_of(&self, key: &PublicKey) -> Votes {
        Votes::open(&self.directory(), &self.permit(), (NETWORK, 0), key).unwrap()
    }

    fn votes(&self) -> Votes {
        self.votes_of(&KEY)
    }

    /// What it finds when it starts.
    fn claim(&self) -> Claim {
        self.votes().claim().unwrap()
    }

    fn journal(&self, number: u64) -> PathBuf {
        self.directory().join(JOURNALS).join(journal(0, number))
    }

    /// What the engine writes when a journal is begun.
    fn begin(&self, number: u64) {
        fs::create_dir_all(self.journal(number)).unwrap();
        fs::write(self.journal(number).join("0000000000000000"), "an entry").unwrap();
    }

    /// One that has voted.
    fn voter() -> Self {
        let node = Self::new();
        node.begin(0);
        node.votes().mark(0).unwrap();
        node
    }
}

#[test]
fn voting_is_earned_once_and_lost_with_the_directory() {
    let node = Node::new();
    fs::remove_file(node.permit()).unwrap();
    assert_eq!(node.claim(), Claim::Lost, "no permit, no marker");
    fs::write(node.permit(), "").unwrap();
    assert_eq!(node.claim(), Claim::First);
    node.begin(0);
    assert_eq!(node.claim(), Claim::First, "stopped before the journal was vouched for");
    node.votes().mark(0).unwrap();
    assert!(!node.permit().exists(), "spent, before anything is signed");
    assert_eq!(node.claim(), Claim::Journal(0), "a restart");
    assert_eq!(node.votes_of(&PublicKey([3; 32])).claim().unwrap(), Claim::Lost, "another key");
    fs::remove_dir_all(node.directory()).unwrap();
    assert_eq!(node.claim(), Claim::Lost, "wiped");
    assert_eq!(node.claim(), Claim::Lost, "and restarted");
}

#[test]
fn voting_is_lost_with_any_part_of_what_vouches_for_it() {
    let is_lost = |remove: fn(&Path, &Path)| {
        let node = Node::voter();
        remove(&node.directory(), &node.journal(0));
        assert_eq!(node.claim(), Claim::Lost);
        assert_eq!(node.claim(), Claim::Lost, "and restarted");
    };
    is_lost(|directory, _| fs::remove_file(directory.join("voter")).unwrap());
    is_lost(|directory, _| fs::remove_dir_all(directory.join(JOURNALS)).unwrap());
    is_lost(|_, journal| fs::remove_dir_all(journal).unwrap());
    // As while a deletion is going on.
    is_lost(|_, journal| fs::remove_file(journal.join("0000000000000000")).unwrap());
}

#[test]
fn a_torn_marker_vouches_for_nothing() {
    let node = Node::voter();
    let marker = node.directory().join("voter");
    let whole = fs::read(&marker).unwrap();
    for length in 0..whole.len() {
        fs::write(&marker, &whole[..length]).unwrap();
        assert_eq!(node.claim(), Claim::Lost, "cut to {length} bytes");
    }
    fs::write(&marker, b"\xff").unwrap();
    assert_eq!(node.claim(), Claim::Lost, "not even text");
    fs::write(node.permit(), "").unwrap();
    assert_eq!(node.claim(), Claim::First, "a crash on the first start, before anything was signed");
}

#[test]
fn another_journal_begins_after_a_quarantine() {
    let node = Node::voter();
    node.votes().unmark().unwrap();
    assert_eq!(node.claim(), Claim::Lost, "disowned, though its journal is there");
    node.begin(40);
    assert_eq!(node.claim(), Claim::Lost, "stopped before the new one was vouched for");
    node.votes().mark(40).unwrap();
    assert_eq!(node.claim(), Claim::Journal(40));
    fs::remove_dir_all(node.journal(40)).unwrap();
    assert_eq!(node.claim(), Claim::Lost, "the old journal is not its own any more");
}

#[test]
fn disowning_takes_the_permit_too() {
    let node = Node::new();
    node.votes().unmark().unwrap();
    assert_eq!(node.claim(), Claim::Lost);
}

/// In a new epoch nobody has voted: whoever has its permit begins, and what vouches for votes of another epoch is nothing.
#[test]
fn each_epoch_has_its_own_votes() {
    let node = Node::voter();
    let votes = |epoch| Votes::open(&node.directory(), &node.permit(), (NETWORK, epoch), &KEY).unwrap();
    assert_eq!(votes(1).claim().unwrap(), Claim::Lost, "without a permit for it");
    fs::write(permit_in(&node.permit(), 1), "").unwrap();
    assert_eq!(votes(1).claim().unwrap(), Claim::First);
    let begun = node.directory().join(JOURNALS).join(journal(1, 0));
    fs::create_dir_all(&begun).unwrap();
    fs::write(begun.join("0000000000000000"), "an entry").unwrap();
    votes(1).mark(0).unwrap();
    assert!(!permit_in(&node.permit(), 1).exists());
    assert_eq!(votes(1).claim().unwrap(), Claim::Journal(0));
    assert_eq!(node.claim(), Claim::Journal(0), "the first epoch's are as they were");
    assert_eq!(votes(2).claim().unwrap(), Claim::Lost, "and say nothing about the next");
    fs::copy(node.directory().join("voter"), node.directory().join("voter-1")).unwrap();
    assert_eq!(votes(1).claim().unwrap(), Claim::Lost, "a marker of another epoch");
}

//! What people and older releases have written keeps its meaning: the marker of a voter, `node.toml`, the key file.
//!
//! If this test fails, a format changed: either undo that, or keep reading the old one beside the new and describe both
//! in FORMATS.md.

use chain::voting::Claim;
use node::{
    config::{Config, ConfigError, load_key},
    voting::Votes,
};
use proof::{Digest, PublicKey, SecretKey};
use proptest::{prelude::*, sample::Index};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[test]
fn the_marker_of_a_voter() {
    let base = tempfile::tempdir().unwrap();
    let (votes, permit) = (base.path().join("votes"), base.path().join("permit"));
    fs::write(&permit, "").unwrap();
    let register = Votes::open(&votes, &permit, (Digest([0x1a; 32]), 0), &PublicKey([0x2b; 32])).unwrap();
    assert_eq!(register.claim().unwrap(), Claim::First, "an empty permit is enough");
    register.mark(7).unwrap();
    let words = format!("outlast voter 1\nnetwork {}\nkey {}\njournal 7\n", "1a".repeat(32), "2b".repeat(32));
    assert_eq!(fs::read_to_string(votes.join("voter")).unwrap(), words);
}

/// All that version 0.1 writes, and what it takes for what is not there.
const COMPLETE: &str = r#"genesis = "genesis"
key = "node.key"
permit = "node.permit"
votes_directory = "votes"
directory = "node"
consensus_listen = "127.0.0.1:1"
gateway_listen = "[::1]:2"
metrics_listen = "127.0.0.1:3"

[[nodes]]
key = "00"
consensus = "127.0.0.1:1"
gateway = "127.0.0.1:2"

[shards]
segment_bytes = 1
grace_seconds = 2
bytes_max = 3
heal_bytes_per_second = 4
scrub_period_seconds = 5
scrub_bytes_per_second = 6
"#;

const SHORTEST: &str = r#"
genesis = "genesis"
key = "node.key"
permit = "node.permit"
directory = "node"
consensus_listen = "127.0.0.1:1"
gateway_listen = "127.0.0.1:2"
nodes = []
"#;

#[test]
fn node_toml() {
    let complete: Config = toml::from_str(COMPLETE).unwrap();
    assert_eq!(toml::to_string(&complete).unwrap(), COMPLETE);
    let shortest: Config = toml::from_str(SHORTEST).unwrap();
    assert_eq!(shortest.metrics_listen, None);
    assert_eq!((shortest.shards.segment_bytes, shortest.shards.grace_seconds), (268_435_456, 86_400));
    assert_eq!((shortest.shards.bytes_max, shortest.shards.heal_bytes_per_second), (None, 33_554_432));
    let scrub = (shortest.shards.scrub_period_seconds, shortest.shards.scrub_bytes_per_second);
    assert_eq!(scrub, (1_209_600, 1_048_576));
    assert_eq!(shortest.votes().to_str(), Some("node.votes"));
    for required in SHORTEST.lines().filter(|line| !line.is_empty()) {
        let without = SHORTEST.replace(required, "");
        assert!(toml::from_str::<Config>(&without).is_err(), "{required} is required");
    }
    for unknown in ["more = 1\n", "[shards]\nmore = 1\n"] {
        let with = if unknown.starts_with('[') {
            format!("{SHORTEST}{unknown}")
        } else {
            format!("{unknown}{SHORTEST}")
        };
        assert!(toml::from_str::<Config>(&with).is_err(), "{unknown} is unknown");
    }
}

#[test]
fn key_files() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("node.key");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        load_key(&path)
    };
    let key = load(&format!("{}\n", "2b".repeat(32))).unwrap();
    assert_eq!(key.public_key(), SecretKey::from_seed([0x2b; 32]).public_key());
    for wrong in ["", "2b", &"2B".repeat(32), &"2b".repeat(33)] {
        assert!(matches!(load(wrong), Err(ConfigError::Key { .. })), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the file says, it is read or refused: no bytes bring the program down.
    #[test]
    fn damaged_configurations_are_refused_or_read(
        damages in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        let mut bytes = COMPLETE.as_bytes().to_vec();
        for (from, to, byte, kind) in damages {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            match kind {
                0 => bytes.insert(from, byte),
                1 => drop(bytes.drain(from.min(to)..from.max(to))),
                2 => bytes.truncate(from),
                _ => {
                    let copied = bytes[from..bytes.len().min(from + 20)].to_vec();
                    bytes.splice(to..to, copied);
                }
            }
        }
        if let Ok(config) = toml::from_str::<Config>(&String::from_utf8_lossy(&bytes)) {
            let written = toml::to_string(&config).unwrap();
            let again: Config = toml::from_str(&written).unwrap();
            prop_assert_eq!(toml::to_string(&again).unwrap(), written);
        }
    }
}

/// What nodes have just signed for is not to be dropped before a transaction can refer to it.
#[test]
fn the_grace_period_has_a_minimum() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("node.toml");
    let load = |seconds: u64| {
        let text = COMPLETE.replace("grace_seconds = 2", &format!("grace_seconds = {seconds}"));
        fs::write(&path, text).unwrap();
        Config::load(&path).unwrap_err()
    };
    for short in [0, 2, 7199] {
        assert!(matches!(load(short), ConfigError::Grace(seconds) if seconds == short));
    }
    assert!(matches!(load(7200), ConfigError::Read { .. }), "only the files are missing");
}

#[test]
fn files_that_are_no_configuration() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("node.toml");
    for bytes in [&b""[..], b"\xff\xfe", b"genesis = 1", COMPLETE.as_bytes()] {
        fs::write(&path, bytes).unwrap();
        assert!(Config::load(&path).is_err());
    }
}

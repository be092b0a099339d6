//! What bad arguments and bad luck get: an error, a hint, an exit code, and nothing half done.

use crate::driver::{outlast, refused, run};
use std::{fs, net::TcpListener};

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("thesis"), "years of work").unwrap();
    let said = refused(base.path(), &["up"], 5);
    assert!(said.contains("thesis") && said.contains("hint: "), "{said}");
    assert_eq!(fs::read(base.path().join("thesis")).unwrap(), b"years of work");
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_founded() {
    let base = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let said = refused(base.path(), &["up", "--s3-addr", &address.to_string()], 6);
    assert!(said.contains(&address.to_string()) && said.contains("--s3-addr"), "{said}");
    let base_port = address.port().to_string();
    let said = refused(base.path(), &["up", "--s3-addr", "127.0.0.1:0", "--port-base", &base_port], 6);
    assert!(said.contains(&base_port) && said.contains("node-0"), "{said}");
    assert!(!base.path().join("genesis").exists());
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name() {
    let base = tempfile::tempdir().unwrap();
    for arguments in [
        &["up", "--nodes", "3"][..],
        &["put", "file", "Bad_Bucket/k"],
        &["get", "bucket"],
        &["init", "--out", "x", "--node", "host:1:2"],
        &["drill", "--nodes", "1"],
        &["frobnicate"],
    ] {
        refused(base.path(), arguments, 2);
    }
}

#[test]
fn commands_without_a_network_say_how_to_start_one() {
    let base = tempfile::tempdir().unwrap();
    for arguments in [&["ls"][..], &["status"], &["mb", "bucket"], &["key", "new"]] {
        let said = refused(base.path(), arguments, 5);
        assert!(said.contains("outlast up"), "{said}");
    }
}

#[test]
fn errors_are_json_for_those_who_ask() {
    let base = tempfile::tempdir().unwrap();
    let done = run(base.path(), &["ls", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&done.stderr).unwrap();
    assert_eq!(said["exit"], 5);
    assert!(said["error"].is_string() && said["hint"].is_string());
    assert!(done.stdout.is_empty());
}

#[test]
fn help_teaches() {
    let help = outlast().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for word in ["outlast up", "outlast put", "Exit codes"] {
        assert!(text.contains(word), "{word}");
    }
}

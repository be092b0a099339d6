//! `outlast up` and the commands for people.

use crate::driver::{Running, ask, contents, kill, outlast, refused, run};
use serde_json::Value;
use std::{fs, path::Path};

const S3: [&str; 2] = ["--s3-addr", "127.0.0.1:0"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn a_network_stores_proves_and_survives_its_own_end() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("net");
    let (mut up, first) = Running::up(&dir, &S3);
    for name in ["s3_endpoint", "access_key", "secret_key", "dir", "genesis"] {
        assert!(first[name].is_string(), "{name} in {first}");
    }
    assert_eq!(first["nodes"].as_array().unwrap().len(), 4);
    refused(&dir, &["up"], 6);

    let file = base.path().join("file");
    fs::write(&file, contents(3_000_000, 7)).unwrap();
    refused(&dir, &["put", text(&file), "bucket/a/file"], 3);
    ask(&dir, &["mb", "bucket"]);
    let stored = &ask(&dir, &["put", text(&file), "bucket/a/file"])[0];
    assert_eq!(stored["bytes"], 3_000_000);
    assert_eq!(ask(&dir, &["stat", "bucket/a/file"])[0]["version"], stored["version"]);
    assert_eq!(ask(&dir, &["ls", "bucket"])[0]["prefix"], "a/");
    assert_eq!(ask(&dir, &["ls", "bucket", "-r"])[0]["key"], "a/file");

    let receipt = base.path().join("receipt");
    ask(&dir, &["receipt", "bucket/a/file", "-o", text(&receipt)]);
    let genesis = dir.join("genesis");
    let verify = ["verify", text(&receipt), "--genesis", text(&genesis), "--file", text(&file)];
    assert_eq!(ask(&dir, &verify)[0]["version"], stored["version"]);
    let other = base.path().join("other");
    fs::write(&other, contents(3_000_000, 8)).unwrap();
    refused(&dir, &["verify", text(&receipt), "--genesis", text(&genesis), "--file", text(&other)], 7);

    let status = &ask(&dir, &["status"])[0];
    assert_eq!((&status["health"], &status["spare"]), (&Value::from("healthy"), &Value::from(1)), "{status}");
    kill(&first["nodes"][2]["pid"]);
    up.event(|event| event["event"] == "ended" && event["name"] == "node-2");
    up.event(|event| event["event"] == "started" && event["name"] == "node-2");
    up.kill();

    // Children of a killed supervisor stop by themselves; the next one waits for them.
    let (up, second) = Running::up(&dir, &[]);
    assert_eq!(second["secret_key"], first["secret_key"]);
    let back = base.path().join("back");
    ask(&dir, &["get", "bucket/a/file", text(&back)]);
    assert!(fs::read(&back).unwrap() == fs::read(&file).unwrap());
    let deleted = &ask(&dir, &["rm", "bucket/a/file"])[0];
    refused(&dir, &["get", "bucket/a/file", text(&back)], 3);
    ask(
        &dir,
        &["get", "bucket/a/file", text(&back), "--version", deleted["version_before"].as_str().unwrap()],
    );
    up.stop();
    let done = run(&dir, &["status"]);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
}

#[test]
fn tenants_and_keys_are_added_while_it_runs() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("net");
    let (up, first) = Running::up(&dir, &[&S3[..], &["--nodes", "1"]].concat());
    let key = &ask(&dir, &["key", "new"])[0];
    assert_ne!(key["access_key"], first["access_key"]);
    let tenant = &ask(&dir, &["tenant", "new", "accounting"])[0];
    assert_eq!(tenant["tenant"], "accounting");
    refused(&dir, &["tenant", "new", "accounting"], 8);
    ask(&dir, &["mb", "ledgers", "--tenant", "accounting"]);
    assert_eq!(ask(&dir, &["ls", "--tenant", "accounting"])[0]["bucket"], "ledgers");
    assert!(ask(&dir, &["ls"]).is_empty(), "the first tenant does not see it");
    let wrong = dir.join("gateway/tenant.key");
    refused(&dir, &["tenant", "new", "other", "--approver-key", text(&wrong)], 1);
    assert!(!dir.join("tenants/other").exists());
    up.stop();
}

#[test]
fn a_small_drill_loses_nothing() {
    let base = tempfile::tempdir().unwrap();
    let files = base.path().join("files");
    fs::create_dir(&files).unwrap();
    for number in 0..120 {
        let length = [10, 5_000, 200_000, 1_500_000][number % 4];
        fs::write(files.join(format!("{number}")), contents(length, number as u64)).unwrap();
    }
    fs::write(files.join("large"), contents(20_000_000, 1)).unwrap();
    let scratch = base.path().join("scratch");
    let mut command = outlast();
    let done =
        command.args(["drill", "--json", "--files"]).arg(&files).arg("--scratch").arg(&scratch).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["lost"], &report["false"], &report["objects"]), (&0.into(), &0.into(), &121.into()));
    assert_eq!(report["deleted"].as_array().unwrap().len(), 1);
    assert!(report["requests_during_fault"].as_u64().unwrap() > 0, "{report}");
    assert!(!scratch.exists(), "what a good drill used is removed");
}

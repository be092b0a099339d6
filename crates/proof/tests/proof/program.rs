//! The program `outlast-verify`, run as an auditor runs it.

use crate::network::{CONTENTS, Case, genesis};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A directory of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("outlast-verify-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(receipt: &Path, genesis: &Path, file: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outlast-verify"));
    command.arg(receipt).arg("--genesis").arg(genesis);
    if let Some(file) = file {
        command.arg("--file").arg(file);
    }
    command.output().unwrap()
}

fn proves(output: &Output) -> bool {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => assert!(out.starts_with("PROVED: ") && err.is_empty(), "{out}{err}"),
        Some(1) => assert!(out.is_empty() && !err.is_empty(), "{out}{err}"),
        other => panic!("it ended with {other:?}: {out}{err}"),
    }
    output.status.success()
}

#[test]
fn it_says_what_is_proved_and_refuses_what_is_not() {
    let folder = Folder::new("proves");
    let case = Case::new();
    let receipt = folder.write("receipt", &case.receipt().to_file());
    let founding = folder.write("genesis", &case.genesis.to_file());
    let contents = folder.write("contents", CONTENTS);
    let output = run(&receipt, &founding, Some(&contents));
    assert!(proves(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["42 at 2027-01-15T08:00:12.345 UTC", "bucket/a/key", "is exactly what was accepted"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(proves(&run(&receipt, &founding, None)));

    let longer = folder.write("longer", &[CONTENTS, b"."].concat());
    let shorter = folder.write("shorter", &CONTENTS[1..]);
    let empty = folder.write("empty", b"");
    for wrong in [&longer, &shorter, &empty, &founding, &folder.0.join("missing"), &folder.0] {
        assert!(!proves(&run(&receipt, &founding, Some(wrong))), "{wrong:?}");
    }
    let other = folder.write("other", &genesis(11).to_file());
    for wrong in [&other, &receipt, &contents, &folder.0.join("missing")] {
        assert!(!proves(&run(&receipt, wrong, None)), "genesis {wrong:?}");
    }
    for wrong in [&founding, &contents, &folder.0.join("missing")] {
        assert!(!proves(&run(wrong, &founding, None)), "receipt {wrong:?}");
    }
    let closed = Case { opened: false, ..Case::new() }.receipt().to_file();
    let closed = folder.write("closed", &closed);
    assert!(proves(&run(&closed, &founding, None)));
    assert!(!proves(&run(&closed, &founding, Some(&contents))));
}

#[test]
fn it_says_how_it_is_used() {
    for arguments in
        [&[][..], &["receipt"], &["--genesis", "genesis"], &["receipt", "--genesis"], &["--help"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_outlast-verify")).args(arguments).output().unwrap();
        assert!(!proves(&output));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
    }
}

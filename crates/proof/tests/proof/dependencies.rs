//! What an auditor has to trust besides this crate stays short.

use std::{collections::BTreeSet, process::Command};

/// Crates that this one may link, procedural macros and build scripts not counted.
const CRATES_MAX: usize = 30;

#[test]
fn few_crates_are_linked() {
    let arguments = ["tree", "-p", "proof", "-e", "no-proc-macro,no-build,no-dev", "--prefix", "none"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, as it ran this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let crates: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "proof")
        .collect();
    assert!(!crates.is_empty());
    assert!(crates.len() <= CRATES_MAX, "{} crates: {crates:?}", crates.len());
}

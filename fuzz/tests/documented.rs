//! `FORMATS.md` against the tests that freeze: a type that the page describes and no test freezes fails here.

use std::{collections::BTreeSet, fs, path::Path};

/// Where formats are frozen. Each names, in strings, the types that it freezes.
const TESTS: [&str; 8] = [
    "crates/proof/tests/formats.rs",
    "crates/ledger/tests/ledger/formats.rs",
    "crates/shards/tests/formats.rs",
    "crates/shards/src/store/record.rs",
    "crates/chain/tests/formats.rs",
    "crates/chain/src/index/layout.rs",
    "crates/vault/src/sealed.rs",
    "crates/node/tests/formats.rs",
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Types that a listing of the page defines: a word at the beginning of a line, and the spaces that fields begin after.
fn described(page: &str) -> BTreeSet<String> {
    let mut listing = false;
    let mut types = BTreeSet::new();
    for line in page.lines() {
        if line.starts_with("```") {
            listing = !listing;
        } else if listing && line.starts_with(|c: char| c.is_ascii_uppercase()) {
            types.insert(line.split_whitespace().next().expect("it begins with a word").to_owned());
        }
    }
    types
}

/// Words in the strings of a test's source.
fn named(source: &str) -> BTreeSet<String> {
    let strings = source.split('"').skip(1).step_by(2);
    strings.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric())).map(str::to_owned).collect()
}

#[test]
fn every_type_of_the_page_is_frozen() {
    let described = described(&read("FORMATS.md"));
    assert!(described.len() > 40, "the page was read: {described:?}");
    let named: BTreeSet<String> = TESTS.iter().flat_map(|path| named(&read(path))).collect();
    let loose: Vec<_> = described.difference(&named).collect();
    assert!(loose.is_empty(), "no test freezes {loose:?}; see the end of FORMATS.md");
}

#[test]
fn every_test_that_freezes_is_on_the_page() {
    let page = read("FORMATS.md");
    for path in TESTS {
        assert!(page.contains(path), "{path} is not in the table at the end of FORMATS.md");
    }
}

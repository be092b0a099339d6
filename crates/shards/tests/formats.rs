//! The messages of lane 1 are frozen. The shard log's own bytes are in `src/store/record.rs`, beside what writes them.
//!
//! If this test fails, a format changed: either undo that, or give the messages a new version, describe both in
//! FORMATS.md, and only then replace the lines here by those that the failure shows.

mod samples;

use proof::digest::sha256;

/// Name; bytes of the encoding; first half of the hash over it.
const FORMATS: &[(&str, usize, &str)] = &[
    ("Shard", 147, "0264ed906cb5b0a8c6bd429b71c655d0"),
    ("Request::PutShard", 148, "d002e23ac1804515441afdfbe728297d"),
    ("Request::PutPage", 137, "9aa96f9da3568d5f7e44ad8ee0497b77"),
    ("Request::Certify, direct", 142, "6fdfaf360dd915836d53eefbbadb743c"),
    ("Request::Certify, paged", 58, "cec74ec541cea9bfdbf7d9be20a91564"),
    ("Request::GetShard", 33, "0a0f545cdc331e95bd092465bc0fff21"),
    ("Request::GetPage", 33, "898ac92e7fd6a1a910e8f5912c08f62f"),
    ("Request::Status", 1, "c1e743f6e341734df14c382f88956642"),
    ("Request::Holds", 69, "d4d4851279c2f2bea793f5431091fcde"),
    ("Response::Done", 1, "e9496a845850f82a4a5c934709457f75"),
    ("Response::Receipt", 66, "183259f7a768ab511e27f9049460d4a5"),
    ("Response::Missing", 105, "f5cade18c17f6bfb8519f2d0011f02fa"),
    ("Response::Shard", 148, "76d0ad04dc1a0e6886ba7fcd449c8b33"),
    ("Response::Page", 137, "f95a5fe7a3d9277ea5353e82ffd379d8"),
    ("Response::NotHeld", 1, "c1e743f6e341734df14c382f88956642"),
    ("Response::Status", 169, "3c607be9be1685f3440e90ddaaf5058a"),
    ("Response::Full", 1, "510e96a5c85ad0b0246d0988041e1d1c"),
    ("Response::Refused", 8, "86c682d11c430ddb65fde060345e5346"),
    ("Response::Held", 7, "51f65f43d4cc3960e8261b7823c7b185"),
    ("Response::Failed", 1, "bb7b19fe1f9d2cebb26f951becd05254"),
];

#[test]
fn formats_are_frozen() {
    let now: Vec<(&str, usize, String)> = samples::samples()
        .into_iter()
        .map(|sample| {
            let again = (sample.recode)(sample.bytes.clone());
            assert_eq!(again.as_ref(), Some(&sample.bytes), "{}", sample.name);
            let hash = sha256("outlast/test/format", &[&sample.bytes]).to_string()[..32].to_owned();
            (sample.name, sample.bytes.len(), hash)
        })
        .collect();
    let changed: Vec<_> = now
        .iter()
        .filter(|(name, length, hash)| !FORMATS.contains(&(*name, *length, hash.as_str())))
        .map(|(name, length, hash)| format!("    ({name:?}, {length}, {hash:?}),\n"))
        .collect();
    assert!(
        changed.is_empty(),
        "a format changed: that needs a new version in FORMATS.md. As the bytes are now:\n{}",
        changed.concat()
    );
    assert_eq!(FORMATS.len(), now.len(), "every line of the table is of a format that is");
}

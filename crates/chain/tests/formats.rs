//! The formats are frozen: blocks, state proofs, and the messages between gateway and node keep their bytes.
//!
//! If this test fails, a format changed: either undo that, or give what changed a new version (of a block: a new domain
//! of the header's hash; of the state: new domains of its keys; of messages: `protocol::VERSION`), describe both in
//! FORMATS.md, keep reading the old one, and only then replace the lines here by those that the failure shows.

mod samples;

use bytes::Bytes;
use proof::digest::sha256;
use proptest::{prelude::*, sample::Index};
use samples::{Sample, derived, samples};
use std::sync::LazyLock;

/// Name; bytes of the encoding; first half of the hash over it.
const FORMATS: &[(&str, usize, &str)] = &[
    ("Block", 974, "69d5d5c8587ea38a072de1c7f53343f6"),
    ("StateProof::Present", 486, "179421cda4dca180607bd6c2af485aa9"),
    ("StateProof::Absent", 519, "39e577ae9d89b215dd2e34e427fbbae0"),
    ("Request::Submit", 341, "bfd9563fe6dbb0e891aae269c603d5bd"),
    ("Request::Tip", 10, "0e9a34669d1912855481732ed673b30b"),
    ("Request::Read, keys", 79, "89f514c428e916400e4886de2d6c6151"),
    ("Request::Read, head", 43, "8237827ead7e60958d4c4e02e043c9fd"),
    ("Request::Read, version", 57, "8ccdaec38ee33df91ac6930624bbe526"),
    ("Request::Read, shown", 57, "78e1a196c1e07593ffd7b325c5cfc47e"),
    ("Request::Read, upload", 43, "5c144b3750d860bd0239a87043899efc"),
    ("Request::List, buckets", 45, "9d649b1164ec63cd21208cebb181eb06"),
    ("Request::List, objects", 57, "14f2ecac767e9148a119e7263df0cd90"),
    ("Request::List, objects after a key", 62, "66c18b83f8615b639dc6b6f1e38e13d9"),
    ("Request::List, objects after a prefix", 62, "cac6e3fd1194d82398df7f55cca4400d"),
    ("Request::List, uploads", 74, "a86b54e027c37ac7bd50a7b041be0a4e"),
    ("Request::List, parts", 57, "5fde2ca79918290c7474b8c2178216e2"),
    ("Request::List, versions", 59, "a22b61047fdd2291ffb1ff72b2293636"),
    ("Request::List, versions after a key", 64, "247888c1f099c9149ce76d7394622d15"),
    ("Request::List, versions after a prefix", 64, "93f4db574f5bf910721862c94d905691"),
    ("Request::List, versions after a version", 78, "5a1e59037469ac2a78fb44a0040c378a"),
    ("Request::List, current", 52, "e42aeedb0ee88586fafa49cbeeff411d"),
    ("Request::List, moment", 28, "07e17aa3f264cb78b5b8cf200a98b5ac"),
    ("Request::List, annotation", 68, "fe5ef410a552225458434a848f9cf780"),
    ("Request::Receipt", 14, "0133ef5383084f98fcc621bd05a9b759"),
    ("Request::Status", 2, "fac7eee24c81156e061d74de3d71b924"),
    ("Answer::Submitted, decided", 572, "7cde91f2dabab53811760f694728e3ef"),
    ("Answer::Submitted, inadmissible", 10, "1477309ce1572f2c4d6d3e4739bb80be"),
    ("Answer::Submitted, overloaded", 3, "9c8053568328d154c2588912ab5e780e"),
    ("Answer::Submitted, expired", 985, "732fcf307dd6125bdf0e42d2480ad07c"),
    ("Answer::Submitted, pending", 3, "ea3380ff15dc06d80ff3ed0c1e8a7ea2"),
    ("Answer::Tip", 465, "a128795370fb715dd8b12928f8856762"),
    ("Answer::State, nothing named", 2838, "78da7836de5deacee568d64519a8542d"),
    ("Answer::State, version", 3035, "fbc36f214b67438bc36b24bd5af3fd9e"),
    ("Answer::State, upload", 2954, "2e7f100629e69e8f65a464a0d8e1593d"),
    ("Answer::PageDigest", 34, "ca36d7c421a426945b4498981799f772"),
    ("Answer::Receipt", 821, "4c420bfefef30ef16fd6e30164094856"),
    ("Answer::Status", 56, "1f8147bf44ccb3a37ed78d4528d446a2"),
    ("Answer::Failed, malformed", 3, "a6f9abd4a057061b04844b4bae1db79f"),
    ("Answer::Failed, behind", 11, "b851a79d962bf3bee2599f9e911f2a0a"),
    ("Answer::Failed, not held", 3, "da3347278676c9b3013b78cd031341b7"),
    ("Answer::Failed, overloaded", 3, "33a6f5eaf6bd7500d9fad1201a555402"),
    ("Answer::Page, nothing", 11, "5d39921d26892ab665b4b019100822c0"),
    ("Answer::Page, buckets", 45, "1612def04170057d4899f7822247a9a9"),
    ("Answer::Page, objects", 209, "7ae3cd50a59e5bae2669c1c04589c3b3"),
    ("Answer::Page, uploads", 156, "f7f6c318ad0360184b3d51727fef64a8"),
    ("Answer::Page, parts", 190, "590f5e093eb5b8878f1396f1dc8cd949"),
    ("Answer::Page, versions", 139, "c086e1517eafe232e273d264f71ec005"),
    ("Answer::Page, current", 29, "dea526d95a551c41b9790a22c03a3f87"),
    ("Answer::Page, annotation", 27, "625ea2fa4005ec5443558910b4a302fe"),
    ("Answer::Page, moment", 31, "af8459aa8af0ee7bdcb584b7f7cf746d"),
    ("Message::Question", 10, "dfbddf8458ab06226986f7d369bfc00f"),
    ("Message::Reply", 53, "579eca33667d817a3e8d57837f2696a6"),
    ("digest of a block", 32, "056421abbb6ec4fdd8b23ab55963305d"),
    ("digest of a page", 32, "7f7101a62cdfb9dd8ecb9f48be010c5b"),
    ("root of a state", 32, "594faa1154d82f6ec5fff620b531af8d"),
];

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(samples);

#[test]
fn formats_are_frozen() {
    let encodings = SAMPLES.iter().map(|sample| (sample.name, sample.bytes.to_vec()));
    let now: Vec<(&str, usize, String)> = encodings
        .chain(derived())
        .map(|(name, bytes)| {
            (name, bytes.len(), sha256("outlast/test/format", &[&bytes]).to_string()[..32].to_owned())
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

#[test]
fn samples_come_back() {
    for sample in SAMPLES.iter() {
        assert_eq!((sample.recode)(sample.bytes.clone()), Some(sample.bytes.clone()), "{}", sample.name);
    }
}

#[test]
fn proofs_prove_what_the_state_holds_and_nothing_else() {
    let state = samples::state();
    for (name, record, proof) in &state.proofs {
        assert_eq!(proof.verify(name, &state.root), Ok(record.clone()));
        for (other, held, _) in &state.proofs {
            let claim = proof.verify(other, &state.root);
            assert!(claim.is_err() || claim == Ok(held.clone()), "a proof says what is not so");
        }
    }
}

/// Bytes that decode must be those that encoding gives back.
fn is_canonical(sample: &Sample, bytes: &[u8]) {
    if let Some(again) = (sample.recode)(Bytes::copy_from_slice(bytes)) {
        assert_eq!(again, bytes, "{} has two encodings", sample.name);
    }
}

proptest! {
    #[test]
    fn noise_never_panics_and_decodes_canonically(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..9u8,
    ) {
        for sample in SAMPLES.iter() {
            is_canonical(sample, &noise);
            is_canonical(sample, &[&[chain::protocol::VERSION, kind], noise.as_slice()].concat());
        }
    }

    #[test]
    fn damage_never_panics_and_decodes_canonically(at in any::<Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for sample in SAMPLES.iter() {
            let mut bytes = sample.bytes.to_vec();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            is_canonical(sample, &bytes);
        }
    }
}

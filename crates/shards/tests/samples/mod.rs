//! One fixed value, or more, of everything that lane 1 carries.

use bytes::Bytes;
use proof::{
    Digest, Manifest, SecretKey, StorageReceipt,
    manifest::{Opening, Page, PageRef, SealedKey, Segment},
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use shards::wire::{Certify, Missing, NodeStatus, Request, Response, Shard};

/// A value's name and its encoding.
pub(crate) struct Sample {
    /// The type, and what tells the value from others of the type.
    pub(crate) name: &'static str,
    /// The encoding.
    pub(crate) bytes: Bytes,
    /// Decodes these bytes as the type, and encodes what that gave. `None`: they do not decode.
    pub(crate) recode: fn(Bytes) -> Option<Bytes>,
}

fn list<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("samples are short")
}

fn octets<const MAX: usize>(bytes: &'static [u8]) -> Octets<MAX> {
    Octets::new(bytes).expect("samples are short")
}

fn shard() -> Shard {
    let shards = list((0..4).map(|at| Digest([at; 32])).collect());
    Shard { index: 3, opening: Opening { k: 2, ciphertext_length: 10, shards }, bytes: octets(b"shard") }
}

fn page() -> Page {
    let chunks = list(vec![Digest([4; 32]), Digest([5; 32])]);
    let sealed_key = SealedKey([3; 48]);
    Page::new(vec![Segment { sealed_key, first_chunk: 7, length: (1 << 20) + 1, chunks }]).expect("a page")
}

fn paged() -> Manifest {
    Manifest::Paged(list(vec![PageRef { id: page().id(), length: page().length(), chunks: 2 }]))
}

fn status() -> NodeStatus {
    NodeStatus {
        bytes: 1,
        live_bytes: 2,
        bytes_max: u64::MAX,
        segments: 3,
        held: 4,
        pending: 5,
        missing: 6,
        unresolved: 7,
        damaged: 8,
        referenced_height: 9,
        endangered: 10,
        unhealable: 11,
        inconsistent: 12,
        healed: 13,
        healed_bytes: 14,
        heal_failures: 15,
        heal_bytes_per_second: 16,
        heal_seconds: 17,
        scrubbed_passes: 18,
        scrubbed_bytes: 19,
        failed: 20,
    }
}

/// A request of every kind.
pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let page_bytes = Octets::new(page().encode()).expect("a page fits");
    vec![
        ("Request::PutShard", Request::PutShard(shard())),
        ("Request::PutPage", Request::PutPage(page_bytes)),
        (
            "Request::Certify, direct",
            Request::Certify(Certify { time_ms: 4, manifest: Manifest::Direct(page()) }),
        ),
        ("Request::Certify, paged", Request::Certify(Certify { time_ms: 4, manifest: paged() })),
        ("Request::GetShard", Request::GetShard(Digest([1; 32]))),
        ("Request::GetPage", Request::GetPage(Digest([2; 32]))),
        ("Request::Status", Request::Status),
        ("Request::Holds", Request::Holds(list(vec![Digest([1; 32]), Digest([2; 32])]))),
    ]
}

/// A response of every kind.
pub(crate) fn responses() -> Vec<(&'static str, Response)> {
    let key = SecretKey::from_seed([1; 32]);
    let receipt = StorageReceipt::sign(Digest([1; 32]), 3, Digest([2; 32]), 4, 1, &key);
    let missing =
        Missing { chunks: list(vec![Digest([1; 32])]), pages: list(vec![Digest([2; 32]), Digest([3; 32])]) };
    let page_bytes = Octets::new(page().encode()).expect("a page fits");
    vec![
        ("Response::Done", Response::Done),
        ("Response::Receipt", Response::Receipt(receipt)),
        ("Response::Missing", Response::Missing(missing)),
        ("Response::Shard", Response::Shard(shard())),
        ("Response::Page", Response::Page(page_bytes)),
        ("Response::NotHeld", Response::NotHeld),
        ("Response::Status", Response::Status(status())),
        ("Response::Full", Response::Full),
        ("Response::Refused", Response::Refused(octets(b"why"))),
        ("Response::Failed", Response::Failed),
        ("Response::Held", Response::Held(octets(b"\x01\0"))),
    ]
}

/// Every sample.
pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = vec![Sample {
        name: "Shard",
        bytes: shard().encode(),
        recode: |bytes| Some(Shard::decode(bytes).ok()?.encode()),
    }];
    samples.extend(requests().into_iter().map(|(name, request)| Sample {
        name,
        bytes: request.encode(),
        recode: |bytes| Some(Request::decode(bytes).ok()?.encode()),
    }));
    samples.extend(responses().into_iter().map(|(name, response)| Sample {
        name,
        bytes: response.encode(),
        recode: |bytes| Some(Response::decode(bytes).ok()?.encode()),
    }));
    samples
}

//! What malicious writers send, made without any I/O.

use crate::adversary::chance::Chance;
use blob::{Code, EncodedChunk};
use bytes::Bytes;
use chain::protocol::{Request, VERSION};
use proof::{
    AvailabilityCertificate, Digest, Manifest, SecretKey, SignedTransaction, StorageReceipt,
    limits::TRANSACTION_BYTES_MAX,
    manifest::{Page, PageRef, SealedKey, Segment},
    wire::{Encode as _, List},
};
use shards::wire::Certify;

/// Shards of which each is the one that the opening names, and which are not one encoding of anything: some are of an
/// honest encoding, the others junk. Often only parity is junk: then some readers still get the honest bytes.
pub(super) fn inconsistent(code: &Code, ciphertext: &[u8], chance: &Chance) -> EncodedChunk {
    let mut chunk = code.encode(ciphertext);
    let length = chunk.opening.shard_length();
    let (k, n) = (code.k(), code.n());
    let from = if chance.percent(60) { k } else { 0 };
    // Of a code without parity there is only data to spoil.
    let spoiled = (from.min(n - 1)..n).filter(|_| chance.percent(60)).collect::<Vec<_>>();
    let spoiled = if spoiled.is_empty() { vec![n - 1] } else { spoiled };
    let mut hashes = chunk.opening.shards.to_vec();
    for index in spoiled {
        let junk = Bytes::from(chance.junk(length));
        hashes[index] = Digest(*blake3::hash(&junk).as_bytes());
        chunk.shards[index] = junk;
    }
    chunk.opening.shards = List::new(hashes).expect("as many as before");
    chunk.id = chunk.opening.id();
    chunk
}

/// The manifest with other chunks in the place of its own. `None` for one that lists pages.
pub(super) fn with_chunks(manifest: &Manifest, mut other: impl FnMut(Digest) -> Digest) -> Option<Manifest> {
    let Manifest::Direct(page) = manifest else { return None };
    let segments = page.segments().iter().map(|segment| {
        let chunks = segment.chunks.iter().map(|chunk| other(*chunk)).collect();
        Segment { chunks: List::new(chunks).expect("as many as before"), ..segment.clone() }
    });
    Some(Manifest::Direct(Page::new(segments.collect()).expect("lengths are as before")))
}

/// A manifest of what nobody ever sent: directly, or in a page.
pub(super) fn unsent(chance: &Chance) -> Manifest {
    if chance.percent(50) {
        let page = PageRef { id: Digest(chance.bytes()), length: 1_000, chunks: 1 };
        return Manifest::Paged(List::new(vec![page]).expect("one page"));
    }
    let segment = Segment {
        sealed_key: SealedKey([7; 48]),
        first_chunk: 0,
        length: 1_000,
        chunks: List::new(vec![Digest(chance.bytes())]).expect("one chunk"),
    };
    Manifest::Direct(Page::new(vec![segment]).expect("one chunk holds so much"))
}

/// Certificates for `manifest` that are none, each with what is wrong with it. `honest` is another manifest's.
pub(super) fn certificates(
    honest: &AvailabilityCertificate,
    network: Digest,
    manifest: Digest,
    key: &SecretKey,
) -> Vec<(&'static str, AvailabilityCertificate)> {
    let of = |epoch, receipts: Vec<StorageReceipt>| AvailabilityCertificate {
        epoch,
        time_ms: honest.time_ms,
        receipts: List::new(receipts).expect("no more than nodes"),
    };
    let receipts = honest.receipts.to_vec();
    let own = |receipt: &StorageReceipt| {
        StorageReceipt::sign(network, honest.epoch, manifest, honest.time_ms, receipt.node, key)
    };
    let one_own = receipts.iter().take(1).map(own).chain(receipts.iter().skip(1).cloned());
    vec![
        ("another manifest's receipts", honest.clone()),
        ("another manifest's receipts in another epoch", of(honest.epoch + 1, receipts.clone())),
        ("receipts signed by the writer", of(honest.epoch, receipts.iter().map(own).collect())),
        ("another manifest's receipts and one of its own", of(honest.epoch, one_own.collect())),
        ("one receipt many times", of(honest.epoch, vec![receipts[0].clone(); receipts.len()])),
        ("no receipts", of(honest.epoch, Vec::new())),
    ]
}

/// Messages for the chain's lane that are no requests, made of one that is.
pub(super) fn malformed(signed: &SignedTransaction, chance: &Chance) -> Vec<(&'static str, Bytes)> {
    let request = Request::Submit(signed.clone()).to_message();
    let cut = request.slice(..chance.below(request.len()));
    let mut flipped = request.to_vec();
    let at = chance.below(flipped.len());
    flipped[at] ^= 1 << chance.below(8);
    let mut unknown = request.to_vec();
    unknown[0] = VERSION + 1;
    // The number of operations stands after network, tenant, signer, nonce, expiry and number of preconditions.
    let mut endless = request.to_vec();
    let operations = 2 + 32 + 16 + 32 + 16 + 8 + 4;
    endless[operations..operations + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let trailing = [&request, &b"and more"[..]].concat();
    let large = [&request, &chance.junk(2 * TRANSACTION_BYTES_MAX)[..]].concat();
    vec![
        ("nothing", Bytes::new()),
        ("a request that is cut off", cut),
        ("a request with a bit flipped", flipped.into()),
        ("a request of a later version", unknown.into()),
        ("a request with too many operations", endless.into()),
        ("a request with something after it", trailing.into()),
        ("a request larger than any", large.into()),
        ("junk", chance.junk(1 + chance.below(4096)).into()),
        ("the most junk that a link takes", chance.junk(link::BODY_MAX).into()),
    ]
}

/// The same for the shards' lane.
pub(super) fn malformed_shards(chance: &Chance) -> Vec<(&'static str, Bytes)> {
    let certify = shards::wire::Request::Certify(Certify { time_ms: 0, manifest: unsent(chance) }).encode();
    let cut = certify.slice(..chance.below(certify.len()));
    vec![
        ("a certification that is cut off", cut),
        ("junk for a shard", [&[0u8][..], &chance.junk(1 + chance.below(64 << 10))].concat().into()),
        ("a page that is none", shards_page(chance)),
    ]
}

fn shards_page(chance: &Chance) -> Bytes {
    let page = proof::wire::Octets::new(chance.junk(1 + chance.below(4096))).expect("short");
    shards::wire::Request::PutPage(page).encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use blob::DecodeError;
    use chain::protocol::ProtocolError;
    use proof::{Committee, wire::DecodeExt as _};

    fn manifest() -> Manifest {
        let segment = Segment {
            sealed_key: SealedKey([7; 48]),
            first_chunk: 0,
            length: 1_000,
            chunks: List::new(vec![Digest([1; 32])]).unwrap(),
        };
        Manifest::Direct(Page::new(vec![segment]).unwrap())
    }

    #[test]
    fn inconsistent_shards_are_committed_to_and_are_no_encoding() {
        let (code, chance) = (Code::new(2, 4).unwrap(), Chance::new(1));
        let ciphertext = vec![5; 999];
        let (mut some_read, mut none_read) = (0, 0);
        for _ in 0..100 {
            let chunk = inconsistent(&code, &ciphertext, &chance);
            assert_eq!(chunk.id, chunk.opening.id());
            let shards = chunk.shards.iter().enumerate();
            let checked: Vec<_> = shards
                .map(|(index, shard)| code.check_shard(&chunk.opening, index, shard.clone()).unwrap())
                .collect();
            assert!(matches!(code.rebuild(&chunk.opening, &checked), Err(DecodeError::Inconsistent)));
            match code.decode(&chunk.opening, &checked[..2]) {
                Ok(read) if read == ciphertext => some_read += 1,
                _ => none_read += 1,
            }
        }
        assert!(some_read > 20 && none_read > 10, "{some_read} {none_read}");
    }

    #[test]
    fn no_crafted_certificate_proves_anything() {
        let keys: Vec<SecretKey> = (0..4).map(|i| SecretKey::from_seed([i; 32])).collect();
        let committee = Committee::new(0, keys.iter().map(SecretKey::public_key).collect()).unwrap();
        let network = Digest([9; 32]);
        let index = |key: &SecretKey| committee.index(&key.public_key()).unwrap() as u8;
        let receipts =
            keys.iter().map(|key| StorageReceipt::sign(network, 0, manifest().id(), 7, index(key), key));
        let honest = AvailabilityCertificate::new(0, 7, receipts.collect());
        assert_eq!(honest.verify(network, &committee, manifest().id()), Ok(()));
        let other = with_chunks(&manifest(), |_| Digest([2; 32])).unwrap();
        let writer = SecretKey::from_seed([99; 32]);
        for (tried, certificate) in certificates(&honest, network, other.id(), &writer) {
            assert!(certificate.verify(network, &committee, other.id()).is_err(), "{tried}");
        }
    }

    #[test]
    fn malformed_messages_are_no_requests() {
        let signed = crate::adversary::sample::signed(7, 1);
        let request = Request::Submit(signed.clone()).to_message();
        for seed in 0..50 {
            for (tried, message) in malformed(&signed, &Chance::new(seed)) {
                assert_ne!(message, request, "{tried}");
                let decoded = Request::from_message(message);
                match tried {
                    // It may be another request, with a signature that is none.
                    "a request with a bit flipped" => {}
                    "a request of a later version" => {
                        assert!(matches!(decoded, Err(ProtocolError::Version(_))));
                    }
                    "a request with too many operations" => {
                        let Err(ProtocolError::Malformed(error)) = decoded else { panic!("it decoded") };
                        assert!(error.to_string().contains(&u32::MAX.to_string()), "{error}");
                    }
                    _ => assert!(decoded.is_err(), "{tried}"),
                }
            }
        }
    }

    #[test]
    fn what_is_unsent_is_a_manifest() {
        for seed in 0..10 {
            let manifest = unsent(&Chance::new(seed));
            assert_eq!(Manifest::decode(manifest.encode()).unwrap(), manifest);
        }
    }
}

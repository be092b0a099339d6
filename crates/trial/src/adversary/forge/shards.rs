//! Shards, pages and storage receipts.

use super::{Forged, flip};
use crate::adversary::{Rogue, rogue::Context};
use bytes::Bytes;
use proof::{
    Digest,
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use shards::wire::{Certify, Missing, Request, Response};

/// In so many of a hundred cases he does something.
const SHARE: u32 = 60;

/// What he says instead of `honest`.
pub(in crate::adversary) fn forge<E: Context>(rogue: &Rogue<E>, request: &Request, honest: Bytes) -> Forged {
    let Ok(answer) = Response::decode(honest.clone()) else { return Forged::honest(honest) };
    let others = {
        let mut memory = rogue.memory().lock();
        let others = memory.shards();
        memory.note_shards(honest.clone());
        others
    };
    if !rogue.chance().percent(SHARE) {
        return Forged::honest(honest);
    }
    match altered(rogue, request, answer, &others) {
        Some((answer, act)) => Forged::act(answer.encode(), act),
        None => Forged::honest(honest),
    }
}

type Lie = (Response, &'static str);

fn altered<E: Context>(
    rogue: &Rogue<E>,
    request: &Request,
    honest: Response,
    others: &[Bytes],
) -> Option<Lie> {
    let chance = rogue.chance();
    let same_kind = |other: &Response| std::mem::discriminant(other) == std::mem::discriminant(&honest);
    let other = chance
        .one_of(others)
        .and_then(|other| Response::decode(other.clone()).ok())
        .filter(|other| same_kind(other) && *other != honest);
    match (honest, other) {
        (Response::Shard(mut shard), other) => {
            let act = match (chance.below(7), other) {
                (0, _) => {
                    shard.bytes = Octets::new(flip(chance, &shard.bytes)).expect("as long as before");
                    "flipped a bit of a shard"
                }
                (1, Some(Response::Shard(other))) => {
                    shard.bytes = other.bytes;
                    "gave another chunk's bytes"
                }
                (2, Some(other)) => return Some((other, "gave another chunk's shard")),
                (3, _) => {
                    shard.index = shard.index.wrapping_add(1 + chance.below(254) as u8);
                    "gave a shard as another's"
                }
                (4, _) => {
                    let mut hashes = shard.opening.shards.to_vec();
                    if hashes.is_empty() {
                        return None;
                    }
                    let at = chance.below(hashes.len());
                    hashes[at] = Digest(chance.bytes());
                    shard.opening.shards = List::new(hashes).expect("as many as before");
                    "altered an opening"
                }
                (5, _) => {
                    let cut = shard.bytes.bytes().slice(..shard.bytes.len() / 2);
                    shard.opening.ciphertext_length /= 2;
                    shard.bytes = Octets::new(cut).expect("shorter than before");
                    "cut a shard short"
                }
                _ => return Some((Response::NotHeld, "denied to hold a shard")),
            };
            Some((Response::Shard(shard), act))
        }
        (Response::Page(page), other) => Some(match (chance.below(3), other) {
            (0, _) => {
                let flipped = Octets::new(flip(chance, &page)).expect("as long as before");
                (Response::Page(flipped), "flipped a bit of a page")
            }
            (1, Some(other)) => (other, "gave another page"),
            _ => (Response::NotHeld, "denied to hold a page"),
        }),
        (Response::Receipt(mut receipt), other) => Some(match (chance.below(4), other) {
            (0, Some(other)) => (other, "gave a storage receipt for another manifest"),
            (1, _) => {
                receipt.node = receipt.node.wrapping_add(1);
                (Response::Receipt(receipt), "gave a storage receipt as another node's")
            }
            (2, _) => {
                let at = chance.below(receipt.signature.0.len());
                receipt.signature.0[at] ^= 1;
                (Response::Receipt(receipt), "altered a storage receipt")
            }
            _ => (Response::Missing(lacks(rogue, request)), "said that it lacks what it holds"),
        }),
        (Response::Missing(_), _) => {
            let Request::Certify(certify) = request else { return None };
            let receipt = rogue.storage_receipt(certify.manifest.id(), certify.time_ms);
            Some((Response::Receipt(receipt), "signed for what it lacks"))
        }
        (Response::Status(mut status), _) => {
            (status.held, status.referenced_height) = (u64::MAX, u64::MAX);
            Some((Response::Status(status), "boasted"))
        }
        (Response::NotHeld, Some(other)) => Some((other, "gave something else")),
        _ => None,
    }
}

/// Some of what a manifest names, or something that it does not.
fn lacks<E: Context>(rogue: &Rogue<E>, request: &Request) -> Missing {
    let chance = rogue.chance();
    let chunk = match request {
        Request::Certify(Certify { manifest: proof::Manifest::Direct(page), .. }) if chance.percent(70) => {
            page.chunks().next().copied()
        }
        _ => None,
    };
    let chunk = chunk.unwrap_or_else(|| Digest(chance.bytes()));
    Missing { chunks: List::new(vec![chunk]).expect("one chunk"), pages: List::default() }
}

//! One fixed value, or more, of everything of this crate that is sent, stored in blocks, or proved.

use bytes::Bytes;
use chain::{
    block::{Block, leaves},
    inquiry::{Message, Reply},
    protocol::*,
    state::{self, Database, StateProof, to_value},
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_runtime::{Runner as _, Supervisor as _, buffer::paged::CacheRef, deterministic};
use commonware_storage::qmdb::floor::Proportional;
use commonware_utils::{NZU16, NZUsize};
use ledger::{Record, StateKey, key, record};
use proof::{
    BucketName, Committee, Digest, Header, PublicKey, SecretKey, Signature, SignedTransaction, TenantId,
    Transaction, UploadId, VersionId,
    entry::{PartEntry, UploadEntry, VersionEntry, VersionKind},
    finality::{Finalization, FinalizedHeader},
    merkle,
    transaction::{
        About, Attachment, Body, DeleteBucket, Operation, Payload, Place, PutVersion, Target, TargetAt,
    },
    wire::{List, Octets},
};

/// A value's name and its encoding.
pub(crate) struct Sample {
    /// The type, and what tells the value from others of the type.
    pub(crate) name: &'static str,
    /// The encoding.
    pub(crate) bytes: Bytes,
    /// Decodes these bytes as the type, and encodes what that gave. `None`: they do not decode.
    pub(crate) recode: fn(Bytes) -> Option<Bytes>,
}

const TENANT: TenantId = TenantId([7; 16]);
const UPLOAD: UploadId = UploadId([8; 16]);
const VERSION: VersionId = VersionId { height: 1, index: 2, operation: 3 };

fn place() -> Place {
    Place { bucket: bucket(), key: "a/key".parse().expect("a key") }
}

fn bucket() -> BucketName {
    "bucket".parse().expect("a bucket's name")
}

fn octets<const MAX: usize>(bytes: &[u8]) -> Octets<MAX> {
    Octets::new(bytes.to_vec()).expect("samples are short")
}

fn list<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("samples are short")
}

fn body() -> Body {
    Body {
        ciphertext_length: 7,
        content: Digest([9; 32]),
        sealed: Attachment::of(b"sealed"),
        payload: Payload::Inline(Attachment::of(b"payload")),
    }
}

/// A transaction with attachments, signed.
fn signed() -> SignedTransaction {
    let key = SecretKey::from_seed([3; 32]);
    let operations = vec![
        Operation::PutVersion(PutVersion { place: place(), body: body() }),
        Operation::DeleteBucket(DeleteBucket { bucket: bucket() }),
    ];
    let transaction = Transaction {
        network: Digest([1; 32]),
        tenant: TENANT,
        signer: key.public_key(),
        nonce: [4; 16],
        expires_ms: 5,
        preconditions: List::default(),
        operations: list(operations),
    };
    transaction.sign(&key, vec![Bytes::from_static(b"sealed"), Bytes::from_static(b"payload")])
}

/// A block of two transactions, of which the second was refused.
pub(crate) fn block() -> Block {
    let (transactions, outcomes) = (vec![signed(), signed()], vec![0, 20]);
    let header = Header {
        network: Digest([1; 32]),
        committee: Committee::new(0, vec![PublicKey([3; 32])]).expect("one node is a committee").digest(),
        epoch: 0,
        view: 300,
        leader: PublicKey([3; 32]),
        parent_view: 299,
        parent: Digest([4; 32]),
        height: 200,
        time_ms: 1,
        transactions: 2,
        transactions_root: merkle::root(&leaves(&transactions, &outcomes)),
        state_root: Digest([6; 32]),
        log_root: Digest([7; 32]),
        log_start: 1,
        log_end: 2,
    };
    Block { header, transactions: list(transactions), outcomes: list(outcomes) }
}

fn finalized() -> FinalizedHeader {
    let header = block().header;
    let signatures = vec![(0, Signature([8; 64])), (2, Signature([9; 64]))];
    let block = header.digest();
    let finalization =
        Finalization { epoch: 0, view: 300, parent_view: 299, block, committee_size: 4, signatures };
    FinalizedHeader { header, descendants: List::default(), finalization }
}

/// A small state: its root, and each key with what it holds and the proof of that.
pub(crate) struct State {
    /// The canonical root.
    pub(crate) root: Digest,
    /// Keys that hold something, then keys that hold nothing.
    pub(crate) proofs: Vec<(StateKey, Option<Record>, StateProof)>,
}

/// The state after 40 keys were written, half of them twice.
pub(crate) fn state() -> State {
    deterministic::Runner::default().start(|context| async move {
        let config = state::config("state", CacheRef::new(NZU16!(4096), NZUsize!(64)));
        let mut database: Database<deterministic::Context> =
            Database::init(context.child("state"), config, None).await.expect("a new state opens");
        let name = |number: u64| key::outcome(&Digest([number as u8; 32]));
        let held = |number: u64, time_ms| {
            Record::from(record::Outcome { height: number, index: 0, code: 0, time_ms })
        };
        for (numbers, time_ms) in [(0..40, 1), (0..20, 2)] {
            let mut batch = database.new_batch();
            for number in numbers {
                let name = chain::block::engine_digest(&name(number));
                batch = batch.write(name, Some(to_value(&held(number, time_ms))));
            }
            let batch = batch.merkleize(&database, None, &mut Proportional).await.expect("it hashes");
            database = database.apply_batch(batch).await.expect("it applies");
        }
        let root = chain::block::digest(&database.root());
        let mut proofs = Vec::new();
        for number in [0, 10, 39, 50, 60] {
            let record = (number < 40).then(|| held(number, if number < 20 { 2 } else { 1 }));
            proofs.push((name(number), record, StateProof::make(&database, &name(number)).await));
        }
        State { root, proofs }
    })
}

/// A request of every kind.
pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    let (tenant, upload, version) = (TENANT, UPLOAD, VERSION);
    let read = |subject| Request::Read(ReadRequest { subject, min_height: 9 });
    let listed = |listing| Request::List(ListRequest { listing, height: 9, tip: 11, digest_only: true });
    let objects = |after| {
        let (prefix, delimiter) = (octets(b"a/"), octets(b"/"));
        listed(Listing::Objects(ObjectsQuery {
            tenant,
            bucket: bucket(),
            prefix,
            delimiter,
            after,
            limit: 10,
        }))
    };
    let after = list(vec![AfterUpload { key: octets(b"a"), upload }]);
    let uploads = UploadsQuery { tenant, bucket: bucket(), prefix: octets(b""), after, limit: 3 };
    let parts = PartsQuery { tenant, upload, after: 1, limit: 2, payloads: true };
    let versions = |after| {
        listed(Listing::Versions(VersionsQuery {
            tenant,
            bucket: bucket(),
            prefix: octets(b"a/"),
            delimiter: octets(b"/"),
            after,
            limit: 10,
            hidden: true,
            exact: false,
        }))
    };
    let after_version = AfterVersion::Place(AfterPlace { key: octets(b"k"), version });
    vec![
        ("Request::Submit", Request::Submit(signed())),
        ("Request::Tip", Request::Tip(7)),
        ("Request::Read, keys", read(Subject::Keys(list(vec![Digest([1; 32]), Digest([2; 32])])))),
        ("Request::Read, head", read(Subject::Head(TenantPlace { tenant, place: place() }))),
        ("Request::Read, version", read(Subject::Version(TenantVersion { tenant, place: place(), version }))),
        ("Request::Read, shown", read(Subject::Shown(TenantVersion { tenant, place: place(), version }))),
        ("Request::Read, upload", read(Subject::Upload(TenantUpload { tenant, upload }))),
        (
            "Request::List, buckets",
            listed(Listing::Buckets(BucketsQuery { tenant, after: octets(b"abc"), limit: 1 })),
        ),
        ("Request::List, objects", objects(After::Start)),
        ("Request::List, objects after a key", objects(After::Key(octets(b"k")))),
        ("Request::List, objects after a prefix", objects(After::Prefix(octets(b"p")))),
        ("Request::List, uploads", listed(Listing::Uploads(uploads))),
        ("Request::List, parts", listed(Listing::Parts(parts))),
        ("Request::List, versions", versions(AfterVersion::Start)),
        ("Request::List, versions after a key", versions(AfterVersion::Key(octets(b"k")))),
        ("Request::List, versions after a prefix", versions(AfterVersion::Prefix(octets(b"p")))),
        ("Request::List, versions after a version", versions(after_version)),
        ("Request::List, current", listed(Listing::Current(TenantPlace { tenant, place: place() }))),
        ("Request::List, moment", listed(Listing::Moment(10))),
        ("Request::List, annotation", listed(Listing::Annotation(AnnotationQuery { tenant, about: tags() }))),
        ("Request::Receipt", Request::Receipt(Position { height: 1, index: 2 })),
        ("Request::Status", Request::Status),
    ]
}

fn tags() -> About {
    About::VersionTags(TargetAt { place: place(), version: Target::Version(VERSION) })
}

fn version_entry(kind: VersionKind) -> VersionEntry {
    VersionEntry { tenant: TENANT, place: place(), version: VERSION, time_ms: 1, kind }
}

fn named_upload() -> NamedUpload {
    let sealed = Attachment::of(b"sealed");
    let entry =
        UploadEntry { tenant: TENANT, upload: UPLOAD, place: place(), version: VERSION, time_ms: 1, sealed };
    NamedUpload { entry, sealed: octets(b"sealed") }
}

fn decision() -> Decision {
    let path = merkle::path(&block().leaves(), 1);
    Decision { block: finalized(), index: 1, outcome: 20, signature: signed().signature, path }
}

fn pages() -> Vec<(&'static str, Page)> {
    let objects = ObjectsPage {
        objects: list(vec![ListedObject {
            entry: version_entry(VersionKind::Object(body())),
            sealed: octets(b"s"),
        }]),
        prefixes: list(vec![octets(b"a/")]),
        next: list(vec![After::Prefix(octets(b"a/"))]),
    };
    let bucket = ListedBucket { bucket: bucket(), created: VERSION, created_ms: 1 };
    let entry = PartEntry { upload: UPLOAD, number: 4, version: VERSION, time_ms: 1, body: body() };
    let part = ListedPart { entry, sealed: octets(b"s"), payload: list(vec![octets(b"manifest")]) };
    let listed = ListedVersion {
        entry: version_entry(VersionKind::Marker),
        sealed: List::default(),
        current: true,
        hidden: list(vec![HiddenSince { changed: VERSION, time_ms: 2 }]),
    };
    let after = AfterPlace { key: octets(b"a/key"), version: VERSION };
    let versions = VersionsPage {
        versions: list(vec![listed]),
        prefixes: list(vec![octets(b"a/")]),
        next: list(vec![AfterVersion::Place(after)]),
    };
    vec![
        ("Answer::Page, nothing", Page::NoSuch),
        ("Answer::Page, buckets", Page::Buckets(BucketsPage { buckets: list(vec![bucket]), more: true })),
        ("Answer::Page, objects", Page::Objects(objects)),
        (
            "Answer::Page, uploads",
            Page::Uploads(UploadsPage {
                uploads: list(vec![named_upload()]),
                next: list(vec![AfterUpload { key: octets(b"a"), upload: UPLOAD }]),
            }),
        ),
        ("Answer::Page, parts", Page::Parts(PartsPage { parts: list(vec![part]), more: false })),
        ("Answer::Page, versions", Page::Versions(versions)),
        ("Answer::Page, current", Page::Current(list(vec![VERSION]))),
        ("Answer::Page, annotation", Page::Annotation(list(vec![octets(b"document")]))),
        ("Answer::Page, moment", Page::Moment(list(vec![Moment { height: 1, time_ms: 2 }]))),
    ]
}

/// An answer of every kind.
pub(crate) fn answers(state: &State) -> Vec<(&'static str, Answer)> {
    let sealed = list(vec![octets(b"sealed")]);
    let entry = version_entry(VersionKind::Object(body()));
    let version = NamedVersion { entry, sealed, payload: list(vec![octets(b"payload")]) };
    let state_answer = |named| {
        let proofs = list(state.proofs.iter().map(|(_, _, proof)| proof.clone()).collect());
        Answer::State(StateAnswer { block: finalized(), proofs, named })
    };
    let expired = ProvenExpiry { block: finalized(), absence: state.proofs[4].2.clone() };
    let status = StatusAnswer {
        software: text("0.1.0"),
        height: 1,
        time_ms: 2,
        index_height: 3,
        stance: Stance::Quarantined(6),
        pending: 4,
        pending_bytes: 5,
    };
    let mut answers = vec![
        ("Answer::Submitted, decided", Answer::Submitted(Submitted::Decided(decision()))),
        ("Answer::Submitted, inadmissible", Answer::Submitted(Submitted::Inadmissible(text("why")))),
        ("Answer::Submitted, overloaded", Answer::Submitted(Submitted::Overloaded)),
        ("Answer::Submitted, expired", Answer::Submitted(Submitted::Expired(expired))),
        ("Answer::Submitted, pending", Answer::Submitted(Submitted::Pending)),
        ("Answer::Tip", Answer::Tip(finalized())),
        ("Answer::State, nothing named", state_answer(Named::Nothing)),
        ("Answer::State, version", state_answer(Named::Version(version))),
        ("Answer::State, upload", state_answer(Named::Upload(named_upload()))),
        ("Answer::PageDigest", Answer::PageDigest(Digest([1; 32]))),
        (
            "Answer::Receipt",
            Answer::Receipt(ReceiptAnswer { transaction: signed().transaction, decision: decision() }),
        ),
        ("Answer::Status", Answer::Status(status)),
        ("Answer::Failed, malformed", Answer::Failed(Failure::Malformed)),
        ("Answer::Failed, behind", Answer::Failed(Failure::Behind(3))),
        ("Answer::Failed, not held", Answer::Failed(Failure::NotHeld)),
        ("Answer::Failed, overloaded", Answer::Failed(Failure::Overloaded)),
    ];
    let page = |(name, page)| (name, Answer::Page(PageAnswer { height: 9, page }));
    answers.extend(pages().into_iter().map(page));
    answers
}

/// Every sample.
pub(crate) fn samples() -> Vec<Sample> {
    let state = state();
    let (held, absent) = (&state.proofs[0].2, &state.proofs[4].2);
    let mut samples = vec![
        Sample {
            name: "Block",
            bytes: block().encode(),
            recode: |bytes| Some(Block::decode(bytes).ok()?.encode()),
        },
        Sample { name: "StateProof::Present", bytes: held.encode(), recode: recode_proof },
        Sample { name: "StateProof::Absent", bytes: absent.encode(), recode: recode_proof },
    ];
    samples.extend(requests().into_iter().map(|(name, request)| Sample {
        name,
        bytes: request.to_message(),
        recode: |bytes| Some(Request::from_message(bytes).ok()?.to_message()),
    }));
    samples.extend(answers(&state).into_iter().map(|(name, answer)| Sample {
        name,
        bytes: answer.to_message(),
        recode: |bytes| Some(Answer::from_message(bytes).ok()?.to_message()),
    }));
    samples.extend(messages().into_iter().map(|(name, message)| Sample {
        name,
        bytes: message.to_bytes(),
        recode: |bytes| Some(Message::from_bytes(bytes).ok()?.to_bytes()),
    }));
    samples
}

/// What nodes say to one another about votes.
fn messages() -> Vec<(&'static str, Message)> {
    let reply = Reply {
        number: 1,
        remembers: true,
        certificate: list(vec![octets(b"certificate")]),
        votes: list(vec![octets(b"vote"), octets(b"another")]),
    };
    vec![("Message::Question", Message::Question(1)), ("Message::Reply", Message::Reply(reply))]
}

fn recode_proof(bytes: Bytes) -> Option<Bytes> {
    Some(StateProof::decode(bytes).ok()?.encode())
}

/// Hashes that follow from encodings.
pub(crate) fn derived() -> Vec<(&'static str, Vec<u8>)> {
    let (_, page) = pages().remove(2);
    vec![
        ("digest of a block", block().header.digest().0.to_vec()),
        ("digest of a page", PageAnswer { height: 9, page }.digest().0.to_vec()),
        ("root of a state", state().root.0.to_vec()),
    ]
}

//! One fixed value, or more, of every type that has an encoding.

use bytes::Bytes;
use proof::{
    AvailabilityCertificate, BucketName, Committee, Digest, Genesis, Header, Lineage, Manifest, ObjectKey,
    PublicKey, Receipt, SecretKey, Signature, SignedTransaction, StorageReceipt, TenantId, Transaction,
    UploadId, VersionId,
    entry::{AnnotationEntry, PartEntry, UploadEntry, VersionEntry, VersionKind},
    finality::{Finalization, FinalizedHeader},
    genesis::GenesisTenant,
    lineage::{Approval, Recovery, Terms},
    manifest::{Opening, Page, PageRef, SealedKey, Segment},
    merkle::{Leaf, Path},
    receipt::{ContentOpening, ContentRun},
    transaction::{
        AbortUpload, About, AddKey, Annotate, Attachment, Body, CompleteUpload, CreateBucket, CreateTenant,
        CreateUpload, DefaultRetention, DeleteBucket, HideVersion, KeyAt, Mode, Operation, Payload, Period,
        Place, Precondition, PutMarker, PutPart, PutVersion, Quota, Retention, RevokeKey, SetBucketLock,
        SetHold, SetQuota, SetRetention, SetTenantQuota, Stored, Succession, Target, TargetAt,
        UndeleteBucket, UnhideVersion, UploadAt,
    },
    wire::{DecodeExt, Encode, Error, List, Octets},
};

/// A type's name and the encoding of a value of it.
pub(crate) struct Sample {
    /// The type, and what tells the value from others of the type.
    pub(crate) name: &'static str,
    /// The encoding.
    pub(crate) bytes: Bytes,
    /// Decodes these bytes as the type, and encodes what that gave.
    pub(crate) recode: fn(Bytes) -> Result<Bytes, Error>,
}

/// The samples: `name: Type = value`.
macro_rules! samples {
    ($($name:literal: $type:ty = $value:expr;)*) => {
        vec![$({
            let value: $type = $value;
            Sample { name: $name, bytes: value.encode(), recode: |bytes| Ok(<$type>::decode(bytes)?.encode()) }
        }),*]
    };
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn list<T: std::fmt::Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("samples are short")
}

fn place() -> Place {
    Place { bucket: bucket(), key: "photos/naïve café.jpg".parse().expect("a key") }
}

fn bucket() -> BucketName {
    "a-bucket.1".parse().expect("a bucket's name")
}

fn version() -> VersionId {
    VersionId { height: 0x0102_0304_0506_0708, index: 9, operation: 10 }
}

fn committee() -> Committee {
    Committee::new(3, (1..=4).map(|seed| key(seed).public_key()).collect()).expect("a committee")
}

fn certificate() -> AvailabilityCertificate {
    let receipts = (0..3).map(|node| {
        StorageReceipt::sign(Digest([1; 32]), 3, Digest([2; 32]), 1_800_000_000_000, node, &key(1))
    });
    AvailabilityCertificate::new(3, 1_800_000_000_000, receipts.collect())
}

fn segment() -> Segment {
    let chunks = list(vec![Digest([4; 32]), Digest([5; 32])]);
    Segment { sealed_key: SealedKey([3; 48]), first_chunk: 7, length: (1 << 20) + 1, chunks }
}

fn page() -> Page {
    Page::new(vec![segment(), segment()]).expect("a page")
}

fn page_ref() -> PageRef {
    PageRef { id: Digest([6; 32]), length: 1 << 32, chunks: 4096 }
}

fn attachment() -> Attachment {
    Attachment::of(b"attached")
}

fn stored() -> Stored {
    Stored { manifest: attachment(), certificate: certificate() }
}

fn body(payload: Payload) -> Body {
    Body { ciphertext_length: 1_234_567, content: Digest([8; 32]), sealed: attachment(), payload }
}

fn inline() -> Body {
    body(Payload::Inline(attachment()))
}

fn operations() -> Vec<Operation> {
    let (upload, stored) = (UploadId([9; 16]), body(Payload::Stored(stored())));
    vec![
        Operation::CreateBucket(CreateBucket { bucket: bucket() }),
        Operation::DeleteBucket(DeleteBucket { bucket: bucket() }),
        Operation::PutVersion(PutVersion { place: place(), body: inline() }),
        Operation::PutMarker(PutMarker { place: place() }),
        Operation::CreateUpload(CreateUpload { upload, place: place(), sealed: attachment() }),
        Operation::PutPart(PutPart { upload, number: 10_000, body: stored.clone() }),
        Operation::CompleteUpload(CompleteUpload { upload, place: place(), body: stored }),
        Operation::AbortUpload(AbortUpload { upload }),
        Operation::CreateTenant(CreateTenant {
            tenant: TenantId([10; 16]),
            name: Octets::new("tenant").expect("short"),
            key: key(5).public_key(),
        }),
        Operation::AddKey(AddKey { key: key(6).public_key() }),
        Operation::RevokeKey(RevokeKey { key: key(7).public_key() }),
    ]
}

/// Operations that came after the first format of transactions: the samples of those do without them.
fn quota() -> Quota {
    Quota { bytes: 21, objects: u64::MAX }
}

fn later_operations() -> Vec<(&'static str, Operation)> {
    let (place, version) = (place(), version());
    let hide = |succession| HideVersion { place: place.clone(), version, succession: list(succession) };
    let succession = |successor| Succession { revision: 12, successor: list(successor) };
    vec![
        ("Operation::HideVersion", Operation::HideVersion(hide(vec![]))),
        ("Operation::HideVersion, current", Operation::HideVersion(hide(vec![succession(vec![version])]))),
        ("Operation::HideVersion, last", Operation::HideVersion(hide(vec![succession(vec![])]))),
        (
            "Operation::UnhideVersion",
            Operation::UnhideVersion(UnhideVersion { place: place.clone(), version, current: true }),
        ),
        ("Operation::UndeleteBucket", Operation::UndeleteBucket(UndeleteBucket { bucket: bucket() })),
        (
            "Operation::SetBucketLock",
            Operation::SetBucketLock(SetBucketLock { bucket: bucket(), default: list(vec![]) }),
        ),
        (
            "Operation::SetBucketLock, days",
            Operation::SetBucketLock(default_retention(Mode::Governance, Period::Days(20))),
        ),
        (
            "Operation::SetBucketLock, years",
            Operation::SetBucketLock(default_retention(Mode::Compliance, Period::Years(3))),
        ),
        (
            "Operation::SetRetention",
            Operation::SetRetention(SetRetention {
                place: place.clone(),
                version: Target::Version(version),
                retention: list(vec![]),
                bypass: true,
            }),
        ),
        (
            "Operation::SetRetention, of a version being made",
            Operation::SetRetention(SetRetention {
                place: place.clone(),
                version: Target::Made(21),
                retention: list(vec![Retention { mode: Mode::Compliance, until_ms: 1_900_000_000_000 }]),
                bypass: false,
            }),
        ),
        (
            "Operation::SetHold",
            Operation::SetHold(SetHold {
                place: place.clone(),
                version: Target::Version(version),
                hold: true,
            }),
        ),
        (
            "Operation::SetQuota, Quota",
            Operation::SetQuota(SetQuota { bucket: bucket(), quota: list(vec![quota()]) }),
        ),
        (
            "Operation::SetQuota, none",
            Operation::SetQuota(SetQuota { bucket: bucket(), quota: list(vec![]) }),
        ),
        (
            "Operation::SetTenantQuota",
            Operation::SetTenantQuota(SetTenantQuota {
                tenant: TenantId([6; 16]),
                quota: list(vec![quota()]),
            }),
        ),
        ("Operation::Annotate, tags of a bucket", annotate(About::BucketTags(bucket()))),
        ("Operation::Annotate, CORS", annotate(About::BucketCors(bucket()))),
        ("Operation::Annotate, tags", annotate(tags())),
        ("Operation::Annotate, lifecycle", annotate(About::BucketLifecycle(bucket()))),
        ("Operation::Annotate, policy", annotate(About::BucketPolicy(bucket()))),
        ("Operation::Annotate, public access", annotate(About::BucketPublicAccess(bucket()))),
        (
            "Operation::Annotate, no more",
            Operation::Annotate(Annotate { about: About::BucketTags(bucket()), sealed: list(vec![]) }),
        ),
    ]
}

fn default_retention(mode: Mode, period: Period) -> SetBucketLock {
    SetBucketLock { bucket: bucket(), default: list(vec![DefaultRetention { mode, period }]) }
}

fn tags() -> About {
    About::VersionTags(TargetAt { place: place(), version: Target::Version(version()) })
}

fn annotate(about: About) -> Operation {
    Operation::Annotate(Annotate { about, sealed: list(vec![Attachment::of(b"document")]) })
}

fn preconditions() -> Vec<Precondition> {
    vec![
        Precondition::KeyAbsent(place()),
        Precondition::KeyAt(KeyAt { place: place(), version: version() }),
        Precondition::UploadAt(UploadAt { upload: UploadId([9; 16]), revision: 11 }),
    ]
}

fn transaction() -> Transaction {
    Transaction {
        network: Digest([1; 32]),
        tenant: TenantId([10; 16]),
        signer: key(5).public_key(),
        nonce: [12; 16],
        expires_ms: 1_800_000_060_000,
        preconditions: list(preconditions()),
        operations: list(operations()),
    }
}

fn signed() -> SignedTransaction {
    let named = transaction().operations.iter().map(|operation| operation.attachments().len()).sum();
    transaction().sign(&key(5), vec![Bytes::from_static(b"attached"); named])
}

fn header() -> Header {
    Header {
        network: Digest([1; 32]),
        committee: committee().digest(),
        epoch: 3,
        view: 1000,
        leader: key(1).public_key(),
        parent_view: 998,
        parent: Digest([13; 32]),
        height: 900,
        time_ms: 1_800_000_000_001,
        transactions: 2,
        transactions_root: Digest([14; 32]),
        state_root: Digest([15; 32]),
        log_root: Digest([16; 32]),
        log_start: 17,
        log_end: 18,
    }
}

fn finalization() -> Finalization {
    Finalization {
        epoch: 3,
        view: 1000,
        parent_view: 998,
        block: header().digest(),
        committee_size: 4,
        signatures: [0, 1, 3].map(|node| (node, Signature([node; 64]))).to_vec(),
    }
}

fn finalized() -> FinalizedHeader {
    FinalizedHeader { header: header(), descendants: list(vec![header()]), finalization: finalization() }
}

fn content_opening() -> ContentOpening {
    let run = |length| ContentRun { length, hash: Digest([19; 32]) };
    ContentOpening { salt: [20; 32], runs: list(vec![run(0), run(5 << 20)]) }
}

fn path() -> Path {
    list(vec![Digest([21; 32]), Digest([22; 32])])
}

fn genesis() -> Genesis {
    let tenant = GenesisTenant {
        tenant: TenantId([10; 16]),
        name: Octets::new("tenant").expect("short"),
        key: key(5).public_key(),
    };
    Genesis {
        name: Octets::new("sample").expect("short"),
        created_ms: 1_800_000_000_000,
        committee: committee(),
        approvers: list(vec![key(8).public_key(), key(9).public_key()]),
        approvals_needed: 2,
        tenants: list(vec![tenant]),
    }
}

fn terms() -> Terms {
    let last = FinalizedHeader { descendants: list(Vec::new()), ..finalized() };
    let nodes = [4, 7, 2, 1].map(|seed| key(seed).public_key());
    let committee = Committee::placed(4, nodes.to_vec()).expect("a committee");
    Terms { network: Digest([1; 32]), committee, last }
}

fn recovery() -> Recovery {
    Recovery { approvals: list(vec![terms().approve(&key(8)), terms().approve(&key(9))]), terms: terms() }
}

/// With a recovery that counts.
fn lineage() -> Lineage {
    let committee =
        Committee::new(0, (1..=4).map(|seed| key(seed).public_key()).collect()).expect("a committee");
    let genesis = Genesis { committee, ..genesis() };
    let mut lineage = Lineage::from(genesis);
    let committee = lineage.committee();
    let header = Header { network: lineage.network(), committee: committee.digest(), epoch: 0, ..header() };
    let unsigned =
        Finalization { epoch: 0, block: header.digest(), signatures: Vec::new(), ..finalization() };
    // All but the count and the signatures of what is encoded is what is signed, apart from the committee's size.
    let encoded = unsigned.encode();
    let proposal = &encoded[..encoded.len() - 10];
    let namespace = [lineage.genesis().consensus_namespace(), b"_FINALIZE".to_vec()].concat();
    let secret =
        |public: &PublicKey| (1..=4).map(key).find(|key| key.public_key() == *public).expect("a node's");
    let vote = |(at, public): (usize, &PublicKey)| (at as u8, secret(public).sign(&namespace, proposal));
    let signatures = committee.voters().iter().enumerate().take(3).map(vote).collect();
    let finalization = Finalization { signatures, ..unsigned };
    let last = FinalizedHeader { header, descendants: list(Vec::new()), finalization };
    let nodes = [4, 7, 2, 1].map(|seed| key(seed).public_key());
    let terms = lineage.terms(nodes.to_vec(), last).expect("a committee");
    let approvals = list(vec![terms.approve(&key(8)), terms.approve(&key(9))]);
    lineage.recover(Recovery { terms, approvals }).expect("it counts");
    lineage
}

fn receipt(opening: Vec<ContentOpening>) -> Receipt {
    let (transaction, signature) = (transaction(), signed().signature);
    let (path, block) = (path(), finalized());
    Receipt {
        network: Digest([1; 32]),
        transaction,
        signature,
        index: 1,
        path,
        block,
        opening: list(opening),
    }
}

/// Every sample.
pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = samples! {
        "Digest": Digest = Digest([1; 32]);
        "PublicKey": PublicKey = key(1).public_key();
        "Signature": Signature = key(1).sign(b"namespace", b"message");
        "TenantId": TenantId = TenantId([10; 16]);
        "UploadId": UploadId = UploadId([9; 16]);
        "BucketName": BucketName = bucket();
        "ObjectKey": ObjectKey = place().key;
        "VersionId": VersionId = version();
        "Committee": Committee = committee();
        "StorageReceipt": StorageReceipt = certificate().receipts[1].clone();
        "AvailabilityCertificate": AvailabilityCertificate = certificate();
        "Opening": Opening = Opening {
            k: 2, ciphertext_length: 1_048_592, shards: list((0..4).map(|at| Digest([at; 32])).collect()),
        };
        "SealedKey": SealedKey = SealedKey([3; 48]);
        "Segment": Segment = segment();
        "Page": Page = page();
        "PageRef": PageRef = page_ref();
        "Manifest::Direct": Manifest = Manifest::Direct(page());
        "Manifest::Paged": Manifest = Manifest::Paged(list(vec![page_ref(), page_ref()]));
        "Attachment": Attachment = attachment();
        "Stored": Stored = stored();
        "Payload::Inline": Payload = Payload::Inline(attachment());
        "Payload::Stored": Payload = Payload::Stored(stored());
        "Body": Body = inline();
        "Place": Place = place();
        "Succession": Succession = Succession { revision: 7, successor: list(vec![version()]) };
        "Transaction": Transaction = transaction();
        "SignedTransaction": SignedTransaction = signed();
        "VersionKind::Object": VersionKind = VersionKind::Object(inline());
        "VersionKind::Marker": VersionKind = VersionKind::Marker;
        "VersionEntry": VersionEntry = version_entry();
        "UploadEntry": UploadEntry = upload_entry();
        "PartEntry": PartEntry = part_entry();
        "AnnotationEntry": AnnotationEntry = annotation_entry();
        "Leaf": Leaf = Leaf { transaction: transaction().id(), signature: signed().signature, outcome: 20 };
        "Path": Path = path();
        "Header": Header = header();
        "Finalization": Finalization = finalization();
        "FinalizedHeader": FinalizedHeader = finalized();
        "GenesisTenant": GenesisTenant = genesis().tenants[0].clone();
        "Genesis": Genesis = genesis();
        "Terms": Terms = terms();
        "Approval": Approval = recovery().approvals[0].clone();
        "Recovery": Recovery = recovery();
        "ContentRun": ContentRun = content_opening().runs[1].clone();
        "ContentOpening": ContentOpening = content_opening();
        "Receipt, closed": Receipt = receipt(Vec::new());
        "Receipt, opened": Receipt = receipt(vec![content_opening()]);
    };
    let names = [
        "Operation::CreateBucket",
        "Operation::DeleteBucket",
        "Operation::PutVersion",
        "Operation::PutMarker",
        "Operation::CreateUpload",
        "Operation::PutPart",
        "Operation::CompleteUpload",
        "Operation::AbortUpload",
        "Operation::CreateTenant",
        "Operation::AddKey",
        "Operation::RevokeKey",
    ];
    for (name, operation) in names.into_iter().zip(operations()) {
        samples.push(sample(name, &operation));
    }
    samples.extend(later_operations().iter().map(|(name, operation)| sample(name, operation)));
    for (name, precondition) in ["Precondition::KeyAbsent", "Precondition::KeyAt", "Precondition::UploadAt"]
        .into_iter()
        .zip(preconditions())
    {
        samples.push(sample(name, &precondition));
    }
    samples
}

fn sample<T: Encode + DecodeExt<()>>(name: &'static str, value: &T) -> Sample {
    Sample { name, bytes: value.encode(), recode: |bytes| Ok(T::decode(bytes)?.encode()) }
}

fn version_entry() -> VersionEntry {
    let kind = VersionKind::Object(inline());
    VersionEntry { tenant: TenantId([10; 16]), place: place(), version: version(), time_ms: 23, kind }
}

fn upload_entry() -> UploadEntry {
    UploadEntry {
        tenant: TenantId([10; 16]),
        upload: UploadId([9; 16]),
        place: place(),
        version: version(),
        time_ms: 24,
        sealed: attachment(),
    }
}

fn part_entry() -> PartEntry {
    PartEntry { upload: UploadId([9; 16]), number: 1, version: version(), time_ms: 25, body: inline() }
}

fn annotation_entry() -> AnnotationEntry {
    let (tenant, sealed) = (TenantId([10; 16]), list(vec![Attachment::of(b"document")]));
    AnnotationEntry { tenant, about: tags(), changed: version(), time_ms: 26, sealed }
}

/// Names that are hashes of encodings, whole files, and signatures: what else of the formats is seen outside.
pub(crate) fn derived() -> Vec<(&'static str, Vec<u8>)> {
    let message = Digest([2; 32]);
    vec![
        ("id of a transaction", transaction().id().0.to_vec()),
        ("signature of a transaction", signed().signature.0.to_vec()),
        ("id of a manifest", Manifest::Direct(page()).id().0.to_vec()),
        ("id of a page", page().id().0.to_vec()),
        (
            "id of a chunk",
            Opening { k: 2, ciphertext_length: 3, shards: list(vec![message]) }.id().0.to_vec(),
        ),
        ("digest of an attachment", attachment().digest.0.to_vec()),
        ("digest of a committee", committee().digest().0.to_vec()),
        ("digest of a header", header().digest().0.to_vec()),
        ("digest of a version entry", version_entry().digest().0.to_vec()),
        ("digest of an upload entry", upload_entry().digest().0.to_vec()),
        ("digest of a part entry", part_entry().digest().0.to_vec()),
        ("digest of an annotation entry", annotation_entry().digest().0.to_vec()),
        ("storage receipt", StorageReceipt::sign(message, 3, message, 4, 1, &key(1)).signature.0.to_vec()),
        ("root of no transactions", proof::merkle::root(&[]).0.to_vec()),
        ("root of three transactions", proof::merkle::root(&[leaf(1), leaf(2), leaf(3)]).0.to_vec()),
        ("content commitment", proof::receipt::content_commitment(&content_opening()).0.to_vec()),
        ("hash of contents", content_hash().0.to_vec()),
        ("id of a network", genesis().id().0.to_vec()),
        ("namespace of consensus", genesis().consensus_namespace()),
        ("genesis file", genesis().to_file()),
        ("genesis file with a recovery", lineage().to_file()),
        ("digest of terms", terms().digest().0.to_vec()),
        ("recovery file", recovery().to_file()),
        ("receipt file", receipt(vec![content_opening()]).to_file()),
    ]
}

fn leaf(byte: u8) -> Leaf {
    Leaf { transaction: Digest([byte; 32]), signature: Signature([byte; 64]), outcome: u16::from(byte) }
}

fn content_hash() -> Digest {
    let mut hasher = proof::receipt::ContentHasher::new(&[20; 32]);
    hasher.update(b"contents");
    hasher.finish().hash
}

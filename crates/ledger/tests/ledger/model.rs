//! Whole histories against a simple model: tables of buckets, keys and versions, copied before every transaction.
//!
//! Histories are drawn over very few names, so that transactions collide. What a precondition refers to (the current
//! version, an older one) is resolved when its transaction is made, so that one history can be run with its
//! transactions cut into blocks in different ways.

use crate::network::{Chain, START_MS, TENANT, body, owner, secret, transaction, unsigned};
use ledger::{
    Refusal, key,
    record::{Bucket, Head, Hidden, Kind, Tenant, Upload, UploadState, Version, Visibility},
};
use proof::{
    Digest, PublicKey, SignedTransaction, UploadId, VersionId,
    transaction::{
        AbortUpload, AddKey, Attachment, CompleteUpload, CreateBucket, CreateUpload, DeleteBucket,
        HideVersion, KeyAt, Operation, Place, Precondition, PutMarker, PutPart, PutVersion, Quota, RevokeKey,
        SetQuota, Succession, UndeleteBucket, UnhideVersion, UploadAt,
    },
    wire::List,
};
use proptest::{collection::vec, prelude::*};
use std::collections::{HashMap, HashSet};

/// Bytes of ciphertext of every body.
const BYTES: u64 = 16;
const BUCKETS: [&str; 2] = ["one", "two"];
const KEYS: [&str; 3] = ["a", "b", "c"];

/// A key's place by number.
type Spot = (usize, usize);

#[derive(Clone, Copy, Debug)]
enum Step {
    CreateBucket(usize),
    DeleteBucket(usize),
    UndeleteBucket(usize),
    Put(Spot),
    Mark(Spot),
    /// The version so many places before the newest, hidden ones too. If the flag is set, it is told wrong whether it
    /// is, or becomes, current.
    Hide(Spot, usize, bool),
    Unhide(Spot, usize, bool),
    Open(u8, Spot),
    Part(u8, u16),
    Complete(u8, Spot),
    Abort(u8),
    Add(u8),
    Revoke(u8),
    /// Lets a bucket keep so many bytes and objects, or any number.
    Limit(usize, Option<(u64, u64)>),
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    Absent(Spot),
    /// The current version, or one so many places older.
    At(Spot, usize),
    /// The revision plus this.
    Upload(u8, u32),
}

#[derive(Clone, Debug)]
enum Action {
    Transact {
        signer: u8,
        late: bool,
        conditions: Vec<Condition>,
        steps: Vec<Step>,
    },
    /// Submit an earlier transaction again.
    Repeat(prop::sample::Index),
}

#[derive(Clone, Debug, PartialEq)]
struct ModelVersion {
    id: VersionId,
    object: bool,
    hidden: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct ModelUpload {
    spot: Spot,
    /// Which life of its bucket it belongs to.
    life: usize,
    open: bool,
    changes: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelBucket {
    exists: bool,
    /// Bytes and objects that were ever put.
    used: (u64, u64),
    limit: Option<(u64, u64)>,
    lives: usize,
    keys: HashMap<usize, Vec<ModelVersion>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    buckets: HashMap<usize, ModelBucket>,
    uploads: HashMap<u8, ModelUpload>,
    signers: HashSet<u8>,
    /// How often versions of a key were hidden or shown.
    revisions: HashMap<Spot, u32>,
    /// Bytes and objects that were ever put in all buckets, those of parts when they were put.
    used: (u64, u64),
}

fn signer_key(signer: u8) -> PublicKey {
    if signer == 0 { owner().public_key() } else { secret(100 + signer).public_key() }
}

fn place((bucket, key): Spot) -> Place {
    crate::network::place(BUCKETS[bucket], KEYS[key])
}

fn upload(id: u8) -> UploadId {
    crate::network::upload(id)
}

impl Model {
    fn new() -> Self {
        Self {
            buckets: HashMap::new(),
            uploads: HashMap::new(),
            signers: HashSet::from([0]),
            revisions: HashMap::new(),
            used: (0, 0),
        }
    }

    /// Puts an object of [`BYTES`] into a bucket, of which so many are new to the tenant.
    fn keep(&mut self, bucket: usize, new: u64) -> Result<(), Refusal> {
        let bucket = self.bucket(bucket)?;
        bucket.used = (bucket.used.0 + BYTES, bucket.used.1 + 1);
        if bucket.limit.is_some_and(|limit| bucket.used.0 > limit.0 || bucket.used.1 > limit.1) {
            return Err(Refusal::QuotaExceeded);
        }
        self.used = (self.used.0 + new, self.used.1 + 1);
        Ok(())
    }

    fn versions(&self, (bucket, key): Spot) -> &[ModelVersion] {
        self.buckets.get(&bucket).and_then(|bucket| bucket.keys.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// The newest version that is not hidden.
    fn head(&self, spot: Spot) -> Option<&ModelVersion> {
        self.versions(spot).iter().rev().find(|version| !version.hidden)
    }

    fn current(&self, spot: Spot) -> Option<VersionId> {
        self.head(spot).filter(|version| version.object).map(|version| version.id)
    }

    /// The operation with which an honest gateway hides this version, or one that is wrong about what is current.
    fn hide(&self, spot: Spot, back: usize, wrong: bool) -> Operation {
        let version = self.nth(spot, back);
        let is_current = self.head(spot).map(|head| head.id) == Some(version);
        let mut older = self.versions(spot).iter().rev().filter(|other| !other.hidden && other.id < version);
        let successor = List::new(older.next().map(|older| older.id).into_iter().collect()).unwrap();
        let revision = self.revisions.get(&spot).copied().unwrap_or(0);
        let succession = match (is_current, wrong) {
            (true, false) | (false, true) => vec![Succession { revision, successor }],
            (true, true) => vec![Succession { revision: revision + 1, successor }],
            (false, false) => vec![],
        };
        let succession = List::new(succession).unwrap();
        Operation::HideVersion(HideVersion { place: place(spot), version, succession })
    }

    fn unhide(&self, spot: Spot, back: usize, wrong: bool) -> Operation {
        let version = self.nth(spot, back);
        let current = self.head(spot).is_none_or(|head| head.id < version) != wrong;
        Operation::UnhideVersion(UnhideVersion { place: place(spot), version, current })
    }

    fn nth(&self, spot: Spot, back: usize) -> VersionId {
        let never = VersionId { height: 0, index: 0, operation: 0 };
        self.versions(spot).iter().rev().nth(back).map_or(never, |version| version.id)
    }

    /// Changes whether a version is hidden, given what the transaction says about what is current.
    fn set_hidden(
        &mut self,
        spot: Spot,
        version: VersionId,
        hidden: bool,
        says: impl Fn(&Model) -> bool,
    ) -> Result<(), Refusal> {
        self.bucket(spot.0)?;
        let found = self.versions(spot).iter().position(|candidate| candidate.id == version);
        let at = found.ok_or(Refusal::NoSuchVersion)?;
        if self.versions(spot)[at].hidden == hidden {
            return Err(if hidden { Refusal::VersionHidden } else { Refusal::VersionShown });
        }
        if !says(self) {
            return Err(Refusal::VersionsChanged);
        }
        self.bucket(spot.0)?.keys.get_mut(&spot.1).expect("it has versions")[at].hidden = hidden;
        *self.revisions.entry(spot).or_default() += 1;
        Ok(())
    }

    fn live(&self, bucket: usize) -> u64 {
        (0..KEYS.len()).filter(|key| self.current((bucket, *key)).is_some()).count() as u64
    }

    fn bucket(&mut self, bucket: usize) -> Result<&mut ModelBucket, Refusal> {
        self.buckets.get_mut(&bucket).filter(|bucket| bucket.exists).ok_or(Refusal::NoSuchBucket)
    }

    fn open(&mut self, id: u8) -> Result<&mut ModelUpload, Refusal> {
        self.uploads.get_mut(&id).filter(|upload| upload.open).ok_or(Refusal::NoSuchUpload)
    }

    fn add(&mut self, (bucket, key): Spot, version: ModelVersion) -> Result<(), Refusal> {
        self.bucket(bucket)?.keys.entry(key).or_default().push(version);
        Ok(())
    }

    /// The operation of a step, as one would make it who sees the model as it is.
    fn operation(&self, step: Step) -> Operation {
        match step {
            Step::Hide(spot, back, wrong) => self.hide(spot, back, wrong),
            Step::Unhide(spot, back, wrong) => self.unhide(spot, back, wrong),
            step => operation(step),
        }
    }

    fn resolve(&self, condition: Condition) -> Precondition {
        match condition {
            Condition::Absent(spot) => Precondition::KeyAbsent(place(spot)),
            Condition::At(spot, back) => {
                let version = self.versions(spot).iter().rev().nth(back).map(|version| version.id);
                let never = VersionId { height: 0, index: 0, operation: 0 };
                Precondition::KeyAt(KeyAt { place: place(spot), version: version.unwrap_or(never) })
            }
            Condition::Upload(id, more) => {
                let changes = self.uploads.get(&id).map_or(0, |upload| upload.changes);
                Precondition::UploadAt(UploadAt { upload: upload(id), revision: changes + more })
            }
        }
    }

    fn check(&mut self, condition: Condition) -> Result<(), Refusal> {
        match condition {
            Condition::Absent(spot) if self.current(spot).is_some() => Err(Refusal::KeyPresent),
            Condition::Absent(_) => Ok(()),
            Condition::At(spot, back) => {
                self.bucket(spot.0)?;
                let named = Some(self.nth(spot, back));
                match self.current(spot) {
                    None => Err(Refusal::KeyMissing),
                    current if current != named => Err(Refusal::KeyChanged),
                    Some(_) => Ok(()),
                }
            }
            Condition::Upload(id, more) => {
                self.open(id)?;
                if more == 0 { Ok(()) } else { Err(Refusal::UploadChanged) }
            }
        }
    }

    fn step(&mut self, id: VersionId, step: Step, operation: &Operation) -> Result<(), Refusal> {
        match step {
            Step::Hide(spot, ..) => {
                let Operation::HideVersion(hide) = operation else { unreachable!("made of the step") };
                self.set_hidden(spot, hide.version, true, |model| {
                    let is_current = model.head(spot).is_some_and(|head| head.id == hide.version);
                    let revision = model.revisions.get(&spot).copied().unwrap_or(0);
                    match hide.succession.first() {
                        Some(succession) => is_current && succession.revision == revision,
                        None => !is_current,
                    }
                })?;
            }
            Step::Unhide(spot, ..) => {
                let Operation::UnhideVersion(show) = operation else { unreachable!("made of the step") };
                self.set_hidden(spot, show.version, false, |model| {
                    model.head(spot).is_none_or(|head| head.id < show.version) == show.current
                })?;
            }
            Step::UndeleteBucket(bucket) => {
                let bucket = self.buckets.get_mut(&bucket).ok_or(Refusal::NoSuchBucket)?;
                if std::mem::replace(&mut bucket.exists, true) {
                    return Err(Refusal::BucketExists);
                }
            }
            Step::CreateBucket(bucket) => {
                let bucket = self.buckets.entry(bucket).or_default();
                if bucket.exists {
                    return Err(Refusal::BucketExists);
                }
                (bucket.exists, bucket.lives, bucket.keys) = (true, bucket.lives + 1, HashMap::new());
            }
            Step::DeleteBucket(bucket) => {
                self.bucket(bucket)?;
                if self.live(bucket) > 0 {
                    return Err(Refusal::BucketNotEmpty);
                }
                self.bucket(bucket)?.exists = false;
            }
            Step::Put(spot) => {
                self.keep(spot.0, BYTES)?;
                self.add(spot, ModelVersion { id, object: true, hidden: false })?;
            }
            Step::Mark(spot) => self.add(spot, ModelVersion { id, object: false, hidden: false })?,
            Step::Open(upload, spot) => {
                let life = self.bucket(spot.0)?.lives;
                if self.uploads.contains_key(&upload) {
                    return Err(Refusal::UploadExists);
                }
                self.uploads.insert(upload, ModelUpload { spot, life, open: true, changes: 0 });
            }
            Step::Part(upload, _) => {
                self.open(upload)?.changes += 1;
                self.used.0 += BYTES;
            }
            Step::Limit(bucket, limit) => self.bucket(bucket)?.limit = limit,
            Step::Complete(upload, spot) => {
                let life = self.bucket(spot.0)?.lives;
                let upload = self.open(upload)?;
                if (upload.spot, upload.life) != (spot, life) {
                    return Err(Refusal::NoSuchUpload);
                }
                (upload.open, upload.changes) = (false, upload.changes + 1);
                self.keep(spot.0, 0)?;
                self.add(spot, ModelVersion { id, object: true, hidden: false })?;
            }
            Step::Abort(upload) => {
                let upload = self.open(upload)?;
                (upload.open, upload.changes) = (false, upload.changes + 1);
            }
            Step::Add(signer) => {
                if !self.signers.insert(signer) {
                    return Err(Refusal::SignerExists);
                }
            }
            Step::Revoke(signer) => {
                if !self.signers.remove(&signer) {
                    return Err(Refusal::NoSuchSigner);
                }
                if self.signers.is_empty() {
                    return Err(Refusal::LastSigner);
                }
            }
        }
        Ok(())
    }

    /// Does the whole transaction on a copy, and becomes the copy if nothing was refused.
    fn transact(
        &mut self,
        (height, index): (u64, u32),
        signer: u8,
        late: bool,
        conditions: &[Condition],
        steps: &[(Step, Operation)],
    ) -> Result<(), Refusal> {
        if late {
            return Err(Refusal::Expired);
        }
        if !self.signers.contains(&signer) {
            return Err(Refusal::NotSigner);
        }
        let mut copy = self.clone();
        for condition in conditions {
            copy.check(*condition)?;
        }
        for (at, (step, operation)) in (0..).zip(steps) {
            copy.step(VersionId { height, index, operation: at }, *step, operation)?;
        }
        *self = copy;
        Ok(())
    }

    /// The model without version ids, which depend on how transactions are cut into blocks.
    fn shape(&self) -> Model {
        let mut shape = self.clone();
        let none = VersionId { height: 0, index: 0, operation: 0 };
        let versions = shape.buckets.values_mut().flat_map(|bucket| bucket.keys.values_mut()).flatten();
        versions.for_each(|version| version.id = none);
        shape
    }
}

fn operation(step: Step) -> Operation {
    let name = |bucket: usize| crate::network::bucket(BUCKETS[bucket]);
    let sealed = Attachment { digest: Digest([9; 32]), length: 9 };
    match step {
        Step::CreateBucket(bucket) => Operation::CreateBucket(CreateBucket { bucket: name(bucket) }),
        Step::DeleteBucket(bucket) => Operation::DeleteBucket(DeleteBucket { bucket: name(bucket) }),
        Step::UndeleteBucket(bucket) => Operation::UndeleteBucket(UndeleteBucket { bucket: name(bucket) }),
        Step::Limit(bucket, limit) => {
            let quota = limit.map(|(bytes, objects)| Quota { bytes, objects });
            let quota = List::new(quota.into_iter().collect()).unwrap();
            Operation::SetQuota(SetQuota { bucket: name(bucket), quota })
        }
        Step::Hide(..) | Step::Unhide(..) => unreachable!("what they name depends on the model"),
        Step::Put(spot) => Operation::PutVersion(PutVersion { place: place(spot), body: body(1) }),
        Step::Mark(spot) => Operation::PutMarker(PutMarker { place: place(spot) }),
        Step::Open(id, spot) => {
            Operation::CreateUpload(CreateUpload { upload: upload(id), place: place(spot), sealed })
        }
        Step::Part(id, number) => Operation::PutPart(PutPart { upload: upload(id), number, body: body(2) }),
        Step::Complete(id, spot) => Operation::CompleteUpload(CompleteUpload {
            upload: upload(id),
            place: place(spot),
            body: body(3),
        }),
        Step::Abort(id) => Operation::AbortUpload(AbortUpload { upload: upload(id) }),
        Step::Add(signer) => Operation::AddKey(AddKey { key: signer_key(signer) }),
        Step::Revoke(signer) => Operation::RevokeKey(RevokeKey { key: signer_key(signer) }),
    }
}

/// Runs a history in blocks of these sizes, over and over; compares the outcomes of every block with the model's, and
/// the state after it. Gives all outcomes and the model at the end.
fn run(history: &[Action], sizes: &[usize]) -> (Vec<Result<(), Refusal>>, Model) {
    let (mut chain, mut model) = (Chain::new(), Model::new());
    let (mut made, mut outcomes) = (Vec::<SignedTransaction>::new(), Vec::new());
    let (mut rest, mut sizes) = (history, sizes.iter().cycle());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(*sizes.next().expect("endless")));
        let (mut block, mut expected) = (Vec::new(), Vec::new());
        for action in now {
            let position = (chain.height + 1, block.len() as u32);
            let signed = match action {
                Action::Repeat(_) if made.is_empty() => continue,
                Action::Repeat(which) => {
                    expected.push(Err(Refusal::Duplicate));
                    which.get(&made).clone()
                }
                Action::Transact { signer, late, conditions, steps } => {
                    let preconditions =
                        conditions.iter().map(|condition| model.resolve(*condition)).collect();
                    let steps: Vec<_> = steps.iter().map(|step| (*step, model.operation(*step))).collect();
                    let operations = steps.iter().map(|(_, operation)| operation.clone()).collect();
                    let mut transaction = transaction(made.len() as u64, preconditions, operations);
                    transaction.signer = signer_key(*signer);
                    transaction.expires_ms = if *late { START_MS } else { START_MS + 1 };
                    expected.push(model.transact(position, *signer, *late, conditions, &steps));
                    made.push(unsigned(transaction));
                    made[made.len() - 1].clone()
                }
            };
            block.push(signed);
        }
        assert_eq!(chain.block(&block), expected);
        compare(&chain, &model);
        outcomes.extend(expected);
        rest = later;
    }
    (outcomes, model)
}

/// The state says what the model says.
fn compare(chain: &Chain, model: &Model) {
    for (at, name) in BUCKETS.iter().enumerate() {
        let record = chain.get::<Bucket>(key::bucket(&TENANT, &crate::network::bucket(name)));
        let expected = model.buckets.get(&at).map(|bucket| (!bucket.exists, model.live(at), bucket.used));
        let used = |bucket: &Bucket| (bucket.usage.bytes, bucket.usage.objects);
        assert_eq!(record.as_ref().map(|bucket| (bucket.deleted, bucket.live, used(bucket))), expected);
        for spot in (0..KEYS.len()).map(|key| (at, key)) {
            compare_key(chain, record.as_ref(), spot, model);
        }
    }
    for id in 0..3 {
        let record = chain.get::<Upload>(key::upload(&TENANT, &upload(id)));
        let record = record.map(|upload| (upload.state == UploadState::Open, upload.revision));
        assert_eq!(record, model.uploads.get(&id).map(|upload| (upload.open, upload.changes)));
    }
    let tenant = chain.get::<Tenant>(key::tenant(&TENANT)).expect("founded");
    assert_eq!(tenant.keys as usize, model.signers.len());
    assert_eq!((tenant.usage.bytes, tenant.usage.objects), model.used);
}

fn compare_key(chain: &Chain, bucket: Option<&Bucket>, spot: Spot, model: &Model) {
    let place = place(spot);
    let kind = |version: &ModelVersion| if version.object { Kind::Object } else { Kind::Marker };
    let head = chain.get::<Head>(key::head(&TENANT, &place));
    let head = head.filter(|head| bucket.is_some_and(|bucket| head.is_current(bucket)));
    assert_eq!(
        head.as_ref().map(|head| (head.version, head.kind.clone())),
        model.head(spot).filter(|_| model.buckets[&spot.0].exists).map(|version| (version.id, kind(version)))
    );
    let revision = chain.get::<Visibility>(key::visibility(&TENANT, &place));
    assert_eq!(revision.map(|visibility| visibility.revision), model.revisions.get(&spot).copied());
    for version in model.versions(spot) {
        let hidden = chain.get::<Hidden>(key::hidden(&TENANT, &place, &version.id));
        assert_eq!(hidden.is_some_and(|record| record.hidden), version.hidden);
        let record = chain.get::<Version>(key::version(&TENANT, &place, &version.id)).expect("versions stay");
        assert_eq!(record.kind, kind(version));
        if let Some(head) = head.as_ref().filter(|head| head.version == version.id) {
            assert_eq!(head.entry, record.entry);
        }
    }
}

fn spot() -> impl Strategy<Value = Spot> {
    (0..BUCKETS.len(), 0..KEYS.len())
}

fn wrong() -> impl Strategy<Value = bool> {
    prop_oneof![6 => Just(false), 1 => Just(true)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..BUCKETS.len()).prop_map(Step::CreateBucket),
        2 => (0..BUCKETS.len()).prop_map(Step::DeleteBucket),
        2 => (0..BUCKETS.len()).prop_map(Step::UndeleteBucket),
        5 => (spot(), 0..3usize, wrong()).prop_map(|(spot, back, wrong)| Step::Hide(spot, back, wrong)),
        4 => (spot(), 0..3usize, wrong()).prop_map(|(spot, back, wrong)| Step::Unhide(spot, back, wrong)),
        5 => spot().prop_map(Step::Put),
        5 => spot().prop_map(Step::Mark),
        3 => (0..3u8, spot()).prop_map(|(id, spot)| Step::Open(id, spot)),
        2 => (0..3u8, 1..3u16).prop_map(|(id, number)| Step::Part(id, number)),
        3 => (0..3u8, spot()).prop_map(|(id, spot)| Step::Complete(id, spot)),
        1 => (0..3u8).prop_map(Step::Abort),
        1 => (0..3u8).prop_map(Step::Add),
        1 => (0..3u8).prop_map(Step::Revoke),
        1 => (0..BUCKETS.len(), prop::option::of((0..6 * BYTES, 0..6u64)))
            .prop_map(|(bucket, limit)| Step::Limit(bucket, limit)),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        spot().prop_map(Condition::Absent),
        (spot(), prop_oneof![3 => Just(0), 1 => 1..3usize])
            .prop_map(|(spot, back)| Condition::At(spot, back)),
        (0..3u8, prop_oneof![3 => Just(0), 1 => Just(1)]).prop_map(|(id, more)| Condition::Upload(id, more)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let steps = prop_oneof![3 => vec(step(), 1..2), 1 => vec(step(), 2..4)];
    let conditions = prop_oneof![3 => Just(Vec::new()), 1 => vec(condition(), 1..3)];
    let signer = prop_oneof![6 => Just(0u8), 1 => 1..3u8];
    let late = prop_oneof![20 => Just(false), 1 => Just(true)];
    prop_oneof![
        20 => (signer, late, conditions, steps).prop_map(|(signer, late, conditions, steps)| {
            Action::Transact { signer, late, conditions, steps }
        }),
        1 => any::<prop::sample::Index>().prop_map(Action::Repeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_go_as_the_model_says_however_they_are_cut_into_blocks(
        history in vec(action(), 1..80),
        sizes in vec(1..9usize, 1..6),
    ) {
        let (outcomes, model) = run(&history, &sizes);
        let (outcomes_alone, model_alone) = run(&history, &[1]);
        prop_assert_eq!(outcomes, outcomes_alone);
        prop_assert_eq!(model.shape(), model_alone.shape());
    }
}

/// The histories drawn above must reach what they are to test.
#[test]
fn histories_meet_every_refusal_that_a_tenant_can_meet() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = HashSet::new();
    for _ in 0..200 {
        let history = vec(action(), 1..80).new_tree(&mut runner).unwrap().current();
        met.extend(run(&history, &[4]).0.into_iter().map(Result::err));
    }
    let elsewhere = [
        Refusal::OtherNetwork,
        Refusal::ExpiryTooFar,
        Refusal::NotApprover,
        Refusal::MixedCreation,
        Refusal::TenantExists,
        Refusal::NoSuchTenant,
        Refusal::Exhausted,
        // These have a model of their own.
        Refusal::NotLockable,
        Refusal::Retained,
        Refusal::RetainedByGovernance,
        Refusal::Held,
        Refusal::InvalidRetention,
    ];
    for refusal in Refusal::ALL.iter().filter(|refusal| !elsewhere.contains(refusal)) {
        assert!(met.contains(&Some(*refusal)), "no history meets {refusal:?}");
    }
    assert!(met.contains(&None));
}

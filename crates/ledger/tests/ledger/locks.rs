//! Locks and annotations: some rules one by one, and all of the locks' against a model that says them differently.

use crate::network::{Chain, START_MS, TENANT, body, bucket, place};
use ledger::{
    Refusal, key,
    record::{Annotation, Bucket, Lock},
};
use proof::{
    VersionId,
    entry::AnnotationEntry,
    limits::{DAY_MS, RETENTION_MS_MAX},
    transaction::{
        About, Annotate, Attachment, CreateBucket, DefaultRetention, DeleteBucket, HideVersion, Mode,
        Operation, Period, PutMarker, PutVersion, Retention, SetBucketLock, SetHold, SetRetention,
        Succession, Target, TargetAt, UnhideVersion,
    },
    wire::List,
};
use proptest::prelude::*;

fn create() -> Operation {
    Operation::CreateBucket(CreateBucket { bucket: bucket("one") })
}

fn delete() -> Operation {
    Operation::DeleteBucket(DeleteBucket { bucket: bucket("one") })
}

fn put() -> Operation {
    Operation::PutVersion(PutVersion { place: place("one", "key"), body: body(1) })
}

fn mark() -> Operation {
    Operation::PutMarker(PutMarker { place: place("one", "key") })
}

fn lockable(default: Option<(Mode, Period)>) -> Operation {
    let default = default.map(|(mode, period)| DefaultRetention { mode, period });
    let default = List::new(default.into_iter().collect()).unwrap();
    Operation::SetBucketLock(SetBucketLock { bucket: bucket("one"), default })
}

fn retain(version: Target, retention: Option<(Mode, u64)>, bypass: bool) -> Operation {
    let retention = retention.map(|(mode, until_ms)| Retention { mode, until_ms });
    let retention = List::new(retention.into_iter().collect()).unwrap();
    Operation::SetRetention(SetRetention { place: place("one", "key"), version, retention, bypass })
}

fn hold(version: Target, hold: bool) -> Operation {
    Operation::SetHold(SetHold { place: place("one", "key"), version, hold })
}

fn hide(version: VersionId) -> Operation {
    let place = place("one", "key");
    Operation::HideVersion(HideVersion { place, version, succession: List::default() })
}

fn show(version: VersionId) -> Operation {
    Operation::UnhideVersion(UnhideVersion { place: place("one", "key"), version, current: false })
}

fn tags(version: Target) -> About {
    About::VersionTags(TargetAt { place: place("one", "key"), version })
}

fn annotate(about: About, document: Option<&[u8]>) -> Operation {
    let sealed = List::new(document.map(Attachment::of).into_iter().collect()).unwrap();
    Operation::Annotate(Annotate { about, sealed })
}

/// A chain with a bucket whose versions can be locked, and a version of its key with a delete marker on top.
fn filled() -> (Chain, VersionId) {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create(), lockable(None)]).unwrap();
    let version = chain.run(vec![], vec![put()]).unwrap();
    chain.run(vec![], vec![mark()]).unwrap();
    (chain, version)
}

fn lock(chain: &Chain, version: VersionId) -> Option<Lock> {
    let record = chain.state.get(&key::lock(&TENANT, &place("one", "key"), &version)).cloned();
    record.map(|record| Lock::try_from(record).unwrap())
}

#[test]
fn without_object_lock_nothing_is_locked() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create()]).unwrap();
    let until_ms = START_MS + DAY_MS;
    let version = chain.run(vec![], vec![put()]).unwrap();
    let this = Target::Version(version);
    let retention = Some((Mode::Governance, until_ms));
    assert_eq!(chain.run(vec![], vec![retain(this.clone(), retention, false)]), Err(Refusal::NotLockable));
    assert_eq!(chain.run(vec![], vec![hold(this, true)]), Err(Refusal::NotLockable));
    assert_eq!(chain.run(vec![], vec![put(), hold(Target::Made(0), true)]), Err(Refusal::NotLockable));
    assert_eq!(lock(&chain, version), None);
}

#[test]
fn a_version_is_made_with_its_lock_or_the_buckets() {
    let mut chain = Chain::new();
    let days = lockable(Some((Mode::Compliance, Period::Days(2))));
    chain.run(vec![], vec![create(), days]).unwrap();
    let by_default = chain.run(vec![], vec![put()]).unwrap();
    let until_ms = chain.time_ms + 2 * DAY_MS;
    let retention = |mode, until_ms| List::new(vec![Retention { mode, until_ms }]).unwrap();
    let expected = Lock { retention: retention(Mode::Compliance, until_ms), hold: false };
    assert_eq!(lock(&chain, by_default), Some(expected));

    // What the transaction itself asks for is instead of the default, even if it is less.
    let sooner = chain.time_ms + DAY_MS;
    let asked = retain(Target::Made(0), Some((Mode::Governance, sooner)), false);
    let own = chain.run(vec![], vec![put(), asked, hold(Target::Made(0), true)]).unwrap();
    let expected = Lock { retention: retention(Mode::Governance, sooner), hold: true };
    assert_eq!(lock(&chain, own), Some(expected));

    // A delete marker is not retained.
    let marker = chain.run(vec![], vec![mark()]).unwrap();
    assert_eq!(lock(&chain, marker), None);
    let on_marker = hold(Target::Version(marker), true);
    assert_eq!(chain.run(vec![], vec![on_marker]), Err(Refusal::NoSuchVersion));
}

#[test]
fn what_is_locked_is_not_hidden_and_its_bucket_not_deleted() {
    let (mut chain, version) = filled();
    let this = || Target::Version(version);
    chain.run(vec![], vec![hold(this(), true)]).unwrap();
    assert_eq!(chain.run(vec![], vec![hide(version)]), Err(Refusal::Held));
    assert_eq!(chain.run(vec![], vec![delete()]), Err(Refusal::Held));
    chain.run(vec![], vec![hold(this(), false)]).unwrap();

    let until_ms = chain.time_ms + 30_000;
    chain.run(vec![], vec![retain(this(), Some((Mode::Governance, until_ms)), false)]).unwrap();
    assert_eq!(chain.run(vec![], vec![hide(version)]), Err(Refusal::RetainedByGovernance));
    assert_eq!(chain.run(vec![], vec![delete()]), Err(Refusal::Retained));
    // A bypass ends it in the transaction that hides.
    let mut bypassing = vec![retain(this(), None, true), hide(version)];
    chain.run(vec![], bypassing.clone()).unwrap();
    bypassing.truncate(1);
    assert_eq!(chain.run(vec![], bypassing), Err(Refusal::VersionHidden));
    chain.run(vec![], vec![delete()]).unwrap();
}

#[test]
fn the_current_version_is_kept_too() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create(), lockable(None)]).unwrap();
    let version = chain.run(vec![], vec![put(), hold(Target::Made(0), true)]).unwrap();
    let succession = Succession { revision: 0, successor: List::default() };
    let succession = List::new(vec![succession]).unwrap();
    let hide = HideVersion { place: place("one", "key"), version, succession };
    assert_eq!(chain.run(vec![], vec![Operation::HideVersion(hide)]), Err(Refusal::Held));
}

#[test]
fn retention_ends_ahead_and_not_too_far() {
    let (mut chain, version) = filled();
    for mode in [Mode::Governance, Mode::Compliance] {
        // The block that it comes in may be later than the last.
        let past = chain.time_ms;
        let far = chain.time_ms + RETENTION_MS_MAX + DAY_MS;
        for until_ms in [0, past, far, u64::MAX] {
            let set = retain(Target::Version(version), Some((mode.clone(), until_ms)), true);
            assert_eq!(chain.run(vec![], vec![set]), Err(Refusal::InvalidRetention), "{until_ms}");
        }
        for period in [Period::Days(0), Period::Years(11), Period::Days(3661), Period::Years(u32::MAX)] {
            let set = lockable(Some((mode.clone(), period)));
            assert_eq!(chain.run(vec![], vec![set]), Err(Refusal::InvalidRetention));
        }
    }
    chain.run(vec![], vec![lockable(Some((Mode::Compliance, Period::Years(10))))]).unwrap();
}

#[test]
fn annotations_are_of_what_is_there() {
    let (mut chain, version) = filled();
    let about = tags(Target::Version(version));
    chain.run(vec![], vec![annotate(about.clone(), Some(b"a=1"))]).unwrap();
    let bucket_record =
        |chain: &Chain| Bucket::try_from(chain.state[&key::bucket(&TENANT, &bucket("one"))].clone()).unwrap();
    assert!(bucket_record(&chain).annotated);
    let changed = VersionId { height: chain.height, index: 0, operation: 0 };
    let sealed = List::new(vec![Attachment::of(b"a=1")]).unwrap();
    let time_ms = chain.time_ms;
    let entry = AnnotationEntry { tenant: TENANT, about: about.clone(), changed, time_ms, sealed };
    let record = Annotation::try_from(chain.state[&key::annotation(&TENANT, &about)].clone()).unwrap();
    assert_eq!(record, Annotation { changed, entry: entry.digest() });

    // In the transaction that makes the version, it is under the version's id.
    let made = chain.run(vec![], vec![put(), annotate(tags(Target::Made(0)), Some(b"b=2"))]).unwrap();
    assert!(chain.state.contains_key(&key::annotation(&TENANT, &tags(Target::Version(made)))));

    chain.run(vec![], vec![hide(version)]).unwrap();
    let again = annotate(about, None);
    assert_eq!(chain.run(vec![], vec![again]), Err(Refusal::VersionHidden));
    let cors = |name| annotate(About::BucketCors(bucket(name)), Some(b"rules"));
    chain.run(vec![], vec![cors("one")]).unwrap();
    assert_eq!(chain.run(vec![], vec![cors("two")]), Err(Refusal::NoSuchBucket));
}

/// What is tried, on the version or its bucket.
#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds pass.
    Wait(u64),
    /// Ends so many milliseconds from the start of the run.
    Retain(Option<(bool, u64)>, bool),
    Hold(bool),
    Hide,
    Show,
    Delete,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let moment = 0..12u64;
    prop::collection::vec(
        prop_oneof![
            (1..4u64).prop_map(|moments| Step::Wait(moments * 1000)),
            (prop::option::of((any::<bool>(), moment)), any::<bool>()).prop_map(|(retention, bypass)| {
                Step::Retain(retention.map(|(strict, moment)| (strict, moment * 1000 + 500)), bypass)
            }),
            any::<bool>().prop_map(Step::Hold),
            Just(Step::Hide),
            Just(Step::Show),
            Just(Step::Delete),
        ],
        1..40,
    )
}

/// One version as S3 describes its lock: strict is compliance.
#[derive(Default)]
struct Model {
    retention: Option<(bool, u64)>,
    hold: bool,
    hidden: bool,
    /// The latest end of any retention there was.
    latest: u64,
}

impl Model {
    /// Whether the step succeeds, which it then does.
    fn step(&mut self, step: &Step, now: u64) -> bool {
        let active = self.retention.filter(|(_, until)| now < *until);
        match step {
            Step::Wait(_) => true,
            Step::Retain(..) | Step::Hold(_) if self.hidden => false,
            Step::Retain(next, bypass) => {
                let in_time = next.is_none_or(|(_, until)| until > now);
                let allowed = match (active, next) {
                    (None, _) => true,
                    (Some((true, until)), Some((strict, later))) => *strict && *later >= until,
                    (Some((true, _)), None) => false,
                    (Some((false, until)), Some((strict, later))) => *bypass || (!*strict && *later >= until),
                    (Some((false, _)), None) => *bypass,
                };
                if in_time && allowed {
                    self.retention = *next;
                    self.latest = self.latest.max(next.map_or(0, |(_, until)| until));
                }
                in_time && allowed
            }
            Step::Hold(hold) => {
                self.hold = *hold;
                true
            }
            Step::Hide => {
                let done = !self.hidden && !self.hold && active.is_none();
                self.hidden |= done;
                done
            }
            Step::Show => std::mem::replace(&mut self.hidden, false),
            // The bucket's other versions are none, so its lock is the version's; of a retention that was shortened it
            // remembers the longer one.
            Step::Delete => self.hidden || (!self.hold && (self.retention.is_none() || self.latest <= now)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn locks_are_as_the_model_says(steps in steps()) {
        let (mut chain, version) = filled();
        let (this, start) = (|| Target::Version(version), chain.time_ms);
        let mut model = Model::default();
        for step in steps {
            let operation = match &step {
                Step::Wait(ms) => {
                    // Transactions here expire a minute after the start.
                    chain.time_ms = (chain.time_ms + ms).min(start + 50_000);
                    continue;
                }
                Step::Retain(next, bypass) => {
                    let mode = |strict| if strict { Mode::Compliance } else { Mode::Governance };
                    let next = next.map(|(strict, until)| (mode(strict), start + until));
                    retain(this(), next, *bypass)
                }
                Step::Hold(on) => hold(this(), *on),
                Step::Hide => hide(version),
                Step::Show => show(version),
                Step::Delete => delete(),
            };
            let before = chain.time_ms;
            let outcome = chain.run(vec![], vec![operation]);
            let now = chain.time_ms - start;
            prop_assert!(chain.time_ms >= before);
            prop_assert_eq!(outcome.is_ok(), model.step(&step, now), "{:?} at {}: {:?}", step, now, outcome);
            if matches!(step, Step::Delete) && outcome.is_ok() {
                break;
            }
        }
    }
}

//! Clients: what they ask of their vaults, drawn from a seed, and recorded.
//!
//! Every client has one call at a time, on a few keys that all of them share. Before each call it asks which gateway to
//! use, so that gateways may come and go. It gives up a call that takes too long: what becomes of a write then is not
//! known. See [`run_client`] for the work and [`read_back`] for what follows it.

mod attempt;
mod client;
pub mod content;
mod draw;
pub mod gate;
mod read_back;
mod upload;
mod versions;

pub use client::run_client;
pub use gate::{Gate, Trap};
pub use read_back::read_back;

use crate::history::{Operation, Outcome, Phase, Recorder, Seen};
use commonware_runtime::Clock;
use proof::BucketName;
use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use vault::Place;

/// How often, relative to one another, clients ask for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Puts.
    pub put: u32,
    /// Copies of a version to another key.
    pub copy: u32,
    /// Deletes.
    pub delete: u32,
    /// Reads of a whole current object.
    pub get: u32,
    /// Reads of a range of a current object.
    pub get_range: u32,
    /// Reads of a whole version.
    pub get_version: u32,
    /// Heads.
    pub head: u32,
    /// Listings, of one page or several.
    pub list: u32,
    /// Listings as of a height.
    pub list_at: u32,
    /// Reads as of a height, found by a time or not.
    pub get_at: u32,
    /// Versions hidden.
    pub hide: u32,
    /// Deletes undone.
    pub undelete: u32,
    /// Listings of versions, now or as of a height.
    pub list_versions: u32,
    /// Multipart uploads with one part, of any length.
    pub upload: u32,
    /// Multipart uploads with several parts: 5 MiB and more.
    pub upload_large: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            put: 300,
            copy: 40,
            delete: 100,
            get: 220,
            get_range: 80,
            get_version: 80,
            head: 60,
            list: 80,
            list_at: 20,
            get_at: 50,
            hide: 50,
            undelete: 35,
            list_versions: 40,
            upload: 28,
            upload_large: 2,
        }
    }
}

/// How often, relative to one another, objects have which length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// No bytes.
    pub empty: u32,
    /// Up to 16 KiB: they travel inside the transaction.
    pub inline: u32,
    /// 16 to 200 KiB: one chunk.
    pub medium: u32,
    /// 1 to 3 MiB: several chunks.
    pub large: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { empty: 20, inline: 790, medium: 170, large: 20 }
    }
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPlan {
    /// What clients ask for is drawn from this. Contents are derived from the history's seed.
    pub seed: u64,
    /// The bucket, which exists.
    pub bucket: BucketName,
    /// Clients.
    pub clients: u32,
    /// What each of them does, in number.
    pub operations: u32,
    /// Keys, which all of them share.
    pub keys: u32,
    /// What they ask for.
    pub weights: Weights,
    /// How long objects are.
    pub sizes: Sizes,
    /// Of a hundred writes, how many have a condition.
    pub conditional_percent: u32,
    /// How long a client thinks before it asks, milliseconds.
    pub think_ms: Range<u64>,
    /// How long a client waits for an answer.
    pub give_up: Duration,
}

impl WorkloadPlan {
    /// A plan that moves some 10 MiB.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            bucket: "bucket".parse().expect("a bucket's name"),
            clients: 6,
            operations: 40,
            keys: 6,
            weights: Weights::default(),
            sizes: Sizes::default(),
            conditional_percent: 30,
            think_ms: 0..1000,
            give_up: Duration::from_secs(60),
        }
    }

    /// The key with this number. Some share prefixes.
    pub fn key(&self, number: u32) -> String {
        match number % 3 {
            0 => format!("k{number}"),
            1 => format!("a/k{number}"),
            _ => format!("a/b/k{number}"),
        }
    }

    fn place(&self, key: &str) -> Place {
        Place { bucket: self.bucket.clone(), key: key.parse().expect("the plan's keys are keys") }
    }
}

/// Creates the plan's bucket. Gives whether it did.
pub async fn create_bucket<E: vault::Context>(
    context: &E,
    gate: &Gate<E>,
    plan: &WorkloadPlan,
    recorder: &Recorder,
) -> bool {
    let id = recorder.invoke(Phase::Work, (0, gate.number), now_ms(context), |_| Operation::CreateBucket);
    let (vault, bucket) = (gate.vault(), plan.bucket.clone());
    let created = gate.run(true, async move { vault.create_bucket(&bucket).await });
    let outcome = match context.timeout(plan.give_up, created).await {
        Ok(Ok(Ok(_))) => Outcome::Ok(Seen::Done),
        Ok(Ok(Err(error))) => attempt::outcome_of(error, attempt::Stage::Submitting),
        Ok(Err(_)) | Err(_) => Outcome::Unknown("no answer".into()),
    };
    let created = outcome.is_answer();
    recorder.complete(id, now_ms(context), outcome);
    created
}

fn now_ms(context: &impl Clock) -> u64 {
    ms(context.current())
}

fn ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

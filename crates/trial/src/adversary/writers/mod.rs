//! Writers who mean harm: clients with a tenant's key who try what must not be possible.
//!
//! | trick | what it tries | what must become of it |
//! | --- | --- | --- |
//! | inconsistent | shards that are not one encoding of anything, properly committed to | readers get the honest bytes or an error |
//! | receipts | storage receipts of one manifest for another, too few, or its own | refused |
//! | unsent | certification of what was never sent; shards that are another node's or of another chunk | no receipt, nothing taken |
//! | trespass | another tenant's buckets, keys and name; tenants without an approver | refused |
//! | replay | one transaction many times, and with another signature | one effect |
//! | malformed | bytes that are no request, and requests larger than any | an answer or none, and no harm |
//! | flood | as many small transactions as it can send | the nodes' mempools stay within their bounds |
//!
//! A trick counts as succeeded only where that is proved, or more nodes say so than can be faulty; everything else that
//! goes wrong is weather. What a trick leaves behind that cannot be read any more is named in the [`Attempt`].

mod crafted;
mod ordering;
mod storing;

use super::{Acts, chance::Chance};
use bytes::Bytes;
use chain::client::SubmitError;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519;
use futures::future::join_all;
use link::Lane;
use proof::{
    BucketName, SignedTransaction, TenantId, Transaction, VersionId,
    transaction::{Operation, Place},
    wire::List,
};
use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};
use vault::{ConnectError, Vault};

/// How long a single node may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// What a malicious writer tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trick {
    /// Shards that are not one encoding of anything.
    Inconsistent,
    /// Storage receipts for something else.
    Receipts,
    /// Certification of what was never sent.
    Unsent,
    /// What is another tenant's.
    Trespass,
    /// The same transaction again.
    Replay,
    /// What is no request.
    Malformed,
    /// Many small transactions.
    Flood,
}

impl Trick {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Inconsistent,
        Self::Receipts,
        Self::Unsent,
        Self::Trespass,
        Self::Replay,
        Self::Malformed,
        Self::Flood,
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inconsistent => "inconsistent",
            Self::Receipts => "receipts",
            Self::Unsent => "unsent",
            Self::Trespass => "trespass",
            Self::Replay => "replay",
            Self::Malformed => "malformed",
            Self::Flood => "flood",
        }
    }
}

/// What was tried and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The trick.
    pub trick: Trick,
    /// What was tried.
    pub tried: String,
    /// What the network answered.
    pub answered: String,
    /// What happened that must not, if it did.
    pub violation: Option<String>,
    /// What cannot be relied on any more.
    pub spoiled: Option<Spoiled>,
}

/// A key whose current version its own writer spoiled: reading it gives `bytes` or `Damaged`, never anything else.
#[derive(Clone, Debug)]
pub struct Spoiled {
    /// The key.
    pub place: Place,
    /// The spoiled version; `None` when it is not known whether it was made.
    pub version: Option<VersionId>,
    /// What an honest reader may get.
    pub bytes: Bytes,
}

impl Attempt {
    fn new(trick: Trick, tried: impl Into<String>, answered: impl fmt::Display) -> Self {
        let (tried, answered) = (tried.into(), answered.to_string());
        Self { trick, tried, answered, violation: None, spoiled: None }
    }

    /// It is a violation if `happened`.
    fn wrong_if(mut self, happened: bool, what: impl fmt::Display) -> Self {
        if happened {
            self.violation = Some(format!("{}: {}: {what}", self.trick.name(), self.tried));
        }
        self
    }
}

/// Whom a trespasser means to harm.
#[derive(Clone, Debug)]
pub struct Victim {
    /// The tenant.
    pub tenant: TenantId,
    /// One who signs for it.
    pub signer: proof::PublicKey,
    /// One of its keys.
    pub place: Place,
}

/// A malicious writer: a tenant's gateway, and what a gateway is made of, taken apart.
pub struct Malefactor<E: vault::Context> {
    context: E,
    config: vault::Config,
    bucket: BucketName,
    victim: Victim,
    vault: Vault<E>,
    chain: chain::client::Client<E>,
    shards: shards::Client<E>,
    /// To the nodes in the order of the committee.
    links: Vec<link::Client>,
    code: blob::Code,
    chance: Chance,
    acts: Acts,
}

impl<E: vault::Context> Malefactor<E> {
    /// One who has what `config` says, writes to `bucket`, which should be nobody else's, and throws the dice of `seed`.
    pub fn connect(
        context: E,
        config: vault::Config,
        bucket: BucketName,
        victim: Victim,
        seed: u64,
        acts: &Acts,
    ) -> Result<Self, ConnectError> {
        let vault = Vault::connect(context.child("vault"), config.clone())?;
        let committee = config.lineage.committee();
        let links = committee.nodes().iter().map(|node| start_link(&context, &config, node));
        let links: Vec<link::Client> = links.collect::<Result<_, _>>()?;
        let chain = chain::client::Config {
            lineage: config.lineage.clone(),
            peers: links.clone(),
            read_timeout: config.limits.read_timeout,
            submit_timeout: config.limits.submit_timeout,
        };
        Ok(Self {
            chain: chain::client::Client::new(context.child("chain"), chain),
            shards: shards::Client::new(context.child("shards"), &config.lineage, links.clone()),
            code: blob::Code::new(committee.k(), committee.n()).expect("a committee's sizes make a code"),
            chance: Chance::new(seed),
            acts: acts.clone(),
            context,
            config,
            bucket,
            victim,
            vault,
            links,
        })
    }

    /// Makes the bucket, then tries one trick after the other, in random order and with pauses, so many in all.
    pub async fn run(&self, tricks: usize) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        // That it is there already, or cannot be made, shows in what follows.
        let _ = self.vault.create_bucket(&self.bucket).await;
        for _ in 0..tricks {
            let trick = Trick::ALL[self.chance.below(Trick::ALL.len())];
            attempts.extend(self.play(trick).await);
            self.context.sleep(self.chance.ms(10..2_000)).await;
        }
        attempts
    }

    /// Tries one trick.
    pub async fn play(&self, trick: Trick) -> Vec<Attempt> {
        let attempts = match trick {
            Trick::Inconsistent => self.inconsistent().await,
            Trick::Receipts => self.receipts().await,
            Trick::Unsent => self.unsent().await,
            Trick::Trespass => self.trespass().await,
            Trick::Replay => self.replay().await,
            Trick::Malformed => self.malformed().await,
            Trick::Flood => self.flood().await,
        };
        for _ in &attempts {
            self.acts.count("writer", trick.name());
        }
        attempts
    }

    /// A key of the writer's bucket that was never used before.
    fn place(&self, name: &str) -> Place {
        let number = u64::from_be_bytes(self.chance.bytes());
        let key = format!("{name}-{number:016x}").parse().expect("an object's key");
        Place { bucket: self.bucket.clone(), key }
    }

    /// A transaction of `tenant` by `signer`.
    fn transaction(
        &self,
        tenant: TenantId,
        signer: proof::PublicKey,
        operations: Vec<Operation>,
    ) -> Transaction {
        let now = self.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        Transaction {
            network: self.config.lineage.network(),
            tenant,
            signer,
            nonce: self.chance.bytes(),
            expires_ms: (now + self.config.limits.expiry).as_millis() as u64,
            preconditions: List::default(),
            operations: List::new(operations).expect("few operations"),
        }
    }

    /// As [`Self::transaction`], of the writer's own tenant and signed.
    fn signed(&self, operations: Vec<Operation>, attachments: Vec<Bytes>) -> SignedTransaction {
        let (tenant, key) = (self.config.tenant, &self.config.key);
        self.transaction(tenant, key.public_key(), operations).sign(key, attachments)
    }

    /// Submits what must not be applied.
    async fn must_fail(&self, trick: Trick, tried: &str, signed: SignedTransaction) -> Attempt {
        let submitted = self.chain.submit(signed).await;
        let answered = submitted.as_ref().map_or_else(SubmitError::to_string, |committed| {
            format!("applied at height {}", committed.block.header.height)
        });
        Attempt::new(trick, tried, answered).wrong_if(submitted.is_ok(), "it was applied")
    }

    /// What each node answers, in the order of the committee.
    async fn ask_all(&self, lane: Lane, message: &Bytes) -> Vec<Result<Bytes, link::Error>> {
        join_all(self.links.iter().map(|link| link.call(lane, message.clone(), CALL_TIMEOUT))).await
    }

    /// Whether more nodes than can be faulty did something.
    fn is_proved(&self, nodes: usize) -> bool {
        nodes > self.config.lineage.committee().f()
    }
}

fn start_link<E: vault::Context>(
    context: &E,
    config: &vault::Config,
    node: &proof::PublicKey,
) -> Result<link::Client, ConnectError> {
    let address = config.nodes.iter().find(|(key, _)| key == node).map(|(_, address)| *address);
    let link = link::ClientConfig {
        key: crate::adversary::rogue::signer(&config.key),
        namespace: proof::genesis::link_namespace(config.lineage.network()),
        peer: ed25519::PublicKey::decode(Copying(&node.0)).map_err(|_| ConnectError::InvalidKey(*node))?,
        address: address.ok_or(ConnectError::NoAddress(*node))?,
        limits: config.limits.link.clone(),
    };
    Ok(link::Client::start(context.child("link"), link))
}

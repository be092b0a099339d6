//! What the operator of a gateway decides.

use crate::{access::Scope, tls::Tls};
pub use s3s::auth::SecretKey;
use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

/// Settings of the S3 surface.
#[derive(Clone, Debug)]
pub struct Config {
    /// Secret by access key. `Debug` never shows a secret. Whoever signs with one of these keys may do all that this
    /// surface offers, which destroys nothing: every earlier version of every object stays. Unless the key has a scope.
    pub keys: BTreeMap<String, SecretKey>,
    /// What keys are limited to, by access key.
    pub scopes: BTreeMap<String, Scope>,
    /// The region that signatures must be made for.
    pub region: String,
    /// The account that owns all buckets, as listings show it and as `x-amz-expected-bucket-owner` must say.
    pub owner: String,
    /// Domains below which a host name is a bucket (`bucket.domain`), besides `localhost`. Without port.
    pub domains: Vec<String>,
    /// If there is one, clients must speak TLS.
    pub tls: Option<Tls>,
    /// Connections open at a time. One more is answered 503 and closed.
    pub connections_max: usize,
    /// Requests in work at a time. One more is answered 503 SlowDown at once.
    pub requests_max: usize,
    /// Requests of one access key in a second; `None`: any number. What is too much is answered 503 SlowDown.
    pub key_requests_per_second: Option<NonZeroU32>,
    /// How long a client may take to send a request's headers, and how long an idle connection stays open.
    pub header_timeout: Duration,
    /// How long a client may take for each 16 KiB of a body, either way.
    pub stall_timeout: Duration,
    /// How long requests in work may go on after shutdown is asked for.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            scopes: BTreeMap::new(),
            region: "us-east-1".to_owned(),
            owner: "outlast".to_owned(),
            domains: Vec::new(),
            tls: None,
            connections_max: 1024,
            requests_max: 256,
            key_requests_per_second: None,
            header_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

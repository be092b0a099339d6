//! `s3-load put|get`: a number of clients write or read objects, each as fast as answers come, and every byte read is
//! compared with what was written. One JSON object on standard output says how it went:
//!
//! `{"operations", "bytes", "seconds", "per_second", "mb_per_second", "p50_ms", "p99_ms", "max_ms", "errors", "wrong"}`
//!
//! Bytes are counted in MB = 10^6. Credentials come from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. A client
//! sends requests through the crate `object_store`, without retries; payloads are signed unless told otherwise.

mod contents;

use clap::{Parser, ValueEnum};
use contents::Contents;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    ClientOptions, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use serde::Serialize;
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Writes or reads objects at an S3 endpoint, and measures.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// What to do
    mode: Mode,
    /// Where, as http://HOST:PORT
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    endpoint: String,
    /// An existing bucket
    #[arg(long)]
    bucket: String,
    /// What the objects' keys begin with
    #[arg(long, default_value = "load")]
    prefix: String,
    /// Bytes of an object
    #[arg(long)]
    size: u64,
    /// Clients at once
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Objects; reading goes around them until the time is over
    #[arg(long)]
    objects: u64,
    /// Seconds after which no further request is begun
    #[arg(long, default_value_t = 3600.0)]
    seconds: f64,
    /// Write objects in parts of this many bytes instead of whole
    #[arg(long)]
    part: Option<u64>,
    /// Do not sign what is sent, only the request
    #[arg(long)]
    unsigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Put,
    Get,
}

/// How one request went.
struct Outcome {
    seconds: f64,
    bytes: u64,
    wrong: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    operations: usize,
    bytes: u64,
    seconds: f64,
    per_second: f64,
    mb_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    errors: usize,
    wrong: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(measured) => {
            println!("{}", serde_json::to_string(&measured).expect("numbers are JSON"));
            ExitCode::from(u8::from(measured.errors + measured.wrong > 0))
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<Measured, Failure> {
    let client = Arc::new(Client {
        store: store(&arguments)?,
        contents: Contents::new(1),
        next: AtomicU64::new(0),
        arguments,
    });
    let begun = Instant::now();
    let clients = (0..client.arguments.clients).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.work(begun).await })
    });
    let outcomes: Vec<Outcome> =
        futures::future::try_join_all(clients).await?.into_iter().flatten().collect();
    Ok(measure(begun.elapsed().as_secs_f64(), &outcomes))
}

fn store(arguments: &Arguments) -> Result<AmazonS3, Failure> {
    let options = ClientOptions::new().with_allow_http(true).with_timeout_disabled();
    let store = AmazonS3Builder::from_env()
        .with_endpoint(&arguments.endpoint)
        .with_bucket_name(&arguments.bucket)
        .with_region("us-east-1")
        .with_client_options(options)
        .with_unsigned_payload(arguments.unsigned)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()?;
    Ok(store)
}

/// What all clients of a run share.
struct Client {
    store: AmazonS3,
    contents: Contents,
    /// The next object's number.
    next: AtomicU64,
    arguments: Arguments,
}

impl Client {
    /// One request after the other, until there is nothing more to do or the time is over.
    async fn work(&self, begun: Instant) -> Vec<Outcome> {
        let limit = Duration::from_secs_f64(self.arguments.seconds);
        let timed = self.arguments.mode == Mode::Get && self.arguments.seconds < 3600.0;
        let mut outcomes = Vec::new();
        while begun.elapsed() < limit {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.arguments.objects && !timed {
                break;
            }
            outcomes.push(self.request(number % self.arguments.objects).await);
        }
        outcomes
    }

    async fn request(&self, number: u64) -> Outcome {
        let path = Path::from(format!("{}/{number:08}", self.arguments.prefix));
        let begun = Instant::now();
        let done = match self.arguments.mode {
            Mode::Put => self.put(&path, number).await.map(|()| true),
            Mode::Get => self.get(&path, number).await,
        };
        let seconds = begun.elapsed().as_secs_f64();
        match done {
            Ok(right) => Outcome { seconds, bytes: self.arguments.size, wrong: !right, error: None },
            Err(error) => Outcome { seconds, bytes: 0, wrong: false, error: Some(error.to_string()) },
        }
    }

    async fn put(&self, path: &Path, number: u64) -> object_store::Result<()> {
        let size = self.arguments.size;
        let Some(part) = self.arguments.part.filter(|part| *part < size) else {
            return self.store.put(path, self.contents.payload(number, 0, size)).await.map(drop);
        };
        let mut upload = self.store.put_multipart(path).await?;
        let parts: Vec<_> = (0..size.div_ceil(part))
            .map(|index| index * part)
            .map(|offset| upload.put_part(self.contents.payload(number, offset, part.min(size - offset))))
            .collect();
        // Two at a time, as most clients do.
        stream::iter(parts).buffer_unordered(2).try_collect::<Vec<()>>().await?;
        upload.complete().await.map(drop)
    }

    /// Whether the object is what was put.
    async fn get(&self, path: &Path, number: u64) -> object_store::Result<bool> {
        let mut stream = self.store.get(path).await?.into_stream();
        let (mut read, mut right) = (0, true);
        while let Some(bytes) = stream.try_next().await? {
            right &= self.contents.agrees(number, read, &bytes);
            read += bytes.len() as u64;
        }
        Ok(right && read == self.arguments.size)
    }
}

fn measure(seconds: f64, outcomes: &[Outcome]) -> Measured {
    let mut times: Vec<f64> = outcomes
        .iter()
        .filter(|outcome| outcome.error.is_none())
        .map(|outcome| outcome.seconds * 1e3)
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let bytes: u64 = outcomes.iter().map(|outcome| outcome.bytes).sum();
    Measured {
        operations: times.len(),
        bytes,
        seconds,
        per_second: times.len() as f64 / seconds,
        mb_per_second: bytes as f64 / 1e6 / seconds,
        p50_ms: quantile(&times, 0.5),
        p99_ms: quantile(&times, 0.99),
        max_ms: quantile(&times, 1.0),
        errors: outcomes.len() - times.len(),
        wrong: outcomes.iter().filter(|outcome| outcome.wrong).count(),
        first_error: outcomes.iter().find_map(|outcome| outcome.error.clone()),
    }
}

/// The smallest of the sorted times that is not below the fraction `q` of them; 0 when there are none.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&times, 0.5), 50.0);
        assert_eq!(quantile(&times, 0.99), 99.0);
        assert_eq!(quantile(&times, 1.0), 100.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}

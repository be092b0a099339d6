//! How many requests an access key may make in a second.
//!
//! Counted is what is signed, so nobody can use up another's rate; and only keys that are configured are counted, so the
//! memory is bounded. A key may save up a second's worth. What is too much is refused at once: 503 SlowDown.

use crate::error::{error, with_headers};
use s3s::{
    S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
};
use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::Mutex,
    time::{Duration, Instant},
};

/// What a key may save up.
const SAVED: Duration = Duration::from_secs(1);

/// The rates of all keys.
pub(crate) struct Rates {
    /// From one request to the next, if there is a limit.
    interval: Option<Duration>,
    /// By key: when all requests so far have been paid for.
    paid: BTreeMap<String, Mutex<Option<Instant>>>,
}

impl Rates {
    pub(crate) fn new<'a>(per_second: Option<NonZeroU32>, keys: impl Iterator<Item = &'a String>) -> Self {
        let interval = per_second.map(|rate| SAVED / rate.get());
        Self { interval, paid: keys.map(|key| (key.clone(), Mutex::default())).collect() }
    }

    /// Counts a request. Gives how long to wait, if it is too much.
    fn take(&self, key: &str, now: Instant) -> Result<(), Duration> {
        let (Some(interval), Some(paid)) = (self.interval, self.paid.get(key)) else { return Ok(()) };
        let mut paid = paid.lock().expect("nothing panics while it is held");
        let next = paid.map_or(now, |paid| paid.max(now)) + interval;
        match next.checked_duration_since(now + SAVED) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *paid = Some(next);
                Ok(())
            }
        }
    }

    /// Counts a request. Errors: SlowDown.
    pub(crate) fn check(&self, key: &str) -> S3Result<()> {
        self.take(key, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let message =
                "Please reduce your request rate: this access key makes too many requests in a second.";
            with_headers(error(S3ErrorCode::SlowDown, message), &[("retry-after", seconds.to_string())])
        })
    }
}

/// Counts requests before `access` decides about them.
pub(crate) struct Counted<A> {
    pub(crate) rates: std::sync::Arc<Rates>,
    pub(crate) access: A,
}

#[async_trait::async_trait]
impl<A: S3Access> S3Access for Counted<A> {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if let Some(credentials) = context.credentials() {
            self.rates.check(&credentials.access_key)?;
        }
        self.access.check(context).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_saved_up_and_no_more() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let rates = Rates::new(NonZeroU32::new(10), keys.iter());
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let allowed =
            |key: &str, ms: u64, asked: u32| (0..asked).filter(|_| rates.take(key, at(ms)).is_ok()).count();
        assert_eq!(allowed("a", 0, 30), 10);
        assert_eq!(allowed("a", 50, 30), 0);
        assert_eq!(allowed("a", 300, 30), 3);
        assert_eq!(allowed("b", 300, 30), 10, "each key has its own");
        assert_eq!(allowed("a", 60_000, 30), 10, "not a minute's worth");
        assert!(rates.take("a", at(60_000)).is_err_and(|wait| wait <= Duration::from_millis(100)));
        assert_eq!(allowed("unknown", 0, 5), 5, "refused elsewhere");
        let unlimited = Rates::new(None, keys.iter());
        assert!((0..1000).all(|_| unlimited.take("a", start).is_ok()));
    }
}

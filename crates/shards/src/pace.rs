//! How fast background work may go, and how fast it goes. Pure: times are arguments.

use std::time::{Duration, SystemTime};

/// A token bucket: so many bytes in a second on average, and at most a second's worth at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    bytes_per_second: u64,
    /// What may be taken at `at`. Below zero after a take that was larger.
    bytes: i128,
    at: SystemTime,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(bytes_per_second: u64, now: SystemTime) -> Self {
        let bytes_per_second = bytes_per_second.max(1);
        Self { bytes_per_second, bytes: i128::from(bytes_per_second), at: now }
    }

    /// Changes the rate from `now` on.
    pub(crate) fn set_rate(&mut self, bytes_per_second: u64, now: SystemTime) {
        self.fill(now);
        self.bytes_per_second = bytes_per_second.max(1);
        self.bytes = self.bytes.min(i128::from(self.bytes_per_second));
    }

    /// Takes `bytes`, and says how long to wait before they are used.
    pub(crate) fn take(&mut self, bytes: u64, now: SystemTime) -> Duration {
        self.fill(now);
        self.bytes -= i128::from(bytes);
        let lacking = u64::try_from(-self.bytes).unwrap_or(0);
        Duration::from_secs_f64(lacking as f64 / self.bytes_per_second as f64)
    }

    fn fill(&mut self, now: SystemTime) {
        // A clock that was set back gives nothing, and goes on from there.
        self.at = self.at.min(now);
        let elapsed = now.duration_since(self.at).unwrap_or_default();
        let filled = (elapsed.as_secs_f64() * self.bytes_per_second as f64) as i128;
        if filled > 0 {
            self.bytes = (self.bytes + filled).min(i128::from(self.bytes_per_second));
            self.at = now;
        }
    }
}

/// How much is done in a second, averaged over about [`METER_WINDOW`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    per_second: f64,
    at: Option<SystemTime>,
}

/// What lies further back does not count any more.
const METER_WINDOW: Duration = Duration::from_secs(10);

impl Meter {
    /// Notes that `amount` was done since the last note.
    pub(crate) fn note(&mut self, amount: u64, now: SystemTime) {
        let elapsed = self.at.and_then(|at| now.duration_since(at).ok());
        self.at = Some(now);
        let Some(elapsed) = elapsed.filter(|elapsed| *elapsed < METER_WINDOW) else {
            // Work began anew: as if it had begun a second ago.
            self.per_second = amount as f64;
            return;
        };
        let seconds = elapsed.as_secs_f64().max(0.001);
        let weight = (seconds / METER_WINDOW.as_secs_f64() * 2.0).min(1.0);
        self.per_second += weight * (amount as f64 / seconds - self.per_second);
    }

    /// What is done in a second; zero when nothing was for a while.
    pub(crate) fn per_second(&self, now: SystemTime) -> f64 {
        let elapsed = self.at.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
        if elapsed < METER_WINDOW { self.per_second } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_keeps_its_rate_and_bursts_for_a_second() {
        let mut bucket = Bucket::new(1000, at(0));
        assert_eq!(bucket.take(1000, at(0)), Duration::ZERO, "a burst");
        assert_eq!(bucket.take(500, at(0)), Duration::from_millis(500));
        assert_eq!(bucket.take(500, at(500)), Duration::from_millis(500));
        assert_eq!(bucket.take(0, at(60_000)), Duration::ZERO);
        assert_eq!(bucket.take(2000, at(60_000)), Duration::from_secs(1), "no more than a second's worth");
        assert_eq!(
            bucket.take(0, at(50_000)),
            Duration::from_secs(1),
            "a clock that goes back gives nothing"
        );
        assert_eq!(bucket.take(0, at(50_600)), Duration::from_millis(400), "and goes on from there");
        assert_eq!(bucket.take(1000, at(51_000)), Duration::from_secs(1));
    }

    #[test]
    fn a_bucket_may_be_asked_often() {
        let mut bucket = Bucket::new(10, at(0));
        bucket.take(10, at(0));
        for ms in 1..=1000 {
            bucket.take(0, at(ms));
        }
        assert_eq!(bucket.take(10, at(1000)), Duration::ZERO);
    }

    #[test]
    fn a_meter_follows_and_forgets() {
        let mut meter = Meter::default();
        for tick in 0..200 {
            meter.note(50, at(tick * 100));
        }
        assert!((450.0..550.0).contains(&meter.per_second(at(20_000))));
        assert!(meter.per_second(at(40_000)) == 0.0);
    }
}

//! A machine's clock, which may be wrong and may run fast or slow.

use commonware_runtime::{Clock as _, deterministic};
use commonware_utils::{SystemTimeExt, sync::Mutex};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Parts in a million.
const MILLION: i128 = 1_000_000;
/// How far a clock's rate may be off, parts in a million.
const DRIFT_PPM_MAX: i64 = 500_000;

/// A machine's clock. Clones share it.
#[derive(Clone)]
pub struct Clock {
    context: Arc<deterministic::Context>,
    rate: Arc<Mutex<Rate>>,
}

/// A line from true time to the machine's.
#[derive(Clone, Copy)]
struct Rate {
    /// True time at which the line starts, nanoseconds since 1970.
    origin_ns: i128,
    /// The machine's time there, nanoseconds since 1970.
    local_ns: i128,
    drift_ppm: i64,
}

impl Rate {
    fn local_ns(&self, true_ns: i128) -> i128 {
        let elapsed = true_ns - self.origin_ns;
        (self.local_ns + elapsed + (elapsed * i128::from(self.drift_ppm)).div_euclid(MILLION)).max(0)
    }

    /// How long in truth until this clock has gone on by `duration`, rounded up.
    fn until(&self, duration: Duration) -> Duration {
        if self.drift_ppm == 0 {
            return duration;
        }
        let scale = (MILLION + i128::from(self.drift_ppm)) as u128;
        let scaled = duration.as_nanos().saturating_mul(MILLION as u128).div_ceil(scale);
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Clock {
    /// A clock that is right.
    pub(super) fn new(context: deterministic::Context) -> Self {
        let now = nanos(context.current());
        let rate = Rate { origin_ns: now, local_ns: now, drift_ppm: 0 };
        Self { context: Arc::new(context), rate: Arc::new(Mutex::new(rate)) }
    }

    /// Sets the clock to true time plus `offset_ms`: a jump, maybe back. It drifts from there on as before.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        let now = nanos(self.context.current());
        let mut rate = self.rate.lock();
        rate.origin_ns = now;
        rate.local_ns = now + i128::from(offset_ms) * MILLION;
    }

    /// Makes the clock gain `drift_ppm` microseconds every second, or lose, from now on. No jump.
    pub fn set_drift_ppm(&self, drift_ppm: i64) {
        assert!(drift_ppm.abs() <= DRIFT_PPM_MAX, "a clock that stands still or doubles is not a clock");
        let now = nanos(self.context.current());
        let mut rate = self.rate.lock();
        *rate = Rate { origin_ns: now, local_ns: rate.local_ns(now), drift_ppm };
    }

    /// The time as the machine sees it.
    pub fn now(&self) -> SystemTime {
        let now = nanos(self.context.current());
        let local = self.rate.lock().local_ns(now);
        let local = u64::try_from(local).expect("no simulation reaches the year 2554");
        SystemTime::UNIX_EPOCH + Duration::from_nanos(local)
    }

    /// Ends when this clock has gone on by `duration`. As on real machines, a jump does not matter.
    pub(super) fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        let duration = self.rate.lock().until(duration);
        self.context.sleep_until(self.context.current().saturating_add_ext(duration))
    }

    /// Ends when this clock shows `deadline`, if nobody sets it in between.
    pub(super) fn sleep_until(
        &self,
        deadline: SystemTime,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.sleep(deadline.duration_since(self.now()).unwrap_or_default())
    }
}

fn nanos(time: SystemTime) -> i128 {
    time.epoch().as_nanos() as i128
}

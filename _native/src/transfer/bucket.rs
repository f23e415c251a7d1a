//! One bandwidth limit over all connections, changeable while they run.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may be read at once without a limit.
const GRAIN: usize = 256 * 1024;
/// Under a limit so many reads a second are made, so that the rate is even.
const READS_A_SECOND: u64 = 64;
const SMALLEST_GRAIN: u64 = 4096;

/// What was read too early is a debt that is waited for.
pub struct Bucket(Mutex<State>);

struct State {
    rate_bytes_s: Option<u64>,
    /// When the bytes read so far will have been allowed.
    paid_at: Instant,
}

impl Bucket {
    pub fn new(rate_bytes_s: Option<u64>) -> Self {
        Self(Mutex::new(State { rate_bytes_s, paid_at: Instant::now() }))
    }

    /// Changes the limit; a debt made under the old one is forgiven.
    pub fn set_rate(&self, rate_bytes_s: Option<u64>) {
        *self.lock() = State { rate_bytes_s, paid_at: Instant::now() };
    }

    /// Bytes to read at once, 256 KiB at most.
    pub fn grain(&self) -> usize {
        let rate = self.lock().rate_bytes_s;
        let grain = rate.map(|rate| (rate / READS_A_SECOND).max(SMALLEST_GRAIN));
        grain.and_then(|grain| usize::try_from(grain).ok()).map_or(GRAIN, |grain| grain.min(GRAIN))
    }

    /// Notes that bytes were read at `now`.
    pub fn spend(&self, bytes: usize, now: Instant) {
        let mut state = self.lock();
        if let Some(rate) = state.rate_bytes_s {
            #[allow(clippy::cast_precision_loss)] // a rate, and bytes of one read
            let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            // What was not used does not add up: no burst after a pause.
            state.paid_at = state.paid_at.max(now) + cost;
        }
    }

    /// How long to wait before the next read; looked at again after a moment, as the limit may change.
    pub fn debt(&self, now: Instant) -> Duration {
        self.lock().paid_at.saturating_duration_since(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_too_early_is_waited_for() {
        let bucket = Bucket::new(Some(1 << 20));
        let now = Instant::now() + Duration::from_secs(1);
        assert_eq!(bucket.debt(now), Duration::ZERO);
        bucket.spend(1 << 19, now);
        bucket.spend(1 << 19, now);
        assert_eq!(bucket.debt(now), Duration::from_secs(1));
        assert_eq!(bucket.debt(now + Duration::from_secs(3)), Duration::ZERO);
        bucket.spend(1 << 20, now + Duration::from_secs(3));
        assert_eq!(bucket.debt(now + Duration::from_secs(3)), Duration::from_secs(1));
    }

    #[test]
    fn another_limit_takes_effect_at_once() {
        let bucket = Bucket::new(Some(1));
        let now = Instant::now();
        bucket.spend(1 << 20, now);
        assert!(bucket.debt(now) > Duration::from_secs(1000));
        assert_eq!(bucket.grain(), 4096);
        bucket.set_rate(None);
        assert!(bucket.debt(Instant::now()).is_zero());
        bucket.spend(1 << 30, now);
        assert!(bucket.debt(Instant::now()).is_zero());
        assert_eq!(bucket.grain(), GRAIN);
    }
}

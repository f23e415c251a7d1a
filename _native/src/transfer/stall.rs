//! When a connection is too slow to be waited for: fewer bytes a second than the rule wants, over a whole window.

use std::time::{Duration, Instant};

/// The least that a connection must bring.
#[derive(Debug, Clone, Copy)]
pub struct StallRule {
    pub min_rate_bytes_s: u64,
    pub window: Duration,
}

/// Watches one connection, window by window.
pub struct Watch {
    rule: StallRule,
    since: Instant,
    bytes: u64,
}

impl Watch {
    pub fn new(rule: StallRule, now: Instant) -> Self {
        Self { rule, since: now, bytes: 0 }
    }

    pub fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Leaves out time in which we did not listen.
    pub fn excuse(&mut self, time: Duration) {
        self.since += time;
    }

    /// Whether a window has ended in which too little came.
    pub fn is_stalled(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < self.rule.window {
            return false;
        }
        #[allow(clippy::cast_precision_loss)] // a rate
        let wanted = self.rule.min_rate_bytes_s as f64 * elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let is_stalled = (self.bytes as f64) < wanted;
        self.since = now;
        self.bytes = 0;
        is_stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_window_of_too_little_counts() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let rule = StallRule { min_rate_bytes_s: 100, window: 2 * second };
        let mut watch = Watch::new(rule, start);
        watch.received(150);
        assert!(!watch.is_stalled(start + second));
        watch.received(100);
        assert!(!watch.is_stalled(start + 2 * second));
        watch.received(150);
        watch.excuse(second);
        assert!(!watch.is_stalled(start + 4 * second));
        assert!(watch.is_stalled(start + 5 * second));
    }
}

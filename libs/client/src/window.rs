//! Counts over the last ten seconds.
use std::time::Duration;
use tokio::time::Instant;

/// Of one second each.
const BUCKETS: usize = 10;

/// How many things happened in the last ten seconds, and how many of them were hits. Forgets in
/// steps of one second.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    buckets: [Counts; BUCKETS],
    current: usize,
    /// When the current bucket began.
    since: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: u32,
    pub(crate) hits: u32,
}

impl Window {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            buckets: [Counts::default(); BUCKETS],
            current: 0,
            since: now,
        }
    }

    pub(crate) fn add(&mut self, now: Instant, all: u32, hits: u32) {
        self.advance(now);
        let bucket = &mut self.buckets[self.current];
        bucket.all += all;
        bucket.hits += hits;
    }

    pub(crate) fn totals(&mut self, now: Instant) -> Counts {
        self.advance(now);
        let sum = |a: Counts, b: &Counts| Counts {
            all: a.all + b.all,
            hits: a.hits + b.hits,
        };
        self.buckets.iter().fold(Counts::default(), sum)
    }

    fn advance(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        for _ in 0..seconds.min(BUCKETS as u64) {
            self.current = (self.current + 1) % BUCKETS;
            self.buckets[self.current] = Counts::default();
        }
        self.since += Duration::from_secs(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_ten_seconds() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut window = Window::new(start);
        window.add(at(0), 1, 1);
        window.add(at(5_500), 2, 0);
        assert_eq!(window.totals(at(9_999)), Counts { all: 3, hits: 1 });
        assert_eq!(window.totals(at(10_000)), Counts { all: 2, hits: 0 });
        assert_eq!(window.totals(at(15_000)), Counts { all: 0, hits: 0 });
        window.add(at(3_600_000), 1, 0);
        assert_eq!(window.totals(at(3_609_900)), Counts { all: 1, hits: 0 });
        assert_eq!(window.totals(at(3_610_000)), Counts { all: 0, hits: 0 });
    }
}

//! When requests are due in an open loop, and a bell exact enough to keep to it.
use std::{thread, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::Instant,
};

/// A request that could not be started within this time after it was due is dropped: sent
/// later, it would no longer be load of the rate that was asked for.
pub const LATEST_START: Duration = Duration::from_secs(1);

/// Arrivals at a constant rate.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The first request is due now.
    pub start: Instant,
    /// Requests per second.
    pub rate: f64,
}

impl Schedule {
    /// When request `n` (from 0) is due. Computed from the start, so that no rounding adds up.
    pub fn due(&self, n: usize) -> Instant {
        self.start + Duration::from_secs_f64(n as f64 / self.rate)
    }
}

/// Whether a request that was due at `due` is too late to be sent at `now`.
pub fn too_late(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) > LATEST_START
}

/// Rings when each of the first `count` requests is due, with its number and when that was.
///
/// On a thread of its own, which is exact to some 50 µs: the runtime's timer rounds up to whole
/// milliseconds, which would show up as latency of the platform.
pub fn ring(schedule: Schedule, count: usize) -> UnboundedReceiver<(usize, Instant)> {
    #[expect(clippy::disallowed_methods, reason = "at most `count` items")]
    let (bell, rings) = unbounded_channel();
    thread::spawn(move || {
        for n in 0..count {
            let due = schedule.due(n);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if bell.send((n, due)).is_err() {
                // Nobody listens any more.
                return;
            }
        }
    });
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_keep_the_rate_over_a_long_run() {
        let start = Instant::now();
        let schedule = Schedule { start, rate: 300.0 };
        assert_eq!(schedule.due(0), start);
        // A third of 10 ms rounded once per arrival would be off by now.
        let off = schedule.due(300 * 3600) - start;
        assert_eq!(off.as_millis(), 3_600_000);
        for n in 0..1000 {
            let gap = schedule.due(n + 1) - schedule.due(n);
            assert!(
                (gap.as_secs_f64() - 1.0 / 300.0).abs() < 1e-6,
                "{gap:?} after {n}"
            );
        }
    }

    #[test]
    fn only_what_is_really_late_is_dropped() {
        let due = Instant::now();
        assert!(!too_late(due, due));
        assert!(!too_late(due, due + LATEST_START));
        assert!(too_late(due, due + LATEST_START + Duration::from_millis(1)));
        assert!(!too_late(due + LATEST_START, due), "early is not late");
    }

    #[tokio::test]
    async fn the_bell_rings_for_every_request_and_never_early() {
        let start = Instant::now();
        let schedule = Schedule {
            start,
            rate: 5000.0,
        };
        let mut rings = ring(schedule, 100);
        for n in 0..100 {
            let ring = rings.recv().await;
            assert_eq!(ring, Some((n, schedule.due(n))));
            assert!(Instant::now() >= schedule.due(n), "request {n}");
        }
        assert_eq!(rings.recv().await, None);
    }
}

//! The queue's timing and limits, with the values production uses as defaults.
use crate::State;
use std::time::Duration;

/// Timing and limits. All processes that share a queue should use the same.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a claim holds without being renewed. A live worker renews three times per lease;
    /// a dead one's jobs start elsewhere after at most a lease and a quarter. A handler that blocks
    /// its thread for longer than a third of this may lose its job to another worker.
    pub lease: Duration,
    /// The first retry comes within this time, each later one within twice that of the one before.
    pub backoff_base: Duration,
    pub backoff_cap: Duration,
    /// A job is dead when this many workers have died while they ran it.
    pub max_crashes: u32,
    /// How long a unique key is remembered.
    pub unique_for: Duration,
    /// How many done jobs of a queue are kept, the newest.
    pub keep_done: u64,
    pub keep_done_for: Duration,
    /// How many dead jobs of a queue are kept, the newest, and for how long they can be replayed.
    pub keep_dead: u64,
    pub keep_dead_for: Duration,
    /// How long handlers may go on after the shutdown began; what isn't finished by then is
    /// handed back.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            max_crashes: 3,
            unique_for: Duration::from_secs(24 * 3600),
            keep_done: 10_000,
            keep_done_for: Duration::from_secs(24 * 3600),
            keep_dead: 10_000,
            keep_dead_for: Duration::from_secs(90 * 24 * 3600),
            drain: Duration::from_secs(20),
        }
    }
}

impl Options {
    /// The defaults for a process that has to stop within `time`: jobs that run then may take most
    /// of it to finish, what is left hands the others back.
    #[must_use]
    pub fn stopping_within(time: Duration) -> Self {
        Self {
            drain: time.mul_f64(0.75),
            ..Self::default()
        }
    }

    /// For the two states in which jobs end: how long they are kept, and how many of them.
    pub(crate) fn kept(&self) -> [(State, Duration, u64); 2] {
        [
            (State::Done, self.keep_done_for, self.keep_done),
            (State::Dead, self.keep_dead_for, self.keep_dead),
        ]
    }

    /// How long to wait before the next attempt, `attempts` having failed: exponential with full
    /// jitter (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    pub(crate) fn backoff(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(20);
        let ceiling = self
            .backoff_base
            .saturating_mul(1 << doublings)
            .min(self.backoff_cap);
        ceiling.mul_f64(rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_the_cap_and_uses_the_whole_range() {
        let options = Options::default();
        for (attempts, ceiling) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (4_000_000, 60)] {
            let ceiling = Duration::from_secs(ceiling);
            let waits: Vec<_> = (0..1000).map(|_| options.backoff(attempts)).collect();
            assert!(waits.iter().all(|w| *w <= ceiling));
            assert!(waits.iter().any(|w| *w > ceiling.mul_f64(0.9)));
            assert!(waits.iter().any(|w| *w < ceiling.mul_f64(0.1)));
        }
    }

    #[test]
    fn a_dead_workers_jobs_start_elsewhere_within_five_seconds() {
        let lease = Options::default().lease;
        assert!(lease.mul_f64(1.25) < Duration::from_secs(5));
    }
}

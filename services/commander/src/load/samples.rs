//! Every request of a load, in a few bytes each: what drills are judged by.
use super::attempt::{Attempt, Cause};
use http::StatusCode;
use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Order,
    Read,
    Other,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Ok,
    /// 503: told to come back later.
    Refused,
    Failed,
}

/// One request, its retry included.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub what: What,
    pub end: End,
    /// Whether it was sent twice.
    pub retried: bool,
    /// Microseconds after the start when it was due.
    due: u32,
    /// Microseconds from then to its end.
    took: u32,
    /// The longest of its tries, microseconds.
    slowest: u32,
}

impl Sample {
    /// Seconds after the start.
    pub fn due(&self) -> f64 {
        f64::from(self.due) / 1e6
    }

    /// Seconds after the start.
    pub fn ended(&self) -> f64 {
        (f64::from(self.due) + f64::from(self.took)) / 1e6
    }

    pub fn took_ms(&self) -> f64 {
        f64::from(self.took) / 1e3
    }

    pub fn slowest_ms(&self) -> f64 {
        f64::from(self.slowest) / 1e3
    }

    #[cfg(test)]
    pub fn at(due: f64, took_ms: f64, end: End) -> Self {
        Self {
            what: What::Order,
            end,
            retried: false,
            due: (due * 1e6) as u32,
            took: (took_ms * 1e3) as u32,
            slowest: (took_ms * 1e3) as u32,
        }
    }
}

/// All requests of one load so far.
#[derive(Debug)]
pub struct Samples {
    pub started: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    samples: Vec<Sample>,
    dropped: u64,
}

impl Samples {
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            kept: Mutex::default(),
        }
    }

    pub fn note<T>(&self, what: What, due: Instant, now: Instant, attempt: &Attempt<T>) {
        let end = match attempt.end {
            Ok(_) => End::Ok,
            Err(Cause::Status(StatusCode::SERVICE_UNAVAILABLE)) => End::Refused,
            Err(_) => End::Failed,
        };
        let sample = Sample {
            what,
            end,
            retried: attempt.retried.is_some(),
            due: micros(due - self.started),
            took: micros(now - due),
            slowest: micros(attempt.slowest),
        };
        self.kept().samples.push(sample);
    }

    /// One was never sent.
    pub fn drop_one(&self) {
        self.kept().dropped += 1;
    }

    /// All so far, and how many were never sent.
    pub fn read(&self) -> (Vec<Sample>, u64) {
        let kept = self.kept();
        (kept.samples.clone(), kept.dropped)
    }

    /// Those that came after the first `seen`, and how many were never sent at all.
    pub fn since(&self, seen: usize) -> (Vec<Sample>, u64) {
        let kept = self.kept();
        (kept.samples[seen..].to_vec(), kept.dropped)
    }

    /// How many have ended, and how many of them badly.
    pub fn counts(&self) -> (usize, usize) {
        let kept = self.kept();
        let bad = kept.samples.iter().filter(|s| s.end != End::Ok).count();
        (kept.samples.len(), bad)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .expect("no task panics while it holds the lock")
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

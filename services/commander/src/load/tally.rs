//! What a phase of load measures: latencies, counts by cause, and a timeline by the second.
use super::attempt::{Answer, Attempt, Cause};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Latencies above a minute are counted as one.
const HIGHEST_MICROS: u64 = 60_000_000;

/// Counts while the load runs.
#[derive(Debug)]
pub struct Tally {
    started: Instant,
    last_success: Instant,
    max_gap: Duration,
    orders: Counts,
    reads: Counts,
    sold_out: u64,
    dropped: u64,
    timeline: Vec<Second>,
}

#[derive(Debug)]
struct Counts {
    ok: u64,
    latency: Histogram<u64>,
    retried: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
}

/// What happened in one second of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// Since the start of the phase.
    pub second: u64,
    pub ok: u64,
    pub sold_out: u64,
    pub retried: u64,
    pub failed: u64,
    /// Slowest success that ended in it, microseconds.
    pub max_micros: u64,
}

/// Milliseconds of successful requests.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Requests of one kind. Retried ones are counted once more where they ended.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    pub ok: u64,
    pub per_second: f64,
    pub latency_ms: Latency,
    pub retried: u64,
    pub retried_by_cause: BTreeMap<String, u64>,
    pub failed: u64,
    pub failed_by_cause: BTreeMap<String, u64>,
}

/// A phase's result.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    pub seconds: f64,
    pub orders: Requests,
    pub sold_out: u64,
    /// None without `--mix`.
    pub reads: Option<Requests>,
    /// Never sent, because the generator was late or out of connections.
    pub dropped: u64,
    /// Longest time without a single success: the outage that a client could see.
    pub max_gap_ms: f64,
    pub timeline: Vec<Second>,
}

impl Tally {
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            last_success: started,
            max_gap: Duration::ZERO,
            orders: Counts::new(),
            reads: Counts::new(),
            sold_out: 0,
            dropped: 0,
            timeline: Vec::new(),
        }
    }

    /// An order that was due at `due` and ended at `now`.
    pub fn order(&mut self, due: Instant, now: Instant, attempt: &Attempt<Answer>) {
        self.orders.record_retry(attempt.retried);
        self.second(now).retried += u64::from(attempt.retried.is_some());
        match attempt.end {
            Ok(Answer::Stored(_)) => {
                let micros = self.orders.record_ok(now - due);
                let second = self.second(now);
                second.ok += 1;
                second.max_micros = second.max_micros.max(micros);
                self.max_gap = self.max_gap.max(now - self.last_success);
                self.last_success = now;
            }
            Ok(Answer::SoldOut) => {
                self.sold_out += 1;
                self.second(now).sold_out += 1;
            }
            Err(cause) => {
                self.orders.record_failure(cause);
                self.second(now).failed += 1;
            }
        }
    }

    /// A read that was due at `due` and ended at `now`.
    pub fn read(&mut self, due: Instant, now: Instant, attempt: &Attempt<()>) {
        self.reads.record_retry(attempt.retried);
        match attempt.end {
            Ok(()) => {
                self.reads.record_ok(now - due);
            }
            Err(cause) => self.reads.record_failure(cause),
        }
    }

    /// A request that was never sent.
    pub fn drop_one(&mut self) {
        self.dropped += 1;
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let place = (now - self.started).as_secs();
        while self.timeline.len() as u64 <= place {
            let second = self.timeline.len() as u64;
            self.timeline.push(Second {
                second,
                ..Second::default()
            });
        }
        &mut self.timeline[place as usize]
    }

    /// Sums up a phase that ended at `now`.
    pub fn finish(self, now: Instant) -> Figures {
        let seconds = (now - self.started).as_secs_f64();
        let gap = self.max_gap.max(now - self.last_success);
        let reads = self.reads.finish(seconds);
        Figures {
            seconds,
            orders: self.orders.finish(seconds),
            sold_out: self.sold_out,
            reads: (reads.ok + reads.failed > 0).then_some(reads),
            dropped: self.dropped,
            max_gap_ms: gap.as_secs_f64() * 1e3,
            timeline: self.timeline,
        }
    }
}

impl Figures {
    /// Orders and reads without a good answer.
    pub fn failed(&self) -> u64 {
        self.orders.failed + self.reads.as_ref().map_or(0, |reads| reads.failed)
    }
}

impl Counts {
    fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, HIGHEST_MICROS, 3).expect("valid bounds");
        Self {
            ok: 0,
            latency,
            retried: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    fn record_ok(&mut self, latency: Duration) -> u64 {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.ok += 1;
        self.latency.saturating_record(micros);
        micros
    }

    fn record_retry(&mut self, cause: Option<Cause>) {
        if let Some(cause) = cause {
            *self.retried.entry(cause.to_string()).or_default() += 1;
        }
    }

    fn record_failure(&mut self, cause: Cause) {
        *self.failed.entry(cause.to_string()).or_default() += 1;
    }

    fn finish(self, seconds: f64) -> Requests {
        Requests {
            ok: self.ok,
            per_second: self.ok as f64 / seconds.max(f64::EPSILON),
            latency_ms: Latency::of(&self.latency),
            retried: self.retried.values().sum(),
            retried_by_cause: self.retried,
            failed: self.failed.values().sum(),
            failed_by_cause: self.failed,
        }
    }
}

impl Latency {
    /// Of a histogram of microseconds.
    pub fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::client::Broken, *};
    use crate::load::ledger::Acknowledged;

    const STORED: Answer = Answer::Stored(Acknowledged {
        id: [0; 16],
        product: 0,
        quantity: 1,
        total_minor: 1,
        currency: *b"EUR",
    });
    const TIMEOUT: Cause = Cause::Broken(Broken::Timeout);

    fn attempt(end: Result<Answer, Cause>, retried: Option<Cause>) -> Attempt<Answer> {
        let slowest = Duration::ZERO;
        Attempt {
            end,
            retried,
            slowest,
        }
    }

    #[test]
    fn an_outage_shows_as_the_longest_gap_between_successes_wherever_it_lies() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let longest = |successes: &[u64], end| {
            let mut tally = Tally::new(start);
            for ms in successes {
                tally.order(at(*ms), at(*ms), &attempt(Ok(STORED), None));
            }
            tally.order(at(0), at(end), &attempt(Err(TIMEOUT), None));
            tally.finish(at(end)).max_gap_ms.round()
        };
        assert_eq!(longest(&[100, 900, 1000], 1100), 800.0, "in the middle");
        assert_eq!(longest(&[700, 900], 1000), 700.0, "at the start");
        assert_eq!(longest(&[100, 200], 3000), 2800.0, "at the end");
        assert_eq!(longest(&[], 3000), 3000.0, "all the time");
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let end = start + Duration::from_millis(250);
        tally.order(start, end, &attempt(Ok(STORED), None));
        let latency = tally.finish(end).orders.latency_ms;
        assert!((latency.max - 250.0).abs() < 1.0, "{latency:?}");
    }

    #[test]
    fn causes_are_counted_apart_and_sold_out_is_no_failure() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let unavailable = Cause::Status(http::StatusCode::SERVICE_UNAVAILABLE);
        for attempt in [
            attempt(Ok(STORED), Some(TIMEOUT)),
            attempt(Err(unavailable), Some(TIMEOUT)),
            attempt(Ok(Answer::SoldOut), None),
        ] {
            tally.order(start, start + Duration::from_secs(2), &attempt);
        }
        tally.drop_one();
        let figures = tally.finish(start + Duration::from_secs(2));
        let orders = figures.orders;
        assert_eq!((orders.ok, orders.failed, orders.retried), (1, 1, 2));
        assert_eq!(orders.failed_by_cause["status 503"], 1);
        assert_eq!(orders.retried_by_cause["timeout"], 2);
        assert_eq!((figures.sold_out, figures.dropped), (1, 1));
        assert_eq!(orders.per_second, 0.5);
        assert_eq!(figures.timeline.len(), 3);
        assert_eq!((figures.timeline[1].ok, figures.timeline[2].ok), (0, 1));
    }
}

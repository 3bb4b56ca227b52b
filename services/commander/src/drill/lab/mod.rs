//! The lab: one fault, five ways to call, and what each gets out of it.
//!
//! Backends on the loopback interface, a client of `libs/client`, an open loop of calls: small enough
//! to change a setting and run it again, and every figure is measured.
mod backend;
pub mod experiment;
pub mod table;
pub mod way;

use crate::load::schedule::{Schedule, ring, too_late};
use anyhow::ensure;
use backend::Backends;
use client::{Call, Metrics, Upstream};
use experiment::Experiment;
use http::Method;
use prometheus_client::registry::Registry;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use way::Way;

/// What one way of calling got.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub way: &'static str,
    pub says: &'static str,
    pub calls: u64,
    /// Good and in time.
    pub good: u64,
    /// Calls that reached a backend, retries included.
    pub attempts: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub seconds: f64,
}

impl Outcome {
    /// Good answers per second.
    pub fn goodput(&self) -> f64 {
        self.good as f64 / self.seconds
    }

    /// Attempts for each call.
    pub fn amplification(&self) -> f64 {
        self.attempts as f64 / self.calls.max(1) as f64
    }
}

/// Runs one experiment with every way of calling, one after the other, each on fresh backends.
///
/// # Errors
/// When there is no port to listen on, or this machine is too busy for the rate.
pub async fn run(experiment: &Experiment) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for way in way::WAYS {
        outcomes.push(measure(experiment, way).await?);
    }
    Ok(outcomes)
}

async fn measure(experiment: &Experiment, way: &Way) -> anyhow::Result<Outcome> {
    let backends = Backends::start(experiment).await?;
    let metrics = Metrics::register(&mut Registry::default());
    let settings = (way.settings)();
    let upstream = Upstream::new("lab", &backends.urls(), settings, &metrics);
    let start = Instant::now();
    let schedule = Schedule {
        start,
        rate: experiment.rate,
    };
    let count = (experiment.rate * experiment.seconds) as usize;
    let mut rings = ring(schedule, count);
    let times = Arc::new(Times::default());
    let mut calls = JoinSet::new();
    let mut late = 0;
    while let Some((_, due)) = rings.recv().await {
        // When behind, the next one is due at once; calls under way need their turn too.
        tokio::task::yield_now().await;
        while calls.try_join_next().is_some() {}
        if too_late(due, Instant::now()) {
            late += 1;
            continue;
        }
        let (upstream, times) = (upstream.clone(), times.clone());
        let patience = Duration::from_millis(experiment.patience_ms);
        calls.spawn(async move {
            let call = Call::to(Method::GET, "/work").expect("a path");
            // Who waits longer has left.
            let answer = tokio::time::timeout_at(due + patience, upstream.send(call)).await;
            if answer.is_ok_and(|a| a.is_ok_and(|a| a.status().is_success())) {
                times.note(due.elapsed());
            }
        });
    }
    calls.join_all().await;
    ensure!(
        late * 50 <= count,
        "this machine is too busy: {late} of {count} calls could not be made in time"
    );
    let (good, p50_ms, p99_ms) = times.read();
    Ok(Outcome {
        way: way.name,
        says: way.says,
        calls: (count - late) as u64,
        good,
        attempts: backends.attempts(),
        p50_ms,
        p99_ms,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Of the good answers, milliseconds.
#[derive(Default)]
struct Times {
    good: AtomicU64,
    kept: std::sync::Mutex<Vec<f64>>,
}

impl Times {
    fn note(&self, took: Duration) {
        self.good.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().expect("nobody panics with it");
        kept.push(took.as_secs_f64() * 1e3);
    }

    fn read(&self) -> (u64, Option<f64>, Option<f64>) {
        let mut kept = self.kept.lock().expect("nobody panics with it");
        kept.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            kept.get(((kept.len() as f64 * share) as usize).min(kept.len().max(1) - 1))
                .copied()
        };
        (self.good.load(Ordering::Relaxed), at(0.5), at(0.99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(fault: &str) -> Experiment {
        let text = format!(
            "name = \"x\"\ntitle = \"x\"\nbackends = 3\nhit = 1\nrate = 100\nseconds = 2\n\
             patience_ms = 500\nwork_ms = 2\nslots = 8\n[fault]\n{fault}\n"
        );
        experiment::parse("x.toml", &text).expect("an experiment")
    }

    #[tokio::test]
    async fn a_breaker_gets_more_out_of_an_erring_backend_than_nothing_does() {
        let outcomes = run(&experiment("error_percent = 100"))
            .await
            .expect("it runs");
        let of = |way: &str| outcomes.iter().find(|o| o.way == way).expect(way).clone();
        let (nothing, retries, breaker) = (of("nothing"), of("retries"), of("breaker"));
        assert!(
            nothing.good < 180,
            "{nothing:?}: an erring backend that wins no calls?"
        );
        assert_eq!(nothing.attempts, nothing.calls, "no retries");
        assert!(retries.attempts > retries.calls, "{retries:?}");
        assert!(breaker.good > nothing.good, "{breaker:?} {nothing:?}");
        assert!(
            breaker.attempts < retries.attempts,
            "{breaker:?} {retries:?}"
        );
    }

    #[tokio::test]
    async fn a_slow_backend_costs_a_caller_without_a_timeout() {
        let outcomes = run(&experiment("latency_ms = 2000"))
            .await
            .expect("it runs");
        let (nothing, breaker) = (&outcomes[0], &outcomes[4]);
        assert!(nothing.good < nothing.calls, "{nothing:?}");
        assert!(breaker.good > nothing.good, "{breaker:?} {nothing:?}");
    }
}

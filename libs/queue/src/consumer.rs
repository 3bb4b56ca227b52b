//! What both ways to consume have in common: claims are renewed while they are held, the jobs of
//! dead workers are taken over, and a backend that is away is waited for.
use crate::{
    Error, Options, Queue,
    backend::{Backend, Listener},
    claim::{Claim, Outcome, Rescue, Settlement},
};
use sabotage::crash_point;
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

/// How often at most done jobs are trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two tries to reach a backend that is away.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How much of an error is kept with the job, in bytes.
const MAX_ERROR: usize = 2000;

pub(crate) struct Consumer {
    backend: Backend,
    options: Options,
    queue: String,
    held: Mutex<HashMap<Uuid, Hold>>,
    /// The backend failed us last time.
    away: AtomicBool,
    /// Something was settled since the last trim.
    settled: AtomicBool,
}

/// A claim this consumer holds.
struct Hold {
    token: i64,
    renewed: Instant,
}

impl Consumer {
    pub fn new(queue: &Queue, name: &str) -> Self {
        Self {
            backend: queue.backend.clone(),
            options: queue.options,
            queue: name.to_owned(),
            held: Mutex::default(),
            away: AtomicBool::new(false),
            settled: AtomicBool::new(false),
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn queue(&self) -> &str {
        &self.queue
    }

    pub fn listen(&self) -> Listener {
        self.backend.listen(&self.queue)
    }

    /// Claims up to `limit` due jobs. Must not be given up half-way: jobs claimed for nobody would
    /// wait for their lease to end.
    pub async fn claim(&self, limit: usize) -> Result<Claim, Error> {
        // Random, so that no two claims ever share one.
        let token = rand::random_range(1..i64::MAX);
        let asked = Instant::now();
        let claim = self
            .backend
            .claim(&self.queue, limit, token, self.options.lease)
            .await;
        let claim = self.note(claim)?;
        crash_point!("queue.claimed", !claim.jobs.is_empty());
        let hold = |id| {
            (
                id,
                Hold {
                    token,
                    renewed: asked,
                },
            )
        };
        self.held()
            .extend(claim.jobs.iter().map(|job| hold(job.id)));
        Ok(claim)
    }

    /// How long to wait after a claim that wasn't filled, if no news comes.
    pub fn idle(&self, claim: &Claim) -> Duration {
        let longest = self.options.lease;
        claim.next_due.map_or(longest, |due| due.min(longest))
    }

    /// Records how jobs ended, waiting for the backend if need be; but once the consumer stops,
    /// not longer than the leases last.
    pub async fn settle(&self, settlements: &[Settlement], stop: &CancellationToken) {
        let mut pause = Duration::from_millis(50);
        let mut stopping_since = None;
        loop {
            crash_point!(
                "queue.retrying",
                settlements
                    .iter()
                    .any(|s| matches!(s.outcome, Outcome::Retry { .. }))
            );
            let settled = self.backend.settle(&self.queue, settlements).await;
            crash_point!("queue.settled");
            if let Ok(settled) = self.note(settled) {
                self.settled.store(true, Relaxed);
                if settled < settlements.len() {
                    let lost = settlements.len() - settled;
                    warn!(
                        queue = self.queue,
                        lost, "jobs ended after their lease was lost"
                    );
                }
                break;
            }
            if stop.is_cancelled() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                if since.elapsed() > self.options.lease {
                    break;
                }
            }
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        let mut held = self.held();
        for Settlement { id, token, .. } in settlements {
            // The same job may have come back under another claim.
            if held.get(id).is_some_and(|hold| hold.token == *token) {
                held.remove(id);
            }
        }
    }

    /// What a failed run leads to.
    pub fn failed(&self, error: &str, attempts: u32, max_attempts: u32) -> Outcome {
        let mut error = error.to_owned();
        error.truncate(error.floor_char_boundary(MAX_ERROR));
        if max_attempts > 0 && attempts >= max_attempts {
            return Outcome::Dead { error };
        }
        let after = self.options.backoff(attempts);
        Outcome::Retry { error, after }
    }

    /// Renews, rescues and trims until it is aborted.
    ///
    /// Leases are judged only by a consumer that was in touch with the backend, without a hitch,
    /// for as long as one lasts: after an outage, or when this process was stopped, the owners get
    /// the time to renew theirs. A hitch is what takes longer than an eighth of a lease: what is
    /// shorter can't make an owner late, for it renews with more than a quarter to spare, and what
    /// is longer shows here, for there is a look every quarter.
    pub async fn upkeep(&self) {
        let tick = self.tick();
        let mut in_touch_since = Instant::now();
        let mut trimmed = Instant::now();
        loop {
            let due = Instant::now() + tick;
            sleep_until(due).await;
            let in_time = due + tick / 2;
            let judge = in_touch_since.elapsed() > self.options.lease;
            let seen = match self.keep().await {
                Ok(()) => self.rescue(judge, in_time).await,
                Err(error) => Err(error),
            };
            match seen {
                Ok(Rescue::Took(0)) => {}
                Ok(Rescue::Took(jobs)) => {
                    warn!(queue = self.queue, jobs, "took over jobs of a dead worker");
                }
                Ok(Rescue::TooLate) | Err(_) => in_touch_since = Instant::now(),
            }
            if trimmed.elapsed() > TRIM_EVERY && self.settled.swap(false, Relaxed) {
                self.trim().await;
                trimmed = Instant::now();
            }
        }
    }

    /// Renews the claims whose lease is a third over.
    async fn keep(&self) -> Result<(), Error> {
        let due = |hold: &Hold| hold.renewed.elapsed() > self.options.lease / 3;
        let claims: Vec<(Uuid, i64)> = self
            .held()
            .iter()
            .filter(|(_, hold)| due(hold))
            .map(|(id, hold)| (*id, hold.token))
            .collect();
        for claims in claims.chunks(crate::claim::BATCH) {
            let asked = Instant::now();
            let kept = self
                .backend
                .renew(&self.queue, claims, self.options.lease)
                .await;
            let kept = self.note(kept)?;
            let mut held = self.held();
            for (id, token) in claims {
                match held.get_mut(id) {
                    Some(hold) if hold.token == *token && kept.contains(id) => hold.renewed = asked,
                    Some(hold) if hold.token == *token => {
                        held.remove(id);
                        warn!(queue = self.queue, job_id = %id, "lost the lease of a running job");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn rescue(&self, judge: bool, in_time: Instant) -> Result<Rescue, Error> {
        let rescue = self
            .backend
            .rescue(&self.queue, judge, in_time, &self.options)
            .await;
        self.note(rescue)
    }

    async fn trim(&self) {
        // An error shows up in the next call that matters.
        while let Ok(1..) = self.backend.trim(&self.queue, &self.options).await {}
    }

    fn tick(&self) -> Duration {
        self.options.lease / 4
    }

    /// Logs the begin and the end of an outage, once each.
    fn note<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) if self.away.swap(false, Relaxed) => info!(queue = self.queue, "queue is back"),
            Err(error) if !self.away.swap(true, Relaxed) => {
                warn!(queue = self.queue, %error, "queue is away, trying until it is back");
            }
            _ => {}
        }
        outcome
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Uuid, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves when handlers must end: so long after the shutdown began.
pub(crate) async fn drained(shutdown: &CancellationToken, drain: Duration) {
    shutdown.cancelled().await;
    sleep(drain).await;
}

/// The pause after a failed claim, between 0.1 and 1 second.
pub(crate) async fn pause_after_error() {
    sleep(MAX_PAUSE.mul_f64(rand::random_range(0.1..1.0))).await;
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}

//! Running jobs one by one, on apalis' worker runtime.
use crate::{
    Job, Metrics, Queue,
    claim::{BATCH, Outcome, Settlement},
    consumer::{Consumer, drained, panic_text},
    source::{Claimed, Source, fetch},
    trace,
};
use apalis_core::{error::WorkerError, worker::builder::WorkerBuilder};
use futures::FutureExt;
use sabotage::crash_point;
use serde_json::Value;
use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{error, warn};
use uuid::Uuid;

/// Why a job failed, and so what becomes of it. With `?`, any error means to retry.
#[derive(Debug)]
pub enum Failure {
    /// Again later, while it has attempts left.
    Retry(anyhow::Error),
    /// It can't ever succeed: dead at once.
    Drop(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// A consumer that runs jobs one by one. Made by [`Queue::worker`].
pub struct Worker {
    queue: Queue,
    name: String,
    concurrency: usize,
    metrics: Option<Metrics>,
}

impl Worker {
    pub(crate) fn new(queue: Queue, name: &str) -> Self {
        Self {
            queue,
            name: name.to_owned(),
            concurrency: 16,
            metrics: None,
        }
    }

    /// How many jobs run at the same time at most; 16 unless set.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// Counts and times the jobs.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Runs `handler` on every job until the shutdown, each in a task of its own and in the trace
    /// of the request that pushed it.
    ///
    /// What the handler returns is kept as the job's result. A failure or a panic is retried with
    /// exponential backoff, which holds no slot, until the attempts are used up; then the job is
    /// dead. After the shutdown began, handlers may go on for [`crate::Options::drain`]; then they
    /// are dropped and their jobs handed back.
    ///
    /// Never ends because of the backend: an outage is logged once and waited out.
    pub async fn run<F, Fut>(self, handler: F, shutdown: CancellationToken)
    where
        F: Fn(Job) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
    {
        let consumer = Arc::new(Consumer::new(&self.queue, &self.name));
        let upkeep = consumer.clone();
        let _upkeep = AbortOnDropHandle::new(tokio::spawn(async move { upkeep.upkeep().await }));
        #[expect(clippy::disallowed_methods, reason = "bounded by the worker's slots")]
        let (settled, settlements) = unbounded_channel();
        let settler = settle(consumer.clone(), settlements, shutdown.clone());
        let settler = AbortOnDropHandle::new(tokio::spawn(settler));
        let (claimed, source) = Source::new();
        let fetcher = fetch(
            consumer.clone(),
            self.concurrency,
            claimed,
            settled,
            shutdown.clone(),
        );
        let fetcher = AbortOnDropHandle::new(tokio::spawn(fetcher));

        let runner = Arc::new(Runner {
            consumer,
            handler,
            metrics: self.metrics,
            shutdown: shutdown.clone(),
        });
        let task = move |claimed: Claimed| {
            let runner = runner.clone();
            // A task of its own, so that jobs use all cores and can't hold each other up.
            tokio::spawn(async move { runner.run(claimed).await }).map(|_| Ok::<_, Infallible>(()))
        };
        let worker = WorkerBuilder::new(format!("{}-{}", self.name, Uuid::now_v7()))
            .backend(source)
            .build(task);
        let signal = async move {
            shutdown.cancelled().await;
            Ok::<(), WorkerError>(())
        };
        if let Err(error) = worker.run_until(signal).await {
            error!(queue = self.name, %error, "worker runtime failed");
        }
        // The fetcher holds the last sender, so the settler ends after everything is recorded.
        let _ = fetcher.await;
        let _ = settler.await;
    }
}

/// Records outcomes in batches of whatever has come together meanwhile.
async fn settle(
    consumer: Arc<Consumer>,
    mut settlements: UnboundedReceiver<(Settlement, OwnedSemaphorePermit)>,
    shutdown: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while settlements.recv_many(&mut batch, BATCH).await > 0 {
        let (settlements, slots): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        consumer.settle(&settlements, &shutdown).await;
        drop(slots);
    }
}

struct Runner<F> {
    consumer: Arc<Consumer>,
    handler: F,
    metrics: Option<Metrics>,
    shutdown: CancellationToken,
}

impl<F, Fut> Runner<F>
where
    F: Fn(Job) -> Fut,
    Fut: Future<Output = Result<Value, Failure>>,
{
    async fn run(&self, claimed: Claimed) {
        let Claimed { job, slot } = claimed;
        let context = job.context();
        let mut span = trace::worked_on(Some(&context), self.consumer.queue(), &job);
        let outcome = tokio::select! {
            outcome = context.scope(self.outcome(job)) => outcome,
            () = drained(&self.shutdown, self.consumer.options().drain) => Outcome::Release,
        };
        trace::conclude(&mut span, &outcome);
        slot.settle(outcome);
    }

    async fn outcome(&self, job: Job) -> Outcome {
        let started = Instant::now();
        let (id, kind) = (job.id, job.kind.clone());
        let (attempts, max_attempts) = (job.attempts, job.max_attempts);
        crash_point!("queue.started");
        let run = AssertUnwindSafe(async { (self.handler)(job).await }).catch_unwind();
        let failure = match run.await {
            Ok(Ok(result)) => {
                crash_point!("queue.handled");
                self.record(&kind, true, started);
                let result = (!result.is_null()).then_some(result);
                return Outcome::Done { result };
            }
            Ok(Err(failure)) => failure,
            Err(panic) => Failure::Retry(anyhow::Error::msg(panic_text(&*panic))),
        };
        self.record(&kind, false, started);
        let (error, max_attempts) = match failure {
            Failure::Retry(error) => (format!("{error:#}"), max_attempts),
            // Out of attempts by decision.
            Failure::Drop(error) => (format!("{error:#}"), attempts),
        };
        let outcome = self.consumer.failed(&error, attempts, max_attempts);
        match outcome {
            Outcome::Dead { .. } => error!(job_id = %id, kind, attempts, error, "job is dead"),
            _ => warn!(job_id = %id, kind, attempts, error, "job failed, will be retried"),
        }
        outcome
    }

    fn record(&self, kind: &str, success: bool, started: Instant) {
        if let Some(metrics) = &self.metrics {
            metrics.job(kind, success, started.elapsed());
        }
    }
}

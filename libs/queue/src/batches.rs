//! Consuming events: many at a time, removed when handled.
use crate::{
    Job, Queue,
    claim::{BATCH, Outcome, Settlement},
    consumer::{Consumer, drained, panic_text, pause_after_error},
    trace,
};
use futures::FutureExt;
use sabotage::{Bug, crash_point};
use std::{fmt::Display, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::warn;

/// A consumer that handles jobs in batches. Made by [`Queue::batches`].
pub struct Batches {
    queue: Queue,
    name: String,
    size: usize,
    linger: Duration,
}

impl Batches {
    pub(crate) fn new(queue: Queue, name: &str) -> Self {
        Self {
            queue,
            name: name.to_owned(),
            size: 256,
            linger: Duration::ZERO,
        }
    }

    /// The least time from one claim to the next, unless there was more than a batch: jobs that come
    /// in meanwhile are handled together, which costs much less than one by one. Zero unless set.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// How many jobs make a batch at most; 256 unless set, 500 at most.
    #[must_use]
    pub fn size(mut self, size: usize) -> Self {
        self.size = size.clamp(1, BATCH);
        self
    }

    /// Hands batches to `handler`, one after the other, until the shutdown.
    ///
    /// A batch that is handled is forgotten. One that fails (an error or a panic) comes back, each
    /// job after a backoff of its own, until its attempts are used up. A batch is kept from other
    /// consumers for as long as the handler takes. After the shutdown began, the handler may go on
    /// for [`crate::Options::drain`]; then it is dropped and the batch handed back.
    ///
    /// Never ends because of the backend: an outage is logged once and waited out.
    pub async fn run<F, Fut, E>(self, handler: F, shutdown: CancellationToken)
    where
        F: Fn(Vec<Job>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Display,
    {
        let consumer = Arc::new(Consumer::new(&self.queue, &self.name));
        let upkeep = consumer.clone();
        let _upkeep = AbortOnDropHandle::new(tokio::spawn(async move { upkeep.upkeep().await }));
        let mut listener = consumer.listen();
        while !shutdown.is_cancelled() {
            let next = Instant::now() + self.linger;
            match consumer.claim(self.size).await {
                Ok(claim) if claim.jobs.is_empty() => {
                    let idle = consumer.idle(&claim);
                    tokio::select! {
                        () = listener.wait(idle) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
                Ok(claim) => {
                    let full = claim.jobs.len() == self.size;
                    let settlements = self
                        .handle(&consumer, claim.jobs, &handler, &shutdown)
                        .await;
                    consumer.settle(&settlements, &shutdown).await;
                    if !full {
                        shutdown.run_until_cancelled(sleep_until(next)).await;
                    }
                }
                Err(_) => tokio::select! {
                    () = pause_after_error() => {}
                    () = shutdown.cancelled() => {}
                },
            }
        }
    }

    async fn handle<F, Fut, E>(
        &self,
        consumer: &Consumer,
        jobs: Vec<Job>,
        handler: &F,
        shutdown: &CancellationToken,
    ) -> Vec<Settlement>
    where
        F: Fn(Vec<Job>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Display,
    {
        let claims: Vec<_> = jobs
            .iter()
            .map(|job| (job.id, job.token, job.attempts, job.max_attempts))
            .collect();
        if sabotage::has(Bug::AcknowledgeBeforeEffect) {
            let outcome = Outcome::Remove;
            let removed = claims.iter().map(|&(id, token, ..)| Settlement {
                id,
                token,
                outcome: outcome.clone(),
            });
            consumer
                .settle(&removed.collect::<Vec<_>>(), shutdown)
                .await;
        }
        crash_point!("queue.started");
        // What is done for many at once belongs to none of their requests.
        let only = match &*jobs {
            [job] => Some(job.context()),
            _ => None,
        };
        let span = |job| trace::worked_on(only.as_ref(), &self.name, job);
        let mut spans: Vec<_> = jobs.iter().map(span).collect();
        let run = async { handler(jobs).await };
        let run = async {
            match only {
                Some(context) => context.scope(run).await,
                None => run.await,
            }
        };
        let run = AssertUnwindSafe(run).catch_unwind();
        let handled = tokio::select! {
            handled = run => Some(match handled {
                Ok(Ok(())) => Ok(()),
                // With `#`, the errors that have causes tell them.
                Ok(Err(error)) => Err(format!("{error:#}")),
                Err(panic) => Err(panic_text(&*panic)),
            }),
            () = drained(shutdown, consumer.options().drain) => None,
        };
        crash_point!("queue.handled");
        if let Some(Err(error)) = &handled {
            warn!(
                queue = self.name,
                jobs = claims.len(),
                error,
                "batch failed"
            );
        }
        let settle = |(id, token, attempts, max_attempts)| Settlement {
            id,
            token,
            outcome: match &handled {
                Some(Ok(())) => Outcome::Remove,
                Some(Err(error)) => consumer.failed(error, attempts, max_attempts),
                None => Outcome::Release,
            },
        };
        let settlements: Vec<_> = claims.into_iter().map(settle).collect();
        for (span, settlement) in spans.iter_mut().zip(&settlements) {
            trace::conclude(span, &settlement.outcome);
        }
        settlements
    }
}

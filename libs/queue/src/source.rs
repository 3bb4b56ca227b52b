//! The queue as a backend of apalis' worker runtime: claimed jobs go in, each in a slot of its own.
//!
//! Claims, leases and outcomes are not apalis' business here, so that none of its errors can stop
//! a worker: this source never fails and never blocks.
use crate::{
    Job,
    claim::{BATCH, Outcome, Settlement},
    consumer::{Consumer, pause_after_error},
};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::Task,
    worker::context::WorkerContext,
};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_util::sync::CancellationToken;

/// A job on its way through a worker.
pub(crate) struct Claimed {
    pub job: Job,
    pub slot: Slot,
}

/// Occupied by a job from its claim until its outcome is recorded, so that a worker never holds
/// more jobs than it can run. Dropped without an outcome, it hands the job back.
pub(crate) struct Slot {
    pending: Option<(Settlement, OwnedSemaphorePermit)>,
    settled: UnboundedSender<(Settlement, OwnedSemaphorePermit)>,
}

impl Slot {
    pub fn settle(mut self, outcome: Outcome) {
        if let Some((settlement, _)) = &mut self.pending {
            settlement.outcome = outcome;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            // Nobody listens when the worker itself was dropped; then the lease runs out.
            let _ = self.settled.send(pending);
        }
    }
}

/// Claims jobs for free slots until the shutdown.
pub(crate) async fn fetch(
    consumer: Arc<Consumer>,
    concurrency: usize,
    claimed: UnboundedSender<Claimed>,
    settled: UnboundedSender<(Settlement, OwnedSemaphorePermit)>,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(concurrency));
    let mut listener = consumer.listen();
    loop {
        let free = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            free = free_slots(&slots) => free,
        };
        let Some(mut free) = free else { return };
        let limit = free.num_permits();
        let Ok(claim) = consumer.claim(limit).await else {
            tokio::select! {
                () = pause_after_error() => {}
                () = shutdown.cancelled() => {}
            }
            continue;
        };
        let idle = (claim.jobs.len() < limit).then(|| consumer.idle(&claim));
        for job in claim.jobs {
            let permit = free.split(1).expect("no more jobs than free slots");
            let settlement = Settlement {
                id: job.id,
                token: job.token,
                outcome: Outcome::Release,
            };
            let slot = Slot {
                pending: Some((settlement, permit)),
                settled: settled.clone(),
            };
            if claimed.send(Claimed { job, slot }).is_err() {
                // The worker has ended. Dropped, the job goes back.
                return;
            }
        }
        drop(free);
        if let Some(idle) = idle {
            tokio::select! {
                () = listener.wait(idle) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}

/// All the free slots, at least one, at most a batch.
async fn free_slots(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let mut free = slots.clone().acquire_owned().await.ok()?;
    let more = slots.available_permits().min(BATCH - 1);
    if let Ok(more) = slots
        .clone()
        .try_acquire_many_owned(u32::try_from(more).ok()?)
    {
        free.merge(more);
    }
    Some(free)
}

/// Where apalis gets the claimed jobs.
pub(crate) struct Source(UnboundedReceiver<Claimed>);

impl Source {
    pub fn new() -> (UnboundedSender<Claimed>, Self) {
        #[expect(clippy::disallowed_methods, reason = "bounded by the worker's slots")]
        let (claimed, source) = unbounded_channel();
        (claimed, Self(source))
    }
}

impl Backend for Source {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Claimed>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|c| Ok(Task::new(c))))
    }

    /// Jobs that were claimed but not started are dropped, which hands them back.
    fn poll_close(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        self.0.close();
        while self.0.try_recv().is_ok() {}
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Source {
    type Args = Claimed;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = NoLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> NoLayer {
        NoLayer::new()
    }
}

type NoLayer = tower::layer::util::Identity;

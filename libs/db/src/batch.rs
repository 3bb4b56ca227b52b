//! Group commit: what arrives while one transaction commits goes into the next one together.
//!
//! A commit costs about the same for one row as for fifty. Under load this turns many small
//! transactions on the same hot rows into few; without load nothing waits.
use std::{future::Future, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Waiting items that no batch has taken yet; past this, callers wait.
const QUEUED: usize = 1024;

/// Hands single items to a function that works on batches.
pub struct Batcher<T, R> {
    queue: mpsc::Sender<(T, oneshot::Sender<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

/// The batch with this item ended without an answer for it.
#[derive(Debug, thiserror::Error)]
#[error("the batch was dropped")]
pub struct Refused;

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts the task that runs the batches, up to `parallel` at once and each of at most `max` items.
    /// `run` answers with one result per item, in order. The task ends with the last clone of the batcher.
    pub fn spawn<F>(
        max: usize,
        parallel: usize,
        run: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        let (queue, inbox) = mpsc::channel(QUEUED);
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        let run = Arc::new(run);
        for _ in 0..parallel {
            tokio::spawn(work(inbox.clone(), run.clone(), max));
        }
        Self { queue }
    }

    /// Adds an item to the next batch and waits for its result. Once a batch has started it is
    /// finished even if nobody waits any more.
    ///
    /// # Errors
    /// When the batch panicked.
    pub async fn submit(&self, item: T) -> Result<R, Refused> {
        let (reply, result) = oneshot::channel();
        self.queue.send((item, reply)).await.map_err(|_| Refused)?;
        result.await.map_err(|_| Refused)
    }
}

type Inbox<T, R> = Arc<tokio::sync::Mutex<mpsc::Receiver<(T, oneshot::Sender<R>)>>>;

async fn work<T, R, F: Future<Output = Vec<R>>>(
    inbox: Inbox<T, R>,
    run: Arc<impl Fn(Vec<T>) -> F>,
    max: usize,
) {
    let mut waiting = Vec::with_capacity(max);
    while inbox.lock().await.recv_many(&mut waiting, max).await > 0 {
        // Whoever gave up waiting before the start doesn't want it any more.
        waiting.retain(|(_, reply)| !reply.is_closed());
        if waiting.is_empty() {
            continue;
        }
        let (items, replies): (Vec<T>, Vec<_>) = waiting.drain(..).unzip();
        for (result, reply) in run(items).await.into_iter().zip(replies) {
            reply.send(result).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_waits_is_worked_on_together_and_each_gets_its_own_answer() {
        let batches = Arc::new(AtomicUsize::new(0));
        let counted = batches.clone();
        let batcher = Batcher::spawn(64, 1, move |items: Vec<u32>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::task::yield_now().await;
                items.into_iter().map(|n| n * 2).collect()
            }
        });
        let all = (0..200).map(|n| {
            let batcher = batcher.clone();
            async move { assert_eq!(batcher.submit(n).await.expect("answered"), n * 2) }
        });
        futures::future::join_all(all).await;
        let batches = batches.load(Ordering::Relaxed);
        assert!(
            (4..=10).contains(&batches),
            "{batches} batches for 200 items of at most 64"
        );
    }
}

//! Work that runs beside the requests: relays, consumers, sweepers.
use std::{future::Future, time::Duration};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The background tasks of a service. They are stopped after the last request is answered,
/// and none may end before: a service with half its work missing is restarted instead.
#[derive(Default)]
pub struct Background {
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Background {
    /// Starts a task. It gets a token and returns soon after that is cancelled.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let task = task(self.stop.clone());
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Resolves with the reason when a task ends that shouldn't; never while all are well.
    pub(crate) async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(ended) => describe(ended),
            None => std::future::pending().await,
        }
    }

    /// Asks all tasks to end and waits for them, up to `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                match ended {
                    Ok((_, Ok(()))) => {}
                    ended => return Err(describe(ended)),
                }
            }
            Ok(())
        };
        let ended = tokio::time::timeout(limit, all).await;
        ended.unwrap_or_else(|_| {
            Err(anyhow::anyhow!(
                "background work did not end within {limit:?}"
            ))
        })
    }
}

fn describe(ended: Result<(&'static str, anyhow::Result<()>), JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow::anyhow!("{name} ended unexpectedly"),
        Ok((name, Err(error))) => error.context(format!("{name} failed")),
        Err(error) => anyhow::Error::new(error).context("a background task panicked"),
    }
}

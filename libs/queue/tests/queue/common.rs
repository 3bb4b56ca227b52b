//! What the tests share: waiting, short timing, small jobs.
use queue::{NewJob, Options, Queue, Stats};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The name of the queue most tests use.
pub const QUEUE: &str = "tests";

/// Timing that keeps tests short and still stands a loaded machine.
pub fn fast() -> Options {
    Options {
        lease: Duration::from_secs(1),
        backoff_base: Duration::from_millis(50),
        backoff_cap: Duration::from_millis(200),
        drain: Duration::from_millis(500),
        ..Options::default()
    }
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    within(Duration::from_secs(30), what, condition).await;
}

/// Waits until the condition holds, and returns how long that took.
pub async fn within(limit: Duration, what: &str, condition: impl AsyncFn() -> bool) -> Duration {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

pub async fn stats(queue: &Queue) -> Stats {
    queue.stats(QUEUE).await.unwrap()
}

/// A job of kind `test`.
pub fn job(payload: usize) -> NewJob {
    NewJob::new("test", &payload).unwrap()
}

pub fn jobs(count: usize) -> Vec<NewJob> {
    (0..count).map(job).collect()
}

/// All jobs of the queue, whatever their state.
pub fn total(stats: &Stats) -> u64 {
    stats.waiting + stats.running + stats.retrying + stats.done + stats.dead
}

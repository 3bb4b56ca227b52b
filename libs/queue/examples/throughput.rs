//! How many no-op jobs a second go through the queue.
//!
//! `cargo run --release -p queue --example throughput -- sqlite:/tmp/queue.db 100000`
use anyhow::{Context, ensure};
use queue::{Failure, Job, NewJob, Queue};
use serde_json::Value;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("usage: throughput URL COUNT [SLOTS]")?;
    let count: usize = args.next().unwrap_or("50000".into()).parse()?;
    let slots: usize = args.next().unwrap_or("512".into()).parse()?;
    let queue = Queue::open(&url).await?;

    let pushed = push(&queue, "throughput-worker", count).await?;
    let worked = rate(count, |done, shutdown| {
        let handler = move |_: Job| {
            done.fetch_add(1, Relaxed);
            async { Ok::<_, Failure>(Value::Null) }
        };
        let worker = queue.worker("throughput-worker").concurrency(slots);
        worker.run(handler, shutdown)
    })
    .await;
    ensure!(queue.stats("throughput-worker").await?.waiting == 0);

    push(&queue, "throughput-batches", count).await?;
    let batched = rate(count, |done, shutdown| {
        let handler = move |jobs: Vec<Job>| {
            done.fetch_add(jobs.len(), Relaxed);
            async { Ok::<(), Infallible>(()) }
        };
        queue.batches("throughput-batches").run(handler, shutdown)
    })
    .await;
    println!("{count} jobs: pushed {pushed:.0}/s, worker {worked:.0}/s, batches {batched:.0}/s");
    queue.trim("throughput-worker", Duration::ZERO).await?;
    Ok(())
}

async fn push(queue: &Queue, name: &str, count: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut left = count;
    while left > 0 {
        let jobs = (0..left.min(500))
            .map(|n| NewJob::new("no-op", &n))
            .collect::<Result<Vec<_>, _>>()?;
        queue.push(name, &jobs).await?;
        left -= jobs.len();
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Jobs a second, from the start of the consumer until every outcome is recorded.
async fn rate<Fut>(
    count: usize,
    consumer: impl FnOnce(Arc<AtomicUsize>, CancellationToken) -> Fut,
) -> f64
where
    Fut: Future<Output = ()>,
{
    let (done, shutdown) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let started = Instant::now();
    let stop = async {
        while done.load(Relaxed) < count {
            sleep(Duration::from_millis(2)).await;
        }
        shutdown.cancel();
    };
    tokio::join!(consumer(done.clone(), shutdown.clone()), stop);
    count as f64 / started.elapsed().as_secs_f64()
}

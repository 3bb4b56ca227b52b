//! Consuming in batches.
use crate::common::{QUEUE, eventually, fast, job, jobs, stats};
use queue::{Job, NewJob, Stats, testing::each_with};
use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// For ever, or at least for longer than any test.
fn endless(payload: usize) -> NewJob {
    NewJob {
        max_attempts: 0,
        ..job(payload)
    }
}

#[tokio::test]
async fn every_job_is_handled_once_in_batches_and_forgotten() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        queue.push(QUEUE, &jobs(1000)).await.unwrap();
        let (seen, shutdown) = (Mutex::new(Vec::new()), CancellationToken::new());
        let handle = async |jobs: Vec<Job>| {
            assert!(jobs.len() <= 300);
            seen.lock()
                .unwrap()
                .extend(jobs.iter().map(|j| j.parse::<usize>().unwrap()));
            Ok::<_, Infallible>(())
        };
        let stop = async {
            eventually("the queue is empty", async || {
                stats(queue).await == Stats::default()
            })
            .await;
            shutdown.cancel();
        };
        tokio::join!(
            queue.batches(QUEUE).size(300).run(handle, shutdown.clone()),
            stop
        );
        // In the order they were pushed, as nothing failed.
        assert_eq!(*seen.lock().unwrap(), (0..1000).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_failed_batch_comes_back_until_it_succeeds() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let new: Vec<_> = (0..20).map(endless).collect();
        queue.push(QUEUE, &new).await.unwrap();
        let (calls, handled) = (AtomicUsize::new(0), Mutex::new(HashSet::new()));
        let shutdown = CancellationToken::new();
        let handle = async |jobs: Vec<Job>| match calls.fetch_add(1, SeqCst) {
            0..12 => Err("not yet".to_owned()),
            12..16 => panic!("not yet either"),
            _ => {
                handled
                    .lock()
                    .unwrap()
                    .extend(jobs.iter().map(|job| job.id));
                Ok(())
            }
        };
        let stop = async {
            eventually("the queue is empty", async || {
                stats(queue).await == Stats::default()
            })
            .await;
            shutdown.cancel();
        };
        tokio::join!(queue.batches(QUEUE).run(handle, shutdown.clone()), stop);
        assert_eq!(handled.lock().unwrap().len(), 20);
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_jobs_with_limited_attempts_ends_dead() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let new = NewJob {
            max_attempts: 2,
            ..job(1)
        };
        let id = new.id;
        queue.push(QUEUE, &[new]).await.unwrap();
        let shutdown = CancellationToken::new();
        let handle = async |_| Err::<(), _>("never");
        let stop = async {
            eventually("it is dead", async || stats(queue).await.dead == 1).await;
            shutdown.cancel();
        };
        tokio::join!(queue.batches(QUEUE).run(handle, shutdown.clone()), stop);
        let dead = queue.job(QUEUE, id).await.unwrap().unwrap();
        assert_eq!(
            (dead.attempts, dead.last_error.as_deref()),
            (2, Some("never"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_slow_batch_is_not_handled_twice() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        queue.push(QUEUE, &jobs(10)).await.unwrap();
        let (calls, shutdown) = (AtomicUsize::new(0), CancellationToken::new());
        let handle = async |_: Vec<Job>| {
            calls.fetch_add(1, SeqCst);
            sleep(fast().lease * 3).await;
            Ok::<_, Infallible>(())
        };
        let consumer = || queue.batches(QUEUE).run(handle, shutdown.clone());
        let stop = async {
            eventually("the queue is empty", async || {
                stats(queue).await == Stats::default()
            })
            .await;
            shutdown.cancel();
        };
        tokio::join!(consumer(), consumer(), stop);
        assert_eq!(calls.load(SeqCst), 1);
    })
    .await;
}

#[tokio::test]
async fn shutdown_finishes_the_batch_at_hand_or_hands_it_back() {
    for (takes, left) in [
        (Duration::from_millis(100), 0),
        (Duration::from_secs(60), 10),
    ] {
        each_with(fast(), async |fresh| {
            let queue = &fresh.queue;
            queue.push(QUEUE, &jobs(10)).await.unwrap();
            let shutdown = CancellationToken::new();
            let handle = async |_: Vec<Job>| {
                sleep(takes).await;
                Ok::<_, Infallible>(())
            };
            let stop = async {
                eventually("it runs", async || stats(queue).await.running == 10).await;
                shutdown.cancel();
                Instant::now()
            };
            let consumer = queue.batches(QUEUE).run(handle, shutdown.clone());
            let ((), stopping) = tokio::join!(consumer, stop);
            assert!(stopping.elapsed() < fast().drain + Duration::from_secs(2));
            let stats = stats(queue).await;
            assert_eq!((stats.waiting, stats.running, stats.retrying), (left, 0, 0));
        })
        .await;
    }
}

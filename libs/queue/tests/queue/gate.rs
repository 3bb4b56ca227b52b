//! A queue that is broken on purpose.
use crate::common::{QUEUE, fast, jobs, stats, within};
use gate::{Gate, Mode};
use queue::{Error, Filter, Queue, testing::each_with};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_stopped_one_fails_at_once_as_if_it_were_away() {
    each_with(fast(), async |fresh| {
        let gate = Gate::default();
        let queue = fresh.queue.clone().behind(&gate);
        queue.push(QUEUE, &jobs(3)).await.unwrap();
        let held = gate.shut(Mode::Stopped, MINUTE);
        let started = Instant::now();
        for error in [
            queue.ping().await.unwrap_err(),
            queue.push(QUEUE, &jobs(1)).await.map(drop).unwrap_err(),
            queue.stats(QUEUE).await.map(drop).unwrap_err(),
            queue
                .jobs(QUEUE, Filter::default())
                .await
                .map(drop)
                .unwrap_err(),
            queue.retry_dead(QUEUE).await.map(drop).unwrap_err(),
            queue.trim(QUEUE, MINUTE).await.map(drop).unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::Sqlite(_) | Error::Redis(_)),
                "{error:?}"
            );
        }
        assert!(started.elapsed() < Duration::from_secs(1));
        drop(held);
        assert_eq!(stats(&queue).await.waiting, 3, "a push went through");
    })
    .await;
}

#[tokio::test]
async fn each_use_of_a_slow_one_waits() {
    each_with(fast(), async |fresh| {
        let gate = Gate::default();
        let queue = fresh.queue.clone().behind(&gate);
        let latency = Duration::from_millis(150);
        let _held = gate.shut(Mode::Slow(latency), MINUTE);
        let started = Instant::now();
        queue.push(QUEUE, &jobs(1)).await.unwrap();
        assert!(started.elapsed() >= latency);
        assert_eq!(stats(&queue).await.waiting, 1);
        assert!(started.elapsed() >= latency * 2);
    })
    .await;
}

/// Whatever happens at the gate, a consumer goes on when it is open, and no job is lost or left.
#[tokio::test]
async fn consumers_outlive_what_is_done_to_the_queue() {
    each_with(fast(), async |fresh| {
        let gate = Gate::default();
        let queue = fresh.queue.clone().behind(&gate);
        let done = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let count = done.clone();
        let handler = move |_| {
            count.fetch_add(1, SeqCst);
            async { Ok(Value::Null) }
        };
        let worker = tokio::spawn(queue.worker(QUEUE).run(handler, stop.clone()));
        // Pushed past the gate, as by another process.
        let outside = &Queue::open_with(&fresh.url, fast()).await.unwrap();
        for mode in [Mode::Stopped, Mode::Severed] {
            let before = done.load(SeqCst);
            let held = gate.shut(mode, MINUTE);
            outside.push(QUEUE, &jobs(20)).await.unwrap();
            if mode == Mode::Stopped {
                tokio::time::sleep(Duration::from_millis(500)).await;
                assert_eq!(done.load(SeqCst), before, "it worked while it was stopped");
                drop(held);
                within(Duration::from_secs(10), "it goes on", async || {
                    done.load(SeqCst) >= before + 20
                })
                .await;
                continue;
            }
            for round in 1..=30 {
                outside.push(QUEUE, &jobs(1)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert!(!worker.is_finished(), "it ended in round {round}");
            }
            within(
                Duration::from_secs(10),
                "it goes on between two cuts",
                async || done.load(SeqCst) >= before + 50,
            )
            .await;
            drop(held);
        }
        let settled = async || {
            let stats = stats(outside).await;
            stats.waiting + stats.running + stats.retrying + stats.dead == 0
        };
        within(Duration::from_secs(10), "everything is settled", settled).await;
        assert_eq!(stats(outside).await.done, 70);
        stop.cancel();
        worker.await.unwrap();
    })
    .await;
}

/// Clients of a Redis that cut their connections connect anew.
#[tokio::test]
async fn connections_to_redis_are_cut() {
    let fresh = queue::testing::Fresh::redis(fast()).await;
    let gate = Gate::default();
    let queue = fresh.queue.clone().behind(&gate);
    let client = redis::Client::open(fresh.url.as_str()).unwrap();
    let mut admin = client.get_multiplexed_async_connection().await.unwrap();
    queue.ping().await.unwrap();
    let mut received = async || {
        let info: String = redis::cmd("INFO")
            .arg("stats")
            .query_async(&mut admin)
            .await
            .unwrap();
        let line = info
            .lines()
            .find_map(|l| l.strip_prefix("total_connections_received:"));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = received().await;
    let _held = gate.shut(Mode::Severed, MINUTE);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        queue.ping().await.ok();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = received().await;
    assert!(
        after >= before + 2,
        "{before} connections before, {after} after"
    );
}

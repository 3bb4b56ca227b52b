//! A backend that goes away, comes back, or comes back empty.
use crate::common::{QUEUE, eventually, fast, job, jobs, stats, within};
use chrono::{TimeDelta, Utc};
use queue::{
    Job, NewJob, Options, Queue, State,
    testing::{Fresh, each_with},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A worker and a batch consumer, each on a queue of its own, counting what they handle.
struct Consumers {
    worked: Arc<AtomicUsize>,
    batched: Arc<AtomicUsize>,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

const EVENTS: &str = "events";

impl Consumers {
    fn start(queue: &Queue) -> Self {
        let (worked, batched) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shutdown = CancellationToken::new();
        let counts = worked.clone();
        let handler = move |_| {
            counts.fetch_add(1, SeqCst);
            async { Ok(Value::Null) }
        };
        let worker = queue.worker(QUEUE).run(handler, shutdown.clone());
        let counts = batched.clone();
        let handler = move |jobs: Vec<Job>| {
            counts.fetch_add(jobs.len(), SeqCst);
            async { Ok::<_, Infallible>(()) }
        };
        let consumer = queue.batches(EVENTS).run(handler, shutdown.clone());
        Self {
            worked,
            batched,
            shutdown,
            tasks: vec![tokio::spawn(worker), tokio::spawn(consumer)],
        }
    }

    /// Pushes to both queues, and waits until this was consumed.
    async fn work(&self, queue: &Queue, limit: Duration) -> Duration {
        let before = (self.worked.load(SeqCst), self.batched.load(SeqCst));
        queue.push(QUEUE, &jobs(10)).await.unwrap();
        queue.push(EVENTS, &jobs(10)).await.unwrap();
        within(limit, "new jobs are consumed", async || {
            self.worked.load(SeqCst) >= before.0 + 10 && self.batched.load(SeqCst) >= before.1 + 10
        })
        .await
    }

    /// Stops both, and checks that nothing had ended before.
    async fn stop(self) {
        assert!(self.tasks.iter().all(|task| !task.is_finished()));
        self.shutdown.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_outage_stops_nothing_for_longer_than_it_lasts() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let consumers = Consumers::start(queue);
        consumers.work(queue, Duration::from_secs(5)).await;
        for _ in 0..2 {
            fresh.outage(Duration::from_millis(1500)).await;
            // The longest pause between two tries, and some time to do it.
            consumers.work(queue, Duration::from_secs(3)).await;
        }
        consumers.stop().await;
        assert_eq!(stats(queue).await.done, 30);
    })
    .await;
}

#[tokio::test]
async fn jobs_that_run_through_an_outage_run_once_and_keep_their_result() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let runs = Arc::new(AtomicUsize::new(0));
        let shutdown = CancellationToken::new();
        let worker = || {
            let counts = runs.clone();
            let handler = move |_| {
                counts.fetch_add(1, SeqCst);
                async {
                    sleep(fast().lease * 5).await;
                    Ok(Value::from("kept"))
                }
            };
            let worker = queue.worker(QUEUE).concurrency(5);
            tokio::spawn(worker.run(handler, shutdown.clone()))
        };
        let mut tasks = vec![worker(), worker()];
        let new = jobs(10);
        queue.push(QUEUE, &new).await.unwrap();
        eventually("all run", async || stats(queue).await.running == 10).await;
        // Others, with nothing to renew, look for dead workers first thing after the outage.
        for _ in 0..4 {
            let other = Queue::open_with(&fresh.url, fast()).await.unwrap();
            let handler = async |_| Ok(Value::from("stolen"));
            let worker = other.worker(QUEUE);
            tasks.push(tokio::spawn(worker.run(handler, shutdown.clone())));
        }
        // So long that they trust what they see; and that the append-only file of Redis, written
        // through once a second, has it all.
        sleep(fast().lease * 3 / 2).await;
        // All leases run out while nobody can renew them.
        fresh.outage(fast().lease * 2).await;
        eventually("all are done", async || stats(queue).await.done == 10).await;
        assert_eq!(runs.load(SeqCst), 10);
        for new in new {
            let done = queue.job(QUEUE, new.id).await.unwrap().unwrap();
            assert_eq!(done.result, Some(Value::from("kept")));
        }
        shutdown.cancel();
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn consumers_go_on_after_everything_was_lost() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let consumers = Consumers::start(queue);
        consumers.work(queue, Duration::from_secs(5)).await;
        for _ in 0..3 {
            fresh.empty().await;
            consumers.work(queue, Duration::from_secs(3)).await;
        }
        consumers.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_job_lost_while_it_ran_leaves_nothing_behind() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        queue.push(QUEUE, &[job(1)]).await.unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        let counts = ended.clone();
        let shutdown = CancellationToken::new();
        let handler = move |_| {
            let counts = counts.clone();
            async move {
                sleep(Duration::from_millis(500)).await;
                counts.fetch_add(1, SeqCst);
                Ok(Value::Null)
            }
        };
        let worker = queue.worker(QUEUE).concurrency(1);
        let worker = tokio::spawn(worker.run(handler, shutdown.clone()));
        eventually("it runs", async || stats(queue).await.running == 1).await;
        fresh.empty().await;
        eventually("it ends", async || ended.load(SeqCst) == 1).await;
        shutdown.cancel();
        worker.await.unwrap();
        assert_eq!(stats(queue).await, queue::Stats::default());
    })
    .await;
}

#[tokio::test]
async fn consumers_can_be_stopped_while_the_backend_is_away() {
    each_with(fast(), async |fresh| {
        let consumers = Consumers::start(&fresh.queue);
        consumers.work(&fresh.queue, Duration::from_secs(5)).await;
        let stop = async {
            sleep(Duration::from_millis(500)).await;
            let stopping = Instant::now();
            consumers.stop().await;
            stopping.elapsed()
        };
        let ((), took) = tokio::join!(fresh.outage(Duration::from_secs(6)), stop);
        assert!(took < Duration::from_secs(6), "{took:?}");
    })
    .await;
}

#[tokio::test]
async fn calls_to_a_redis_that_hangs_fail_within_a_second() {
    let fresh = Fresh::redis(fast()).await;
    let queue = &fresh.queue;
    let consumers = Consumers::start(queue);
    consumers.work(queue, Duration::from_secs(5)).await;
    // Runs all the while, with others about who look for dead workers.
    let slow = job(0);
    queue
        .push("slow", std::slice::from_ref(&slow))
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let handler = async |_| {
            sleep(fast().lease * 10).await;
            Ok(Value::Null)
        };
        let worker = Queue::open_with(&fresh.url, fast())
            .await
            .unwrap()
            .worker("slow");
        tasks.push(tokio::spawn(
            worker.run(handler, consumers.shutdown.clone()),
        ));
    }
    sleep(fast().lease * 3 / 2).await;

    // Due while it hangs, when claims pile up before it.
    let due = Some(Utc::now() + TimeDelta::milliseconds(500));
    let new = jobs(100)
        .into_iter()
        .map(|new| NewJob { run_at: due, ..new });
    let new: Vec<_> = new.collect();
    queue.push(QUEUE, &new).await.unwrap();
    let server = Pid::from_raw(fresh.server_pid().unwrap().try_into().unwrap()).unwrap();
    kill_process(server, Signal::STOP).unwrap();
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(queue.push(QUEUE, &[job(0)]).await.is_err());
        assert!(queue.ping().await.is_err());
        assert!(
            asked.elapsed() < Duration::from_millis(2300),
            "{:?}",
            asked.elapsed()
        );
    }
    kill_process(server, Signal::CONT).unwrap();
    eventually("it answers again", async || queue.ping().await.is_ok()).await;

    // Claims whose callers gave up took nothing.
    consumers.work(queue, Duration::from_secs(5)).await;
    eventually("nothing is left", async || {
        let stats = stats(queue).await;
        stats.running + stats.waiting + stats.retrying == 0
    })
    .await;
    for new in new {
        let done = queue.job(QUEUE, new.id).await.unwrap().unwrap();
        assert_eq!((done.attempts, done.last_error), (1, None));
    }
    let slow = async || queue.job("slow", slow.id).await.unwrap().unwrap();
    eventually("the slow one is done", async || {
        slow().await.state == State::Done
    })
    .await;
    assert_eq!(slow().await.attempts, 1);
    consumers.stop().await;
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_but_not_at_opening() {
    let queue = Queue::open("redis://127.0.0.1:1").await.unwrap();
    assert!(queue.ping().await.is_err());
    let shutdown = CancellationToken::new();
    let worker = queue
        .worker(QUEUE)
        .run(async |_| Ok(Value::Null), shutdown.clone());
    let worker = tokio::spawn(worker);
    sleep(Duration::from_millis(300)).await;
    assert!(!worker.is_finished());
    shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_redis_out_of_memory_takes_no_more_jobs_but_lets_those_it_has_finish() {
    let options = Options {
        keep_done: 0,
        ..fast()
    };
    let fresh = Fresh::redis(options).await;
    let queue = &fresh.queue;
    queue.push(QUEUE, &jobs(2000)).await.unwrap();
    let client = redis::Client::open(fresh.url.as_str()).unwrap();
    let mut redis = client.get_connection().unwrap();
    let mut set_memory = |bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes);
        set.exec(&mut redis).unwrap();
    };
    set_memory("1mb");
    assert!(queue.push(QUEUE, &[job(0)]).await.is_err());

    let shutdown = CancellationToken::new();
    let handler = |job: Job| async move {
        // Some need their lease renewed, some fail at first.
        match (job.parse::<usize>()?, job.attempts) {
            (0..100, 1) => Err(anyhow::anyhow!("try again").into()),
            (0..150, _) => {
                sleep(fast().lease).await;
                Ok(Value::Null)
            }
            _ => Ok(Value::Null),
        }
    };
    let worker = queue.worker(QUEUE).concurrency(200);
    let worker = tokio::spawn(worker.run(handler, shutdown.clone()));
    eventually("all are done and forgotten", async || {
        stats(queue).await == queue::Stats::default()
    })
    .await;
    set_memory("0");
    queue.push(QUEUE, &[job(1000)]).await.unwrap();
    eventually("it goes on", async || {
        stats(queue).await == queue::Stats::default()
    })
    .await;
    shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_damaged_job_does_not_hold_up_the_others() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let new = jobs(10);
        queue.push(QUEUE, &new).await.unwrap();
        damage(fresh, &new[3].id.to_string()).await;
        let consumers = Consumers::start(queue);
        eventually("the others are done", async || stats(queue).await.done == 9).await;
        // Each try to run it looks like a crash, until it is out of the way.
        eventually("it is dead", async || stats(queue).await.dead == 1).await;
        let page = queue.jobs(QUEUE, queue::Filter::default()).await.unwrap();
        assert_eq!(page.items.len(), 9);
        assert!(page.items.iter().all(|job| job.attempts == 1));
        consumers.stop().await;
    })
    .await;
}

/// Spoils what is stored about a job.
async fn damage(fresh: &Fresh, id: &str) {
    if fresh.server_pid().is_some() {
        let client = redis::Client::open(fresh.url.as_str()).unwrap();
        let mut set = redis::cmd("HSET");
        set.arg(format!("queue:{{{QUEUE}}}:jobs"))
            .arg(id)
            .arg("5 {");
        set.exec(&mut client.get_connection().unwrap()).unwrap();
    } else {
        let mut file = SqliteConnection::connect(&fresh.url).await.unwrap();
        let spoil = sqlx::query("UPDATE jobs SET payload = '{' WHERE id = ?1").bind(id);
        spoil.execute(&mut file).await.unwrap();
    }
}

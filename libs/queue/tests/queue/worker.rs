//! Running jobs one by one: success, failure, retries, replay.
use crate::common::{QUEUE, eventually, fast, job, jobs, stats, total, within};
use anyhow::anyhow;
use chrono::{TimeDelta, Utc};
use prometheus_client::{encoding::text::encode, registry::Registry};
use queue::{Failure, Filter, Job, Metrics, NewJob, Options, Queue, State, testing::each_with};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A worker that runs until this is dropped.
struct Running {
    shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn start<F, Fut>(queue: &Queue, slots: usize, handler: F) -> Running
where
    F: Fn(Job) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    let shutdown = CancellationToken::new();
    let worker = queue.worker(QUEUE).concurrency(slots);
    tokio::spawn(worker.run(handler, shutdown.clone()));
    Running { shutdown }
}

async fn push(queue: &Queue, new: NewJob) -> Uuid {
    let id = new.id;
    queue.push(QUEUE, &[new]).await.unwrap();
    id
}

async fn until(queue: &Queue, id: Uuid, state: State) -> Job {
    let get = async || queue.job(QUEUE, id).await.unwrap().unwrap();
    let what = format!("the job is {}", state.as_str());
    eventually(&what, async || get().await.state == state).await;
    get().await
}

#[tokio::test]
async fn fifty_thousand_waiting_jobs_drain() {
    const COUNT: usize = 50_000;
    let options = Options {
        keep_done: COUNT as u64,
        ..Options::default()
    };
    each_with(options, async |fresh| {
        let queue = &fresh.queue;
        for some in jobs(COUNT).chunks(5000) {
            queue.push(QUEUE, some).await.unwrap();
        }
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let ran = seen.clone();
        let _worker = start(queue, 64, move |job| {
            ran.lock().unwrap().insert(job.parse::<usize>().unwrap());
            async { Ok(Value::Null) }
        });
        within(Duration::from_secs(120), "all are done", async || {
            let stats = stats(queue).await;
            // Every job is in exactly one state at any time.
            assert_eq!(total(&stats), COUNT as u64);
            stats.done == COUNT as u64
        })
        .await;
        assert_eq!(seen.lock().unwrap().len(), COUNT);
    })
    .await;
}

#[tokio::test]
async fn a_result_is_kept() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let id = push(queue, job(20)).await;
        let _worker = start(queue, 1, |job| async move {
            Ok(json!({ "doubled": job.parse::<u64>()? * 2 }))
        });
        let done = until(queue, id, State::Done).await;
        assert_eq!(done.result, Some(json!({ "doubled": 40 })));
        assert_eq!(done.attempts, 1);
        assert!(done.finished_at.unwrap() >= done.created_at);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_dead_after_its_attempts() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let id = push(queue, job(1)).await;
        let _worker = start(queue, 4, move |_| {
            let run = counted.fetch_add(1, SeqCst) + 1;
            async move { Err(anyhow!("run {run}").context("no luck").into()) }
        });
        let dead = until(queue, id, State::Dead).await;
        assert_eq!((runs.load(SeqCst), dead.attempts), (5, 5));
        assert_eq!(dead.last_error.as_deref(), Some("no luck: run 5"));
        assert!(dead.finished_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_job_is_dead_at_once() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let id = push(queue, job(1)).await;
        let _worker = start(queue, 1, |_| async {
            Err(Failure::Drop(anyhow!("hopeless")))
        });
        let dead = until(queue, id, State::Dead).await;
        assert_eq!(dead.attempts, 1);
        assert_eq!(dead.last_error.as_deref(), Some("hopeless"));
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_a_failure_of_that_job_alone() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let bad = NewJob {
            max_attempts: 2,
            ..job(13)
        };
        let bad = push(queue, bad).await;
        let good = push(queue, job(1)).await;
        let _worker = start(queue, 1, |job| {
            // Before the handler's future even exists.
            assert_ne!(job.parse::<usize>().unwrap(), 13, "unlucky");
            async { Ok(Value::Null) }
        });
        let dead = until(queue, bad, State::Dead).await;
        assert!(dead.last_error.unwrap().contains("unlucky"));
        until(queue, good, State::Done).await;
    })
    .await;
}

#[tokio::test]
async fn a_job_in_backoff_holds_no_slot() {
    let options = Options {
        backoff_base: Duration::from_secs(3600),
        backoff_cap: Duration::from_secs(3600),
        ..fast()
    };
    each_with(options, async |fresh| {
        let queue = &fresh.queue;
        let bad = push(queue, job(13)).await;
        let _worker = start(queue, 1, |job| async move {
            match job.parse()? {
                13 => Err(anyhow!("unlucky").into()),
                _ => Ok(Value::Null),
            }
        });
        until(queue, bad, State::Retrying).await;
        let good = push(queue, job(1)).await;
        until(queue, good, State::Done).await;
        let bad = queue.job(QUEUE, bad).await.unwrap().unwrap();
        assert_eq!((bad.state, bad.attempts), (State::Retrying, 1));
        assert!(bad.run_at > Utc::now());
    })
    .await;
}

#[tokio::test]
async fn a_delayed_job_starts_on_time() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let due = Utc::now() + TimeDelta::milliseconds(700);
        let delayed = NewJob {
            run_at: Some(due),
            ..job(1)
        };
        let _worker = start(queue, 1, |_| async { Ok(json!(Utc::now())) });
        let id = push(queue, delayed).await;
        let started = until(queue, id, State::Done).await.result.unwrap();
        let late = started
            .as_str()
            .unwrap()
            .parse::<chrono::DateTime<Utc>>()
            .unwrap()
            - due;
        assert!(late >= TimeDelta::zero(), "too early: {late}");
        assert!(late < TimeDelta::milliseconds(500), "too late: {late}");
    })
    .await;
}

#[tokio::test]
async fn the_dead_and_the_retrying_can_be_replayed() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let healed = Arc::new(AtomicUsize::new(0));
        let sees = healed.clone();
        let _worker = start(queue, 8, move |job| {
            let healed = sees.load(SeqCst) == 1;
            async move {
                match (healed, job.parse::<usize>()?) {
                    (true, _) => Ok(Value::Null),
                    (false, 0) => Err(Failure::Retry(anyhow!("not yet"))),
                    (false, _) => Err(Failure::Drop(anyhow!("never"))),
                }
            }
        });
        queue.push(QUEUE, &jobs(700)[1..]).await.unwrap();
        let one = push(queue, job(1)).await;
        let endless = NewJob {
            max_attempts: 0,
            ..job(0)
        };
        let endless = push(queue, endless).await;
        eventually("all but one are dead", async || {
            stats(queue).await.dead == 700
        })
        .await;

        assert!(queue.retry(QUEUE, Uuid::now_v7()).await.unwrap().is_none());
        until(queue, one, State::Dead).await;
        healed.store(1, SeqCst);
        let replayed = queue.retry(QUEUE, one).await.unwrap().unwrap();
        assert_ne!(replayed.state, State::Dead);
        assert_eq!(until(queue, one, State::Done).await.attempts, 1);
        // Again changes nothing.
        let again = queue.retry(QUEUE, one).await.unwrap().unwrap();
        assert_eq!(again.state, State::Done);
        queue.retry(QUEUE, endless).await.unwrap();
        until(queue, endless, State::Done).await;

        assert_eq!(queue.retry_dead(QUEUE).await.unwrap(), 699);
        assert_eq!(queue.retry_dead(QUEUE).await.unwrap(), 0);
        eventually("all are done", async || stats(queue).await.done == 701).await;
    })
    .await;
}

#[tokio::test]
async fn no_more_jobs_are_held_than_slots_and_all_slots_are_used() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        queue.push(QUEUE, &jobs(60)).await.unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        let _worker = start(queue, 6, move |_| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_millis(10)).await;
                now.fetch_sub(1, SeqCst);
                Ok(Value::Null)
            }
        });
        eventually("all are done", async || {
            let stats = stats(queue).await;
            assert!(stats.running <= 6, "{} are held", stats.running);
            stats.done == 60
        })
        .await;
        assert_eq!(seen.load(SeqCst), 6);
    })
    .await;
}

#[tokio::test]
async fn a_job_runs_in_the_trace_of_the_request_that_pushed_it() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let _worker = start(queue, 1, |_| async {
            let context = telemetry::Context::current().expect("a handler has a context");
            Ok(json!([context.request_id(), context.traceparent()]))
        });
        let request = telemetry::Context::root();
        let id = request
            .clone()
            .scope(async { push(queue, job(1)).await })
            .await;
        let ran = until(queue, id, State::Done).await.result.unwrap();
        assert_eq!(ran[0], request.request_id());
        let trace = |parent: &str| parent.split('-').nth(1).unwrap().to_owned();
        assert_eq!(
            trace(ran[1].as_str().unwrap()),
            trace(&request.traceparent())
        );
    })
    .await;
}

#[tokio::test]
async fn done_jobs_are_trimmed_by_count_and_by_age() {
    let options = Options {
        keep_done: 100,
        ..fast()
    };
    each_with(options, async |fresh| {
        let queue = &fresh.queue;
        let ids = jobs(2000);
        queue.push(QUEUE, &ids).await.unwrap();
        let _worker = start(queue, 1, |_| async { Ok(Value::Null) });
        eventually("all have run and most are forgotten", async || {
            let stats = stats(queue).await;
            stats.waiting + stats.running == 0 && stats.done == 100
        })
        .await;
        assert!(
            queue.job(QUEUE, ids[1999].id).await.unwrap().is_some(),
            "the newest stay"
        );
        assert!(queue.job(QUEUE, ids[0].id).await.unwrap().is_none());

        let hour = Duration::from_secs(3600);
        assert_eq!(queue.trim(QUEUE, hour).await.unwrap(), 0);
        sleep(Duration::from_millis(5)).await;
        assert_eq!(queue.trim(QUEUE, Duration::ZERO).await.unwrap(), 100);
        assert_eq!(stats(queue).await.done, 0);
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_trimmed_by_count_and_by_age() {
    let options = Options {
        keep_dead: 100,
        ..fast()
    };
    each_with(options, async |fresh| {
        let queue = &fresh.queue;
        let ids = jobs(700);
        queue.push(QUEUE, &ids).await.unwrap();
        let _worker = start(queue, 1, |_| async { Err(Failure::Drop(anyhow!("no"))) });
        eventually("all have died and most are forgotten", async || {
            let stats = stats(queue).await;
            stats.waiting + stats.running == 0 && stats.dead == 100
        })
        .await;
        assert!(
            queue.job(QUEUE, ids[699].id).await.unwrap().is_some(),
            "the newest stay"
        );
        assert!(queue.job(QUEUE, ids[0].id).await.unwrap().is_none());

        // Done jobs and dead ones have their own times.
        assert_eq!(queue.trim(QUEUE, Duration::ZERO).await.unwrap(), 0);
        let forgets = Options {
            keep_dead_for: Duration::ZERO,
            ..options
        };
        let forgets = Queue::open_with(&fresh.url, forgets).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        assert_eq!(forgets.trim(QUEUE, Duration::ZERO).await.unwrap(), 100);
    })
    .await;
}

#[tokio::test]
async fn shutdown_finishes_what_it_can_and_hands_back_the_rest() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let quick = push(queue, job(100)).await;
        let slow = push(queue, job(60_000)).await;
        let shutdown = CancellationToken::new();
        let handler = |job: Job| async move {
            sleep(Duration::from_millis(job.parse()?)).await;
            Ok(Value::Null)
        };
        let worker = queue.worker(QUEUE).concurrency(2);
        let worker = tokio::spawn(worker.run(handler, shutdown.clone()));
        eventually("both run", async || stats(queue).await.running == 2).await;
        let later = push(queue, job(0)).await;
        let stopping = Instant::now();
        shutdown.cancel();
        worker.await.unwrap();
        assert!(stopping.elapsed() < fast().drain + Duration::from_secs(2));

        let get = async |id| queue.job(QUEUE, id).await.unwrap().unwrap();
        assert_eq!(get(quick).await.state, State::Done);
        for id in [slow, later] {
            let back = get(id).await;
            // As if it had never started.
            assert_eq!((back.state, back.attempts), (State::Waiting, 0));
        }
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_shut_down_before_it_starts_ends() {
    each_with(fast(), async |fresh| {
        fresh.queue.push(QUEUE, &jobs(10)).await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let worker = fresh.queue.worker(QUEUE);
        worker.run(|_| async { Ok(Value::Null) }, shutdown).await;
        assert_eq!(stats(&fresh.queue).await.waiting, 10);
    })
    .await;
}

#[tokio::test]
async fn metrics_count_runs_and_depth() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let bad = NewJob {
            max_attempts: 2,
            ..job(13)
        };
        queue.push(QUEUE, &[job(1), bad]).await.unwrap();
        let shutdown = CancellationToken::new();
        let handler = |job: Job| async move {
            match job.parse()? {
                13 => Err(anyhow!("unlucky").into()),
                _ => Ok(Value::Null),
            }
        };
        let worker = queue.worker(QUEUE).metrics(metrics.clone());
        tokio::spawn(worker.run(handler, shutdown.clone()));
        eventually("one is done, one dead", async || {
            let stats = stats(queue).await;
            (stats.done, stats.dead) == (1, 1)
        })
        .await;
        shutdown.cancel();
        queue.observe(&[QUEUE], &metrics, shutdown).await;
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "worker_jobs_success_total{job=\"test\"} 1",
            "worker_jobs_failure_total{job=\"test\"} 2",
            "worker_job_duration_seconds_count{job=\"test\"} 3",
            "worker_queue_depth{queue=\"tests\",state=\"done\"} 1",
            "worker_queue_depth{queue=\"tests\",state=\"dead\"} 1",
            "worker_queue_depth{queue=\"tests\",state=\"waiting\"} 0",
            "worker_queue_oldest_seconds{queue=\"tests\"} 0.0",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn dead_letters_can_be_listed_newest_first() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let _worker = start(queue, 1, |_| async { Err(Failure::Drop(anyhow!("no"))) });
        let mut ids = Vec::new();
        for n in 0..3 {
            let id = push(queue, job(n)).await;
            until(queue, id, State::Dead).await;
            ids.insert(0, id);
        }
        let filter = Filter {
            state: Some(State::Dead),
            ..Filter::default()
        };
        let page = queue.jobs(QUEUE, filter).await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|job| job.id).collect();
        assert_eq!(listed, ids);
        assert!(
            page.items
                .iter()
                .all(|job| job.last_error.as_deref() == Some("no"))
        );
    })
    .await;
}

#[tokio::test]
async fn no_job_is_ever_lost_or_doubled_whatever_happens_to_it() {
    const COUNT: usize = 400;
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let handler = |job: Job| async move {
            let luck = rand::random_range(0..10);
            sleep(Duration::from_millis(luck)).await;
            match luck {
                0..4 => Ok(json!(job.parse::<usize>()?)),
                4 => panic!("no luck"),
                5 => Err(Failure::Drop(anyhow!("no luck"))),
                _ => Err(Failure::Retry(anyhow!("no luck"))),
            }
        };
        queue.push(QUEUE, &jobs(COUNT)).await.unwrap();
        let running: Vec<_> = (0..3).map(|_| start(queue, 20, handler)).collect();
        let seen = Mutex::new(HashSet::new());
        eventually("all have succeeded", async || {
            let stats = stats(queue).await;
            assert_eq!(total(&stats), COUNT as u64, "{stats:?}");
            for state in State::ALL {
                if stats.count(state) > 0 {
                    seen.lock().unwrap().insert(state);
                }
            }
            queue.retry_dead(QUEUE).await.unwrap();
            stats.done == COUNT as u64
        })
        .await;
        assert_eq!(seen.lock().unwrap().len(), 5, "every state was seen");
        drop(running);
    })
    .await;
}

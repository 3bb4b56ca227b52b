//! Workers that die, hang or are stopped: who gets their jobs, and when.
use crate::common::{QUEUE, eventually, fast, job, jobs, stats, total, within};
use queue::{
    Failure, Job, NewJob, Options, Queue, State,
    testing::{Fresh, each_with},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// Where the child process says what it did.
const MARKS: &str = "marks";

/// A worker in a process of its own: this test binary once more, running [`child`] alone.
struct Worker(Child);

impl Worker {
    fn start(fresh: &Fresh, does: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored"])
            .env("QUEUE_CHILD_URL", &fresh.url)
            .env("QUEUE_CHILD_DOES", does)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "the other tests run it in a process of its own"]
async fn child() {
    let setting = |name| std::env::var_os(name).map(|value| value.into_string().unwrap());
    let (Some(url), Some(does)) = (setting("QUEUE_CHILD_URL"), setting("QUEUE_CHILD_DOES")) else {
        return;
    };
    let options = match does.as_str() {
        "hang" => Options::default(),
        _ => fast(),
    };
    let queue = Queue::open_with(&url, options).await.unwrap();
    let worker = queue.worker(QUEUE).concurrency(100);
    let handler = move |job: Job| {
        let (queue, does) = (queue.clone(), does.clone());
        async move {
            match does.as_str() {
                "hang" => std::future::pending().await,
                "abort" if job.parse::<usize>()? == 13 => std::process::abort(),
                "return late" => {
                    sleep(Duration::from_millis(500)).await;
                    let mark = NewJob::new("returned", &job.id)?;
                    queue.push(MARKS, &[mark]).await?;
                }
                _ => {}
            }
            Ok(json!("from the child"))
        }
    };
    worker.run(handler, CancellationToken::new()).await;
}

#[tokio::test]
async fn jobs_of_a_killed_worker_start_elsewhere_within_five_seconds() {
    each_with(Options::default(), async |fresh| {
        let queue = &fresh.queue;
        queue.push(QUEUE, &jobs(100)).await.unwrap();
        let mut worker = Worker::start(fresh, "hang");
        eventually("it holds the jobs", async || {
            stats(queue).await.running == 100
        })
        .await;
        let shutdown = CancellationToken::new();
        let other = queue.worker(QUEUE).concurrency(100);
        let other = other.run(async |_| Ok(Value::Null), shutdown.clone());
        let other = tokio::spawn(other);
        // Long enough for the other one to know how things go.
        sleep(Options::default().lease * 2).await;
        assert_eq!(
            stats(queue).await.running,
            100,
            "a live worker keeps its jobs"
        );

        worker.0.kill().unwrap();
        let took = within(Duration::from_secs(5), "all are done", async || {
            stats(queue).await.done == 100
        })
        .await;
        println!("taken over after {took:?}");
        shutdown.cancel();
        other.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_dead_after_three() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let poison = job(13);
        let id = poison.id;
        queue.push(QUEUE, &[poison]).await.unwrap();
        let mut crashes = 0;
        while stats(queue).await.dead == 0 {
            assert!(crashes < 4, "it goes on for ever");
            let mut worker = Worker::start(fresh, "abort");
            let worker = std::cell::RefCell::new(&mut worker);
            eventually("the worker dies, or the job is", async || {
                worker.borrow_mut().has_ended() || stats(queue).await.dead == 1
            })
            .await;
            crashes += usize::from(worker.borrow_mut().has_ended());
        }
        assert_eq!(crashes, 3);
        let dead = queue.job(QUEUE, id).await.unwrap().unwrap();
        assert!(dead.last_error.unwrap().contains("died"));
        assert_eq!(dead.attempts, 3);

        // Replayed, it has its three crashes before it again.
        queue.retry(QUEUE, id).await.unwrap();
        let mut worker = Worker::start(fresh, "abort");
        let worker = std::cell::RefCell::new(&mut worker);
        eventually("it kills again", async || worker.borrow_mut().has_ended()).await;
        let replayed = queue.job(QUEUE, id).await.unwrap().unwrap();
        assert_eq!((replayed.state, replayed.attempts), (State::Running, 1));
    })
    .await;
}

#[tokio::test]
async fn a_job_with_endless_attempts_survives_crashes() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let event = NewJob {
            max_attempts: 0,
            ..job(13)
        };
        queue.push(QUEUE, &[event]).await.unwrap();
        for _ in 0..4 {
            let mut worker = Worker::start(fresh, "abort");
            let worker = std::cell::RefCell::new(&mut worker);
            eventually("the worker dies", async || worker.borrow_mut().has_ended()).await;
        }
        let _saviour = Worker::start(fresh, "succeed");
        eventually("it is done", async || stats(queue).await.done == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_stopped_for_too_long_cannot_disturb_the_new_owner() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        let new = job(1);
        let id = new.id;
        queue.push(QUEUE, &[new]).await.unwrap();
        let stopped = Worker::start(fresh, "return late");
        eventually("it runs", async || stats(queue).await.running == 1).await;
        stopped.signal(Signal::STOP);

        let (taken, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tells, waits) = (taken.clone(), finish.clone());
        let shutdown = CancellationToken::new();
        let owner = queue.worker(QUEUE).concurrency(1);
        let owner = owner.run(
            move |_| {
                let (tells, waits) = (tells.clone(), waits.clone());
                async move {
                    tells.notify_one();
                    waits.notified().await;
                    Ok(json!("from the owner"))
                }
            },
            shutdown.clone(),
        );
        let owner = tokio::spawn(owner);
        taken.notified().await;

        // The stopped worker wakes up, ends its run and reports.
        stopped.signal(Signal::CONT);
        let returned = async || queue.stats(MARKS).await.unwrap().waiting == 1;
        eventually("the late run ends", returned).await;
        // And it renews its leases, if it thinks it has any.
        sleep(fast().lease).await;
        let now = queue.job(QUEUE, id).await.unwrap().unwrap();
        assert_eq!((now.state, now.attempts), (State::Running, 2));

        finish.notify_one();
        eventually("it is done", async || stats(queue).await.done == 1).await;
        let done = queue.job(QUEUE, id).await.unwrap().unwrap();
        assert_eq!(done.result, Some(json!("from the owner")));
        shutdown.cancel();
        owner.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_job_slower_than_every_lease_runs_once() {
    each_with(fast(), async |fresh| {
        let queue = &fresh.queue;
        // More than the slots, so that jobs are also waiting to start.
        queue.push(QUEUE, &jobs(12)).await.unwrap();
        let (runs, shutdown) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let runs = runs.clone();
                let handler = move |_| {
                    runs.fetch_add(1, SeqCst);
                    async {
                        sleep(fast().lease * 2).await;
                        Ok::<_, Failure>(Value::Null)
                    }
                };
                let worker = queue.worker(QUEUE).concurrency(2);
                tokio::spawn(worker.run(handler, shutdown.clone()))
            })
            .collect();
        eventually("all are done", async || {
            let stats = stats(queue).await;
            assert_eq!(total(&stats), 12);
            stats.done == 12
        })
        .await;
        assert_eq!(runs.load(SeqCst), 12);
        shutdown.cancel();
        for worker in workers {
            worker.await.unwrap();
        }
    })
    .await;
}

//! Schedules: every tick once, however many workers run.
use crate::{
    peers::Peers,
    support::{Replica, each, eventually},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// The ticks that were worked on so far, in order.
fn ticks(peers: &Peers) -> Vec<DateTime<Utc>> {
    let mut ticks: Vec<_> = peers.seen().touches.iter().map(|t| t.stamp).collect();
    ticks.sort_unstable();
    ticks
}

#[tokio::test]
async fn three_workers_do_each_tick_once() {
    each(async |queue| {
        let peers = Peers::start().await;
        let every_second = ["--cron-schedule", "* * * * * *"];
        let workers = [0; 3].map(|_| Replica::new(&queue.queue, &peers.url, &every_second));
        eventually("five ticks are through", async || ticks(&peers).len() >= 5).await;
        // The workers stop; what they have queued is done by another.
        drop(workers);
        let idle = Replica::new(&queue.queue, &peers.url, &[]);
        eventually("nothing is left", async || {
            let stats = idle.get("/queues").await.expect(200);
            ["waiting", "running", "retrying"]
                .iter()
                .all(|state| stats["jobs"][state] == 0)
        })
        .await;
        // Of a job that was cut off the peers may see two runs, but it is one job.
        let mut page = idle.get("/jobs?limit=500").await.expect(200);
        let jobs: Vec<Value> = serde_json::from_value(page["items"].take()).expect("items");
        let tick = |job: &Value| -> DateTime<Utc> {
            serde_json::from_value(job["payload"]["at"].clone()).expect("a tick")
        };
        let mut ticks: Vec<_> = jobs.iter().map(tick).collect();
        ticks.sort_unstable();
        for pair in ticks.windows(2) {
            assert_eq!(
                pair[1] - pair[0],
                TimeDelta::seconds(1),
                "a tick is missing or double: {ticks:?}"
            );
        }
        assert!(ticks.iter().all(|t| t.timestamp_subsec_nanos() == 0));
    })
    .await;
}

#[tokio::test]
async fn each_schedule_starts_its_own_job() {
    each(async |queue| {
        let peers = Peers::start().await;
        let settings = [
            "--sweep-schedule",
            "* * * * * *",
            "--report-schedule",
            "* * * * * *",
            "--trim-schedule",
            "* * * * * *",
        ];
        let worker = Replica::new(&queue.queue, &peers.url, &settings);
        eventually("all have succeeded", async || {
            let text = worker.metrics();
            ["sweep_holds", "report", "trim"].iter().all(|job| {
                let gauge =
                    format!(r#"worker_cron_last_success_timestamp_seconds{{job="{job}"}} 1"#);
                text.contains(&gauge)
            })
        })
        .await;
        assert!(ticks(&peers).is_empty(), "this one rests");
        let (from, to) = peers.seen().reports[0];
        assert!(
            to <= Utc::now() && to - from == TimeDelta::days(1),
            "the day before: {from} to {to}"
        );
    })
    .await;
}

/// A worker that starts later doesn't make up for what came before it.
#[tokio::test]
async fn ticks_of_the_past_stay_there() {
    each(async |queue| {
        let peers = Peers::start().await;
        let started = Utc::now();
        let _worker = Replica::new(
            &queue.queue,
            &peers.url,
            &["--cron-schedule", "*/2 * * * * *"],
        );
        eventually("a tick is through", async || !ticks(&peers).is_empty()).await;
        assert!(ticks(&peers)[0] >= started);
    })
    .await;
}

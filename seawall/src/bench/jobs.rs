//! The job bench: pushes echo jobs through the API and waits until all are done.
use super::{
    args::{Args, What},
    attempt::Cause,
    client::{Connection, Peers},
    report::Report,
    shop::Shop,
    tally::Latency,
};
use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use http::{
    HeaderValue, Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// Longest wait for the answer to one push.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the list of jobs.
const LOOK: Duration = Duration::from_millis(200);
/// Latencies above ten minutes are counted as that.
const HIGHEST_MICROS: u64 = 600_000_000;

/// The job bench's result.
#[derive(Debug, Clone, Serialize)]
pub struct Jobs {
    pub pushed: u64,
    /// Pushes that failed, by cause. They are not retried: each push is a job of its own.
    pub failed: BTreeMap<String, u64>,
    pub pushed_per_second: f64,
    pub done: u64,
    /// From the first job's push until the last one was finished, by the platform's clock.
    pub done_per_second: f64,
    /// From a job's push until it was finished, by the platform's clock.
    pub latency_ms: Latency,
}

impl Jobs {
    /// Jobs that were pushed in vain, or not at all.
    pub fn not_done(&self) -> u64 {
        self.pushed - self.done + self.failed.values().sum::<u64>()
    }
}

#[derive(Debug, Deserialize)]
struct Job {
    id: Uuid,
    state: String,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// Runs it.
///
/// # Errors
/// When the list of jobs can't be read.
pub async fn run(args: &Args, what: &What) -> anyhow::Result<Report> {
    let What::Jobs {
        jobs,
        concurrency,
        patience,
    } = *what;
    let peers = Peers::resolve(&[&args.platform.url]).await?;
    let mut shop = args.platform.shop().await?;
    // Logs in, where that is needed.
    shop.walk("/api/jobs", |_: Job| ControlFlow::Break(()))
        .await?;
    let start = Instant::now();
    let mut pushers = JoinSet::new();
    let workers = u32::from(concurrency);
    for turn in 0..workers {
        let share = jobs / workers + u32::from(turn < jobs % workers);
        let connection = Connection::new(peers.clone(), 0, PATIENCE);
        pushers.spawn(push(connection, shop.authorization(), share));
    }
    let mut pushed = HashSet::new();
    let mut failed = BTreeMap::new();
    for (ids, causes) in pushers.join_all().await {
        pushed.extend(ids);
        for cause in causes {
            *failed.entry(cause.to_string()).or_default() += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let count = pushed.len() as u64;
    let finished = wait_for(&mut shop, pushed, patience).await?;
    let mut report = Report::new(args);
    report.jobs = Some(Jobs {
        pushed: count,
        failed,
        pushed_per_second: count as f64 / seconds,
        done: finished.count,
        done_per_second: finished.per_second(),
        latency_ms: Latency::of(&finished.latency),
    });
    Ok(report)
}

/// Pushes `count` jobs one after the other; the ids of those that were accepted, and why others
/// were not.
async fn push(
    mut via: Connection,
    authorization: Option<HeaderValue>,
    count: u32,
) -> (Vec<Uuid>, Vec<Cause>) {
    #[derive(Deserialize)]
    struct Accepted {
        id: Uuid,
    }
    let (mut ids, mut causes) = (Vec::new(), Vec::new());
    for n in 0..count {
        let body = format!(r#"{{"kind":"echo","payload":{{"n":{n}}}}}"#);
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("/api/job");
        let headers = request.headers_mut();
        headers.insert(HOST, via.host().clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &authorization {
            headers.insert(AUTHORIZATION, token.clone());
        }
        match via.send(request).await {
            Err(broken) => causes.push(Cause::Broken(broken)),
            Ok(reply) if !reply.status.is_success() => causes.push(Cause::Status(reply.status)),
            Ok(reply) => match serde_json::from_slice::<Accepted>(&reply.body) {
                Ok(job) => ids.push(job.id),
                Err(_) => causes.push(Cause::Unreadable),
            },
        }
    }
    (ids, causes)
}

/// What was finished.
struct Finished {
    count: u64,
    latency: Histogram<u64>,
    first_push: DateTime<Utc>,
    last_finish: DateTime<Utc>,
}

impl Finished {
    fn none() -> Self {
        Self {
            count: 0,
            latency: Histogram::new_with_bounds(1, HIGHEST_MICROS, 3).expect("valid bounds"),
            first_push: DateTime::<Utc>::MAX_UTC,
            last_finish: DateTime::<Utc>::MIN_UTC,
        }
    }

    fn add(&mut self, pushed: DateTime<Utc>, finished: DateTime<Utc>) {
        let micros = (finished - pushed)
            .num_microseconds()
            .unwrap_or(i64::MAX)
            .max(0);
        self.count += 1;
        self.latency.saturating_record(micros.unsigned_abs());
        self.first_push = self.first_push.min(pushed);
        self.last_finish = self.last_finish.max(finished);
    }

    fn per_second(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let time = (self.last_finish - self.first_push).as_seconds_f64();
        self.count as f64 / time.max(f64::EPSILON)
    }
}

/// Watches the list until all of `ids` are done, or none has been for `patience`.
async fn wait_for(
    shop: &mut Shop,
    mut ids: HashSet<Uuid>,
    patience: Duration,
) -> anyhow::Result<Finished> {
    let mut finished = Finished::none();
    let mut progress = Instant::now();
    while !ids.is_empty() && progress.elapsed() < patience {
        let before = ids.len();
        let mut unseen = before;
        // Newest first: beyond the oldest of ours there is nothing to look for.
        let look = |job: Job| {
            if ids.contains(&job.id) {
                unseen -= 1;
                if job.state == "done" {
                    ids.remove(&job.id);
                    finished.add(job.created_at, job.finished_at.unwrap_or(job.created_at));
                }
            }
            match unseen {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        shop.walk("/api/jobs", look).await?;
        if ids.len() < before {
            progress = Instant::now();
        }
        sleep(LOOK).await;
    }
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_per_second_span_from_the_first_push_to_the_last_finish() {
        let at = |ms| DateTime::UNIX_EPOCH + Duration::from_millis(ms);
        let mut finished = Finished::none();
        assert_eq!(finished.per_second(), 0.0);
        finished.add(at(100), at(300));
        finished.add(at(0), at(2000));
        assert_eq!(finished.per_second(), 1.0);
        assert!((finished.latency.max() as f64 / 2e6 - 1.0).abs() < 0.01);
    }
}

//! The jobs: one line here and, where there is more to do, a file beside.
mod report;
mod touch_today;

use crate::App;
use anyhow::anyhow;
use axum::http::Method;
use client::{Call, Replay};
use contracts::{
    JOBS,
    job::{Fail, Job},
    reservation::Swept,
};
use queue::Failure;
use serde_json::{Value, json};
use std::time::Duration;

type Outcome = Result<Value, Failure>;

/// Runs one job; what it returns is kept as the job's result.
pub async fn run(app: App, job: queue::Job) -> Outcome {
    let payload: Value = job.parse().map_err(|e| Failure::Drop(e.into()))?;
    let work = Job::from_parts(&job.kind, payload).map_err(|e| Failure::Drop(e.into()))?;
    let name = cron_name(&work);
    let outcome = match work {
        Job::Echo(payload) => Ok(payload),
        Job::Fail(fail) => self::fail(&fail, job.attempts),
        Job::Sleep(sleep) => {
            tokio::time::sleep(Duration::from_millis(sleep.ms)).await;
            Ok(json!({"slept_ms": sleep.ms}))
        }
        Job::Report(report) => report::run(&app, report).await,
        Job::TouchToday(scheduled) => touch_today::run(&app, scheduled).await,
        Job::SweepHolds(_) => sweep_holds(&app).await,
        Job::Trim(_) => trim(&app).await,
    };
    if let (Some(name), Ok(_)) = (name, &outcome) {
        app.metrics.succeeded(name);
    }
    outcome
}

/// The name under which a schedule starts this job.
fn cron_name(job: &Job) -> Option<&'static str> {
    match job {
        Job::Report(_) => Some("report"),
        Job::TouchToday(_) => Some("touch_today"),
        Job::SweepHolds(_) => Some("sweep_holds"),
        Job::Trim(_) => Some("trim"),
        Job::Echo(_) | Job::Fail(_) | Job::Sleep(_) => None,
    }
}

fn fail(fail: &Fail, attempts: u32) -> Outcome {
    match fail.times {
        Some(times) if attempts > times => Ok(json!({"failed_before": times})),
        _ => Err(Failure::Retry(anyhow!("asked to fail, attempt {attempts}"))),
    }
}

async fn sweep_holds(app: &App) -> Outcome {
    let call = Call::to(Method::POST, "/reservations/sweep")?.replay(Replay::Safe);
    let swept: Swept = app.inventory.json(call).await?;
    Ok(serde_json::to_value(swept)?)
}

async fn trim(app: &App) -> Outcome {
    let trimmed = app.queue.trim(JOBS, app.keep_done).await?;
    Ok(json!({"trimmed": trimmed}))
}

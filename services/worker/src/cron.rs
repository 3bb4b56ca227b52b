//! Scheduled jobs: every replica pushes the job of each tick, under a key that lets only one in.
use crate::{Config, metrics::Metrics, submit};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use contracts::{
    JOBS,
    job::{Job, Report, Scheduled},
};
use croner::Cron;
use queue::{NewJob, Queue};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a tick may be late and still count.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ticks missed by more than this are left out, but for the first.
const CATCH_UP: TimeDelta = TimeDelta::minutes(1);

/// A job and when it runs.
struct Entry {
    name: &'static str,
    schedule: Cron,
    job: fn(DateTime<Utc>, Tz) -> Job,
}

fn entries(config: &Config) -> [Entry; 4] {
    [
        Entry {
            name: "touch_today",
            schedule: config.cron_schedule.clone(),
            job: |at, _| Job::TouchToday(Scheduled { at: Some(at) }),
        },
        Entry {
            name: "sweep_holds",
            schedule: config.sweep_schedule.clone(),
            job: |at, _| Job::SweepHolds(Scheduled { at: Some(at) }),
        },
        Entry {
            name: "trim",
            schedule: config.trim_schedule.clone(),
            job: |at, _| Job::Trim(Scheduled { at: Some(at) }),
        },
        Entry {
            name: "report",
            schedule: config.report_schedule.clone(),
            job: |at, tz| {
                let yesterday = crate::clock::today(at, tz).pred_opt();
                Job::Report(Report {
                    day: yesterday.map(|d| d.to_string()),
                })
            },
        },
    ]
}

/// Runs until stopped: waits for the next tick of any schedule and pushes its jobs.
pub async fn run(
    config: Config,
    queue: Queue,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let entries = entries(&config);
    let mut last = Utc::now();
    loop {
        let ticks = entries
            .iter()
            .map(|e| next(&e.schedule, last, config.tz))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let Some(soonest) = ticks.iter().flatten().min().copied() else {
            stop.cancelled().await;
            return Ok(());
        };
        // The clock may be set while we wait, so never wait long in one go.
        while Utc::now() < soonest {
            let wait = (soonest - Utc::now())
                .to_std()
                .unwrap_or_default()
                .min(Duration::from_secs(30));
            if stop
                .run_until_cancelled(tokio::time::sleep(wait))
                .await
                .is_none()
            {
                return Ok(());
            }
        }
        for (entry, tick) in entries.iter().zip(ticks) {
            if tick == Some(soonest) {
                push(&queue, entry, soonest, config.tz, &stop).await;
                metrics.expected(entry.name);
            }
        }
        // After a long stall (a laptop that slept) the ticks in between are gone, not all made up for.
        last = soonest.max(Utc::now() - CATCH_UP);
    }
}

/// The first tick after `last`, in the zone's own time; none when the schedule never comes again.
fn next(schedule: &Cron, last: DateTime<Utc>, tz: Tz) -> anyhow::Result<Option<DateTime<Utc>>> {
    match schedule.find_next_occurrence(&last.with_timezone(&tz), false) {
        Ok(at) => Ok(Some(at.with_timezone(&Utc))),
        Err(croner::errors::CronError::TimeSearchLimitExceeded) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Pushes the job of one tick; while the queue is away, tries again for a while.
async fn push(queue: &Queue, entry: &Entry, tick: DateTime<Utc>, tz: Tz, stop: &CancellationToken) {
    let job = match submit::new_job(&(entry.job)(tick, tz)) {
        Ok(job) => NewJob {
            unique_key: Some(format!("cron:{}:{}", entry.name, tick.timestamp())),
            ..job
        },
        Err(error) => {
            return tracing::error!(%error, job = entry.name, "a scheduled job can't be written");
        }
    };
    let started = tokio::time::Instant::now();
    while let Err(error) = queue.push(JOBS, std::slice::from_ref(&job)).await {
        if started.elapsed() > PATIENCE || stop.is_cancelled() {
            return tracing::warn!(%error, job = entry.name, %tick, "a scheduled job was missed, the queue is away");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    fn ticks(schedule: &str, from: &str, tz: Tz, n: usize) -> Vec<String> {
        let schedule = Cron::from_str(schedule).expect("a schedule");
        let mut at = from.parse().expect("a time");
        let mut ticks = Vec::new();
        for _ in 0..n {
            at = next(&schedule, at, tz).expect("valid").expect("a tick");
            ticks.push(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        }
        ticks
    }

    #[test]
    fn midnight_is_that_of_the_zone() {
        let utc = ticks("0 0 * * *", "2026-11-21T12:00:00Z", Tz::UTC, 1);
        assert_eq!(utc, ["2026-11-22T00:00:00Z"]);
        let tokyo = ticks("0 0 * * *", "2026-11-21T12:00:00Z", Tz::Asia__Tokyo, 1);
        assert_eq!(tokyo, ["2026-11-21T15:00:00Z"]);
    }

    #[test]
    fn every_minute_goes_on_through_the_change_of_the_clocks() {
        // 01:00 UTC is when Berlin goes from 03:00 back to 02:00.
        let ticks = ticks("* * * * *", "2026-10-25T00:58:30Z", Tz::Europe__Berlin, 4);
        assert_eq!(
            ticks,
            [
                "2026-10-25T00:59:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:01:00Z",
                "2026-10-25T01:02:00Z"
            ]
        );
    }
}

//! Looking at the queue: single jobs, lists, counts. None of it waits for a writer.
use super::{Sqlite, now};
use crate::{Error, Job, State, Stats, claim::readable, job::Position};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::{Row, sqlite::SqliteRow};
use std::time::Duration;
use uuid::Uuid;

impl Sqlite {
    pub async fn job(&self, queue: &str, id: Uuid) -> Result<Option<Job>, Error> {
        let row = sqlx::query("SELECT * FROM jobs WHERE queue = ?1 AND id = ?2")
            .bind(queue)
            .bind(id.to_string())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| job(&row)).transpose()
    }

    /// Up to `limit` jobs of one state that come after a position, newest first.
    pub async fn jobs(
        &self,
        queue: &str,
        state: State,
        after: &Position,
        limit: usize,
    ) -> Result<Vec<(Position, Job)>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM jobs WHERE queue = ?1 AND state = ?2 AND (at, id) < (?3, ?4)
             ORDER BY at DESC, id DESC LIMIT ?5",
        )
        .bind(queue)
        .bind(code(state))
        .bind(after.at)
        .bind(&after.id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await?;
        let positioned = |row: SqliteRow| {
            let position = Position {
                at: row.try_get("at")?,
                id: row.try_get("id")?,
            };
            Ok((position, job(&row)?))
        };
        Ok(readable(rows.into_iter().map(positioned)))
    }

    pub async fn stats(&self, queue: &str) -> Result<Stats, Error> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT state, count(*), min(at) FROM jobs WHERE queue = ?1 GROUP BY state",
        )
        .bind(queue)
        .fetch_all(&self.reader)
        .await?;
        let (mut stats, now) = (Stats::default(), now());
        for (state, count, at) in rows {
            let state = state_of(state)?;
            stats.set(state, u64::try_from(count).unwrap_or(0));
            if matches!(state, State::Waiting | State::Retrying) {
                let age = (now - at).max(0) as f64 / 1000.0;
                stats.oldest_seconds = stats.oldest_seconds.max(age);
            }
        }
        Ok(stats)
    }

    /// In how long the next job is due, `None` when there is none at all.
    pub(super) async fn next_due(&self, queue: &str) -> Result<Option<Duration>, Error> {
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT min(at) FROM (
                SELECT min(at) AS at FROM jobs WHERE queue = ?1 AND state = 0
                UNION ALL SELECT min(at) FROM jobs WHERE queue = ?1 AND state = 2)",
        )
        .bind(queue)
        .fetch_one(&self.reader)
        .await?;
        Ok(at.map(|at| Duration::from_millis(u64::try_from(at - now()).unwrap_or(0))))
    }
}

/// The number a state is stored as; the statements that change it name these numbers.
pub(super) fn code(state: State) -> i64 {
    match state {
        State::Waiting => 0,
        State::Running => 1,
        State::Retrying => 2,
        State::Done => 3,
        State::Dead => 4,
    }
}

fn state_of(stored: i64) -> Result<State, Error> {
    State::ALL
        .into_iter()
        .find(|state| code(*state) == stored)
        .ok_or_else(|| Error::Unreadable(format!("state {stored}")))
}

/// A row of `jobs`, all columns.
pub(super) fn job(row: &SqliteRow) -> Result<Job, Error> {
    let unreadable = |e: &dyn std::fmt::Display| Error::Unreadable(e.to_string());
    let state = state_of(row.try_get("state")?)?;
    let at: i64 = row.try_get("at")?;
    let run_at = match state {
        State::Waiting | State::Retrying => at,
        State::Running | State::Done | State::Dead => row.try_get("run_at")?,
    };
    let id: &str = row.try_get("id")?;
    let result: Option<&str> = row.try_get("result")?;
    Ok(Job {
        id: id.parse().map_err(|e| unreadable(&e))?,
        queue: row.try_get("queue")?,
        kind: row.try_get("kind")?,
        payload: RawValue::from_string(row.try_get("payload")?).map_err(|e| unreadable(&e))?,
        state,
        attempts: row.try_get("attempts")?,
        max_attempts: row.try_get("max_attempts")?,
        last_error: row.try_get("last_error")?,
        result: match result {
            Some(json) => Some(serde_json::from_str(json).map_err(|e| unreadable(&e))?),
            None => None,
        },
        created_at: time(row.try_get("created_at")?),
        run_at: time(run_at),
        finished_at: matches!(state, State::Done | State::Dead).then(|| time(at)),
        traceparent: row.try_get("traceparent")?,
        request_id: row.try_get("request_id")?,
        token: row.try_get::<Option<i64>, _>("token")?.unwrap_or(0),
    })
}

fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

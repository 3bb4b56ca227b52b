//! The life of a claim: taking jobs, keeping them, and recording how they ended. Also what moves
//! jobs without a claim: rescue, replay and trimming.
use super::{Sqlite, ago, in_future, millis, now, read};
use crate::{
    Error, Options, State,
    claim::{BATCH, CRASH, Claim, Outcome, Rescue, Settlement, readable},
};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// Retries go first: they are few, and the oldest.
const CLAIM: &str = "
UPDATE jobs SET state = 1, at = ?3, token = ?4, attempts = attempts + 1
WHERE queue = ?1 AND id IN (
    SELECT id FROM (SELECT id FROM jobs WHERE queue = ?1 AND state = 2 AND at <= ?2
                    ORDER BY at LIMIT ?5)
    UNION ALL
    SELECT id FROM (SELECT id FROM jobs WHERE queue = ?1 AND state = 0 AND at <= ?2
                    ORDER BY at LIMIT ?5)
    LIMIT ?5)
RETURNING *";

/// This and the next two look each id up by the primary key. `MATERIALIZED` keeps SQLite from
/// walking the whole queue for each of them instead.
const RENEW: &str = "
WITH held AS MATERIALIZED (
    SELECT ?1 AS queue, value ->> 0 AS id, value ->> 1 AS token FROM json_each(?2))
UPDATE jobs SET at = ?3 FROM held
WHERE jobs.queue = held.queue AND jobs.id = held.id AND jobs.token = held.token AND state = 1
RETURNING jobs.id";

/// An outcome without a state is a job handed back: as if it had not been claimed.
const SETTLE: &str = "
WITH ended AS MATERIALIZED (
    SELECT ?1 AS queue, value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS state,
           value ->> 3 AS at, value ->> 4 AS error, value ->> 5 AS result FROM json_each(?2))
UPDATE jobs SET
    state = coalesce(ended.state, CASE WHEN attempts > 1 THEN 2 ELSE 0 END),
    at = ended.at,
    token = NULL,
    attempts = attempts - (ended.state IS NULL),
    last_error = coalesce(ended.error, last_error),
    result = ended.result
FROM ended
WHERE jobs.queue = ended.queue AND jobs.id = ended.id AND jobs.token = ended.token
  AND jobs.state = 1
RETURNING jobs.id";

const REMOVE: &str = "
WITH ended AS MATERIALIZED (
    SELECT ?1 AS queue, value ->> 0 AS id, value ->> 1 AS token FROM json_each(?2))
DELETE FROM jobs WHERE queue = ?1 AND id IN (
    SELECT jobs.id FROM ended CROSS JOIN jobs
    WHERE jobs.queue = ended.queue AND jobs.id = ended.id AND jobs.token = ended.token
      AND jobs.state = 1)
RETURNING id";

/// `'now'` is when the statement got the write lock, not when it was sent.
const RESCUE: &str = "
UPDATE jobs SET
    crashes = crashes + 1,
    state = CASE WHEN max_attempts > 0 AND (crashes + 1 >= ?3 OR attempts >= max_attempts)
                 THEN 4 ELSE 2 END,
    at = ?2,
    token = NULL,
    last_error = ?4
WHERE queue = ?1 AND id IN (SELECT id FROM jobs WHERE queue = ?1 AND state = 1 AND at <= ?2
                            ORDER BY at LIMIT ?5)
  AND unixepoch('now', 'subsec') * 1000 <= ?6";

const REPLAY: &str = "
UPDATE jobs SET state = 0, at = ?2, attempts = 0, crashes = 0
WHERE queue = ?1 AND id = ?3 AND state IN (2, 4)";

const REPLAY_DEAD: &str = "
UPDATE jobs SET state = 0, at = ?2, attempts = 0, crashes = 0
WHERE queue = ?1 AND id IN (SELECT id FROM jobs WHERE queue = ?1 AND state = 4 LIMIT ?3)";

const TRIM: &str = "
DELETE FROM jobs WHERE queue = ?1 AND id IN (
    SELECT id FROM (SELECT id FROM jobs WHERE queue = ?1 AND state = ?5 AND at < ?2 LIMIT ?4)
    UNION ALL
    SELECT id FROM (SELECT id FROM jobs WHERE queue = ?1 AND state = ?5
                    ORDER BY at DESC, id DESC LIMIT ?4 OFFSET ?3))";

const FORGET_KEYS: &str = "
DELETE FROM unique_keys WHERE queue = ?1 AND key IN (
    SELECT key FROM unique_keys WHERE queue = ?1 AND expires_at <= ?2 LIMIT ?3)";

const BATCH_ROWS: i64 = BATCH as i64;

impl Sqlite {
    pub async fn claim(
        &self,
        queue: &str,
        limit: usize,
        token: i64,
        lease: Duration,
    ) -> Result<Claim, Error> {
        // Looked at first: an idle consumer must not take the write lock.
        let due = self.next_due(queue).await?;
        if due != Some(Duration::ZERO) {
            return Ok(Claim {
                jobs: Vec::new(),
                next_due: due,
            });
        }
        let limit = limit.min(BATCH);
        let rows = sqlx::query(CLAIM)
            .bind(queue)
            .bind(now())
            .bind(in_future(lease))
            .bind(token)
            .bind(i64::try_from(limit).unwrap_or(BATCH_ROWS))
            .fetch_all(&self.writer)
            .await?;
        let mut jobs = readable(rows.iter().map(read::job));
        jobs.sort_unstable_by_key(|job| (job.run_at, job.id));
        let next_due = match rows.len() < limit {
            true => self.next_due(queue).await?,
            false => None,
        };
        Ok(Claim { jobs, next_due })
    }

    /// Extends claims; returns the ids of those that still held.
    pub async fn renew(
        &self,
        queue: &str,
        claims: &[(Uuid, i64)],
        lease: Duration,
    ) -> Result<HashSet<Uuid>, Error> {
        let renewed: Vec<String> = sqlx::query_scalar(RENEW)
            .bind(queue)
            .bind(json!(claims).to_string())
            .bind(in_future(lease))
            .fetch_all(&self.writer)
            .await?;
        Ok(renewed.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Records outcomes; returns how many claims still held and were so ended.
    pub async fn settle(&self, queue: &str, settlements: &[Settlement]) -> Result<usize, Error> {
        let (removed, kept): (Vec<_>, Vec<_>) = settlements
            .iter()
            .partition(|s| matches!(s.outcome, Outcome::Remove));
        let mut settled = 0;
        for (statement, rows) in [(REMOVE, removed), (SETTLE, kept)] {
            if rows.is_empty() {
                continue;
            }
            let rows: Vec<_> = rows.into_iter().map(outcome_row).collect();
            let ids: Vec<String> = sqlx::query_scalar(statement)
                .bind(queue)
                .bind(json!(rows).to_string())
                .fetch_all(&self.writer)
                .await?;
            settled += ids.len();
        }
        Ok(settled)
    }

    /// Takes jobs from workers whose lease has run out, if the write lock comes in time.
    pub async fn rescue(
        &self,
        queue: &str,
        judge: bool,
        in_time: Instant,
        options: &Options,
    ) -> Result<Rescue, Error> {
        // Most of the time nothing runs, and then nobody need take the write lock.
        let running: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 AND state = 1)")
                .bind(queue)
                .fetch_one(&self.reader)
                .await?;
        if !running {
            return Ok(Rescue::Took(0));
        }
        let asked = Instant::now();
        let taken = sqlx::query(RESCUE)
            .bind(queue)
            .bind(now())
            .bind(options.max_crashes)
            .bind(CRASH)
            .bind(if judge { BATCH_ROWS } else { 0 })
            .bind(in_future(in_time.saturating_duration_since(asked)))
            .execute(&self.writer)
            .await?
            .rows_affected();
        // Late without a job taken: it came late, or only the answer did. Either way, don't trust.
        match Instant::now() > in_time && taken == 0 {
            true => Ok(Rescue::TooLate),
            false => Ok(Rescue::Took(taken)),
        }
    }

    pub async fn retry(&self, queue: &str, id: Uuid) -> Result<(), Error> {
        sqlx::query(REPLAY)
            .bind(queue)
            .bind(now())
            .bind(id.to_string())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Replays a batch of the dead; returns how many.
    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        let replayed = sqlx::query(REPLAY_DEAD)
            .bind(queue)
            .bind(now())
            .bind(BATCH_ROWS)
            .execute(&self.writer)
            .await?;
        Ok(replayed.rows_affected())
    }

    /// Forgets a batch of what needn't be kept; returns how many jobs that were.
    pub async fn trim(&self, queue: &str, options: &Options) -> Result<u64, Error> {
        let mut trimmed = 0;
        for (state, kept_for, keep) in options.kept() {
            trimmed += sqlx::query(TRIM)
                .bind(queue)
                .bind(ago(kept_for))
                .bind(i64::try_from(keep).unwrap_or(i64::MAX))
                .bind(BATCH_ROWS)
                .bind(read::code(state))
                .execute(&self.writer)
                .await?
                .rows_affected();
        }
        sqlx::query(FORGET_KEYS)
            .bind(queue)
            .bind(now())
            .bind(BATCH_ROWS)
            .execute(&self.writer)
            .await?;
        Ok(trimmed)
    }
}

/// One outcome as the columns `SETTLE` and `REMOVE` expect: id, token, state, at, error, result.
fn outcome_row(settlement: &Settlement) -> Value {
    let Settlement { id, token, outcome } = settlement;
    let at = now();
    match outcome {
        Outcome::Done { result } => {
            let result = result.as_ref().map(Value::to_string);
            json!([id, token, read::code(State::Done), at, null, result])
        }
        Outcome::Retry { error, after } => {
            let at = at.saturating_add(millis(*after));
            json!([id, token, read::code(State::Retrying), at, error, null])
        }
        Outcome::Dead { error } => json!([id, token, read::code(State::Dead), at, error, null]),
        Outcome::Release | Outcome::Remove => json!([id, token, null, at, null, null]),
    }
}

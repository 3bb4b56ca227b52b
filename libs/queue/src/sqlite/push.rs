//! Storing new jobs.
use super::{Sqlite, in_future, now};
use crate::{Error, NewJob, Options, Pushed};
use serde_json::json;
use sqlx::{Sqlite as Db, Transaction};
use std::collections::HashSet;

const TAKE_KEYS: &str = "
INSERT INTO unique_keys (queue, key, id, expires_at)
SELECT ?1, value ->> 1, value ->> 0, ?4 FROM json_each(?2)
WHERE value ->> 0 NOT IN (SELECT id FROM jobs WHERE queue = ?1)
ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, expires_at = excluded.expires_at
WHERE unique_keys.expires_at <= ?3
RETURNING id";

const INSERT: &str = "
INSERT INTO jobs
    (queue, id, state, at, max_attempts, kind, payload, created_at, run_at, traceparent, request_id)
SELECT ?1, value ->> 0, 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
       ?3, value ->> 1, value ->> 5, value ->> 6
FROM json_each(?2)
WHERE true
ON CONFLICT (queue, id) DO NOTHING
RETURNING id";

impl Sqlite {
    pub async fn push(
        &self,
        queue: &str,
        jobs: &[NewJob],
        options: &Options,
    ) -> Result<Vec<Pushed>, Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let keyed = jobs.iter().any(|job| job.unique_key.is_some());
        let took_key = if keyed {
            take_keys(&mut transaction, queue, jobs, options).await?
        } else {
            HashSet::new()
        };
        let rows: Vec<_> = jobs
            .iter()
            .filter(|job| job.unique_key.is_none() || took_key.contains(&job.id.to_string()))
            .map(row)
            .collect();
        let mut stored: HashSet<String> = sqlx::query_scalar(INSERT)
            .bind(queue)
            .bind(json!(rows).to_string())
            .bind(now())
            .fetch_all(&mut *transaction)
            .await?
            .into_iter()
            .collect();
        transaction.commit().await?;
        // Removed as they are met: an id that comes twice in one batch is new once.
        let pushed = |job: &NewJob| match stored.remove(&job.id.to_string()) {
            true => Pushed::New,
            false => Pushed::Duplicate,
        };
        Ok(jobs.iter().map(pushed).collect())
    }
}

/// Remembers the unique keys that are free, and returns the ids of the jobs that got theirs. A job
/// that is stored already takes none.
async fn take_keys(
    transaction: &mut Transaction<'_, Db>,
    queue: &str,
    jobs: &[NewJob],
    options: &Options,
) -> Result<HashSet<String>, Error> {
    let keys: Vec<_> = jobs
        .iter()
        .filter_map(|job| Some(json!([job.id, job.unique_key.as_ref()?])))
        .collect();
    let took = sqlx::query_scalar(TAKE_KEYS)
        .bind(queue)
        .bind(json!(keys).to_string())
        .bind(now())
        .bind(in_future(options.unique_for))
        .fetch_all(&mut **transaction)
        .await?;
    Ok(took.into_iter().collect())
}

/// The payload travels as a string inside the array, so that SQLite stores it to the letter.
fn row(job: &NewJob) -> serde_json::Value {
    json!([
        job.id,
        job.run_at.map_or_else(now, |at| at.timestamp_millis()),
        job.max_attempts,
        job.kind,
        job.payload.get(),
        job.traceparent,
        job.request_id,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_takes_no_jobs_and_with_room_again_it_does() {
        let dir = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", dir.path().join("queue.db").display());
        let file = Sqlite::open(&url).await.expect("a new file");
        let limit = sqlx::query("PRAGMA max_page_count = 1");
        limit.execute(&file.writer).await.expect("no more pages");
        let (options, large) = (Options::default(), "x".repeat(100_000));
        let job = [NewJob::new("test", &large).expect("JSON")];
        let full = file.push("tests", &job, &options).await;
        assert!(matches!(full, Err(Error::Sqlite(_))), "{full:?}");
        // The limit was the connection's own, and that was replaced.
        let pushed = file.push("tests", &job, &options).await.expect("room");
        assert_eq!(pushed, [Pushed::New]);
    }
}

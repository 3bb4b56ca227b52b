//! Every SQL statement of this service: here those on `journal`.
mod alerts;
pub mod runs;

use crate::entry::Entry;
use chrono::{DateTime, Utc};
use db::{Db, with_db};
use service::Place;
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

const COLUMNS: &str =
    "id, at, who, action, target, outcome, detail, recovered_ms, service, life, ends_at, faults";

impl Store {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        self.db.ping().await
    }

    /// Begins an entry. False: the end of that process is noted already, its replica or (for a kill)
    /// its service has another outage, or the request was carried out before.
    pub async fn begin(&self, entry: &Entry, request_key: Option<&str>) -> sqlx::Result<bool> {
        let new = with_db!(&self.db.writer, |pool| {
            query(
                "INSERT INTO journal (id, at, who, action, target, service, life, request_key, outcome, detail, ends_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
            )
            .bind(entry.id)
            .bind(entry.at)
            .bind(&entry.who)
            .bind(&entry.action)
            .bind(&entry.target)
            .bind(&entry.service)
            .bind(&entry.life)
            .bind(request_key)
            .bind(&entry.outcome)
            .bind(&entry.detail)
            .bind(entry.ends_at)
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok(new == 1)
    }

    /// What a request with this key has done.
    pub async fn by_key(&self, request_key: &str) -> sqlx::Result<Option<Entry>> {
        with_db!(&self.db.writer, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(COLUMNS)
                .push(" FROM journal WHERE request_key = ")
                .push_bind(request_key);
            select.build_query_as().fetch_optional(pool).await
        })
    }

    /// The outages of replicas that have not ended, the oldest first.
    pub async fn open(&self) -> sqlx::Result<Vec<Entry>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(COLUMNS)
                .push(" FROM journal WHERE outcome = 'started' AND action IN ('kill', 'died', 'rollout') ORDER BY at, id");
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// Faults that have not ended as far as is known.
    pub async fn faults(&self) -> sqlx::Result<Vec<Entry>> {
        with_db!(&self.db.writer, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(COLUMNS)
                .push(" FROM journal WHERE outcome = 'started' AND faults IS NOT NULL");
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// The faults that an entry began.
    pub async fn began(&self, id: Uuid, faults: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE journal SET faults = $2 WHERE id = $1")
                .bind(id)
                .bind(faults)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// It is over.
    pub async fn over(&self, id: Uuid) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE journal SET outcome = 'done' WHERE id = $1 AND outcome = 'started'")
                .bind(id)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// Ends what is over by itself; when the next of the others is.
    pub async fn pass(&self, now: DateTime<Utc>) -> sqlx::Result<Option<DateTime<Utc>>> {
        with_db!(&self.db.writer, |pool| {
            query(
                "UPDATE journal SET outcome = 'done' WHERE outcome = 'started' AND ends_at <= $1",
            )
            .bind(now)
            .execute(pool)
            .await?;
            let next: Option<(DateTime<Utc>,)> = query_as(
                "SELECT ends_at FROM journal WHERE outcome = 'started' AND ends_at IS NOT NULL \
                 ORDER BY ends_at LIMIT 1",
            )
            .fetch_optional(pool)
            .await?;
            Ok(next.map(|(at,)| at))
        })
    }

    /// Services with a kill whose replacement isn't ready.
    pub async fn busy(&self) -> sqlx::Result<Vec<String>> {
        let rows: Vec<(String,)> = with_db!(&self.db.reader, |pool| {
            query_as("SELECT service FROM journal WHERE outcome = 'started' AND action = 'kill'")
                .fetch_all(pool)
                .await?
        });
        Ok(rows.into_iter().map(|(service,)| service).collect())
    }

    /// The replica is ready again. False when somebody else has said so before.
    pub async fn done(&self, id: Uuid, recovered_ms: i64) -> sqlx::Result<bool> {
        let ended = with_db!(&self.db.writer, |pool| {
            query("UPDATE journal SET outcome = 'done', recovered_ms = $2 WHERE id = $1 AND outcome = 'started'")
                .bind(id)
                .bind(recovered_ms)
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(ended == 1)
    }

    /// Nothing came of it; the process may be alive, so its end can be noted another time.
    pub async fn failed(&self, id: Uuid, detail: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE journal SET outcome = 'failed', detail = $2, life = NULL WHERE id = $1 AND outcome = 'started'")
                .bind(id)
                .bind(detail)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// Newest first, after a place.
    pub async fn list(&self, limit: i64, after: Option<Place>) -> sqlx::Result<Vec<Entry>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM journal");
            if let Some(Place { created_at, id }) = after {
                select
                    .push(" WHERE (at, id) < (")
                    .push_bind(created_at)
                    .push(", ")
                    .push_bind(id)
                    .push(")");
            }
            select
                .push(" ORDER BY at DESC, id DESC LIMIT ")
                .push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// Forgets what ended before `at`.
    pub async fn trim(&self, at: DateTime<Utc>) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("DELETE FROM journal WHERE at < $1 AND outcome <> 'started'")
                .bind(at)
                .execute(pool)
                .await
                .map(drop)
        })
    }
}

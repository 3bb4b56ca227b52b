//! Every SQL statement of this service.
use crate::notification::{DEAD, Notification, PENDING, SENT};
use chrono::{DateTime, Utc};
use db::{Column, Db, Rows as _, with_db};
use service::Place;
use sqlx::{QueryBuilder, query};
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

const COLUMNS: &str = "id, order_id, kind, recipient, product_id, quantity, total_minor, currency, \
                       status, attempts, last_error, next_attempt_at, created_at, user_id";

impl Store {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        self.db.ping().await
    }

    /// Records notifications, each event once; gives how many are new.
    pub async fn insert(&self, notifications: &[Notification]) -> sqlx::Result<u64> {
        let each = || notifications.iter();
        let text = |pick: fn(&Notification) -> &str| Column::Text(each().map(pick).collect());
        let integer = |pick: fn(&Notification) -> i64| Column::Integer(each().map(pick).collect());
        let columns = [
            Column::Uuid(each().map(|n| n.id).collect()),
            Column::Uuid(each().map(|n| n.order_id).collect()),
            text(|n| &n.kind),
            text(|n| &n.recipient),
            text(|n| &n.product_id),
            integer(|n| n.quantity),
            integer(|n| n.total_minor),
            text(|n| &n.currency),
            text(|n| &n.status),
            integer(|n| n.attempts),
            Column::Nullable(each().map(|n| n.last_error.as_deref()).collect()),
            Column::Time(each().map(|n| n.next_attempt_at).collect()),
            Column::Time(each().map(|n| n.created_at).collect()),
            Column::NullableUuid(each().map(|n| n.user_id).collect()),
        ];
        with_db!(&self.db.writer, |pool| {
            let mut insert = QueryBuilder::new("INSERT INTO notifications (");
            insert
                .push(COLUMNS)
                .push(") SELECT * FROM ")
                .push_rows(&columns);
            insert.push(" WHERE true ON CONFLICT (id) DO NOTHING");
            insert
                .build()
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Newest first, after a place; all, or those of one owner.
    pub async fn list(
        &self,
        limit: i64,
        after: Option<Place>,
        status: Option<&str>,
        owner: Option<Uuid>,
    ) -> sqlx::Result<Vec<Notification>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM notifications WHERE true");
            if let Some(status) = status {
                select.push(" AND status = ").push_bind(status);
            }
            if let Some(owner) = owner {
                select.push(" AND user_id = ").push_bind(owner);
            }
            if let Some(Place { created_at, id }) = after {
                select
                    .push(" AND (created_at, id) < (")
                    .push_bind(created_at)
                    .push(", ")
                    .push_bind(id)
                    .push(")");
            }
            select
                .push(" ORDER BY created_at DESC, id DESC LIMIT ")
                .push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// Makes a notification due now, with all its tries before it.
    pub async fn resend(&self, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<Option<Notification>> {
        with_db!(&self.db.writer, |pool| {
            let mut update = QueryBuilder::new(
                "UPDATE notifications SET attempts = 0, last_error = NULL, status = ",
            );
            update
                .push_bind(PENDING)
                .push(", next_attempt_at = ")
                .push_bind(now);
            update
                .push(" WHERE id = ")
                .push_bind(id)
                .push(" RETURNING ")
                .push(COLUMNS);
            update.build_query_as().fetch_optional(pool).await
        })
    }

    /// Takes due notifications for this replica; they come up again at `until` if it dies.
    pub async fn claim_due(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: i64,
    ) -> sqlx::Result<Vec<Notification>> {
        let postgres = self.db.writer.is_postgres();
        with_db!(&self.db.writer, |pool| {
            let mut claim = QueryBuilder::new(
                "UPDATE notifications SET attempts = attempts + 1, next_attempt_at = ",
            );
            claim.push_bind(until);
            claim.push(" WHERE id IN (SELECT id FROM notifications WHERE status = 'pending' AND next_attempt_at <= ").push_bind(now);
            claim
                .push(" ORDER BY next_attempt_at LIMIT ")
                .push_bind(limit);
            if postgres {
                // Two replicas at once take different rows; SQLite has one writer anyway.
                claim.push(" FOR UPDATE SKIP LOCKED");
            }
            claim.push(") RETURNING ").push(COLUMNS);
            claim.build_query_as().fetch_all(pool).await
        })
    }

    /// A cheap look whether [`Store::claim_due`] would find something.
    pub async fn any_due(&self, now: DateTime<Utc>) -> sqlx::Result<bool> {
        let found = with_db!(&self.db.reader, |pool| {
            query("SELECT 1 FROM notifications WHERE status = 'pending' AND next_attempt_at <= $1 LIMIT 1").bind(now).fetch_optional(pool).await?.is_some()
        });
        Ok(found)
    }

    /// The mail was taken, after `attempts` tries. Only the try that holds the claim may say so.
    pub async fn sent(&self, id: Uuid, attempts: i64) -> sqlx::Result<()> {
        self.settle(id, attempts, SENT, None, None).await
    }

    /// The try failed; there will be another.
    pub async fn retry(
        &self,
        id: Uuid,
        attempts: i64,
        at: DateTime<Utc>,
        error: &str,
    ) -> sqlx::Result<()> {
        self.settle(id, attempts, PENDING, Some(at), Some(error))
            .await
    }

    /// Given up.
    pub async fn dead(&self, id: Uuid, attempts: i64, error: &str) -> sqlx::Result<()> {
        self.settle(id, attempts, DEAD, None, Some(error)).await
    }

    async fn settle(
        &self,
        id: Uuid,
        attempts: i64,
        status: &str,
        at: Option<DateTime<Utc>>,
        error: Option<&str>,
    ) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query(
                "UPDATE notifications SET status = $3, next_attempt_at = COALESCE($4, next_attempt_at), last_error = $5 \
                 WHERE id = $1 AND attempts = $2 AND status = 'pending'",
            )
            .bind(id)
            .bind(attempts)
            .bind(status)
            .bind(at)
            .bind(error)
            .execute(pool)
            .await
            .map(drop)
        })
    }
}

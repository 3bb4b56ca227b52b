//! Every SQL statement of this service.
use crate::{
    CONSUMERS,
    order::{Order, Status},
};
use chrono::{DateTime, Utc};
use contracts::order::{Hold, SalesLine, Verdict};
use db::{Begin as _, Db, with_db};
use queue::NewJob;
use service::Place;
use sqlx::{Database, Encode, QueryBuilder, Type, query_as, query_scalar};
use std::{collections::HashSet, time::Duration};
use telemetry::Context;
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

/// An event on its way to one queue.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Delivery {
    pub event_id: Uuid,
    pub queue: String,
    pub event: String,
    pub traceparent: Option<String>,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// An event that nobody has acknowledged for so long is one that its consumer can't read.
const STALE: Duration = Duration::from_secs(600);
/// How often such an event is pushed.
const RARELY: Duration = Duration::from_secs(300);

/// The outbox rows for the present state of an order, one for each consumer.
pub fn deliveries(order: &Order) -> Vec<Delivery> {
    let Some(event) = order.event() else {
        return Vec::new();
    };
    let text = serde_json::to_string(&event).expect("an event is plain data");
    let context = Context::current();
    let delivery = |queue: &&str| Delivery {
        event_id: event.id,
        queue: (*queue).to_owned(),
        event: text.clone(),
        traceparent: context.as_ref().map(Context::traceparent),
        request_id: context.as_ref().map(|c| c.request_id().to_owned()),
        created_at: db::now(),
    };
    CONSUMERS.iter().map(delivery).collect()
}

impl Delivery {
    /// The job to push: its id is the event's, so that pushing twice is harmless.
    pub fn job(self) -> anyhow::Result<NewJob> {
        Ok(NewJob {
            id: self.event_id,
            kind: "order_event".to_owned(),
            payload: serde_json::value::RawValue::from_string(self.event)?,
            unique_key: None,
            run_at: None,
            max_attempts: 0,
            traceparent: self.traceparent,
            request_id: self.request_id,
        })
    }
}

/// The statement that writes outbox rows, on either database.
fn outbox_rows<'a, D>(
    deliveries: impl IntoIterator<Item = &'a Delivery>,
    due: DateTime<Utc>,
) -> QueryBuilder<D>
where
    D: Database,
    for<'t> Uuid: Encode<'t, D> + Type<D>,
    for<'t> &'t str: Encode<'t, D> + Type<D>,
    for<'t> Option<&'t str>: Encode<'t, D> + Type<D>,
    for<'t> DateTime<Utc>: Encode<'t, D> + Type<D>,
{
    let mut insert = QueryBuilder::new(
        "INSERT INTO outbox (event_id, queue, event, traceparent, request_id, created_at, due_at) ",
    );
    insert.push_values(deliveries, |mut row, d| {
        row.push_bind(d.event_id)
            .push_bind(d.queue.as_str())
            .push_bind(d.event.as_str());
        row.push_bind(d.traceparent.as_deref())
            .push_bind(d.request_id.as_deref());
        row.push_bind(d.created_at).push_bind(due);
    });
    insert
}

const ORDER: &str = "id, product_id, quantity, email, status, total_minor, currency, created_at";

impl Store {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        self.db.ping().await
    }

    /// Records confirmed orders with their events in one transaction. Gives the ids that are new.
    pub async fn insert(
        &self,
        orders: &[(Order, Vec<Delivery>)],
        due: DateTime<Utc>,
    ) -> sqlx::Result<HashSet<Uuid>> {
        // Each id once, or a repeat in the same batch would have its event written too; and in their
        // order, so that replicas with the same orders can't wait for each other in a circle.
        let mut orders: Vec<_> = orders.iter().collect();
        orders.sort_by_key(|(o, _)| o.id);
        orders.dedup_by_key(|(o, _)| o.id);
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut insert = QueryBuilder::new(
                "INSERT INTO orders (id, product_id, quantity, email, status, total_minor, currency, created_at, updated_at) ",
            );
            insert.push_values(&orders, |mut row, (o, _)| {
                row.push_bind(o.id)
                    .push_bind(&o.product_id)
                    .push_bind(o.quantity)
                    .push_bind(&o.email);
                row.push_bind(o.status)
                    .push_bind(o.total_minor)
                    .push_bind(&o.currency);
                row.push_bind(o.created_at).push_bind(o.created_at);
            });
            insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
            let new: HashSet<Uuid> = insert
                .build_query_scalar()
                .fetch_all(&mut *tx)
                .await?
                .into_iter()
                .collect();
            let fresh = orders
                .iter()
                .filter(|(o, _)| new.contains(&o.id))
                .flat_map(|(_, d)| d);
            if !new.is_empty() {
                outbox_rows(fresh, due).build().execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(new)
        })
    }

    pub async fn get(&self, id: Uuid) -> sqlx::Result<Option<Order>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(ORDER)
                .push(" FROM orders WHERE id = ")
                .push_bind(id);
            select.build_query_as().fetch_optional(pool).await
        })
    }

    /// Orders from the newest on, after a place.
    pub async fn list(&self, limit: i64, after: Option<Place>) -> sqlx::Result<Vec<Order>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(ORDER)
                .push(" FROM orders WHERE status <> 'expired'");
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

    /// Cancels a confirmed order and writes its event; `None` when it wasn't confirmed.
    pub async fn cancel(
        &self,
        id: Uuid,
        due: DateTime<Utc>,
    ) -> sqlx::Result<Option<(Order, Vec<Delivery>)>> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let cancelled: Option<Order> = query_as(
                "UPDATE orders SET status = 'cancelled', updated_at = $2 WHERE id = $1 AND status = 'confirmed' \
                 RETURNING id, product_id, quantity, email, status, total_minor, currency, created_at",
            )
            .bind(id)
            .bind(db::now())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(order) = cancelled else {
                return Ok(None);
            };
            let deliveries = deliveries(&order);
            outbox_rows(&deliveries, due)
                .build()
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Some((order, deliveries)))
        })
    }

    /// Decides about holds for good: those without an order get a tombstone, so that none comes later.
    pub async fn settle(&self, holds: &[Hold]) -> sqlx::Result<Vec<Verdict>> {
        let now = db::now();
        // In the same order as orders are recorded, see `insert`.
        let mut holds: Vec<_> = holds.iter().collect();
        holds.sort_unstable_by_key(|hold| hold.order_id);
        let orders: Vec<(Uuid, Status)> = with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut insert = QueryBuilder::new(
                "INSERT INTO orders (id, product_id, quantity, email, status, total_minor, currency, created_at, updated_at) ",
            );
            insert.push_values(&holds, |mut row, hold| {
                row.push_bind(hold.order_id)
                    .push_bind(&hold.product_id)
                    .push_bind(hold.quantity)
                    .push_bind("");
                row.push_bind(Status::Expired)
                    .push_bind(0_i64)
                    .push_bind("")
                    .push_bind(now)
                    .push_bind(now);
            });
            insert.push(" ON CONFLICT (id) DO NOTHING");
            insert.build().execute(&mut *tx).await?;
            let mut select = QueryBuilder::new("SELECT id, status FROM orders WHERE id IN (");
            let mut ids = select.separated(", ");
            for hold in holds {
                ids.push_bind(hold.order_id);
            }
            select.push(")");
            let orders = select.build_query_as().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            orders
        });
        let verdict = |(order_id, status)| Verdict {
            order_id,
            confirmed: status == Status::Confirmed,
        };
        Ok(orders.into_iter().map(verdict).collect())
    }

    /// A cheap look whether [`Store::claim_due`] would find something.
    pub async fn any_due(&self, now: DateTime<Utc>) -> sqlx::Result<bool> {
        let found: Option<i64> = with_db!(&self.db.reader, |pool| {
            query_scalar("SELECT CAST(1 AS BIGINT) FROM outbox WHERE due_at <= $1 LIMIT 1")
                .bind(now)
                .fetch_optional(pool)
                .await?
        });
        Ok(found.is_some())
    }

    /// Takes overdue deliveries for this replica and makes them due again later.
    pub async fn claim_due(
        &self,
        now: DateTime<Utc>,
        again: Duration,
        limit: i64,
        except: &[String],
    ) -> sqlx::Result<Vec<Delivery>> {
        let postgres = self.db.writer.is_postgres();
        with_db!(&self.db.writer, |pool| {
            let mut claim = QueryBuilder::new("UPDATE outbox SET due_at = CASE WHEN created_at > ");
            claim.push_bind(now - STALE);
            claim.push(" THEN ").push_bind(now + again);
            claim.push(" ELSE ").push_bind(now + again.max(RARELY));
            claim.push(" END WHERE (event_id, queue) IN (SELECT event_id, queue FROM outbox WHERE due_at <= ").push_bind(now);
            for queue in except {
                claim.push(" AND queue <> ").push_bind(queue);
            }
            claim.push(" ORDER BY due_at LIMIT ").push_bind(limit);
            if postgres {
                // Two relays at once take different rows; SQLite has one writer anyway.
                claim.push(" FOR UPDATE SKIP LOCKED");
            }
            claim.push(") RETURNING event_id, queue, event, traceparent, request_id, created_at");
            claim.build_query_as().fetch_all(pool).await
        })
    }

    /// Forgets deliveries that their consumer has worked in.
    pub async fn acknowledge(&self, queue: &str, events: &[Uuid]) -> sqlx::Result<u64> {
        with_db!(&self.db.writer, |pool| {
            let mut delete = QueryBuilder::new("DELETE FROM outbox WHERE queue = ");
            delete.push_bind(queue).push(" AND event_id IN (");
            let mut ids = delete.separated(", ");
            for id in events {
                ids.push_bind(*id);
            }
            delete.push(")");
            delete
                .build()
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Unacknowledged deliveries and when the oldest was written.
    pub async fn outbox(&self) -> sqlx::Result<(i64, Option<DateTime<Utc>>)> {
        with_db!(&self.db.reader, |pool| {
            query_as("SELECT COUNT(*), MIN(created_at) FROM outbox")
                .fetch_one(pool)
                .await
        })
    }

    /// Stamps up to `limit` orders made since then; gives how many, and up to when it came.
    pub async fn touch(
        &self,
        since: DateTime<Utc>,
        stamp: DateTime<Utc>,
        limit: i64,
    ) -> sqlx::Result<Vec<DateTime<Utc>>> {
        with_db!(&self.db.writer, |pool| {
            query_scalar(
                "UPDATE orders SET updated_at = $2 WHERE id IN \
                 (SELECT id FROM orders WHERE created_at >= $1 AND status <> 'expired' ORDER BY created_at, id LIMIT $3) \
                 RETURNING created_at",
            )
            .bind(since)
            .bind(stamp)
            .bind(limit)
            .fetch_all(pool)
            .await
        })
    }

    pub async fn sales(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> sqlx::Result<Vec<SalesLine>> {
        let rows: Vec<(String, i64, i64, i64, String)> = with_db!(&self.db.reader, |pool| {
            query_as(
                "SELECT product_id, COUNT(*), CAST(SUM(quantity) AS BIGINT), CAST(SUM(total_minor) AS BIGINT), currency \
                 FROM orders WHERE status = 'confirmed' AND created_at >= $1 AND created_at < $2 \
                 GROUP BY product_id, currency ORDER BY product_id, currency",
            )
            .bind(from)
            .bind(to)
            .fetch_all(pool)
            .await?
        });
        let line = |(product_id, orders, quantity, total_minor, currency)| SalesLine {
            product_id,
            orders,
            quantity,
            total_minor,
            currency,
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

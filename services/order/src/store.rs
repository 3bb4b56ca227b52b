//! Every SQL statement of this service.
use crate::{
    CONSUMERS,
    order::{Order, Status},
};
use chrono::{DateTime, Utc};
use contracts::order::{Hold, SalesLine, Verdict};
use db::{Begin as _, Column, Db, Rows, with_db};
use queue::NewJob;
use sabotage::crash_point;
use service::Place;
use sqlx::{Database, Encode, QueryBuilder, Type, query_as, query_scalar};
use std::{collections::HashSet, time::Duration};
use telemetry::Context;
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

/// An event that nobody has acknowledged for so long is one that its consumer can't read.
const STALE: Duration = Duration::from_secs(600);
/// How often such an event is pushed.
const RARELY: Duration = Duration::from_secs(300);

/// What the outbox keeps of an event.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Entry {
    pub event_id: Uuid,
    pub event: String,
    pub traceparent: Option<String>,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// An entry on its way to one queue.
#[derive(Debug, sqlx::FromRow)]
pub struct Delivery {
    pub queue: String,
    #[sqlx(flatten)]
    pub entry: Entry,
}

impl Entry {
    /// About the present state of an order; a tombstone is nothing to tell.
    pub fn of(order: &Order) -> Option<Self> {
        let event = order.event()?;
        let context = Context::current();
        Some(Self {
            event_id: event.id,
            event: serde_json::to_string(&event).expect("an event is plain data"),
            traceparent: context.as_ref().map(Context::traceparent),
            request_id: context.as_ref().map(|c| c.request_id().to_owned()),
            created_at: db::now(),
        })
    }

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

/// The statement that writes a row for each entry and consumer, on either database.
fn outbox_rows<D>(entries: &[&Entry], due: DateTime<Utc>) -> QueryBuilder<D>
where
    D: Database,
    QueryBuilder<D>: Rows,
    for<'t> &'t str: Encode<'t, D> + Type<D>,
    for<'t> DateTime<Utc>: Encode<'t, D> + Type<D>,
{
    let text = |pick: fn(&Entry) -> Option<&str>| {
        Column::Nullable(entries.iter().map(|e| pick(e)).collect())
    };
    let columns = [
        Column::Uuid(entries.iter().map(|e| e.event_id).collect()),
        text(|e| Some(&e.event)),
        text(|e| e.traceparent.as_deref()),
        text(|e| e.request_id.as_deref()),
        Column::Time(entries.iter().map(|e| e.created_at).collect()),
    ];
    let mut insert = QueryBuilder::new(
        "INSERT INTO outbox (event_id, queue, event, traceparent, request_id, created_at, due_at) \
         SELECT v.column1, q.column1, v.column2, v.column3, v.column4, v.column5, ",
    );
    insert.push_bind(due).push(" FROM ").push_rows(&columns);
    insert.push(" CROSS JOIN (");
    insert.push_values(CONSUMERS, |mut row, queue| {
        row.push_bind(queue);
    });
    insert.push(") AS q");
    insert
}

const ORDER: &str =
    "id, product_id, quantity, email, status, total_minor, currency, created_at, user_id";

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
        orders: &[(Order, Entry)],
        due: DateTime<Utc>,
    ) -> sqlx::Result<HashSet<Uuid>> {
        // Each id once, or a repeat in the same batch would have its event written too; and in their
        // order, so that replicas with the same orders can't wait for each other in a circle.
        let mut orders: Vec<_> = orders.iter().collect();
        orders.sort_by_key(|(o, _)| o.id);
        orders.dedup_by_key(|(o, _)| o.id);
        let columns = columns(&orders);
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut insert = QueryBuilder::new(
                "INSERT INTO orders (id, product_id, quantity, email, status, total_minor, currency, created_at, updated_at, user_id) \
                 SELECT v.column1, v.column2, v.column3, v.column4, 'confirmed', v.column5, v.column6, v.column7, v.column7, v.column8 FROM ",
            );
            insert.push_rows(&columns);
            insert.push(" WHERE true ON CONFLICT (id) DO NOTHING RETURNING id");
            let new: HashSet<Uuid> = insert
                .build_query_scalar()
                .fetch_all(&mut *tx)
                .await?
                .into_iter()
                .collect();
            crash_point!("order.inserted");
            let entries: Vec<_> = orders
                .iter()
                .filter(|(o, _)| new.contains(&o.id))
                .map(|(_, entry)| entry)
                .collect();
            if !entries.is_empty() {
                outbox_rows(&entries, due).build().execute(&mut *tx).await?;
            }
            crash_point!("order.before_commit");
            tx.commit().await?;
            crash_point!("order.after_commit");
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

    /// Orders from the newest on, after a place; all, or those of one owner.
    pub async fn list(
        &self,
        limit: i64,
        after: Option<Place>,
        owner: Option<Uuid>,
    ) -> sqlx::Result<Vec<Order>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(ORDER)
                .push(" FROM orders WHERE status <> 'expired'");
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

    /// Cancels a confirmed order (of this owner, if there is one given) and writes its event; `None` when it
    /// wasn't confirmed.
    pub async fn cancel(
        &self,
        id: Uuid,
        owner: Option<Uuid>,
        due: DateTime<Utc>,
    ) -> sqlx::Result<Option<(Order, Option<Entry>)>> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let cancelled: Option<Order> = query_as(
                "UPDATE orders SET status = 'cancelled', updated_at = $2 WHERE id = $1 AND status = 'confirmed' \
                 AND ($3 IS NULL OR user_id = $3) \
                 RETURNING id, product_id, quantity, email, status, total_minor, currency, created_at, user_id",
            )
            .bind(id)
            .bind(db::now())
            .bind(owner)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(order) = cancelled else {
                return Ok(None);
            };
            let entry = Entry::of(&order);
            if let Some(entry) = &entry {
                outbox_rows(&[entry], due).build().execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(Some((order, entry)))
        })
    }

    /// Decides about holds for good: those without an order get a tombstone, so that none comes later.
    pub async fn settle(&self, holds: &[Hold]) -> sqlx::Result<Vec<Verdict>> {
        let now = db::now();
        // In the same order as orders are recorded, see `insert`.
        let mut holds: Vec<_> = holds.iter().collect();
        holds.sort_unstable_by_key(|hold| hold.order_id);
        let ids: Vec<_> = holds.iter().map(|hold| hold.order_id).collect();
        let columns = [
            Column::Uuid(ids.clone()),
            Column::Text(holds.iter().map(|hold| hold.product_id.as_str()).collect()),
            Column::Integer(holds.iter().map(|hold| hold.quantity).collect()),
        ];
        let orders: Vec<(Uuid, Status)> = with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut insert = QueryBuilder::new(
                "INSERT INTO orders (id, product_id, quantity, email, status, total_minor, currency, created_at, updated_at) \
                 SELECT v.column1, v.column2, v.column3, '', 'expired', 0, '', ",
            );
            insert.push_bind(now).push(", ").push_bind(now);
            insert.push(" FROM ").push_rows(&columns);
            insert.push(" WHERE true ON CONFLICT (id) DO NOTHING");
            insert.build().execute(&mut *tx).await?;
            let mut select = QueryBuilder::new("SELECT id, status FROM orders WHERE id");
            select.push_one_of(&ids);
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
            delete.push_bind(queue).push(" AND event_id");
            delete.push_one_of(events);
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

/// The columns of new orders, in the order in which [`Store::insert`] names them.
fn columns<'a>(orders: &[&'a (Order, Entry)]) -> [Column<'a>; 8] {
    let each = || orders.iter().map(|(order, _)| order);
    [
        Column::Uuid(each().map(|o| o.id).collect()),
        Column::Text(each().map(|o| o.product_id.as_str()).collect()),
        Column::Integer(each().map(|o| o.quantity).collect()),
        Column::Text(each().map(|o| o.email.as_str()).collect()),
        Column::Integer(each().map(|o| o.total_minor).collect()),
        Column::Text(each().map(|o| o.currency.as_str()).collect()),
        Column::Time(each().map(|o| o.created_at).collect()),
        Column::NullableUuid(each().map(|o| o.user_id).collect()),
    ]
}

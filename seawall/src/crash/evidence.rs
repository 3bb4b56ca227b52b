//! What the databases hold of one schedule, read from them directly.
use super::buyer::Run;
use contracts::{INVENTORY_EVENTS, JOBS, NOTIFICATION_EVENTS};
use db::{Db, Settings, with_db};
use queue::{Queue, Stats};
use sqlx::{QueryBuilder, migrate::Migrator};
use uuid::Uuid;

/// The databases of the services that orders pass, and the queue between them.
pub struct Databases {
    order: Db,
    inventory: Db,
    notification: Db,
    queue: Queue,
}

/// A row of orders; a tombstone, too.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct OrderRow {
    pub id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub email: String,
    pub status: String,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ProductRow {
    pub id: String,
    pub stocked: i64,
    pub available: i64,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ReservationRow {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub state: String,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct MailRow {
    pub order_id: Uuid,
    pub kind: String,
    pub status: String,
}

/// Everything stored about the products of a schedule.
#[derive(Debug, Default)]
pub struct Evidence {
    pub orders: Vec<OrderRow>,
    pub products: Vec<ProductRow>,
    pub reservations: Vec<ReservationRow>,
    pub mails: Vec<MailRow>,
    /// Events that wait for their consumers.
    pub outbox: Vec<String>,
}

impl Databases {
    /// By their URLs.
    pub async fn open(url: impl Fn(&str) -> String, queue: &str) -> anyhow::Result<Self> {
        let open = async |service: &str, migrations: &Migrator| {
            Db::open(&Settings::from_url(url(service)), service, migrations).await
        };
        Ok(Self {
            order: open("order", &order::MIGRATIONS).await?,
            inventory: open("inventory", &inventory::MIGRATIONS).await?,
            notification: open("notification", &notification::MIGRATIONS).await?,
            queue: Queue::open(queue).await?,
        })
    }

    /// Of the products of `run`.
    pub async fn read(&self, run: &Run) -> sqlx::Result<Evidence> {
        let of = &run.products;
        Ok(Evidence {
            // Mails first: then every mail's order is among the orders read after it.
            mails: rows(
                &self.notification,
                "order_id, kind, status FROM notifications WHERE product_id",
                of,
            )
            .await?,
            orders: rows(
                &self.order,
                "id, product_id, quantity, email, status FROM orders WHERE product_id",
                of,
            )
            .await?,
            products: rows(
                &self.inventory,
                "id, stocked, available FROM products WHERE id",
                of,
            )
            .await?,
            reservations: rows(
                &self.inventory,
                "order_id, product_id, quantity, state FROM reservations WHERE product_id",
                of,
            )
            .await?,
            outbox: self.outbox(of).await?,
        })
    }

    /// Whether nothing about `run` is on its way any more.
    pub async fn settled(&self, run: &Run) -> sqlx::Result<bool> {
        let of = &run.products;
        let held: Vec<(Uuid,)> = rows(
            &self.inventory,
            "order_id FROM reservations WHERE state = 'held' AND product_id",
            of,
        )
        .await?;
        Ok(held.is_empty() && self.outbox(of).await?.is_empty())
    }

    /// What is in each queue.
    pub async fn queues(&self) -> anyhow::Result<Vec<(&'static str, Stats)>> {
        let mut all = Vec::new();
        for name in [INVENTORY_EVENTS, NOTIFICATION_EVENTS, JOBS] {
            all.push((name, self.queue.stats(name).await?));
        }
        Ok(all)
    }

    async fn outbox(&self, products: &[String]) -> sqlx::Result<Vec<String>> {
        let all: Vec<(String,)> = with_db!(&self.order.reader, |pool| {
            sqlx::query_as("SELECT event FROM outbox")
                .fetch_all(pool)
                .await?
        });
        let about = |event: &String| {
            products
                .iter()
                .any(|id| event.contains(&format!("\"{id}\"")))
        };
        Ok(all
            .into_iter()
            .map(|(event,)| event)
            .filter(about)
            .collect())
    }

    pub async fn close(self) {
        for db in [self.order, self.inventory, self.notification] {
            db.close().await;
        }
        self.queue.close().await;
    }
}

async fn rows<T>(db: &Db, what: &str, products: &[String]) -> sqlx::Result<Vec<T>>
where
    T: Send + Unpin,
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    with_db!(&db.reader, |pool| {
        let mut select = QueryBuilder::new("SELECT ");
        select.push(what).push(" IN (");
        let mut ids = select.separated(", ");
        for id in products {
            ids.push_bind(id);
        }
        select.push(")");
        select.build_query_as().fetch_all(pool).await
    })
}

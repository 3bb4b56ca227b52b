//! Every SQL statement of this service.
use crate::{
    product::NewProduct,
    reservation::{Reservation, State},
};
use chrono::{DateTime, Utc};
use contracts::{
    order::Hold,
    product::{Product, Stock},
    reservation::Reserve,
};
use db::{Begin as _, Column, Db, Rows as _, with_db};
use sabotage::{Bug, crash_point};
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

const PRODUCT: &str = "SELECT id, name, price_minor, currency, available, image FROM products";

/// Pieces by product, in the order in which rows are locked.
type Pieces = BTreeMap<String, i64>;

impl Store {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        self.db.ping().await
    }

    pub async fn products(&self, limit: i64, after: Option<&str>) -> sqlx::Result<Vec<Product>> {
        let rows: Vec<ProductRow> = with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new(PRODUCT);
            if let Some(after) = after {
                select.push(" WHERE id > ").push_bind(after);
            }
            select.push(" ORDER BY id LIMIT ").push_bind(limit);
            select.build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(ProductRow::into).collect())
    }

    pub async fn product(&self, id: &str) -> sqlx::Result<Option<Product>> {
        let row: Option<ProductRow> = with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new(PRODUCT);
            select.push(" WHERE id = ").push_bind(id);
            select.build_query_as().fetch_optional(pool).await?
        });
        Ok(row.map(ProductRow::into))
    }

    /// Where every piece is, in one statement and therefore at one moment.
    pub async fn stock(&self) -> sqlx::Result<Vec<Stock>> {
        let rows: Vec<(String, i64, i64, i64, i64)> = with_db!(&self.db.reader, |pool| {
            query_as(
                "SELECT p.id, p.stocked, p.available, \
                 CAST(COALESCE(SUM(CASE WHEN r.state = 'held' THEN r.quantity END), 0) AS BIGINT), \
                 CAST(COALESCE(SUM(CASE WHEN r.state = 'sold' THEN r.quantity END), 0) AS BIGINT) \
                 FROM products p LEFT JOIN reservations r ON r.product_id = p.id \
                 GROUP BY p.id, p.stocked, p.available ORDER BY p.id",
            )
            .fetch_all(pool)
            .await?
        });
        let stock = |(product_id, stocked, available, held, sold)| Stock {
            product_id,
            stocked,
            available,
            held,
            sold,
        };
        Ok(rows.into_iter().map(stock).collect())
    }

    /// Adds a product without stock, or changes what is said of one.
    pub async fn put_product(&self, id: &str, product: &NewProduct) -> sqlx::Result<Product> {
        let row: ProductRow = with_db!(&self.db.writer, |pool| {
            query_as(
                "INSERT INTO products (id, name, price_minor, currency, image, stocked, available) VALUES ($1, $2, $3, $4, $5, 0, 0) \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, price_minor = excluded.price_minor, \
                 currency = excluded.currency, image = excluded.image \
                 RETURNING id, name, price_minor, currency, available, image",
            )
            .bind(id)
            .bind(product.name.trim())
            .bind(product.price_minor)
            .bind(&product.currency)
            .bind(&product.image)
            .fetch_one(pool)
            .await?
        });
        Ok(row.into())
    }

    /// Sets what is available; the difference counts as put on, or taken off, the shelf.
    pub async fn set_available(&self, id: &str, available: i64) -> sqlx::Result<Option<Product>> {
        let row: Option<ProductRow> = with_db!(&self.db.writer, |pool| {
            query_as(
                "UPDATE products SET stocked = stocked + ($2 - available), available = $2 WHERE id = $1 \
                 RETURNING id, name, price_minor, currency, available, image",
            )
            .bind(id)
            .bind(available)
            .fetch_optional(pool)
            .await?
        });
        Ok(row.map(ProductRow::into))
    }

    /// Reserves for many orders in one transaction. For each order id that is new: its reservation,
    /// or nothing when too few pieces are left. Ids that were there before and unknown products are absent.
    pub async fn reserve(
        &self,
        reserves: &[Reserve],
        expires_at: DateTime<Utc>,
    ) -> sqlx::Result<HashMap<Uuid, Option<Reservation>>> {
        let seen = self.seen_before(reserves).await?;
        let postgres = self.db.writer.is_postgres();
        let columns = [
            Column::Uuid(reserves.iter().map(|r| r.order_id).collect()),
            Column::Text(reserves.iter().map(|r| r.product_id.as_str()).collect()),
            Column::Integer(reserves.iter().map(|r| r.quantity).collect()),
        ];
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut insert = QueryBuilder::new(
                "INSERT INTO reservations (order_id, product_id, quantity, unit_price_minor, currency, state, expires_at) \
                 SELECT v.column1, p.id, v.column3, p.price_minor, p.currency, 'held', ",
            );
            insert
                .push_bind(expires_at)
                .push(" FROM ")
                .push_rows(&columns);
            // In the order of the ids, so that replicas with the same orders can't wait for each other in a circle.
            insert.push(
                " JOIN products p ON p.id = v.column2 WHERE true ORDER BY v.column1 ON CONFLICT (order_id) DO NOTHING \
                 RETURNING order_id, product_id, quantity, unit_price_minor, currency, state, expires_at",
            );
            let new: Vec<Reservation> = insert.build_query_as().fetch_all(&mut *tx).await?;
            if new.is_empty() {
                return Ok(HashMap::new());
            }
            let wanted = pieces(&new);
            let several = wanted.len() > 1;
            let wanted = [
                Column::Text(wanted.keys().map(String::as_str).collect()),
                Column::Integer(wanted.values().copied().collect()),
            ];
            if postgres && several {
                // Two replicas lock the rows in the same order, so they can't deadlock; as an UPDATE does,
                // since both hold the key shares that their inserts took. SQLite has one writer.
                let mut lock = QueryBuilder::new("SELECT p.id FROM products p JOIN ");
                lock.push_rows(&wanted[..1]);
                lock.push(" ON p.id = v.column1 ORDER BY p.id FOR NO KEY UPDATE OF p");
                lock.build().execute(&mut *tx).await?;
            }
            let mut take =
                QueryBuilder::new("UPDATE products SET available = available - v.column2 FROM ");
            take.push_rows(&wanted);
            take.push(" WHERE products.id = v.column1 AND products.available >= v.column2 RETURNING products.id");
            let enough: Vec<String> = take.build_query_scalar().fetch_all(&mut *tx).await?;
            for (product, before) in &seen {
                let taken = pieces(&new).get(product).copied().unwrap_or_default();
                query("UPDATE products SET available = $2 WHERE id = $1")
                    .bind(product)
                    .bind((before - taken).max(0))
                    .execute(&mut *tx)
                    .await?;
            }
            let mut outcomes = HashMap::with_capacity(new.len());
            for reservation in new {
                let mut granted = enough.contains(&reservation.product_id);
                if !granted {
                    // Not enough for all of them together: one after the other, as far as it goes.
                    let taken = query("UPDATE products SET available = available - $2 WHERE id = $1 AND available >= $2")
                        .bind(&reservation.product_id)
                        .bind(reservation.quantity)
                        .execute(&mut *tx)
                        .await?;
                    granted = taken.rows_affected() == 1;
                }
                if !granted {
                    query("DELETE FROM reservations WHERE order_id = $1")
                        .bind(reservation.order_id)
                        .execute(&mut *tx)
                        .await?;
                }
                outcomes.insert(reservation.order_id, granted.then_some(reservation));
            }
            crash_point!("inventory.before_commit");
            tx.commit().await?;
            crash_point!("inventory.after_commit");
            Ok(outcomes)
        })
    }

    /// What the bug of checking before acting goes by; nothing in a build that can't have it.
    async fn seen_before(&self, reserves: &[Reserve]) -> sqlx::Result<Vec<(String, i64)>> {
        let mut seen = Vec::new();
        if sabotage::has(Bug::CheckThenAct) {
            for reserve in reserves {
                let product = self.product(&reserve.product_id).await?;
                seen.extend(product.map(|product| (product.id, product.available)));
            }
            seen.sort();
            seen.dedup();
        }
        Ok(seen)
    }

    pub async fn reservations(&self, orders: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Reservation>> {
        // The writer, since it sees its own last commit on SQLite without a new read snapshot.
        let rows: Vec<Reservation> = with_db!(&self.db.writer, |pool| {
            let mut select = QueryBuilder::new(
                "SELECT order_id, product_id, quantity, unit_price_minor, currency, state, expires_at FROM reservations WHERE order_id",
            );
            select.push_one_of(orders);
            select.build_query_as().fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(|r| (r.order_id, r)).collect())
    }

    /// Turns holds into sales; those already sold or released stay as they are.
    pub async fn sell(&self, orders: &[Uuid]) -> sqlx::Result<u64> {
        with_db!(&self.db.writer, |pool| {
            let mut update = QueryBuilder::new("UPDATE reservations SET state = ");
            update
                .push_bind(State::Sold)
                .push(" WHERE state = 'held' AND order_id");
            update.push_one_of(orders);
            update
                .build()
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Puts pieces back on the shelf, once for each order.
    pub async fn release(&self, orders: &[Uuid]) -> sqlx::Result<u64> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let mut update = QueryBuilder::new("UPDATE reservations SET state = ");
            update.push_bind(State::Released).push(" WHERE ");
            if !sabotage::has(Bug::ReleaseTwice) {
                update.push("state IN ('held', 'sold') AND ");
            }
            update.push("order_id");
            update.push_one_of(orders);
            update.push(" RETURNING order_id, product_id, quantity, unit_price_minor, currency, state, expires_at");
            let released: Vec<Reservation> = update.build_query_as().fetch_all(&mut *tx).await?;
            crash_point!("inventory.releasing", !released.is_empty());
            for (product, quantity) in pieces(&released) {
                query("UPDATE products SET available = available + $2 WHERE id = $1")
                    .bind(product)
                    .bind(quantity)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(released.len() as u64)
        })
    }

    /// Holds whose time is over.
    pub async fn expired(&self, now: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Hold>> {
        let rows: Vec<(Uuid, String, i64)> = with_db!(&self.db.reader, |pool| {
            query_as(
                "SELECT order_id, product_id, quantity FROM reservations \
                 WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
            )
            .bind(now)
            .bind(limit)
            .fetch_all(pool)
            .await?
        });
        let hold = |(order_id, product_id, quantity)| Hold {
            order_id,
            product_id,
            quantity,
        };
        Ok(rows.into_iter().map(hold).collect())
    }

    pub async fn holds(&self) -> sqlx::Result<i64> {
        with_db!(&self.db.reader, |pool| {
            query_scalar("SELECT COUNT(*) FROM reservations WHERE state = 'held'")
                .fetch_one(pool)
                .await
        })
    }
}

fn pieces(reservations: &[Reservation]) -> Pieces {
    let mut pieces = Pieces::new();
    for r in reservations {
        *pieces.entry(r.product_id.clone()).or_default() += r.quantity;
    }
    pieces
}

#[derive(sqlx::FromRow)]
struct ProductRow {
    id: String,
    name: String,
    price_minor: i64,
    currency: String,
    available: i64,
    image: Option<String>,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        let ProductRow {
            id,
            name,
            price_minor,
            currency,
            available,
            image,
        } = row;
        Self {
            id,
            name,
            price_minor,
            currency,
            available,
            image,
        }
    }
}

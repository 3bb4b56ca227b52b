//! One SQL text, two databases: SQLite on a laptop, Postgres in a cluster, chosen by URL.
//!
//! ```no_run
//! use db::{Db, with_db};
//! # async fn example(migrations: &sqlx::migrate::Migrator, settings: &db::Settings) -> Result<(), Box<dyn std::error::Error>> {
//! let db = Db::open(settings, "order", migrations).await?;
//! let rows: Vec<(i64,)> = with_db!(&db.reader, |pool| {
//!     sqlx::query_as("SELECT quantity FROM orders WHERE quantity > $1").bind(1_i64).fetch_all(pool).await
//! })?;
//! # Ok(()) }
//! ```
mod batch;
mod open;
mod postgres;
mod rows;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batcher, Refused};
pub use open::{Error, Settings, Synchronous};
pub use postgres::Postgres;
pub use rows::{Column, Rows};
pub use sqlite::Sqlite;

use chrono::{DateTime, SubsecRound as _, Utc};
use gate::Gate;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use std::future::Future;

/// A pool of connections to either database; used through [`with_db!`].
#[derive(Clone, Debug)]
pub enum Pool {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// A service's database. On SQLite there is one writer, since only one can write anyway;
/// on Postgres both fields are the same pool.
#[derive(Clone, Debug)]
pub struct Db {
    pub reader: Pool,
    pub writer: Pool,
}

/// Runs `$body` with the connection pool bound to `$pool`, whichever database it is.
#[macro_export]
macro_rules! with_db {
    ($db:expr, |$pool:ident| $body:expr) => {
        match $db {
            $crate::Pool::Sqlite($pool) => $body,
            $crate::Pool::Postgres($pool) => $body,
        }
    };
}

/// Starts a transaction that is going to write.
pub trait Begin {
    type Database: sqlx::Database;
    /// On SQLite the write lock is taken at once: taken later it could fail half way.
    fn begin_write(
        &self,
    ) -> impl Future<Output = sqlx::Result<sqlx::Transaction<'static, Self::Database>>> + Send;
}

impl Begin for Sqlite {
    type Database = sqlx::Sqlite;
    async fn begin_write(&self) -> sqlx::Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        self.begin().await
    }
}

impl Begin for Postgres {
    type Database = sqlx::Postgres;
    async fn begin_write(&self) -> sqlx::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
        self.begin().await
    }
}

impl Pool {
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    fn is_closed(&self) -> bool {
        with_db!(self, |pool| pool.is_closed())
    }

    async fn close(&self) {
        with_db!(self, |pool| pool.close().await);
    }

    /// Ends all its connections.
    async fn cut(&self) {
        with_db!(self, |pool| pool.cut().await);
    }

    fn set_gate(&mut self, gate: &Gate) {
        with_db!(self, |pool| pool.gate = gate.clone());
    }
}

impl Db {
    /// The same database behind a gate, which whoever breaks things on purpose may shut. Clones made
    /// before know nothing of it.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.reader.set_gate(gate);
        self.writer.set_gate(gate);
        let pools = match &self.writer {
            Pool::Postgres(_) => vec![self.writer.clone()],
            Pool::Sqlite(_) => vec![self.writer.clone(), self.reader.clone()],
        };
        gate.on_cut(move || {
            let open = pools.iter().any(|pool| !pool.is_closed());
            for pool in pools.clone() {
                tokio::spawn(async move { pool.cut().await });
            }
            open
        });
        self
    }

    /// Does the database answer?
    pub async fn ping(&self) -> sqlx::Result<()> {
        with_db!(&self.reader, |pool| sqlx::query("SELECT 1")
            .execute(pool)
            .await
            .map(drop))
    }

    /// Finishes what is under way and closes all connections.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
    }

    /// Exposes `db_pool_connections{state}`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Connections(self.clone())));
    }
}

/// The time, as exact as Postgres stores it, so that what was written reads back equal.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Does `work`, and once more if its connection broke, as they all do when the server restarts or fails
/// over. It must be safe to repeat: the first time may have been committed without our hearing of it.
///
/// # Errors
/// Those of `work`.
pub async fn again<T, F: Future<Output = sqlx::Result<T>>>(
    work: impl Fn() -> F,
) -> sqlx::Result<T> {
    match work().await {
        Err(error) if postgres::is_broken(&error) => work().await,
        outcome => outcome,
    }
}

/// Is there no room left on the database's disk?
#[must_use]
pub fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: &str = "13";
    const POSTGRES_DISK_FULL: &str = "53100";
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    matches!(
        error.code().as_deref(),
        Some(SQLITE_FULL | POSTGRES_DISK_FULL)
    )
}

/// Is this error the database being away, rather than a statement being wrong?
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        // Postgres: connection trouble, resources, shutdown, timeouts, deadlock. SQLite: busy, locked, I/O, full.
        sqlx::Error::Database(e) => match e.code().as_deref() {
            Some(code) if code.len() == 5 => ["08", "53", "57", "40", "55"]
                .iter()
                .any(|class| code.starts_with(class)),
            Some(code) => code
                .parse::<u32>()
                .is_ok_and(|n| matches!(n & 0xff, 5 | 6 | 10 | 13 | 14)),
            None => false,
        },
        _ => false,
    }
}

#[derive(Debug)]
struct Connections(Db);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let family = Family::<State, Gauge>::default();
        let pools = if self.0.writer.is_postgres() {
            vec![&self.0.writer]
        } else {
            vec![&self.0.reader, &self.0.writer]
        };
        let (mut idle, mut size) = (0, 0);
        for pool in pools {
            let (i, s) = with_db!(pool, |p| (p.num_idle() as i64, i64::from(p.size())));
            idle += i;
            size += s;
        }
        family.get_or_create(&State { state: "idle" }).set(idle);
        family
            .get_or_create(&State { state: "used" })
            .set((size - idle).max(0));
        let metric = encoder.encode_descriptor(
            "db_pool_connections",
            "Database connections",
            None,
            family.metric_type(),
        )?;
        family.encode(metric)
    }
}

//! A pool of connections to a SQLite file, behind a gate.
use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use gate::Gate;
use sqlx::{
    Either, Execute, Executor, SqlStr, SqlitePool, Transaction,
    sqlite::{SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};
use std::ops::Deref;

/// The pool, as an executor for single statements and a source of transactions.
#[derive(Clone, Debug)]
pub struct Sqlite {
    pool: SqlitePool,
    pub(crate) gate: Gate,
}

impl Sqlite {
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            gate: Gate::default(),
        }
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, sqlx::Sqlite>> {
        self.pass().await?;
        self.pool.begin_with("BEGIN IMMEDIATE").await
    }

    async fn pass(&self) -> sqlx::Result<()> {
        Ok(self.gate.pass().await.map_err(std::io::Error::from)?)
    }

    /// Closes each connection; one in use as soon as its statement or transaction has ended, since the
    /// database is part of this process.
    pub(crate) async fn cut(&self) {
        for _ in 0..self.pool.size() {
            if let Ok(connection) = self.pool.acquire().await {
                connection.close().await.ok();
            }
        }
    }
}

/// Settings, counts and closing are the pool's.
impl Deref for Sqlite {
    type Target = SqlitePool;

    fn deref(&self) -> &SqlitePool {
        &self.pool
    }
}

/// The end of a statement, or a row.
type Answer = Either<SqliteQueryResult, SqliteRow>;

impl<'p> Executor<'p> for &'_ Sqlite {
    type Database = sqlx::Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Answer>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Sqlite>,
    {
        if self.gate.is_open() {
            return self.pool.fetch_many(query);
        }
        let this = self.clone();
        let run = async move {
            let passed = this.pass().await;
            passed.map(|()| this.pool.fetch_many(query))
        };
        stream::once(run).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, sqlx::Result<Option<SqliteRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Sqlite>,
    {
        if self.gate.is_open() {
            return self.pool.fetch_optional(query);
        }
        let this = self.clone();
        async move {
            this.pass().await?;
            this.pool.fetch_optional(query).await
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<SqliteStatement>>
    where
        'p: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    // Part of the trait with sqlx's feature `macros`, which `migrate!` needs.
    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<sqlx::Sqlite>>>
    where
        'p: 'e,
    {
        self.pool.describe(sql)
    }
}

//! A pool of connections to a Postgres server that may restart, fail over or be away.
//!
//! sqlx's pool waits for a server that refuses it until the caller's time is up, and learns that a
//! connection is dead by failing a statement on it. This one asks the server itself when a connection
//! takes long to come, so that an outage is an error at once; and when one connection broke, it tests
//! all that are as old before it hands them out again.
use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use gate::Gate;
use sqlx::{
    ConnectOptions as _, Connection as _, Either, Execute, Executor, PgPool, SqlStr, Transaction,
    error::BoxDynError,
    postgres::{
        PgArguments, PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
    },
};
use std::{
    future::Future,
    io,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A connection that isn't there by then is worth a look at the server.
const PATIENCE: Duration = Duration::from_millis(100);
/// A server that doesn't let us in within this time is as good as away.
const LOOK: Duration = Duration::from_secs(1);
/// How long nobody asks a server again that was found away.
const PAUSE: Duration = Duration::from_millis(250);
/// A connection that was in use a moment ago needs no round trip to prove that it lives.
const RECENT: Duration = Duration::from_secs(1);

/// The pool, as an executor for single statements and a source of transactions.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    health: Arc<Health>,
    pub(crate) gate: Gate,
}

#[derive(Debug, Default)]
struct Health {
    seen: Mutex<Seen>,
    /// One look at the server at a time is enough.
    look: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    away_until: Option<Instant>,
    broken_at: Option<Instant>,
}

impl Health {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self) -> bool {
        let until = self.seen().away_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether a connection of this age may have died with another.
    fn doubts(&self, age: Duration) -> bool {
        let broken = self.seen().broken_at;
        broken.is_some_and(|broken| age >= broken.elapsed())
    }

    fn note<T>(&self, outcome: &sqlx::Result<T>) {
        if outcome.as_ref().is_err_and(is_broken) {
            self.seen().broken_at = Some(Instant::now());
        }
    }
}

/// Did the connection end under the statement? All connections do when the server restarts.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::NotConnected,
        // Ended by an administrator, by the crash of another connection, or at the protocol's level.
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| matches!(&*code, "57P01" | "57P02") || code.starts_with("08")),
        _ => false,
    }
}

impl Postgres {
    /// A pool that connects when first asked.
    pub(crate) fn new(options: PgPoolOptions, server: PgConnectOptions) -> Self {
        let health = Arc::new(Health::default());
        let knows = health.clone();
        let options = options
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let test = meta.idle_for > RECENT || knows.doubts(meta.age);
                Box::pin(async move {
                    if test {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        Self {
            pool: options.connect_lazy_with(server),
            health,
            gate: Gate::default(),
        }
    }

    /// Starts a transaction. A dead connection shows at its first statement, when nothing is done
    /// yet, and is replaced.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, sqlx::Postgres>> {
        match self.ask(self.pool.begin()).await {
            Err(error) if is_broken(&error) => self.ask(self.pool.begin()).await,
            outcome => outcome,
        }
    }

    /// What the pool gives, or an error as soon as the server turns out to be away.
    async fn ask<T>(&self, asking: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        self.gate.pass().await.map_err(io::Error::from)?;
        if self.health.is_away() {
            return Err(away());
        }
        let given = tokio::select! {
            biased;
            given = asking => given,
            error = self.look() => Err(error),
        };
        self.health.note(&given);
        given
    }

    /// Ends only with the reason why there can't be a connection.
    async fn look(&self) -> sqlx::Error {
        tokio::time::sleep(PATIENCE).await;
        let _alone = self.health.look.lock().await;
        if self.health.is_away() {
            return away();
        }
        let options = self.pool.connect_options();
        let seen = tokio::time::timeout(LOOK, options.connect()).await;
        match seen.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => {
                connection.close().await.ok();
                // It is there, so the pool's turn will come; until then nobody else need look.
                std::future::pending().await
            }
            Err(error) => {
                self.health.seen().away_until = Some(Instant::now() + PAUSE);
                error
            }
        }
    }

    /// Has the server end all connections of this pool, idle or in use.
    pub(crate) async fn cut(&self) {
        let options = self.pool.connect_options();
        let Some(name) = options.get_application_name().map(str::to_owned) else {
            return;
        };
        let cut = async {
            let mut connection = options.connect().await?;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = $1 AND pid <> pg_backend_pid()",
            )
            .bind(name)
            .execute(&mut connection)
            .await?;
            connection.close().await
        };
        if let Err(error) = cut.await {
            tracing::debug!(%error, "connections can't be cut");
        }
    }

    /// Runs one statement. Reading again does no harm, so a read is repeated when its connection breaks.
    async fn run(
        &self,
        sql: SqlStr,
        arguments: Result<Option<PgArguments>, BoxDynError>,
    ) -> sqlx::Result<Vec<Answer>> {
        let arguments = arguments.map_err(sqlx::Error::Encode)?;
        let again = sql
            .as_str()
            .starts_with("SELECT")
            .then(|| arguments.clone());
        match (self.once(sql.clone(), arguments).await, again) {
            (Err(error), Some(arguments)) if is_broken(&error) => self.once(sql, arguments).await,
            (outcome, _) => outcome,
        }
    }

    async fn once(&self, sql: SqlStr, arguments: Option<PgArguments>) -> sqlx::Result<Vec<Answer>> {
        let mut connection = self.ask(self.pool.acquire()).await?;
        let answers = connection.fetch_many((sql, arguments)).try_collect().await;
        self.health.note(&answers);
        answers
    }
}

/// The end of a statement, or a row.
type Answer = Either<PgQueryResult, PgRow>;

fn away() -> sqlx::Error {
    let error = "the server did not answer a moment ago";
    io::Error::new(io::ErrorKind::NotConnected, error).into()
}

/// Settings, counts and closing are the pool's.
impl Deref for Postgres {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.pool
    }
}

impl<'p> Executor<'p> for &'_ Postgres {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, mut query: E) -> BoxStream<'e, sqlx::Result<Answer>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let pool = self.clone();
        let arguments = query.take_arguments();
        let sql = query.sql();
        async move { pool.run(sql, arguments).await }
            .map(|outcome| match outcome {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
            .map(stream::iter)
            .flatten_stream()
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        mut query: E,
    ) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        let pool = self.clone();
        let arguments = query.take_arguments();
        let sql = query.sql();
        Box::pin(async move {
            let answers = pool.run(sql, arguments).await?;
            Ok(answers.into_iter().find_map(Either::right))
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.ask(pool.pool.acquire()).await?;
            connection.prepare_with(sql, parameters).await
        })
    }

    // Part of the trait with sqlx's feature `macros`, which `migrate!` needs.
    fn describe<'e>(
        self,
        sql: SqlStr,
    ) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<sqlx::Postgres>>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.ask(pool.pool.acquire()).await?;
            connection.describe(sql).await
        })
    }
}

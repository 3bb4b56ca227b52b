//! Opening a database: settings, waiting for the server, migrations.
use crate::{Db, Pool, Postgres, Sqlite};
use sqlx::{
    ConnectOptions as _, Connection as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr as _, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tracing::log::LevelFilter;

/// A request that can't get a connection in this time fails instead of piling up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Which database, and how many connections to it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`. When left out, a SQLite file named after the service.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = url)]
    pub database_url: Option<String>,
    /// Connections to Postgres per replica. Statements are short and batched, so few are enough.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub database_max_connections: u32,
    /// How long a start waits for a Postgres that isn't up yet, in seconds.
    #[arg(long, env = "DATABASE_WAIT_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub database_wait_seconds: u32,
    /// `full` makes each commit to SQLite wait for the disk, so that it survives a power cut, too.
    #[arg(
        long,
        env = "DATABASE_SQLITE_SYNCHRONOUS",
        value_enum,
        default_value = "normal"
    )]
    pub database_sqlite_synchronous: Synchronous,
}

/// When SQLite waits for the disk, see <https://www.sqlite.org/pragma.html#pragma_synchronous>.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Synchronous {
    /// At checkpoints: a power cut can take the last commits.
    Normal,
    /// At every commit.
    Full,
}

/// Why a database can't be opened. Says where and what to do, never the password; the cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't open the database at {place}; {advice}")]
    Connect {
        place: String,
        advice: &'static str,
        source: sqlx::Error,
    },
    #[error("can't migrate the database at {place}")]
    Migrate {
        place: String,
        source: sqlx::migrate::MigrateError,
    },
}

fn url(text: &str) -> Result<String, String> {
    let parsed = match text.split_once(':') {
        Some(("sqlite", _)) => SqliteConnectOptions::from_str(text).map(drop),
        Some(("postgres" | "postgresql", _)) => PgConnectOptions::from_str(text).map(drop),
        _ => return Err("expected sqlite:FILE or postgres://HOST/NAME".to_owned()),
    };
    parsed.map(|()| text.to_owned()).map_err(|e| e.to_string())
}

impl Settings {
    /// Settings for one URL, with the other defaults.
    #[must_use]
    pub fn from_url(url: impl Into<String>) -> Self {
        Self {
            database_url: Some(url.into()),
            database_max_connections: 8,
            database_wait_seconds: 60,
            database_sqlite_synchronous: Synchronous::Normal,
        }
    }
}

impl Db {
    /// Connects and brings the schema up to date; replicas that start at once take turns.
    ///
    /// # Errors
    /// When the database can't be reached or a migration fails.
    pub async fn open(
        settings: &Settings,
        service: &str,
        migrations: &Migrator,
    ) -> Result<Self, Error> {
        let url = settings
            .database_url
            .clone()
            .unwrap_or_else(|| format!("sqlite:{service}.db"));
        let (db, place) = if url.starts_with("sqlite:") {
            sqlite(&url, settings).await?
        } else {
            postgres(&url, settings).await?
        };
        migrate(&db, migrations)
            .await
            .map_err(|source| Error::Migrate { place, source })?;
        Ok(db)
    }
}

/// A file in WAL mode: what is committed survives any crash of the process. With `synchronous=NORMAL` a
/// power cut can take the last moments, never the file's integrity.
async fn sqlite(url: &str, settings: &Settings) -> Result<(Db, String), Error> {
    let place = url.to_owned();
    let open = async {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match settings.database_sqlite_synchronous {
                Synchronous::Normal => SqliteSynchronous::Normal,
                Synchronous::Full => SqliteSynchronous::Full,
            })
            .busy_timeout(ACQUIRE_TIMEOUT)
            // Half the default page cache per connection is plenty: the kernel caches the file.
            .pragma("cache_size", "-1000")
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // A file doesn't hang up; the check would double the cost of a small statement.
                .test_before_acquire(false)
                // On a full disk SQLite ends the transaction by itself, which sqlx doesn't notice; it
                // would refuse to begin another on this connection for ever.
                .before_acquire(|connection, _| {
                    Box::pin(async move { Ok(!connection.is_in_transaction()) })
                })
        };
        // The writer comes first: it creates the file and switches it to WAL.
        let writer = pool()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let reader = pool()
            .max_connections(2)
            .connect_lazy_with(options.optimize_on_close(false, None));
        Ok(Db {
            reader: Pool::Sqlite(Sqlite::new(reader)),
            writer: Pool::Sqlite(Sqlite::new(writer)),
        })
    };
    match open.await {
        Ok(db) => Ok((db, place)),
        Err(source) => Err(Error::Connect {
            place,
            advice: "does its folder exist, and may this user write there?",
            source,
        }),
    }
}

async fn postgres(url: &str, settings: &Settings) -> Result<(Db, String), Error> {
    let options = PgConnectOptions::from_str(url).map_err(|source| Error::Connect {
        place: "postgres".to_owned(),
        advice: "check DATABASE_URL",
        source,
    })?;
    let place = format!(
        "postgres://{}@{}:{}/{}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or("")
    );
    let options = options
        .application_name(&application_name())
        .options([
            ("statement_timeout", "3000"),
            ("lock_timeout", "2000"),
            ("idle_in_transaction_session_timeout", "10000"),
        ])
        .log_statements(LevelFilter::Trace)
        .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
    wait_for(&options, &place, settings).await?;
    let limits = PgPoolOptions::new()
        .max_connections(settings.database_max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(300));
    let pool = Postgres::new(limits, options);
    Ok((
        Db {
            reader: Pool::Postgres(pool.clone()),
            writer: Pool::Postgres(pool),
        },
        place,
    ))
}

/// Of this pool alone, so that its connections can be told from those of others.
fn application_name() -> String {
    format!("seawall {}", uuid::Uuid::now_v7())
}

/// A server that isn't up yet is waited for, for a while; one that refuses us is not.
async fn wait_for(
    options: &PgConnectOptions,
    place: &str,
    settings: &Settings,
) -> Result<(), Error> {
    let patience = Duration::from_secs(settings.database_wait_seconds.into());
    let started = Instant::now();
    let mut told = false;
    loop {
        let tried = timeout(ACQUIRE_TIMEOUT, options.connect()).await;
        let error = match tried.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => {
                connection.close().await.ok();
                return Ok(());
            }
            Err(error) => error,
        };
        if !crate::is_unavailable(&error) || started.elapsed() > patience {
            return Err(Error::Connect {
                place: place.to_owned(),
                advice: advice(&error),
                source: error,
            });
        }
        if !told {
            tracing::warn!(place, %error, "the database doesn't answer yet, waiting for it");
            told = true;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// What to do about a server that doesn't let us in.
/// Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn advice(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|e| e.code());
    match code.as_deref() {
        Some("3D000") => "create this database, or name another in DATABASE_URL",
        Some(code) if code.starts_with("28") => "check the user and the password in DATABASE_URL",
        Some(_) => "see what the server says",
        None => "is it running, and is DATABASE_URL right?",
    }
}

/// Postgres migrations take an advisory lock; on SQLite a losing racer sees a busy file or a
/// half-done table list and looks again.
async fn migrate(db: &Db, migrations: &Migrator) -> Result<(), sqlx::migrate::MigrateError> {
    #[cfg(feature = "crash-points")]
    {
        let mut half = Migrator::with_migrations(migrations.iter().take(1).cloned().collect());
        half.set_ignore_missing(true);
        bring_up(db, &half).await?;
        sabotage::crash_point!("db.half_migrated");
    }
    bring_up(db, migrations).await
}

async fn bring_up(db: &Db, migrations: &Migrator) -> Result<(), sqlx::migrate::MigrateError> {
    let mut tries = 0;
    loop {
        let result = match &db.writer {
            // Migrations hold on to a connection of their own.
            Pool::Sqlite(pool) => migrations.run(&**pool).await,
            Pool::Postgres(pool) => migrations.run(&**pool).await,
        };
        match result {
            Err(error) if tries < 50 && !db.writer.is_postgres() && racing(&error) => {
                tries += 1;
                sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

fn racing(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError::{Dirty, Execute, ExecuteMigration};
    matches!(error, Execute(_) | ExecuteMigration(..) | Dirty(_))
}

//! Opening a database: settings, waiting for the server, migrations.
use crate::{Db, Pool, with_db};
use sqlx::{
    ConnectOptions as _, Connection as _, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{str::FromStr as _, time::Duration};
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
}

/// Why a database can't be opened. Says where, never the password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't open the database at {place}: {source}")]
    Connect { place: String, source: sqlx::Error },
    #[error("can't migrate the database at {place}: {source}")]
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
            sqlite(&url).await?
        } else {
            postgres(&url, settings).await?
        };
        migrate(&db, migrations)
            .await
            .map_err(|source| Error::Migrate { place, source })?;
        Ok(db)
    }
}

/// WAL with `synchronous=NORMAL`: what is committed survives any crash of the process; a power cut
/// can take the last moments, never the file's integrity. <https://www.sqlite.org/pragma.html#pragma_synchronous>
async fn sqlite(url: &str) -> Result<(Db, String), Error> {
    let place = url.to_owned();
    let open = async {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
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
            reader: Pool::Sqlite(reader),
            writer: Pool::Sqlite(writer),
        })
    };
    match open.await {
        Ok(db) => Ok((db, place)),
        Err(source) => Err(Error::Connect { place, source }),
    }
}

async fn postgres(url: &str, settings: &Settings) -> Result<(Db, String), Error> {
    let options = PgConnectOptions::from_str(url).map_err(|source| Error::Connect {
        place: "postgres".to_owned(),
        source,
    })?;
    let place = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or("")
    );
    let options = options
        .application_name("seawall")
        .options([
            ("statement_timeout", "3000"),
            ("lock_timeout", "2000"),
            ("idle_in_transaction_session_timeout", "10000"),
        ])
        .log_statements(LevelFilter::Trace)
        .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
    let pool = PgPoolOptions::new()
        .max_connections(settings.database_max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(300))
        // A connection that was in use a moment ago needs no round trip to prove that it lives.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    wait_for(&pool, &place).await?;
    Ok((
        Db {
            reader: Pool::Postgres(pool.clone()),
            writer: Pool::Postgres(pool),
        },
        place,
    ))
}

/// A server that isn't up yet is waited for; one that refuses us is not.
async fn wait_for(pool: &PgPool, place: &str) -> Result<(), Error> {
    let mut told = false;
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(()),
            Err(source) if crate::is_unavailable(&source) => {
                if !told {
                    tracing::warn!(place, error = %source, "the database doesn't answer yet, waiting for it");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(source) => {
                return Err(Error::Connect {
                    place: place.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Postgres migrations take an advisory lock; on SQLite a losing racer sees a busy file or a
/// half-done table list and looks again.
async fn migrate(db: &Db, migrations: &Migrator) -> Result<(), sqlx::migrate::MigrateError> {
    let mut tries = 0;
    loop {
        let result = with_db!(&db.writer, |pool| migrations.run(pool).await);
        match result {
            Err(error) if tries < 50 && !db.writer.is_postgres() && racing(&error) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
}

fn racing(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError::{Dirty, Execute, ExecuteMigration};
    matches!(error, Execute(_) | ExecuteMigration(..) | Dirty(_))
}

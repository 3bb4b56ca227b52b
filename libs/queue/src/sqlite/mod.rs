//! The SQLite backend: one file that the processes of one machine share.
//!
//! Write-ahead log with `synchronous=NORMAL`: a killed process loses nothing, a power cut may lose
//! the last moments. Each process has one connection that writes and one that reads; every change
//! is one statement, or one `BEGIN IMMEDIATE` transaction, over a batch.
mod poll;
mod push;
mod read;
mod settle;

use crate::Error;
use chrono::Utc;
pub(crate) use poll::Listener;
use sqlx::{
    Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Sqlite {
    writer: SqlitePool,
    reader: SqlitePool,
    file: PathBuf,
}

impl Sqlite {
    pub async fn open(url: &str) -> Result<Self, Error> {
        let options: SqliteConnectOptions = url.parse()?;
        let file = options.get_filename().to_owned();
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            // Half a megabyte of pages, and a log cut back after a burst: many processes share
            // the machine.
            .pragma("cache_size", "-512")
            .pragma("journal_size_limit", "4194304");
        let writer = connect(&options).await?;
        let reader = single_connection().connect_lazy_with(options);
        Ok(Self {
            writer,
            reader,
            file,
        })
    }

    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1 FROM jobs LIMIT 1")
            .execute(&self.reader)
            .await?;
        Ok(())
    }

    pub fn listen(&self) -> Listener {
        Listener::new(&self.file)
    }

    /// Has both connections closed, each as soon as its statement has ended; false once they all are.
    pub fn cut(&self) -> bool {
        let open = !self.writer.is_closed();
        tokio::spawn(self.clone().reopen());
        open
    }

    /// One at a time: the log would go with the last one, and with it the listeners' watch on it.
    async fn reopen(self) {
        for (kept, cut) in [(&self.reader, &self.writer), (&self.writer, &self.reader)] {
            let Ok(_kept) = kept.acquire().await else {
                return;
            };
            if let Ok(connection) = cut.acquire().await {
                connection.close().await.ok();
            }
        }
    }

    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn single_connection() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(BUSY_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // On a full disk SQLite ends the transaction by itself, which sqlx doesn't notice; it would
        // refuse to begin another on this connection for ever.
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        })
        // A file doesn't hang up; the check would double the cost of a small statement.
        .test_before_acquire(false)
}

/// Opens the file and creates the tables. When many processes start at once on a new file,
/// switching it to the write-ahead log fails at once for all but one, so it is tried again.
async fn connect(options: &SqliteConnectOptions) -> Result<SqlitePool, Error> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let opened = async {
            let pool = single_connection().connect_with(options.clone()).await?;
            create_tables(&pool).await?;
            Ok(pool)
        };
        match opened.await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

async fn create_tables(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await?;
    if version == 0 {
        sqlx::raw_sql(include_str!("schema.sql"))
            .execute(&mut *transaction)
            .await?;
        sqlx::raw_sql("PRAGMA user_version = 1")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    const SQLITE_LOCKED: u32 = 6;
    let code = error
        .as_database_error()
        .and_then(|e| e.code()?.parse::<u32>().ok());
    // The low byte is the primary code, the rest says more about it.
    code.is_some_and(|code| matches!(code & 0xff, SQLITE_BUSY | SQLITE_LOCKED))
}

/// Milliseconds since 1970.
fn now() -> i64 {
    Utc::now().timestamp_millis()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// The end of something that starts now and lasts so long.
fn in_future(duration: Duration) -> i64 {
    now().saturating_add(millis(duration))
}

/// So long before now.
fn ago(time: Duration) -> i64 {
    now().saturating_sub(millis(time))
}

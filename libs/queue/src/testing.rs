//! Fresh queues for tests: a SQLite file and a Redis of the test's own, gone when it ends.
//!
//! ```no_run
//! # async fn example() {
//! queue::testing::each(async |queue| {
//!     assert_eq!(queue.stats("mails").await.unwrap().waiting, 0);
//! })
//! .await;
//! # }
//! ```
mod server;

pub use server::RedisServer;

use crate::{Options, Queue};
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Runs `body` on an empty SQLite queue, then on an empty Redis.
///
/// # Panics
/// When `body` does, or when there is no Redis to be had.
pub async fn each(body: impl AsyncFn(Queue)) {
    each_with(Options::default(), async |fresh| {
        body(fresh.queue.clone()).await
    })
    .await;
}

/// [`each`], with other timing and with power over the backend.
///
/// # Panics
/// As [`each`].
pub async fn each_with(options: Options, body: impl AsyncFn(&Fresh)) {
    for fresh in [Fresh::sqlite(options).await, Fresh::redis(options).await] {
        // Shown when the test fails.
        println!("on {}", fresh.url);
        body(&fresh).await;
    }
}

/// A queue of a test's own and what it is stored in.
pub struct Fresh {
    pub queue: Queue,
    pub url: String,
    server: Option<RedisServer>,
    _dir: Option<TempDir>,
}

impl Fresh {
    /// # Panics
    /// When no file can be written.
    pub async fn sqlite(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the test's data");
        let url = format!("sqlite:{}", dir.path().join("queue.db").display());
        let queue = Queue::open_with(&url, options)
            .await
            .expect("a new SQLite file");
        Self {
            queue,
            url,
            server: None,
            _dir: Some(dir),
        }
    }

    /// # Panics
    /// When `redis-server` can't be started.
    pub async fn redis(options: Options) -> Self {
        let server = RedisServer::start();
        let url = server.url();
        let queue = Queue::open_with(&url, options)
            .await
            .expect("a URL of Redis");
        let fresh = Self {
            queue,
            url,
            server: Some(server),
            _dir: None,
        };
        fresh.until_up().await;
        fresh
    }

    /// Takes the backend away for a while, its data kept: Redis is killed and started again, the
    /// SQLite file is locked.
    ///
    /// # Panics
    /// When the backend doesn't come back.
    pub async fn outage(&self, lasts: Duration) {
        match &self.server {
            Some(server) => {
                server.kill();
                sleep(lasts).await;
                server.run();
                self.until_up().await;
            }
            None => {
                let mut file = SqliteConnection::connect(&self.url)
                    .await
                    .expect("the test's SQLite file");
                let lock = file.begin_with("BEGIN IMMEDIATE").await;
                let lock = lock.expect("the lock of the test's SQLite file");
                sleep(lasts).await;
                lock.rollback().await.expect("nothing to roll back");
            }
        }
    }

    /// Loses everything.
    ///
    /// # Panics
    /// When the backend is away.
    pub async fn empty(&self) {
        if let Some(server) = &self.server {
            server.empty();
        } else {
            let mut file = SqliteConnection::connect(&self.url)
                .await
                .expect("the test's SQLite file");
            sqlx::raw_sql("PRAGMA busy_timeout = 5000; DELETE FROM jobs; DELETE FROM unique_keys")
                .execute(&mut file)
                .await
                .expect("an empty file");
        }
    }

    /// The process id of the Redis; `None` for SQLite.
    pub fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().map(RedisServer::pid)
    }

    async fn until_up(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = self.queue.ping().await {
            assert!(Instant::now() < deadline, "the queue stays away: {error}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

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
use crate::{Options, Queue};
use sqlx::{Connection, SqliteConnection};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
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
    _dir: TempDir,
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
            _dir: dir,
        }
    }

    /// # Panics
    /// When `redis-server` can't be started.
    pub async fn redis(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the test's data");
        let server = RedisServer::start(&dir);
        let url = format!("redis://127.0.0.1:{}", server.port);
        let queue = Queue::open_with(&url, options)
            .await
            .expect("a URL of Redis");
        let fresh = Self {
            queue,
            url,
            server: Some(server),
            _dir: dir,
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
        if self.server.is_some() {
            let client = redis::Client::open(self.url.as_str()).expect("a URL of Redis");
            let mut redis = client.get_connection().expect("the test's Redis");
            redis::cmd("FLUSHALL")
                .exec(&mut redis)
                .expect("an empty Redis");
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

/// A Redis with an append-only file, as production has it.
struct RedisServer {
    port: u16,
    dir: String,
    process: Mutex<Child>,
}

impl RedisServer {
    fn start(dir: &TempDir) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let dir = dir.path().display().to_string();
        let process = Mutex::new(spawn(port, &dir));
        Self { port, dir, process }
    }

    fn run(&self) {
        *self.process() = spawn(self.port, &self.dir);
    }

    fn kill(&self) {
        let mut process = self.process();
        // It may be gone already.
        let _ = process.kill();
        let _ = process.wait();
    }

    fn pid(&self) -> u32 {
        self.process().id()
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &str) -> Child {
    let start = || {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--dir", dir, "--save", "", "--appendonly", "yes"])
            .stdout(Stdio::null())
            .spawn()
    };
    if let Ok(process) = start() {
        return process;
    }
    install();
    start().expect("these tests need redis-server; install it, for example from redis.io")
}

/// Debian's package, where this may install one.
fn install() {
    let shell =
        "test \"$(id -u)\" = 0 && apt-get update -qq && apt-get install -y -qq redis-server";
    // If it fails, starting the server says what is missing.
    let _ = Command::new("sh")
        .args(["-c", shell])
        .stdout(Stdio::null())
        .status();
}

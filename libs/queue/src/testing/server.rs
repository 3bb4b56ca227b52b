//! A Redis server of a test's own, which it may stop, kill and freeze.
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than any start or stop takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// An append-only file that is flushed every second, as production has it.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

/// A server on a free port; gone with its data when dropped.
pub struct RedisServer {
    port: u16,
    dir: TempDir,
    args: Vec<String>,
    process: Mutex<Child>,
}

impl RedisServer {
    /// Starts one as production has it.
    ///
    /// # Panics
    /// When `redis-server` can't be started.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&DURABLE)
    }

    /// Starts one with arguments of the test's own instead, and waits until it answers.
    ///
    /// # Panics
    /// When `redis-server` can't be started.
    #[must_use]
    pub fn with(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the test's data");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("a bound socket").port();
        drop(free);
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let process = Mutex::new(spawn(port, &dir, &args));
        let server = Self {
            port,
            dir,
            args,
            process,
        };
        server.until_up();
        server
    }

    /// Where it is, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it on the data it has, and waits until it answers.
    ///
    /// # Panics
    /// When it doesn't start.
    pub fn run(&self) {
        *self.process() = spawn(self.port, &self.dir, &self.args);
        self.until_up();
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        let mut process = self.process();
        // It may be gone already.
        let _ = process.kill();
        let _ = process.wait();
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn stop(&self) {
        let mut process = self.process();
        kill_process(Pid::from_child(&process), Signal::TERM).expect("it runs");
        process.wait().expect("our own child");
    }

    /// Stops its clock: connections stay, answers don't come.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn freeze(&self) {
        kill_process(Pid::from_child(&self.process()), Signal::STOP).expect("it runs");
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Panics
    /// When it is gone already.
    pub fn thaw(&self) {
        kill_process(Pid::from_child(&self.process()), Signal::CONT).expect("it runs");
    }

    /// Loses everything.
    ///
    /// # Panics
    /// When it is away.
    pub fn empty(&self) {
        let client = redis::Client::open(self.url()).expect("a URL of Redis");
        let mut redis = client.get_connection().expect("the test's Redis");
        let emptied = redis::cmd("FLUSHALL").exec(&mut redis);
        emptied.expect("an empty Redis");
    }

    pub fn pid(&self) -> u32 {
        self.process().id()
    }

    /// Whether with data, a password or neither: it answers.
    fn until_up(&self) {
        let started = Instant::now();
        let client = redis::Client::open(self.url()).expect("a URL of Redis");
        loop {
            let answer = client
                .get_connection()
                .and_then(|mut redis| redis::cmd("PING").exec(&mut redis));
            let loading = |e: &redis::RedisError| e.is_io_error() || e.code() == Some("LOADING");
            if !answer.is_err_and(|e| loading(&e)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "Redis doesn't start");
            sleep(Duration::from_millis(5));
        }
    }

    fn process(&self) -> MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Child {
    let start = || {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(dir.path())
            .args(args)
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

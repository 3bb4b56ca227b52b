//! A Postgres server of a test's own, which it may stop, kill and freeze.
use super::execute;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than any start or stop takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Postgres refuses to run as root; this user is everywhere.
const NOBODY: u32 = 65534;

/// A server with the durability Postgres has by default, on a free port; gone with its data when dropped.
pub struct PostgresServer {
    port: u16,
    dir: TempDir,
    process: Option<Child>,
}

impl PostgresServer {
    /// # Panics
    /// When Postgres isn't installed or doesn't start.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder for the server's data");
        if is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("a bound socket").port();
        drop(free);
        let mut server = Self {
            port,
            dir,
            process: None,
        };
        let mut init = server.command("initdb");
        init.args(["--username=postgres", "--no-sync"]);
        // In a build without optimisation, scram takes half a second for each connection.
        init.args(["--auth-local=trust", "--auth-host=password"]);
        let password = server.dir.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a file for the password");
        init.arg("--pwfile").arg(&password);
        if is_root() {
            chown(&password, Some(NOBODY), Some(NOBODY)).expect("root may give a file away");
        }
        let made = init.output().expect("initdb runs");
        assert!(made.status.success(), "{made:?}");
        server.run();
        server
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Runs a statement as the administrator.
    ///
    /// # Panics
    /// When the server is away or refuses.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url("postgres"), sql).await;
    }

    /// Starts it on the data it has, and waits until it lets somebody in.
    ///
    /// # Panics
    /// When it doesn't start.
    pub fn run(&mut self) {
        let started = Instant::now();
        let mut command = self.command("postgres");
        let port = self.port.to_string();
        command.args(["-p", &port, "-k", "", "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "shared_buffers=32MB", "-c", "max_connections=200"]);
        let mut ready = Command::new(find("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port]);
        while !ready.status().expect("pg_isready runs").success() {
            assert!(started.elapsed() < PATIENCE, "Postgres doesn't start");
            // After a kill it refuses to start as long as a process of the old one is left.
            let ended = self.process.as_mut().map(|p| p.try_wait().expect("ours"));
            if !matches!(ended, Some(None)) {
                self.process = Some(command.spawn().expect("postgres runs"));
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Ends all sessions and stops it in order, as `pg_ctl stop -m fast`.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Stops it without order, as `pg_ctl stop -m immediate`: it has to recover at its next start.
    pub fn stop_at_once(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Stops the clock for all its processes: connections stay, answers don't come.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        let Some(process) = &self.process else { return };
        let id = process.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|id| id.parse().ok());
        for child in children.filter_map(Pid::from_raw) {
            // One that has ended meanwhile is as good.
            kill_process(child, signal).ok();
        }
        kill_process(Pid::from_child(process), signal).expect("it runs");
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        kill_process(Pid::from_child(&process), signal).expect("it runs");
        let started = Instant::now();
        while process.try_wait().expect("our own child").is_none() {
            assert!(started.elapsed() < PATIENCE, "Postgres doesn't stop");
            sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program));
        command.arg("-D").arg(self.dir.path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // Its own log would hide the test's.
        command.stderr(Stdio::null()).current_dir("/");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

/// Not secret: the server is a test's own, on the loopback.
const PASSWORD: &str = "test";

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        self.end(Signal::QUIT);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program of Postgres is: on the `PATH`, or where Debian puts it.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = Path::new("/usr/lib/postgresql").read_dir() {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let mut found = folders.into_iter().map(|folder| folder.join(program));
    found
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("these tests need {program}; install Postgres"))
}

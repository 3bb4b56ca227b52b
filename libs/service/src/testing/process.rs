//! A service as a process of its own, for the tests of start and stop.
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than any start or stop takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running service binary with a folder of its own; killed when dropped.
pub struct Process {
    pub api: SocketAddr,
    pub ops: SocketAddr,
    child: Child,
    /// The same program with the same settings, asking instead of running.
    healthcheck: Command,
    _folder: TempDir,
}

impl Process {
    /// Starts `binary` (`env!("CARGO_BIN_EXE_…")`) with nothing but these settings in its
    /// environment, on free ports and with new SQLite files.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(binary: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (api, ops) = (free_port(), free_port());
        let mut command = command(binary, settings, &folder);
        command.env("LISTEN", api.to_string());
        command.env("OPS_LISTEN", ops.to_string());
        let child = command.spawn().expect("the binary starts");
        command.arg("healthcheck");
        Self {
            api,
            ops,
            child,
            healthcheck: command,
            _folder: folder,
        }
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it ends or takes too long.
    #[must_use]
    pub fn ready(mut self) -> Self {
        let started = Instant::now();
        while self
            .get(self.ops, "/readyz")
            .is_none_or(|(status, _)| status != 200)
        {
            let ended = self.child.try_wait().expect("our own child");
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "not ready: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Status and body of a path; none when nobody answers.
    pub fn get(&self, address: SocketAddr, path: &str) -> Option<(u16, String)> {
        exchange(address, "GET", path, "")
    }

    /// The same for a JSON body sent to the API.
    pub fn post(&self, path: &str, body: &str) -> Option<(u16, String)> {
        exchange(self.api, "POST", path, body)
    }

    /// What its `healthcheck` says: the exit code, and the text on stderr.
    ///
    /// # Panics
    /// When that can't be started.
    pub fn healthcheck(&mut self) -> (Option<i32>, String) {
        let output = self.healthcheck.output().expect("the binary starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    }

    /// The names of all metrics that are exposed, as their `# TYPE` lines give them.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn metric_names(&self) -> Vec<String> {
        let (_, text) = self
            .get(self.ops, "/metrics")
            .expect("the ops listener answers");
        let types = text.lines().filter_map(|l| l.strip_prefix("# TYPE "));
        let mut names: Vec<_> = types
            .filter_map(|l| l.split(' ').next())
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    }

    /// Asks it to stop.
    ///
    /// # Panics
    /// When it is gone.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), Signal::TERM).expect("it runs");
    }

    /// Waits for its end; gives how it ended and what it had printed.
    ///
    /// # Panics
    /// When that takes too long.
    #[must_use]
    pub fn ended(mut self) -> (ExitStatus, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it doesn't end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut printed = String::new();
        let stdout = self.child.stdout.as_mut().expect("piped");
        stdout.read_to_string(&mut printed).expect("UTF-8");
        (status, printed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    // As an operator of a development platform, so that all routes are open.
    let (name, operator) = super::identity(super::OPERATOR);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{name}: {operator}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Panics unless the service starts, is ready by exactly these checks, and stops as it should.
pub fn expect_start_and_stop(binary: &str, service: &str, checks: &[&str]) {
    let mut process = Process::start(binary, &[]).ready();
    assert_eq!(process.healthcheck(), (Some(0), String::new()));
    let (_, ready) = process.get(process.ops, "/readyz").expect("an answer");
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    let named = ready["checks"].as_object().expect("checks");
    assert_eq!(named.keys().collect::<Vec<_>>(), checks);
    for path in ["/metrics", "/livez", "/faults"] {
        let (status, _) = process.get(process.api, path).expect("an answer");
        assert_eq!(status, 404, "{path} is open to the outside");
    }
    process.terminate();
    let (status, printed) = process.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).expect("one JSON object a line");
        assert_eq!(line["service"], service);
        assert!(
            line["message"].is_string() && line["time"].is_string(),
            "{line}"
        );
    }
    assert!(printed.contains(r#""message":"stopped""#), "{printed}");
}

/// Panics unless the setting stops the start with exit code 2 and one line that names it. What is
/// `secret` must not be printed.
pub fn expect_refused(binary: &str, variable: &str, value: &str, secret: Option<&str>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output: Output = command(binary, &[(variable, value)], &folder)
        .output()
        .expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{variable}={value}: {error}");
    assert_eq!(error.lines().count(), 1, "{variable}={value}: {error}");
    assert!(error.contains(variable), "{variable}={value}: {error}");
    assert!(
        output.stdout.is_empty(),
        "{variable}={value} printed something"
    );
    if let Some(secret) = secret {
        assert!(
            !error.contains(secret),
            "{variable} prints a secret: {error}"
        );
    }
}

fn command(binary: &str, settings: &[(&str, &str)], folder: &TempDir) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .current_dir(folder.path())
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// An address nobody uses, below the ports that the kernel hands out by itself. Another test could take
/// it first; that is unlikely, and fails loudly.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    let random = || RandomState::new().build_hasher().finish();
    (0..1000)
        .map(|_| 12_000 + u16::try_from(random() % 18_000).expect("below 18000"))
        .find_map(|port| {
            TcpListener::bind(("127.0.0.1", port))
                .ok()?
                .local_addr()
                .ok()
        })
        .expect("a free port")
}

//! The real binary in a folder and on ports of its own, for tests of the whole platform.
#![allow(dead_code, reason = "every test file uses another part")]
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

pub use rustix::process::Signal;

/// Longer than anything takes on a slow, busy machine; what fails then hangs.
const LIMIT: Duration = Duration::from_secs(30);
/// Ports between two platforms.
const SLOT: u16 = 200;

/// Polls `check` until it gives a value; panics with `what` after a limit.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(began.elapsed() < LIMIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The children of a platform that was just killed may still be on their way out.
fn nobody_listens(base: u16) -> bool {
    let (ops, worker_ops) = (base + 10_000, [base + 4_091, base + 4_191]);
    let mut ports = (base..base + SLOT).chain(ops..ops + SLOT).chain(worker_ops);
    ports.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// A data folder and a range of ports; outlives the platforms started in it.
pub struct Sandbox {
    dir: tempfile::TempDir,
    base_port: u16,
    /// Keeps the ports from tests in other processes.
    _slot: File,
}

impl Sandbox {
    pub fn new() -> Self {
        let claims = std::env::temp_dir().join("seawall-test-ports");
        std::fs::create_dir_all(&claims).expect("folder for claims");
        // All ports of a platform stay below the ephemeral ones.
        let mut bases = (10_200..20_200).step_by(SLOT.into());
        let (base_port, slot) = bases
            .find_map(|base| {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(false);
                let file = options.open(claims.join(base.to_string())).ok()?;
                file.try_lock().ok()?;
                nobody_listens(base).then_some((base, file))
            })
            .expect("a free range of ports");
        Self {
            dir: tempfile::tempdir().expect("temp dir"),
            base_port,
            _slot: slot,
        }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn base_port(&self) -> u16 {
        self.base_port
    }

    /// The gateway's.
    pub fn port(&self) -> u16 {
        self.base_port + 99
    }

    /// `seawall SUBCOMMAND` with this sandbox's settings and none of the surroundings'.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command
            .arg(subcommand)
            .args(["--port", &self.port().to_string()])
            .args(["--base-port", &self.base_port.to_string()])
            .arg("--data")
            .arg(self.data());
        if subcommand == "up" {
            // Whoever wants it asks for it, with a flag that overrules this one.
            command.arg("--no-monitoring");
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let ours = [
                "SEAWALL_",
                "LOG_",
                "RUST_LOG",
                "REDIS_URL",
                "OTEL_",
                "CHAOS_",
                "OPERATOR_",
                "IDENTITY_",
                "AUTH_",
            ];
            if ours.iter().any(|start| name.starts_with(start)) || name.ends_with("DATABASE_URL") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs to its end; standard output and error, and how it ended.
    pub fn run(&self, subcommand: &str, env: &[(&str, &str)]) -> (String, String, ExitStatus) {
        let mut command = self.command(subcommand);
        let output = command.envs(env.iter().copied()).output().expect("run");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(output.stdout), text(output.stderr), output.status)
    }
}

/// A platform that runs. Dropping it kills its supervisor, and so everything it started.
pub struct Platform {
    supervisor: Child,
    output: Arc<Mutex<String>>,
    sandbox: Option<Sandbox>,
    operator: OnceLock<String>,
}

impl Platform {
    /// Starts one with two replicas of everything and waits until it is ready.
    pub fn start() -> Self {
        Self::start_in(Sandbox::new(), &[])
    }

    /// The same where an earlier one has been, or with settings of its own.
    pub fn start_in(sandbox: Sandbox, env: &[(&str, &str)]) -> Self {
        Self::start_with(sandbox, &[], env)
    }

    /// The same with further arguments.
    pub fn start_with(sandbox: Sandbox, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = sandbox.command("up");
        command.args(args).envs(env.iter().copied());
        Self::start_as(command, sandbox)
    }

    /// The same by a command that becomes `seawall up` in this sandbox.
    pub fn start_as(mut command: Command, sandbox: Sandbox) -> Self {
        let mut supervisor = command
            .stdout(Stdio::piped())
            // As a shell does, so that a signal to the group is what Ctrl-C in a terminal is.
            .process_group(0)
            .spawn()
            .expect("start");
        let stdout = supervisor.stdout.take().expect("piped");
        let output = Arc::new(Mutex::new(String::new()));
        let collected = output.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut output = collected.lock().expect("not poisoned");
                *output += &format!("{line}\n");
            }
        });
        let platform = Self {
            supervisor,
            output,
            sandbox: Some(sandbox),
            operator: OnceLock::new(),
        };
        platform.wait_for("is ready after");
        platform
    }

    /// Base URL of the gateway.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.sandbox().port())
    }

    pub fn data(&self) -> PathBuf {
        self.sandbox().data()
    }

    pub fn control(&self) -> Control {
        Control {
            socket: self.data().join("control.sock"),
        }
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("taken by `stop` alone")
    }

    /// An operator's `Authorization`, by the right of whoever owns the data folder.
    pub fn operator(&self) -> &str {
        self.operator.get_or_init(|| {
            let secret = std::fs::read_to_string(self.data().join("secrets/identity"));
            let secret = format!("Bearer {}", secret.expect("a secret"));
            let api = self.control().replica("auth-1")["api"].clone();
            let path = format!("{}/auth/token", api.as_str().expect("a URL"));
            let (status, tokens) = post(&path, &[("authorization", &secret)], &Value::Null);
            assert_eq!(status, 200, "{tokens}");
            let token = tokens["access_token"].as_str().expect("a token");
            format!("Bearer {token}")
        })
    }

    /// Calls the gateway as an operator; status and JSON. A null body is none.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.call_as(Some(self.operator()), method, path, body)
    }

    /// The same with another `Authorization`, or none.
    pub fn call_as(
        &self,
        who: Option<&str>,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let headers: Vec<_> = who.iter().map(|who| ("authorization", *who)).collect();
        let (status, body) = http(method, &format!("{}{path}", self.url()), &headers, &text);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Of the supervisor.
    pub fn pid(&self) -> u32 {
        self.supervisor.id()
    }

    /// All it has printed so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("not poisoned").clone()
    }

    /// Waits until it has printed `text`.
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} in the output"), || {
            self.output().contains(text).then_some(())
        });
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// How the supervisor has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().expect("wait")
    }

    /// Waits for the supervisor's end.
    pub fn end(&mut self) -> ExitStatus {
        eventually("the supervisor's end", || self.ended())
    }

    /// Starts another in the place of one that has ended.
    pub fn restart(mut self) -> Self {
        Self::start_in(self.sandbox.take().expect("still here"), &[])
    }

    /// Stops it in order, and leaves its data and ports for the next one.
    pub fn stop(mut self) -> Sandbox {
        self.signal(Signal::TERM);
        assert!(self.end().success(), "{}", self.output());
        self.sandbox.take().expect("still here")
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        if thread::panicking() {
            eprintln!("--- the platform's output:\n{}---", self.output());
        }
    }
}

/// The supervisor's control socket.
pub struct Control {
    socket: PathBuf,
}

impl Control {
    pub fn call(&self, request: &Value) -> Value {
        let mut stream = UnixStream::connect(&self.socket).expect("connect");
        writeln!(stream, "{request}").expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Every replica: `name`, `service`, `replica`, `pid`, `state`, `restarts`, `api`, `ops`.
    pub fn list(&self) -> Vec<Value> {
        let answer = self.call(&json!({"do": "list"}));
        answer["replicas"].as_array().expect("replicas").clone()
    }

    pub fn replica(&self, name: &str) -> Value {
        let mut replicas = self.list().into_iter();
        let replica = replicas.find(|replica| replica["name"] == name);
        replica.unwrap_or_else(|| panic!("no replica {name}"))
    }

    pub fn kill(&self, name: &str, signal: &str) -> Value {
        self.call(&json!({"do": "kill", "name": name, "signal": signal}))
    }

    pub fn pid(&self, name: &str) -> u32 {
        pid_of(&self.replica(name)).unwrap_or_else(|| panic!("{name} does not run"))
    }

    pub fn pids(&self) -> Vec<u32> {
        self.list().iter().filter_map(pid_of).collect()
    }

    /// Waits until `name` is ready in another process than `old`.
    pub fn wait_for_successor(&self, name: &str, old: u32) -> Value {
        eventually(&format!("a successor of {name}"), || {
            let replica = self.replica(name);
            let new = pid_of(&replica).is_some_and(|pid| pid != old);
            (new && replica["state"] == "ready").then_some(replica)
        })
    }
}

fn pid_of(replica: &Value) -> Option<u32> {
    replica["pid"].as_u64().and_then(|pid| pid.try_into().ok())
}

/// Sends a signal to a process that is known to be there.
pub fn send(pid: u32, signal: Signal) {
    let pid = pid.try_into().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), signal).expect("it exists");
}

/// Whether a process runs; one that is dead and only waits for its parent does not.
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// One HTTP request; status and body. An empty body is none, any other is JSON.
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (status, _, body) = exchange(method, url, headers, body);
    (status, body)
}

/// The same, with the head of the answer between the two, in lower case.
pub fn exchange(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).expect("connect");
    stream.set_read_timeout(Some(LIMIT)).expect("timeout");
    // HTTP/1.0, so that the answer ends with the connection and is never in chunks.
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let length = body.len();
        request += &format!("content-type: application/json\r\ncontent-length: {length}\r\n");
    }
    write!(stream, "{request}\r\n{body}").expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.expect("a status"),
        head.to_lowercase(),
        body.to_owned(),
    )
}

/// GET as JSON.
pub fn get(url: &str) -> (u16, Value) {
    let (status, body) = http("GET", url, &[], "");
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// POST JSON, answered by JSON.
pub fn post(url: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let (status, body) = http("POST", url, headers, &body.to_string());
    (status, serde_json::from_str(&body).unwrap_or_default())
}

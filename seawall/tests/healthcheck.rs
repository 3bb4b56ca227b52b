//! `seawall SERVICE healthcheck`, as containers use it, through the life of a replica.
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpListener,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// An order replica that listens on all addresses, as in a container.
struct Replica {
    folder: TempDir,
    ports: [u16; 2],
    child: Option<Child>,
}

impl Replica {
    fn new() -> Self {
        let ports = [(); 2].map(|()| TcpListener::bind("0.0.0.0:0").expect("a free port"));
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            ports: ports.map(|port| port.local_addr().expect("bound").port()),
            child: None,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command
            .arg("order")
            .env_clear()
            .env("LISTEN", format!("0.0.0.0:{}", self.ports[0]))
            .env("OPS_LISTEN", format!("0.0.0.0:{}", self.ports[1]))
            .env("DRAIN_TIME", "1h")
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        command
    }

    fn start(&mut self) {
        self.child = Some(self.command().spawn().expect("it starts"));
    }

    fn terminate(&self) {
        let child = self.child.as_ref().expect("started");
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), Signal::TERM).expect("it runs");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// The exit code and what is on stderr, once it is what the test waits for.
    fn healthcheck(&self, expected: impl Fn(Option<i32>, &str) -> bool) {
        let started = Instant::now();
        loop {
            let output = self.command().arg("healthcheck").output();
            let Output { status, stderr, .. } = output.expect("it starts");
            let stderr = String::from_utf8(stderr).expect("UTF-8");
            assert!(stderr.lines().count() <= 1, "{stderr}");
            if expected(status.code(), &stderr) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{status}: {stderr}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn it_tells_ready_from_draining_from_gone() {
    let mut replica = Replica::new();
    replica.healthcheck(|code, text| code == Some(1) && text.contains("refused"));
    replica.start();
    replica.healthcheck(|code, text| code == Some(0) && text.is_empty());
    replica.terminate();
    replica.healthcheck(|code, text| code == Some(1) && text.contains(r#""status":"draining""#));
    replica.kill();
    replica.healthcheck(|code, text| {
        code == Some(1) && text.contains("no answer from http://127.0.0.1:")
    });
}

#[test]
fn help_shows_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["order", "--help"])
        .output();
    let help = output.expect("it starts").stdout;
    assert!(String::from_utf8_lossy(&help).contains("healthcheck  Ask the replica"));
}

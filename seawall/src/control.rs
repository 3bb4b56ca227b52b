//! The supervisor's control socket `DATA/control.sock`: its messages, server and client.
//!
//! One request a connection, one JSON line each way. The socket's mode (0600) is its access
//! control: whoever may open the data folder's files may stop what works on them.
use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";
/// `sun_path` holds 108 bytes, one of them the closing zero.
const LONGEST_PATH: usize = 107;
/// Longest request accepted, bytes.
const LONGEST_REQUEST: u64 = 4096;
/// A peer that is slower than this has lost interest.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Describe every replica.
    List,
    /// Send a signal to the process of one replica.
    Kill {
        /// Such as `order-2`.
        name: String,
        /// Which signal.
        signal: Signal,
    },
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// To [`Request::List`].
    List {
        /// In the order of the table of services.
        replicas: Vec<Replica>,
    },
    /// To [`Request::Kill`]: the signal is sent.
    Done {
        /// Always true.
        ok: bool,
        /// Who got the signal.
        pid: u32,
    },
    /// Why nothing was done.
    Refused {
        /// One line.
        error: String,
    },
}

/// The signals a client may have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// A crash.
    Kill,
    /// A request to drain and leave.
    Term,
    /// A freeze.
    Stop,
    /// The end of a freeze.
    Cont,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Kill => Self::KILL,
            Signal::Term => Self::TERM,
            Signal::Stop => Self::STOP,
            Signal::Cont => Self::CONT,
        }
    }
}

/// One replica as the supervisor sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// `SERVICE-N`.
    pub name: String,
    /// Such as `order`.
    pub service: String,
    /// Counted from 1.
    pub replica: u16,
    /// None between two lives.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: State,
    /// How often the supervisor has started it again.
    pub restarts: u32,
    /// Start of the present (or last) process.
    pub started_at: DateTime<Utc>,
    /// Base URL of the API; the gateway's replicas share one.
    pub api: String,
    /// Base URL of the ops listener.
    pub ops: String,
}

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Started, not ready yet.
    Starting,
    /// Has answered `/readyz` with 200.
    Ready,
    /// Dead, waiting for its next start.
    Backoff,
    /// Was asked to leave.
    Stopping,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
        })
    }
}

/// Talks to the supervisor of one data folder.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the supervisor whose data folder is `data`; connects at each call.
    pub fn new(data: &Path) -> Self {
        Self {
            socket: data.join(SOCKET),
        }
    }

    /// Every replica, in the order of the table of services.
    pub async fn list(&self) -> anyhow::Result<Vec<Replica>> {
        match self.call(&Request::List).await? {
            Response::List { replicas } => Ok(replicas),
            other => bail!("unexpected answer of the supervisor: {other:?}"),
        }
    }

    /// Sends `signal` to replica `name` and tells the pid that got it.
    pub async fn kill(&self, name: &str, signal: Signal) -> anyhow::Result<u32> {
        let name = name.to_owned();
        match self.call(&Request::Kill { name, signal }).await? {
            Response::Done { pid, .. } => Ok(pid),
            Response::Refused { error } => bail!(error),
            Response::List { .. } => bail!("unexpected answer of the supervisor"),
        }
    }

    async fn call(&self, request: &Request) -> anyhow::Result<Response> {
        let socket = &self.socket;
        let exchange = async {
            let stream = UnixStream::connect(socket).await.with_context(|| {
                let socket = socket.display();
                format!("no supervisor answers at {socket}: start it with `seawall up`")
            })?;
            let mut stream = BufReader::new(stream);
            let mut line = serde_json::to_string(request)?;
            line.push('\n');
            stream.write_all(line.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            ensure!(!answer.is_empty(), "the supervisor hung up");
            Ok(serde_json::from_str(&answer)?)
        };
        let limit = timeout(PATIENCE, exchange);
        limit.await.context("the supervisor does not answer")?
    }
}

/// Opens the socket in `data`, taking the place of one left by a supervisor that crashed;
/// so the caller holds the folder's lock.
pub fn listen(data: &Path) -> anyhow::Result<UnixListener> {
    let socket = data.join(SOCKET);
    ensure!(
        socket.as_os_str().len() <= LONGEST_PATH,
        "the path {} is too long for a socket (at most {LONGEST_PATH} bytes): choose a shorter --data",
        socket.display()
    );
    match std::fs::remove_file(&socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    // Through the umask the socket has its mode from the first moment.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&socket);
    rustix::process::umask(umask);
    listener.with_context(|| format!("cannot listen on {}", socket.display()))
}

/// Answers requests with `answer` for ever.
pub async fn serve<F>(listener: UnixListener, answer: F)
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer.clone();
                // A client that breaks off has nobody left to tell.
                tokio::spawn(timeout(PATIENCE, async move {
                    let _ = exchange(stream, answer).await;
                }));
            }
            // Out of file descriptors, for instance: it may pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn exchange(
    mut stream: UnixStream,
    answer: impl Fn(Request) -> Response,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LONGEST_REQUEST));
    read.read_line(&mut line).await?;
    let response = serde_json::from_str(&line).map_or_else(
        |e| Response::Refused {
            error: format!("cannot read the request: {e}"),
        },
        answer,
    );
    let mut line = serde_json::to_string(&response)?;
    line.push('\n');
    Ok(write.write_all(line.as_bytes()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn replica() -> Replica {
        Replica {
            name: "order-2".into(),
            service: "order".into(),
            replica: 2,
            pid: Some(123),
            state: State::Ready,
            restarts: 1,
            started_at: DateTime::UNIX_EPOCH,
            api: "http://127.0.0.1:5100".into(),
            ops: "http://127.0.0.1:15100".into(),
        }
    }

    fn answer(request: Request) -> Response {
        match request {
            Request::List => Response::List {
                replicas: vec![replica()],
            },
            Request::Kill { name, .. } if name == "order-2" => {
                Response::Done { ok: true, pid: 123 }
            }
            Request::Kill { name, .. } => Response::Refused {
                error: format!("no replica is called {name}"),
            },
        }
    }

    #[tokio::test]
    async fn client_and_server_understand_each_other() {
        let data = tempfile::tempdir().expect("temp dir");
        tokio::spawn(serve(listen(data.path()).expect("listen"), answer));
        let client = Client::new(data.path());
        assert_eq!(client.list().await.expect("list"), [replica()]);
        assert_eq!(
            client.kill("order-2", Signal::Kill).await.expect("kill"),
            123
        );
        let refused = client.kill("order-9", Signal::Term).await;
        assert_eq!(
            refused.expect_err("unknown").to_string(),
            "no replica is called order-9"
        );
    }

    /// The wire format is a contract with clients in other languages.
    #[tokio::test]
    async fn lines_on_the_wire() {
        let data = tempfile::tempdir().expect("temp dir");
        tokio::spawn(serve(listen(data.path()).expect("listen"), answer));
        for (request, expected) in [
            (
                r#"{"do":"kill","name":"order-2","signal":"STOP"}"#,
                r#"{"ok":true,"pid":123}"#,
            ),
            (
                r#"{"do":"list"}"#,
                r#"{"replicas":[{"name":"order-2","service":"order","replica":2,"pid":123,"state":"ready","restarts":1,"started_at":"1970-01-01T00:00:00Z","api":"http://127.0.0.1:5100","ops":"http://127.0.0.1:15100"}]}"#,
            ),
            (
                r#"{"do":"dance"}"#,
                r#"{"error":"cannot read the request: unknown variant `dance`, expected `list` or `kill` at line 1 column 13"}"#,
            ),
        ] {
            let mut stream = UnixStream::connect(data.path().join(SOCKET))
                .await
                .expect("connect");
            stream
                .write_all(format!("{request}\n").as_bytes())
                .await
                .expect("write");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("read");
            assert_eq!(answer.trim_end(), expected);
        }
    }

    #[tokio::test]
    async fn only_the_owner_may_connect_and_a_stale_socket_is_replaced() {
        let data = tempfile::tempdir().expect("temp dir");
        drop(listen(data.path()).expect("first"));
        let _listener = listen(data.path()).expect("a stale socket is in the way");
        let meta = data.path().join(SOCKET).metadata().expect("socket");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }
}

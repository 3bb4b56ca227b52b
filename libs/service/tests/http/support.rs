//! A server with a few plain routes, and a client that sends any bytes it is told to.
pub use service::testing::free_port;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    routing::{get, post},
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use service::{Background, Config, Json, Server, Shutdown, testing::Answer};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use telemetry::Context;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The size of `/big`: more than the sockets' buffers hold.
pub const BIG: usize = 64 << 20;

/// The server under test; stopped when dropped.
pub struct Running {
    pub api: SocketAddr,
    pub ops: SocketAddr,
    pub shutdown: Shutdown,
    /// Lets the requests of `/gate` end.
    pub gate: Arc<Notify>,
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Times that no test runs into, and a small limit that is easily reached.
pub fn config() -> Config {
    Config {
        drain_time: Duration::from_millis(300),
        max_body_bytes: 16 << 10,
        ..Config::defaults()
    }
}

pub async fn start(config: Config) -> Running {
    start_with(config, |server| server).await
}

/// Starts a server that `prepare` may add checks and tasks to.
pub async fn start_with(mut config: Config, prepare: impl FnOnce(Server) -> Server) -> Running {
    let (api, ops) = (free_port(), free_port());
    config.ops_listen = ops;
    let (shutdown, gate) = (Shutdown::new(), Arc::new(Notify::new()));
    let mut registry = telemetry::registry();
    let router = router(gate.clone(), &config, &mut registry);
    let server = prepare(Server::new(api, config, registry));
    let task = tokio::spawn(server.serve(router, shutdown.clone()));
    let running = Running {
        api,
        ops,
        shutdown,
        gate,
        task,
    };
    eventually("the server listens", async || {
        TcpStream::connect(ops).await.is_ok()
    })
    .await;
    running
}

/// A background of one task.
pub fn background<F>(task: impl FnOnce(tokio_util::sync::CancellationToken) -> F) -> Background
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut background = Background::default();
    background.spawn("tide", task);
    background
}

fn router(gate: Arc<Notify>, config: &Config, registry: &mut Registry) -> Router {
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/items/{id}", get(async || "item"))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/json", post(async |Json(value): Json<Value>| Json(value)))
        .route("/context", get(context))
        .route(
            "/panic",
            get(async || -> StatusCode { panic!("a fault in a handler") }),
        )
        .route("/big", get(async || Bytes::from(vec![b'x'; BIG])))
        .route(
            "/gate",
            get(async move || {
                gate.notified().await;
                "opened"
            }),
        );
    service::layers(router, config, registry)
}

async fn context() -> Json<Value> {
    let context = Context::current().expect("handlers run in a context");
    Json(json!({"request_id": context.request_id(), "traceparent": context.traceparent()}))
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    /// Read but not part of an answer yet.
    rest: Vec<u8>,
}

/// What came back on it.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON body")
    }

    pub fn closes(&self) -> bool {
        self.headers.get("connection").is_some_and(|v| v == "close")
    }

    /// Panics unless this is a complete problem of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        let answer = Answer {
            status: StatusCode::from_u16(self.status).expect("a status"),
            headers: self.headers.clone(),
            body: serde_json::from_str(&self.text).unwrap_or_default(),
        };
        answer.expect_problem(status, code);
        for word in ["src/", "panicked", ".rs:"] {
            assert!(
                !self.text.contains(word),
                "tells something internal: {}",
                self.text
            );
        }
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// Sends bytes; a server that closed already is the business of what is read next.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.ok();
    }

    /// The next answer; none when the connection ends before one.
    pub async fn reply(&mut self) -> Option<Reply> {
        let reply = timeout(PATIENCE, self.read_reply()).await;
        reply.expect("an answer or an end in time")
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let head = loop {
            match self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(at) => break self.rest.drain(..at + 4).collect::<Vec<_>>(),
                None => self.read_more().await?,
            }
        };
        let head = String::from_utf8(head).expect("headers are ASCII");
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|l| l.split_once(": ")) {
            let name: HeaderName = name.parse().expect("a header name");
            headers.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let length = headers
            .get("content-length")
            .and_then(|v| v.to_str().ok()?.parse().ok());
        while self.rest.len() < length.unwrap_or(0) {
            self.read_more().await?;
        }
        let text = self.rest.drain(..length.unwrap_or(0)).collect();
        Some(Reply {
            status: status.expect("a status line"),
            headers,
            text: String::from_utf8(text).expect("a UTF-8 body"),
        })
    }

    async fn read_more(&mut self) -> Option<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.rest.extend_from_slice(&chunk[..n]);
                Some(())
            }
        }
    }

    /// Waits for the end of the connection; gives how many bytes came before it.
    pub async fn closed(&mut self) -> usize {
        let drained = async {
            while self.read_more().await.is_some() {}
            self.rest.len()
        };
        timeout(PATIENCE, drained)
            .await
            .expect("the server closes the connection")
    }

    /// Is it still open, without anything to read, after this time?
    pub async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.read_more()).await.is_err()
    }
}

/// Sends one raw request on a connection of its own.
pub async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<Reply> {
    let mut connection = Connection::open(address).await;
    connection.send(request).await;
    connection.reply().await
}

/// A plain request with a `Host` and more headers.
pub async fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    let text = format!("{method} {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n");
    raw(address, text).await.expect("an answer")
}

pub async fn get_path(address: SocketAddr, path: &str) -> Reply {
    request(address, "GET", path, "").await
}

/// The server is alive and well.
pub async fn assert_serves(running: &Running) {
    assert_eq!(get_path(running.api, "/").await.text, "hello");
}

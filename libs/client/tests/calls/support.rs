//! Replicas that behave as told, on real sockets.
use bytes::Bytes;
use client::{Metrics, Settings, Upstream, Urls};
use futures::stream;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

/// What a replica does with the next calls.
#[derive(Clone, Debug)]
pub enum Script {
    /// Answers with a status, a header and a body, after a time.
    Answer(u16, Option<(&'static str, &'static str)>, Bytes, Duration),
    /// Answers in chunks of unknown number.
    Chunks(usize, Bytes),
    /// Takes the call and never answers.
    Hang,
    /// Takes the call and, after a time, cuts the connection.
    Cut(Duration),
}

pub fn ok() -> Script {
    status(200)
}

pub fn status(status: u16) -> Script {
    Script::Answer(status, None, Bytes::new(), Duration::ZERO)
}

/// Takes the call and cuts the connection at once.
pub fn cut() -> Script {
    Script::Cut(Duration::ZERO)
}

pub fn json(status: u16, body: &'static str) -> Script {
    let header = Some(("content-type", "application/json"));
    Script::Answer(
        status,
        header,
        Bytes::from_static(body.as_bytes()),
        Duration::ZERO,
    )
}

/// A server that can be killed and started again on its port.
pub struct Replica {
    pub address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

struct State {
    script: Mutex<Script>,
    connections: AtomicUsize,
    calls: AtomicUsize,
    last: Mutex<Option<(Method, String, HeaderMap, Bytes)>>,
}

impl Replica {
    pub async fn start(script: Script) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script),
            connections: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            last: Mutex::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Some(tokio::spawn(accept(listener, state.clone())));
        Self {
            address,
            state,
            acceptor,
        }
    }

    /// As `kill -9`: the port refuses and every connection breaks.
    pub async fn kill(&mut self) {
        let acceptor = self.acceptor.take().expect("is running");
        acceptor.abort();
        let _ = acceptor.await;
    }

    pub async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.acceptor = Some(tokio::spawn(accept(listener, self.state.clone())));
    }

    /// Closes its connections but keeps accepting new ones.
    pub async fn close_connections(&mut self) {
        self.kill().await;
        self.restart().await;
    }

    pub fn play(&self, script: Script) {
        *self.state.script.lock().unwrap() = script;
    }

    /// Calls received so far.
    pub fn calls(&self) -> usize {
        self.state.calls.load(SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// The last call received.
    pub fn last(&self) -> (Method, String, HeaderMap, Bytes) {
        self.state.last.lock().unwrap().clone().expect("was called")
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, SeqCst);
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, state.clone()));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, state: Arc<State>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.to_string();
    *state.last.lock().unwrap() = Some((head.method, path, head.headers, body));
    state.calls.fetch_add(1, SeqCst);
    let script = state.script.lock().unwrap().clone();
    match script {
        Script::Answer(status, header, body, after) => {
            if !after.is_zero() {
                sleep(after).await;
            }
            let mut response = Response::builder().status(status);
            if let Some((name, value)) = header {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(body).boxed()).unwrap())
        }
        Script::Chunks(number, chunk) => {
            let frames = (0..number).map(move |_| Ok(Frame::data(chunk.clone())));
            Ok(Response::new(BodyExt::boxed(StreamBody::new(
                stream::iter(frames),
            ))))
        }
        Script::Hang => std::future::pending().await,
        Script::Cut(after) => {
            sleep(after).await;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

/// An upstream named `peer` over some replicas, and its metrics.
pub struct Peer {
    pub upstream: Upstream,
    registry: Mutex<Registry>,
}

impl Peer {
    pub fn new(replicas: &[&Replica], settings: Settings) -> Self {
        let urls: Vec<_> = replicas
            .iter()
            .map(|r| format!("http://{}", r.address))
            .collect();
        Self::at(&urls.join(","), settings)
    }

    pub fn at(urls: &str, settings: Settings) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let urls: Urls = urls.parse().unwrap();
        let upstream = Upstream::new("peer", &urls, settings, &metrics);
        let registry = Mutex::new(registry);
        Self { upstream, registry }
    }

    /// The value of one sample, named as in the text format.
    pub fn sample(&self, name: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry()).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        value.parse().unwrap()
    }

    /// 0 closed, 1 half-open, 2 open.
    pub fn breaker(&self, replica: &Replica) -> f64 {
        let endpoint = replica.address;
        self.sample(&format!(
            "circuit_breaker_state{{upstream=\"peer\",endpoint=\"{endpoint}\"}}"
        ))
    }

    pub fn outcomes(&self, outcome: &str) -> f64 {
        self.sample(&format!(
            "client_requests_total{{upstream=\"peer\",outcome=\"{outcome}\"}}"
        ))
    }

    pub fn retries(&self) -> f64 {
        self.sample("client_retries_total{upstream=\"peer\"}")
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap()
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

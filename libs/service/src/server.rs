//! A server on hyper with the timers and caps that `axum::serve` leaves out, and the order of stopping.
use crate::{
    Background, Config, Faults, Readiness, Shutdown, faults,
    ops::{self, Refresh},
};
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header::CONNECTION},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use rustix::process::Resource;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

const BACKLOG: i32 = 1024;
const OPS_CONNECTIONS: u32 = 64;
/// Bytes of a request's head: its target and all headers.
const MAX_HEADERS: usize = 64 * 1024;

/// The other end of the connection that a request came through; in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Serves one service until it is told to stop.
pub struct Server {
    listen: SocketAddr,
    config: Config,
    registry: Registry,
    readiness: Readiness,
    refresh: Vec<Refresh>,
    background: Background,
    faults: Faults,
}

impl Server {
    #[must_use]
    pub fn new(listen: SocketAddr, config: Config, registry: Registry) -> Self {
        Self {
            listen,
            config,
            registry,
            readiness: Readiness::default(),
            refresh: Vec::new(),
            background: Background::default(),
            faults: Faults::default(),
        }
    }

    /// Adds a readiness check on a dependency of this process.
    #[must_use]
    pub fn check<F>(
        mut self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.readiness.check(name, check);
        self
    }

    /// Runs before each scrape, to bring gauges up to date.
    #[must_use]
    pub fn refresh<F>(mut self, refresh: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.refresh.push(Arc::new(move || Box::pin(refresh())));
        self
    }

    /// Hands over what breaks on purpose.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        faults.register(&mut self.registry);
        self.readiness.set_faults(faults.clone());
        self.faults = faults;
        self
    }

    /// Hands over the tasks that run beside the requests.
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Listens, serves, and on shutdown: not ready, keep serving for the drain time, finish what is
    /// in flight, stop the background tasks.
    ///
    /// # Errors
    /// When an address can't be bound, a background task fails, or stopping takes too long.
    pub async fn serve(mut self, router: Router, shutdown: Shutdown) -> anyhow::Result<()> {
        if self.config.never_ready {
            return self.stay_unready(shutdown).await;
        }
        let api = bind(self.listen, self.config.reuse_port)?;
        let ops = bind(self.config.ops_listen, false)?;
        // In this order: the fallback of the merged one stays, and it has the layers.
        let router = ops::probes(self.readiness.clone()).merge(router);
        let ops_router = ops::router(self.readiness.clone(), self.registry, self.refresh);
        let ops_router = ops_router.merge(faults::routes(&self.faults));
        let api = Listener::new(
            api,
            router,
            &self.config,
            self.config.max_connections,
            &self.readiness,
        )
        .with(self.faults);
        let ops = Listener::new(
            ops,
            ops_router,
            &self.config,
            OPS_CONNECTIONS,
            &self.readiness,
        );
        let (stop, stop_ops) = (CancellationToken::new(), CancellationToken::new());
        let api = tokio::spawn(api.run(stop.clone(), self.config.stop_timeout));
        let ops = tokio::spawn(ops.run(stop_ops.clone(), Duration::from_secs(1)));
        shutdown.serving();
        tracing::info!(api = %self.listen, ops = %self.config.ops_listen, "listening");

        let failure = tokio::select! {
            () = shutdown.cancelled() => None,
            failure = self.background.failure() => Some(failure),
        };
        self.readiness.drain();
        if failure.is_none() {
            tracing::info!(drain = ?self.config.drain_time, "draining");
            tokio::time::sleep(self.config.drain_time).await;
        }
        stop.cancel();
        let stopping = Instant::now();
        let finished = api.await?;
        let rest = self.config.stop_timeout.saturating_sub(stopping.elapsed());
        let stopped = self.background.stop(rest).await;
        stop_ops.cancel();
        ops.await?;
        match failure {
            Some(failure) => return Err(failure),
            None => stopped?,
        }
        anyhow::ensure!(
            finished,
            "requests in flight did not finish within {:?}",
            self.config.stop_timeout
        );
        tracing::info!("stopped");
        Ok(())
    }

    /// Probes are answered and the background works, but nothing ever gets a request: a bad version.
    async fn stay_unready(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let ops = bind(self.config.ops_listen, false)?;
        self.readiness.check("version", async || {
            anyhow::bail!("this version never gets ready, as asked")
        });
        let router = ops::router(self.readiness.clone(), self.registry, self.refresh);
        let ops = Listener::new(ops, router, &self.config, OPS_CONNECTIONS, &self.readiness);
        shutdown.serving();
        tracing::warn!("this version never gets ready, as asked");
        let stop = CancellationToken::new();
        let ops = tokio::spawn(ops.run(stop.clone(), Duration::from_secs(1)));
        shutdown.cancelled().await;
        let stopped = self.background.stop(self.config.stop_timeout).await;
        stop.cancel();
        ops.await?;
        stopped
    }
}

fn bind(address: SocketAddr, reuse_port: bool) -> anyhow::Result<TcpListener> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(reuse_port)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = OwnedFd::from(socket);
        TcpListener::from_std(out_of_the_way(&socket).unwrap_or(socket).into())
    };
    listen().map_err(|e| anyhow::anyhow!("can't listen on {address}: {e}"))
}

/// The same socket under a number above those of connections.
///
/// When a process is killed, the kernel closes its files from the highest number down. If connections
/// broke before the listener is gone, a client that comes back at once would meet the same dying
/// process; this way it meets its replacement, or another replica on the same port.
fn out_of_the_way(socket: &OwnedFd) -> Option<OwnedFd> {
    let limit = rustix::process::getrlimit(Resource::Nofile).current?;
    let number = i32::try_from(limit.min(1 << 16)).ok()? - 16;
    rustix::io::fcntl_dupfd_cloexec(socket, number).ok()
}

fn adopt(stream: Socket) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream.into())
}

/// How long a connection that has not said anything yet is kept open when the process leaves.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// One listening socket and the connections it accepted.
struct Listener {
    socket: TcpListener,
    router: Router,
    readiness: Readiness,
    faults: Faults,
    http: http1::Builder,
    write_timeout: Duration,
    slots: Arc<Semaphore>,
}

impl Listener {
    fn new(
        socket: TcpListener,
        router: Router,
        config: &Config,
        connections: u32,
        readiness: &Readiness,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_headers(100)
            // The buffer may outgrow its own limit by one read; this one is exact.
            .max_header_size(MAX_HEADERS)
            .max_buf_size(MAX_HEADERS);
        Self {
            socket,
            router,
            readiness: readiness.clone(),
            faults: Faults::default(),
            http,
            write_timeout: config.body_timeout,
            slots: Arc::new(Semaphore::new(connections as usize)),
        }
    }

    /// With faults for its requests.
    fn with(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Accepts until `stop`; then waits for the open connections. False when some had to be cut.
    async fn run(self, stop: CancellationToken, limit: Duration) -> bool {
        let connections = TaskTracker::new();
        while let Some((stream, slot)) = stop.run_until_cancelled(self.accept()).await {
            connections.spawn(self.connection(stream, slot, stop.clone()));
        }
        // What the kernel has accepted already was promised an answer. It is asked itself: tokio looks only
        // once its reactor has heard of a connection.
        while let Ok((stream, _)) = SockRef::from(&self.socket).accept() {
            let slot = self.slots.clone().try_acquire_owned();
            if let (Ok(stream), Ok(slot)) = (adopt(stream), slot) {
                connections.spawn(self.connection(stream, slot, stop.clone()));
            }
        }
        drop(self);
        connections.close();
        tokio::time::timeout(limit, connections.wait())
            .await
            .is_ok()
    }

    async fn accept(&self) -> (TcpStream, OwnedSemaphorePermit) {
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => return (stream, slot),
                Err(error) => {
                    // Out of file descriptors, or a client that left: neither ends the service.
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        slot: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (router, readiness) = (self.router.clone(), self.readiness.clone());
        let faults = self.faults.clone();
        let peer = stream.peer_addr().ok().map(PeerAddress);
        let asked = CancellationToken::new();
        let first = asked.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            first.cancel();
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            if faults.on_requests() {
                request.extensions_mut().insert(faults.clone());
            }
            answer(router.clone(), readiness.clone(), request)
        });
        stream.set_nodelay(true).ok();
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_timeout));
        let connection = self
            .http
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        async move {
            let mut connection = pin!(connection);
            // hyper takes a connection without a request for an idle one, even if the request is on its way.
            let leave = async {
                stop.cancelled().await;
                tokio::time::timeout(FIRST_REQUEST, asked.cancelled()).await
            };
            tokio::select! {
                // Errors here are the client's: a reset, a timeout, bytes that aren't HTTP.
                ended = connection.as_mut() => drop(ended),
                _ = leave => {
                    connection.as_mut().graceful_shutdown();
                    connection.await.ok();
                }
            }
            drop(slot);
        }
    }
}

/// While draining, every answer asks the client to come back on another connection.
async fn answer(
    router: Router,
    readiness: Readiness,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = router.oneshot(request.map(Body::new)).await?;
    if readiness.draining() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

//! One HTTP/1.1 connection, driven by the task that uses it: the cheapest client there is, since
//! it shares the machine with what it measures.
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header::RETRY_AFTER, uri::Authority};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// Who is called: one or more addresses that do the same.
#[derive(Debug)]
pub struct Peers {
    addresses: Vec<SocketAddr>,
    /// What goes into `Host`.
    pub host: HeaderValue,
}

impl Peers {
    /// Of base URLs such as `http://localhost:8080`. Names are looked up once, here, and of a
    /// name's addresses the first that accepts a connection is taken.
    pub async fn resolve(urls: &[impl AsRef<str>]) -> anyhow::Result<Arc<Self>> {
        let mut addresses = Vec::new();
        let mut host = None;
        for url in urls {
            let authority = authority(url.as_ref())?;
            let port = authority.port_u16().unwrap_or(80);
            let name = authority.host().trim_matches(['[', ']']);
            let found = tokio::net::lookup_host((name, port)).await;
            let found: Vec<_> = found
                .with_context(|| format!("looking up {name}"))?
                .collect();
            addresses.push(reachable(&found).await.context("name without an address")?);
            host.get_or_insert(HeaderValue::from_str(authority.as_str())?);
        }
        let host = host.context("nobody to call")?;
        Ok(Arc::new(Self { addresses, host }))
    }
}

fn authority(url: &str) -> anyhow::Result<Authority> {
    let uri: Uri = url.parse().with_context(|| format!("not a URL: {url}"))?;
    ensure!(
        uri.scheme_str() == Some("http"),
        "only http:// URLs can be called, not {url}"
    );
    match uri.into_parts().authority {
        Some(authority) => Ok(authority),
        None => bail!("no host in {url}"),
    }
}

/// The first that answers; the first of all when none does, whose error the caller then sees.
async fn reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    for address in addresses {
        if let Ok(Ok(_)) = timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
            return Some(*address);
        }
    }
    addresses.first().copied()
}

/// Why there was no answer. Whether the request took effect is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// No connection to be had.
    Refused,
    /// Reset or closed before the answer was complete.
    Closed,
    /// Too slow.
    Timeout,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Closed => "connection closed",
            Self::Timeout => "timeout",
        })
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// Of `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

/// Keeps one connection open, and opens it again after it broke.
pub struct Connection {
    peers: Arc<Peers>,
    /// Whom to connect to; the next one after a failure.
    turn: usize,
    patience: Duration,
    open: Option<Open>,
}

struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None once the connection has ended.
    driver: Option<Driver>,
}

type Driver = Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>;

impl Connection {
    /// `turn` spreads connections over several peers; `patience` bounds each exchange.
    pub fn new(peers: Arc<Peers>, turn: usize, patience: Duration) -> Self {
        Self {
            peers,
            turn,
            patience,
            open: None,
        }
    }

    /// What goes into `Host`.
    pub fn host(&self) -> &HeaderValue {
        &self.peers.host
    }

    /// Opens the connection, or sees that it is still good.
    pub async fn connect(&mut self) -> Result<(), Broken> {
        let open = timeout(self.patience, self.take_open()).await;
        self.open = Some(open.unwrap_or(Err(Broken::Timeout))?);
        Ok(())
    }

    /// Sends one request and reads its whole answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Broken> {
        let patience = self.patience;
        let exchange = async {
            // Taken out, so that a connection given up halfway is closed, not used again.
            let mut open = self.take_open().await?;
            let reply = open.exchange(request).await;
            match &reply {
                Ok(_) => self.open = Some(open),
                Err(_) => self.turn += 1,
            }
            reply
        };
        timeout(patience, exchange)
            .await
            .unwrap_or(Err(Broken::Timeout))
    }

    /// The open connection, unless the peer has closed it while nothing was under way; else a
    /// new one. As any pooling client does, this is no retry: nothing has been sent.
    async fn take_open(&mut self) -> Result<Open, Broken> {
        if let Some(mut open) = self.open.take()
            && open.is_good().await
        {
            return Ok(open);
        }
        let address = self.peers.addresses[self.turn % self.peers.addresses.len()];
        let open = Open::connect(address).await;
        if open.is_err() {
            self.turn += 1;
        }
        open.map_err(|_| Broken::Refused)
    }
}

impl Open {
    async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = Some(Box::pin(driver));
        let mut open = Self { sender, driver };
        ensure!(open.is_good().await, "closed at once");
        Ok(open)
    }

    async fn is_good(&mut self) -> bool {
        drive(&mut self.driver, self.sender.ready()).await.is_ok()
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Broken> {
        let answer = self.sender.send_request(request);
        let reply = async {
            let (head, body) = answer.await?.into_parts();
            let body = body.collect().await?.to_bytes();
            let seconds = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|v| v.to_str().ok()?.parse().ok());
            Ok(Reply {
                status: head.status,
                retry_after: seconds.map(Duration::from_secs),
                body,
            })
        };
        let reply: Result<_, hyper::Error> = drive(&mut self.driver, reply).await;
        reply.map_err(|_| Broken::Closed)
    }
}

/// Runs `work` while doing the connection's reading and writing in the same task: no second
/// task, no wake-ups between the two.
async fn drive<T>(driver: &mut Option<Driver>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // Twice: what the work hands over is written in the same turn.
        for _ in 0..2 {
            // Dropping it tells the work that nothing more will come.
            driver.take_if(|driver| driver.as_mut().poll(cx).is_ready());
            if let Poll::Ready(out) = work.as_mut().poll(cx) {
                return Poll::Ready(out);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    const PATIENCE: Duration = Duration::from_millis(200);

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        (listener, url)
    }

    async fn call(connection: &mut Connection) -> Result<u16, Broken> {
        let request = Request::get("/").header("host", connection.host());
        let request = request.body(Full::default()).expect("valid");
        connection
            .send(request)
            .await
            .map(|reply| reply.status.as_u16())
    }

    /// Reads one request, writes `answer` and closes.
    fn answer_once(listener: Arc<TcpListener>, answer: &'static str) -> JoinHandle<()> {
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let read = stream.read(&mut [0; 1024]).await;
            assert!(read.expect("a request") > 0, "a request");
            stream.write_all(answer.as_bytes()).await.expect("written");
        })
    }

    /// A listener, and a connection to it that is not open yet.
    async fn connection() -> (Arc<TcpListener>, Connection) {
        let (listener, url) = listen().await;
        let urls = [url];
        // The look-up tries the address.
        let (peers, _) = tokio::join!(Peers::resolve(&urls), listener.accept());
        let connection = Connection::new(peers.expect("resolved"), 0, PATIENCE);
        (Arc::new(listener), connection)
    }

    #[tokio::test]
    async fn a_connection_closed_while_idle_is_replaced_without_a_failure() {
        let (listener, mut connection) = connection().await;
        for _ in 0..3 {
            let served = answer_once(
                listener.clone(),
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            );
            assert_eq!(call(&mut connection).await, Ok(200));
            served.await.expect("served");
            // Lets the runtime see that the connection is closed.
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_answer_cut_short_or_missing_is_told() {
        let (listener, mut connection) = connection().await;
        for cut in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        ] {
            let served = answer_once(listener.clone(), cut);
            assert_eq!(call(&mut connection).await, Err(Broken::Closed), "{cut:?}");
            served.await.expect("served");
        }
        // Nobody accepts any more; the kernel's backlog does.
        assert_eq!(call(&mut connection).await, Err(Broken::Timeout));
    }

    #[tokio::test]
    async fn after_a_refusal_the_next_peer_is_called() {
        let (gone, gone_url) = listen().await;
        drop(gone);
        let (listener, url) = listen().await;
        let listener = Arc::new(listener);
        let urls = [gone_url, url];
        let (peers, _) = tokio::join!(Peers::resolve(&urls), listener.accept());
        let mut connection = Connection::new(peers.expect("resolved"), 0, PATIENCE);
        assert_eq!(call(&mut connection).await, Err(Broken::Refused));
        let served = answer_once(listener, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(call(&mut connection).await, Ok(204));
        served.await.expect("served");
    }

    #[tokio::test]
    async fn only_plain_http_is_spoken() {
        for url in ["https://localhost", "localhost:8080", "http://", "/x"] {
            assert!(Peers::resolve(&[url]).await.is_err(), "{url}");
        }
    }
}

//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! hyper leaves it open who polls a connection. Here the calling future does, beside the call, and
//! there is no task per connection: a dropped call closes its connection with it, and the first
//! poll of a reused connection sees that the server closed it before it writes. That costs no more
//! CPU than a task, and less than hyper-util's pooled client (`examples/cost.rs`).
use crate::room::Room;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{net::TcpStream, time};

/// An established connection.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Gone once the connection has ended.
    driver: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection could be opened.
    Connect(io::Error),
    /// The connection ended before any of the request was written.
    Unsent,
    /// The connection broke after that. `stale`: it had served before and no byte of the answer had
    /// come, so the server may just have closed it as idle.
    Broken { error: hyper::Error, stale: bool },
    /// The time for this try was over.
    TimedOut,
    /// The body is larger than allowed.
    TooLarge,
    /// There is no memory for it now.
    Full,
}

impl Failure {
    /// One word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Unsent => "unsent",
            Self::Broken { .. } => "broken",
            Self::TimedOut => "timeout",
            Self::TooLarge => "too_large",
            Self::Full => "no_room",
        }
    }
}

/// What [`Connection::exchange`] failed with.
pub(crate) enum Interrupted {
    /// Not a byte was written; here is the request again.
    Unsent(Box<Request<Full<Bytes>>>),
    BeforeAnswer(hyper::Error),
    InAnswer(hyper::Error),
    TooLarge,
    Full,
}

impl Connection {
    /// Connects within `timeout`. Boxed, because it moves in and out of a pool and is large.
    pub(crate) async fn open(address: SocketAddr, timeout: Duration) -> Result<Box<Self>, Failure> {
        let stream = match time::timeout(timeout, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(Failure::Connect)?,
            Err(_) => return Err(Failure::Connect(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|_| Failure::Unsent)?;
        let driver = Some(driver);
        Ok(Box::new(Self { sender, driver }))
    }

    /// Sends a request and reads the whole answer, for which there must be room. Dropping the future
    /// leaves the connection unusable, which [`Connection::is_reusable`] tells.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        room: &Room,
    ) -> Result<Response<Bytes>, Interrupted> {
        // Queues the request right away, so that the first poll of the driver writes it.
        let answer = self.sender.try_send_request(request);
        let whole = async {
            let (head, body) = match answer.await {
                Ok(response) => response.into_parts(),
                Err(mut e) => {
                    return Err(match e.take_message() {
                        Some(request) => Interrupted::Unsent(Box::new(request)),
                        None => Interrupted::BeforeAnswer(e.into_error()),
                    });
                }
            };
            let body = collect(body, room).await?;
            Ok(Response::from_parts(head, body))
        };
        drive(&mut self.driver, whole).await
    }

    /// Has the last exchange ended cleanly, and may the connection serve another?
    pub(crate) fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            // The driver may not have looked up since the last byte of the answer.
            poll_driver(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        }
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Polls `work` and the connection that it waits for, in one task.
async fn drive<F: Future>(
    driver: &mut Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    work: F,
) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        poll_driver(driver, cx);
        work.as_mut().poll(cx)
    })
    .await
}

fn poll_driver(
    driver: &mut Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    cx: &mut Context<'_>,
) {
    if let Some(connection) = driver
        && let Poll::Ready(_) = Pin::new(connection).poll(cx)
    {
        // Its errors reach the one who waits for the answer. Dropping it hands an unwritten
        // request back.
        *driver = None;
    }
}

async fn collect(mut body: Incoming, room: &Room) -> Result<Bytes, Interrupted> {
    let place = room.take(&body.size_hint()).await?;
    let too_large = |bytes: usize| bytes > place.size;
    let Some(first) = next_chunk(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if too_large(first.len()) {
        return Err(Interrupted::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(place.fill(first));
    }
    // At once as large as it will be, where that is known.
    let rest = usize::try_from(body.size_hint().lower()).unwrap_or(0);
    let mut whole = BytesMut::with_capacity((first.len() + rest).min(place.size));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(chunk) = next_chunk(&mut body).await? {
        if too_large(whole.len() + chunk.len()) {
            return Err(Interrupted::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(place.fill(whole.freeze()))
}

/// The next bytes of a body; trailers are skipped.
async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Interrupted> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Interrupted::InAnswer)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

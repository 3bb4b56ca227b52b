//! What a call costs this process in CPU, and what the alternatives would.
//!
//! `cargo run --release -p client --example cost [calls [in-flight]]` prints microseconds of CPU per call of the
//! calling thread alone (the server has a thread of its own), best of several rounds: this crate,
//! hyper's connection with a task of its own, and hyper-util's pooled client.
use bytes::Bytes;
use client::{Call, Metrics, Replay, Settings, Upstream};
use http::{Method, Request, Response, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{client::conn, server, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use std::{
    cell::RefCell,
    convert::Infallible,
    fs,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::mpsc,
    thread,
};
use tokio::{net::TcpListener, net::TcpStream, runtime, task::LocalSet};

const ROUNDS: usize = 7;
const ANSWER: &[u8] = br#"{"id":"0190a6e0-0000-7000-8000-000000000000","status":"confirmed"}"#;
const BODY: &[u8] = br#"{"product_id":"PROD-001","quantity":2,"email":"a@example.com"}"#;

fn main() {
    let number = |n: usize, default| {
        let given = std::env::args().nth(n);
        given.map_or(default, |n| n.parse().expect("a number"))
    };
    let (calls, in_flight) = (number(1, 50_000), number(2, 16));
    let address = serve();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("CPU of the caller per call, {in_flight} in flight, best of {ROUNDS} x {calls}");
    let ways: [(&str, Round); 4] = [
        ("client::Upstream", upstream),
        ("hyper, polled by the caller", inline),
        ("hyper, task per connection", spawned),
        ("hyper-util legacy::Client", legacy),
    ];
    // In turns, so that what else the machine does hits all alike.
    let mut best = ways.map(|_| f64::INFINITY);
    for _ in 0..ROUNDS {
        for ((_, round), best) in ways.iter().zip(&mut best) {
            let before = cpu_seconds();
            LocalSet::new().block_on(&runtime, round(address, (calls, in_flight)));
            *best = best.min(cpu_seconds() - before);
        }
    }
    for ((name, _), seconds) in ways.iter().zip(best) {
        println!("{name:30} {:6.1} us", seconds * 1e6 / calls as f64);
    }
}

/// Number of calls, and how many at a time.
type Size = (usize, usize);
type Round = fn(SocketAddr, Size) -> Pin<Box<dyn Future<Output = ()>>>;

/// CPU time of this thread: the first field of its schedstat, in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstats");
    let nanoseconds: u64 = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    nanoseconds as f64 / 1e9
}

/// A server in a thread of its own.
fn serve() -> SocketAddr {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send.send(listener.local_addr().expect("an address"))
                .expect("main waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a TCP socket");
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<hyper::body::Incoming>| async {
                        let _ = request.into_body().collect().await;
                        let body = Full::new(Bytes::from_static(ANSWER));
                        Ok::<_, Infallible>(Response::new(body))
                    });
                    let io = TokioIo::new(stream);
                    let _ = server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
    });
    receive.recv().expect("the server starts")
}

/// Makes the calls from as many tasks as are to be in flight.
async fn spread<F: Future<Output = ()> + 'static>(
    (calls, in_flight): Size,
    call: impl Fn() -> F + 'static,
) {
    let call = Rc::new(call);
    let tasks = (0..in_flight).map(|_| {
        let call = call.clone();
        tokio::task::spawn_local(async move {
            for _ in 0..calls / in_flight {
                call().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
}

fn upstream(address: SocketAddr, size: Size) -> Pin<Box<dyn Future<Output = ()>>> {
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let urls = format!("http://{address}").parse().expect("a URL");
    let upstream = Upstream::new("cost", &urls, Settings::default(), &metrics);
    let call = move || {
        let upstream = upstream.clone();
        async move {
            let mut call = Call::to(Method::POST, "/orders")
                .expect("a path")
                .replay(Replay::Safe);
            call.body = Bytes::from_static(BODY);
            let response = upstream.send(call).await.expect("an answer");
            assert_eq!(response.body(), ANSWER);
        }
    };
    Box::pin(telemetry::Context::root().scope(spread(size, call)))
}

fn request(uri: &str, address: SocketAddr) -> Request<Full<Bytes>> {
    let request = Request::post(uri).header(HOST, address.to_string());
    let request = request.header("x-request-id", "0190a6e0-0000-7000-8000-000000000000");
    request
        .body(Full::new(Bytes::from_static(BODY)))
        .expect("a valid request")
}

/// A stack of connections, each polled by its own task.
fn spawned(address: SocketAddr, size: Size) -> Pin<Box<dyn Future<Output = ()>>> {
    let idle = Rc::new(RefCell::new(
        Vec::<conn::http1::SendRequest<Full<Bytes>>>::new(),
    ));
    let call = move || {
        let idle = idle.clone();
        async move {
            let free = idle.borrow_mut().pop();
            let mut sender = match free {
                Some(sender) => sender,
                None => {
                    let stream = TcpStream::connect(address).await.expect("a connection");
                    stream.set_nodelay(true).expect("a TCP socket");
                    let pair = conn::http1::handshake(TokioIo::new(stream)).await;
                    let (sender, connection) = pair.expect("a handshake");
                    tokio::spawn(connection);
                    sender
                }
            };
            sender.ready().await.expect("a ready connection");
            let response = sender.send_request(request("/orders", address)).await;
            let body = response.expect("an answer").into_body().collect().await;
            assert_eq!(body.expect("a body").to_bytes(), ANSWER);
            idle.borrow_mut().push(sender);
        }
    };
    Box::pin(spread(size, call))
}

type Io = TokioIo<TcpStream>;
type Pair = (
    conn::http1::SendRequest<Full<Bytes>>,
    conn::http1::Connection<Io, Full<Bytes>>,
);

/// The same stack, but each connection is polled beside its call.
fn inline(address: SocketAddr, size: Size) -> Pin<Box<dyn Future<Output = ()>>> {
    let idle = Rc::new(RefCell::new(Vec::<Pair>::new()));
    let call = move || {
        let idle = idle.clone();
        async move {
            let free = idle.borrow_mut().pop();
            let (mut sender, mut connection) = match free {
                Some(pair) => pair,
                None => {
                    let stream = TcpStream::connect(address).await.expect("a connection");
                    stream.set_nodelay(true).expect("a TCP socket");
                    let pair = conn::http1::handshake(TokioIo::new(stream)).await;
                    pair.expect("a handshake")
                }
            };
            let response = sender.try_send_request(request("/orders", address));
            let mut whole = pin!(async {
                let response = response.await.expect("an answer");
                response
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes()
            });
            let body = poll_fn(|cx| {
                assert!(Pin::new(&mut connection).poll(cx).is_pending());
                whole.as_mut().poll(cx)
            });
            assert_eq!(body.await, ANSWER);
            idle.borrow_mut().push((sender, connection));
        }
    };
    Box::pin(spread(size, call))
}

fn legacy(address: SocketAddr, size: Size) -> Pin<Box<dyn Future<Output = ()>>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let uri = format!("http://{address}/orders");
    let call = move || {
        let (client, request) = (client.clone(), request(&uri, address));
        async move {
            let response = client.request(request).await.expect("an answer");
            let body = response.into_body().collect().await.expect("a body");
            assert_eq!(body.to_bytes(), ANSWER);
        }
    };
    Box::pin(spread(size, call))
}

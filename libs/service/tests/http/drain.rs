//! The order of stopping: say so, serve on, finish, then go.
use crate::support::{
    Connection, Running, background, config, eventually, get_path, start, start_with,
};
use service::Config;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

async fn ended(mut running: Running) -> anyhow::Result<()> {
    let task = std::mem::replace(&mut running.task, tokio::spawn(async { Ok(()) }));
    timeout(Duration::from_secs(20), task)
        .await
        .expect("it stops in time")
        .expect("it doesn't panic")
}

#[tokio::test]
async fn a_drain_serves_on_and_then_finishes_what_is_in_flight() {
    let running = start(Config {
        drain_time: Duration::from_secs(1),
        header_timeout: Duration::from_secs(60),
        ..config()
    })
    .await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    let mut waiting = Connection::open(running.api).await;
    waiting.send(get("/gate")).await;
    let mut kept = Connection::open(running.api).await;
    kept.send(get("/")).await;
    assert!(!kept.reply().await.expect("an answer").closes());
    let mut idle = Connection::open(running.api).await;
    idle.send(get("/")).await;
    idle.reply().await.expect("an answer");

    running.shutdown.cancel();
    eventually("not ready any more", async || {
        get_path(running.ops, "/readyz").await.status == 503
    })
    .await;
    let ready = get_path(running.ops, "/readyz").await;
    assert_eq!(ready.json()["status"], "draining");
    assert_eq!(
        get_path(running.ops, "/livez").await.status,
        200,
        "draining is not dead"
    );
    let new = get_path(running.api, "/").await;
    assert!(
        new.status == 200 && new.closes(),
        "a new client is served and sent away: {new:?}"
    );
    kept.send(get("/")).await;
    let last = kept.reply().await.expect("an answer");
    assert!(last.status == 200 && last.closes(), "{last:?}");
    kept.closed().await;

    eventually("nobody is let in after the drain", async || {
        TcpStream::connect(running.api).await.is_err()
    })
    .await;
    idle.closed().await;
    assert!(!running.task.is_finished(), "a request is in flight");
    running.gate.notify_one();
    assert_eq!(waiting.reply().await.expect("an answer").text, "opened");
    ended(running).await.expect("a clean stop");
}

/// Who got a connection gets an answer, even if it asks when nobody is let in any more.
#[tokio::test]
async fn a_connection_without_a_request_is_heard_before_it_is_closed() {
    let running = start(Config {
        drain_time: Duration::ZERO,
        ..config()
    })
    .await;
    let mut late = Connection::open(running.api).await;
    // Answered, so the one before has been accepted, too.
    get_path(running.api, "/").await;
    let mut silent = Connection::open(running.api).await;
    running.shutdown.cancel();
    eventually("nobody is let in any more", async || {
        TcpStream::connect(running.api).await.is_err()
    })
    .await;
    late.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    let answer = late.reply().await.expect("an answer");
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    silent.closed().await;
    ended(running).await.expect("a clean stop");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_and_the_stop_is_not_clean() {
    let running = start(Config {
        stop_timeout: Duration::from_millis(300),
        ..config()
    })
    .await;
    let mut waiting = Connection::open(running.api).await;
    waiting
        .send("GET /gate HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await;
    eventually("the request is in flight", async || {
        get_path(running.ops, "/metrics")
            .await
            .text
            .contains("http_requests_in_flight 1")
    })
    .await;
    running.shutdown.cancel();
    let error = ended(running).await.expect_err("somebody was cut off");
    assert!(error.to_string().contains("in flight"), "{error}");
}

#[tokio::test]
async fn the_background_ends_after_the_last_request() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let running = start_with(config(), |server| {
        server.background(background(move |stop| async move {
            stop.cancelled().await;
            seen.lock()
                .expect("not poisoned")
                .push("background stopped");
            Ok(())
        }))
    })
    .await;
    let mut waiting = Connection::open(running.api).await;
    waiting
        .send("GET /gate HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await;
    eventually("the request is in flight", async || {
        get_path(running.ops, "/metrics")
            .await
            .text
            .contains("http_requests_in_flight 1")
    })
    .await;
    running.shutdown.cancel();
    eventually("nobody is let in after the drain", async || {
        TcpStream::connect(running.api).await.is_err()
    })
    .await;
    events
        .lock()
        .expect("not poisoned")
        .push("last request answered");
    running.gate.notify_one();
    assert_eq!(waiting.reply().await.expect("an answer").text, "opened");
    ended(running).await.expect("a clean stop");
    assert_eq!(
        *events.lock().expect("not poisoned"),
        ["last request answered", "background stopped"]
    );
}

#[tokio::test]
async fn a_process_without_its_background_gives_up() {
    for (end, text) in [
        (Ok(()), "tide ended unexpectedly"),
        (Err(anyhow::anyhow!("no moon")), "tide failed: no moon"),
    ] {
        let (go, signal) = tokio::sync::oneshot::channel::<()>();
        let task = async move {
            signal.await?;
            end
        };
        let running = start_with(config(), |server| server.background(background(|_| task))).await;
        go.send(()).expect("the task waits");
        let error = ended(running).await.expect_err("half a service is none");
        assert_eq!(format!("{error:#}"), text);
    }
}

#[tokio::test]
async fn an_address_in_use_stops_the_start() {
    let taken = start(config()).await;
    let config = Config {
        ops_listen: taken.ops,
        ..config()
    };
    let api = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let server = service::Server::new(api, config, telemetry::registry());
    let error = server
        .serve(axum::Router::new(), service::Shutdown::new())
        .await
        .expect_err("taken");
    assert!(
        error.to_string().contains(&taken.ops.to_string()),
        "{error}"
    );
}

//! Clients that take their time: each kind is cut off, and costs the others nothing.
use crate::support::{BIG, Connection, assert_serves, config, start};
use service::Config;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(1);

/// Only headers, and idling, are limited.
fn short_headers() -> Config {
    Config {
        header_timeout: SHORT,
        body_timeout: Duration::from_secs(3600),
        ..config()
    }
}

/// Only bodies and answers are limited.
fn short_bodies() -> Config {
    Config {
        header_timeout: Duration::from_secs(3600),
        body_timeout: SHORT,
        ..config()
    }
}

#[test]
fn production_waits_10_s_for_headers_and_30_s_for_bodies() {
    let defaults = Config::defaults();
    assert_eq!(defaults.header_timeout, Duration::from_secs(10));
    assert_eq!(defaults.body_timeout, Duration::from_secs(30));
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let running = start(short_headers()).await;
    let mut silent = Connection::open(running.api).await;
    let mut half = Connection::open(running.api).await;
    half.send("GET / HTTP/1.1\r\nHost: sh").await;
    assert_serves(&running).await;
    assert_eq!((silent.closed().await, half.closed().await), (0, 0));
}

/// A byte now and then doesn't buy more time: the limit is for all headers together.
#[tokio::test]
async fn dripping_headers_end_the_connection() {
    let running = start(short_headers()).await;
    let mut connection = Connection::open(running.api).await;
    connection
        .send("GET / HTTP/1.1\r\nHost: shop\r\nX-Drip: ")
        .await;
    while connection.is_silent_for(Duration::from_millis(50)).await {
        connection.send("x").await;
    }
    assert_eq!(connection.closed().await, 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let running = start(short_headers()).await;
    let mut connection = Connection::open(running.api).await;
    connection
        .send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await;
    assert_eq!(connection.reply().await.expect("an answer").text, "hello");
    assert_eq!(connection.closed().await, 0);
}

#[tokio::test]
async fn a_slow_body_gets_408_and_the_connection_ends() {
    let running = start(short_bodies()).await;
    let mut connection = Connection::open(running.api).await;
    connection
        .send("POST /length HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nabc")
        .await;
    let reply = connection.reply().await.expect("an answer");
    reply.expect_problem(408, "slow_body");
    assert!(reply.closes(), "{reply:?}");
    assert_eq!(connection.closed().await, 0);
}

#[tokio::test]
async fn a_dripping_body_gets_408() {
    let running = start(short_bodies()).await;
    let mut connection = Connection::open(running.api).await;
    connection
        .send("POST /length HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000\r\n\r\n")
        .await;
    for _ in 0..1000 {
        connection.send("x").await;
        if !connection.is_silent_for(Duration::from_millis(50)).await {
            break;
        }
    }
    connection
        .reply()
        .await
        .expect("an answer")
        .expect_problem(408, "slow_body");
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_handled() {
    let running = start(config()).await;
    let mut connection = Connection::open(running.api).await;
    connection
        .send("POST /length HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nabc")
        .await;
    drop(connection);
    assert_serves(&running).await;
}

/// With one connection allowed, the next client is served only once the slow one is gone.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let one = Config {
        max_connections: 1,
        ..short_bodies()
    };
    let running = start(one).await;
    let mut slow = Connection::open(running.api).await;
    slow.send("GET /big HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    let mut next = Connection::open(running.api).await;
    next.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    assert_eq!(next.reply().await.expect("an answer").text, "hello");
    assert!(slow.closed().await < BIG, "the whole answer was sent");
}

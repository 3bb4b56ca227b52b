//! How much a request may be: headers, target, body, connections.
use crate::support::{Connection, assert_serves, config, get_path, raw, request, start};
use service::Config;
use std::time::Duration;

#[tokio::test]
async fn too_many_or_too_long_headers_get_431() {
    let running = start(config()).await;
    let many = "X-One: 1\r\n".repeat(101);
    assert_eq!(request(running.api, "GET", "/", &many).await.status, 431);
    let long = format!("X-Long: {}\r\n", "x".repeat(70 << 10));
    assert_eq!(request(running.api, "GET", "/", &long).await.status, 431);
    let fine = "X-One: 1\r\n".repeat(90) + &format!("X-Long: {}\r\n", "x".repeat(30 << 10));
    assert_eq!(request(running.api, "GET", "/", &fine).await.status, 200);
}

#[tokio::test]
async fn a_target_over_8_kib_gets_414() {
    let running = start(config()).await;
    let long = format!("/items/{}", "x".repeat(8 << 10));
    get_path(running.api, &long)
        .await
        .expect_problem(414, "uri_too_long");
    let query = format!("/?{}", "x".repeat(9 << 10));
    get_path(running.api, &query)
        .await
        .expect_problem(414, "uri_too_long");
    let fine = format!("/items/{}", "x".repeat(8 * 1024 - 7));
    assert_eq!(get_path(running.api, &fine).await.status, 200);
}

/// The answer comes before the body: nothing is read that is not going to be used.
#[tokio::test]
async fn a_body_said_to_be_too_large_is_not_waited_for() {
    let running = start(config()).await;
    let length = config().max_body_bytes + 1;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let head = format!(
            "POST /length HTTP/1.1\r\nHost: shop\r\n{expect}Content-Length: {length}\r\n\r\n"
        );
        let mut connection = Connection::open(running.api).await;
        connection.send(head).await;
        let reply = connection.reply().await.expect("an answer");
        reply.expect_problem(413, "body_too_large");
        assert!(reply.closes(), "{reply:?}");
        connection.closed().await;
    }
    assert_serves(&running).await;
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_off_at_the_limit() {
    let running = start(config()).await;
    let chunk = format!("{:x}\r\n{}\r\n", 1024, "x".repeat(1024));
    let head = "POST /length HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut connection = Connection::open(running.api).await;
    connection.send(head).await;
    // One chunk more than allowed, and the body isn't over.
    for _ in 0..=config().max_body_bytes / 1024 {
        connection.send(&chunk).await;
    }
    let reply = connection.reply().await.expect("an answer");
    reply.expect_problem(413, "body_too_large");
    assert!(reply.closes(), "{reply:?}");
    connection.closed().await;
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_taken() {
    let running = start(config()).await;
    let limit = config().max_body_bytes;
    let head = format!("POST /length HTTP/1.1\r\nHost: shop\r\nContent-Length: {limit}\r\n\r\n");
    let reply = raw(running.api, head + &"x".repeat(limit))
        .await
        .expect("an answer");
    assert_eq!((reply.status, reply.text), (200, limit.to_string()));
}

#[tokio::test]
async fn encoded_bodies_get_415() {
    let running = start(config()).await;
    for encoding in ["gzip", "br", "identity, gzip"] {
        let headers = format!("Content-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\nxx");
        let text = format!("POST /length HTTP/1.1\r\nHost: shop\r\n{headers}");
        let reply = raw(running.api, text).await.expect("an answer");
        reply.expect_problem(415, "encoded_body");
    }
}

#[tokio::test]
async fn connections_over_the_cap_wait_for_a_free_place() {
    let running = start(Config {
        max_connections: 2,
        ..config()
    })
    .await;
    // Held by requests, so that no timeout frees them.
    let (mut first, mut second) = (
        Connection::open(running.api).await,
        Connection::open(running.api).await,
    );
    for connection in [&mut first, &mut second] {
        connection
            .send("GET /gate HTTP/1.1\r\nHost: shop\r\n\r\n")
            .await;
    }
    let mut third = Connection::open(running.api).await;
    third.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    assert!(
        third.is_silent_for(Duration::from_millis(300)).await,
        "a third one was let in"
    );
    drop(first);
    assert_eq!(third.reply().await.expect("an answer").text, "hello");
}

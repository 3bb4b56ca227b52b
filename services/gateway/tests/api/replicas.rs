//! Replicas that are away.
use crate::support::{Gateway, NOWHERE, Stub};
use axum::Router;
use serde_json::json;
use std::{
    io::Read as _,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_dead_replica_costs_nothing() {
    let alive = Stub::start("order", Router::new()).await;
    let both = format!("{NOWHERE},{}", alive.url);
    let gateway = Gateway::new(&[("order", &both)], &[]);
    for _ in 0..50 {
        gateway.get("/api/orders").await.expect(200);
        gateway
            .call("POST", "/api/orders", json!({}))
            .await
            .expect(200);
    }
    assert_eq!(alive.seen().len(), 100, "a request was repeated or lost");
}

/// A replica that is killed with the request in its hands.
#[tokio::test]
async fn a_broken_connection_is_repeated_elsewhere_under_the_same_key() {
    let dying = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = dying.local_addr().expect("an address");
    let first = std::thread::spawn(move || {
        let (mut stream, _) = dying.accept().expect("a connection");
        let mut text = String::new();
        while !text.ends_with("{}") {
            let mut bytes = [0; 1000];
            let n = stream.read(&mut bytes).expect("a request");
            text += std::str::from_utf8(&bytes[..n]).expect("ASCII");
        }
        text
    });
    let alive = Stub::start("order", Router::new()).await;
    let both = format!("http://{place},{}", alive.url);
    let gateway = Gateway::new(&[("order", &both)], &[]);
    let started = Instant::now();
    while !first.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(10), "never chosen");
        alive.seen().clear();
        gateway
            .call("POST", "/api/orders", json!({}))
            .await
            .expect(200);
    }
    let first = first.join().expect("it ended");
    let seen = alive.seen();
    let key = seen[0].headers["idempotency-key"].to_str().expect("ASCII");
    assert!(first.contains(key), "{first}\nwas repeated as {key}");
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_service_that_is_away_is_a_fast_503_and_the_others_work() {
    let alive = Stub::start("inventory", Router::new()).await;
    let gateway = Gateway::new(&[("inventory", &alive.url)], &[]);
    for (method, path, name) in [
        ("GET", "/api/orders", "order"),
        ("POST", "/api/orders", "order"),
        ("GET", "/api/notifications", "notification"),
        ("POST", "/api/job", "worker"),
    ] {
        for _ in 0..10 {
            let started = Instant::now();
            let answer = gateway.call(method, path, json!({})).await;
            assert!(started.elapsed() < Duration::from_secs(1));
            answer.expect_problem(503, "unavailable");
            assert!(answer.headers.contains_key("retry-after"));
            assert_eq!(
                answer.body["detail"],
                format!("{name} is not available right now")
            );
            assert!(!answer.body.to_string().contains("127.0.0.1"));
        }
    }
    gateway.get("/api/products").await.expect(200);
}

#[tokio::test]
async fn a_service_that_comes_back_is_found() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let place = free.local_addr().expect("an address");
    drop(free);
    let gateway = Gateway::new(&[("order", &format!("http://{place}"))], &[]);
    for _ in 0..5 {
        gateway
            .get("/api/orders")
            .await
            .expect_problem(503, "unavailable");
    }
    let listener = TcpListener::bind(place).await.expect("still free");
    let server = tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(async || "back")).await
    });
    let started = Instant::now();
    while gateway.get("/api/orders").await.status != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "not found again"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.abort();
}

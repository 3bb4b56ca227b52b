//! Pictures on their way through: large bodies in, validators and ranges both ways.
use crate::support::{ID, Shop};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
    response::IntoResponse as _,
    routing::{get, post},
};
use contracts::image::MAX_FORM_BYTES;
use serde_json::Value;
use service::testing::{Answer, send};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::yield_now};
use tower::ServiceExt as _;

async fn upload(shop: &Shop, path: &str, bytes: usize) -> Answer {
    let request = Request::post(path)
        .header("host", "test")
        .header("content-type", "multipart/form-data; boundary=x");
    let request = request.body(Body::from(vec![7; bytes]));
    send(&shop.gateway.router, request.expect("a request")).await
}

#[tokio::test]
async fn only_pictures_may_be_large() {
    let shop = Shop::start().await;
    upload(&shop, "/api/images", MAX_FORM_BYTES)
        .await
        .expect(200);
    {
        let seen = shop.service("image").seen().pop().expect("it was asked");
        assert_eq!(seen.body, vec![7; MAX_FORM_BYTES]);
        assert_eq!(
            seen.headers["content-type"],
            "multipart/form-data; boundary=x"
        );
        shop.service("image").seen().clear();
    }
    for (path, bytes) in [
        ("/api/images", MAX_FORM_BYTES + 1),
        ("/api/orders", (1 << 20) + 1),
        ("/api/job", MAX_FORM_BYTES),
    ] {
        let answer = upload(&shop, path, bytes).await;
        answer.expect_problem(413, "body_too_large");
    }
    shop.expect_nothing_passed_on();
}

#[tokio::test]
async fn validators_and_ranges_go_both_ways() {
    let picture = async |asked: HeaderMap| {
        let headers = [
            ("etag", "\"x\""),
            ("content-range", "bytes 0-3/9"),
            ("content-type", "image/jpeg"),
        ];
        if asked.contains_key("if-none-match") {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (
            StatusCode::PARTIAL_CONTENT,
            headers,
            &b"\xff\xd8\xff\xe0"[..],
        )
            .into_response()
    };
    let routes = move |_: &str| Router::new().route("/images/{id}", get(picture));
    let shop = Shop::with(routes, &[]).await;
    let path = format!("/api/images/{ID}");
    let asked = [("range", "bytes=0-3"), ("if-range", "\"x\"")];
    let part = shop.gateway.call_with("GET", &path, &asked).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.headers["content-range"], "bytes 0-3/9");
    assert_eq!(part.headers["etag"], "\"x\"");
    assert_eq!(part.headers["content-length"], "4");
    let seen = shop.service("image").seen().pop().expect("it was asked");
    assert_eq!(
        (&seen.headers["range"], &seen.headers["if-range"]),
        (&"bytes=0-3".parse().unwrap(), &"\"x\"".parse().unwrap())
    );
    let asked = [("if-none-match", "\"x\"")];
    let same = shop.gateway.call_with("GET", &path, &asked).await;
    assert_eq!(same.status, 304);
    assert_eq!(same.headers["etag"], "\"x\"");
    let head = shop.gateway.call("HEAD", &path, Value::Null).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-length"]),
        (206, &"4".parse().unwrap())
    );
}

/// Or clients who don't read would fill the memory.
#[tokio::test]
async fn large_pictures_that_nobody_reads_are_few() {
    let picture = async || vec![7; 3 << 20];
    let routes = |_: &str| Router::new().route("/images/{id}", get(picture));
    let settings = ["--call-answer-memory-bytes=8388608"];
    let shop = Shop::with(routes, &settings).await;
    let path = format!("/api/images/{ID}");
    let ask = async || {
        let request = Request::get(&path).header("host", "test");
        let request = request.body(Body::empty()).expect("a request");
        let router = shop.gateway.router.clone();
        router.oneshot(request).await.expect("routers never fail")
    };
    let unread = [ask().await, ask().await];
    assert_eq!(unread.each_ref().map(|answer| answer.status()), [200, 200]);
    let refused = shop.gateway.get(&path).await;
    refused.expect_problem(503, "overloaded");
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(
        shop.gateway
            .metrics()
            .contains("http_requests_shed_total 1\n")
    );
    // Others are served as ever, and pictures when somebody has read.
    shop.gateway.get("/api/products").await.expect(200);
    drop(unread);
    let whole = to_bytes(ask().await.into_body(), usize::MAX).await;
    assert_eq!(whole.expect("read").len(), 3 << 20);
}

/// A picture may take longer than other answers, and its upload holds memory: few at a time.
#[tokio::test]
async fn uploads_beyond_the_limit_are_refused_and_slow_ones_waited_for() {
    let gate = Arc::new(Notify::new());
    let routes = |_: &str| {
        let gate = gate.clone();
        let wait = async move || {
            gate.notified().await;
            "done"
        };
        Router::new()
            .route("/images", post(wait))
            .route("/orders", get(std::future::pending::<()>))
    };
    // Other calls are given up after a moment.
    let settings = [
        "--max-uploads=1",
        "--call-try-timeout=10ms",
        "--call-deadline=30ms",
    ];
    let shop = Shop::with(routes, &settings).await;
    let first = upload(&shop, "/api/images", 10);
    let others = async {
        let started = Instant::now();
        while shop.service("image").seen().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10), "never asked");
            yield_now().await;
        }
        let second = upload(&shop, "/api/images", 10).await;
        second.expect_problem(503, "overloaded");
        assert_eq!(second.headers["retry-after"], "1");
        // So long, the upload is still waited for.
        let other = shop.gateway.get("/api/orders").await;
        other.expect_problem(504, "upstream_timeout");
        gate.notify_one();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.status, 200);
    assert_eq!(shop.service("image").seen().len(), 1);
}

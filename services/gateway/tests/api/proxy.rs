//! What goes in with a request, and what comes out with its answer.
use crate::support::{ID, Shop};
use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
    routing::{any, get},
};
use serde_json::{Value, json};
use service::testing::call_with;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().expect("ASCII")
}

#[tokio::test]
async fn posts_without_a_key_get_one() {
    let shop = Shop::start().await;
    for path in ["/api/orders", "/api/job"] {
        for _ in 0..5 {
            shop.gateway.call("POST", path, json!({})).await.expect(200);
        }
    }
    let keys: HashSet<_> = ["order", "worker"]
        .iter()
        .flat_map(|service| {
            let seen = shop.service(service).seen();
            seen.iter()
                .map(|s| text(&s.headers, "idempotency-key").to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(keys.len(), 10, "two requests share a key: {keys:?}");
    assert!(keys.iter().all(|k| k.len() == 36), "{keys:?}");

    shop.gateway.get("/api/products").await.expect(200);
    let path = "/api/products/PROD-001/stock";
    shop.gateway.call("PUT", path, json!({})).await.expect(200);
    let seen = shop.service("inventory").seen();
    assert!(
        seen.iter()
            .all(|s| !s.headers.contains_key("idempotency-key"))
    );
}

#[tokio::test]
async fn keys_of_clients_are_kept_as_they_are() {
    let shop = Shop::start().await;
    // Whether a key is valid is for the service to say.
    for keys in [&["mine"][..], &[""], &["a b"], &["one", "two"]] {
        let headers: Vec<_> = keys.iter().map(|k| ("idempotency-key", *k)).collect();
        shop.gateway
            .call_with("POST", "/api/orders", &headers)
            .await
            .expect(200);
        let seen = shop.service("order").seen().pop().expect("it was asked");
        let got: Vec<_> = seen.headers.get_all("idempotency-key").iter().collect();
        assert_eq!(got, keys);
    }
}

#[tokio::test]
async fn only_known_headers_go_in() {
    let shop = Shop::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = shop
        .gateway
        .call_with(
            "POST",
            "/api/orders",
            &[
                ("accept", "application/json"),
                ("traceparent", &parent),
                ("x-request-id", "given-by-the-client"),
                ("x-request-deadline-ms", "700"),
                ("x-user-id", "operator"),
                ("x-forwarded-for", "10.0.0.1"),
                ("forwarded", "for=10.0.0.1"),
                ("x-original-url", "/reservations"),
                ("x-http-method-override", "DELETE"),
                ("cookie", "session=1"),
                ("connection", "close, x-secret"),
                ("x-secret", "1"),
            ],
        )
        .await;
    assert_eq!(text(&answer.headers, "x-request-id"), "given-by-the-client");
    answer.expect(200);
    let seen = shop.service("order").seen().pop().expect("it was asked");
    let mut names: Vec<_> = seen.headers.keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "content-length",
            "content-type",
            "host",
            "idempotency-key",
            "traceparent",
            "x-request-deadline-ms",
            "x-request-id",
        ]
    );
    assert_eq!(text(&seen.headers, "x-request-id"), "given-by-the-client");
    let traceparent = text(&seen.headers, "traceparent");
    assert!(traceparent.contains(trace) && traceparent != parent);
    let deadline: u64 = text(&seen.headers, "x-request-deadline-ms")
        .parse()
        .expect("a number");
    assert!((1..=700).contains(&deadline), "{deadline}");
}

#[tokio::test]
async fn bodies_pass_unchanged() {
    let shop = Shop::start().await;
    for body in ["{\"a\" : 1e3,\n\"a\":2}", "not JSON", "", "\u{0}\u{feff}é"] {
        let router = &shop.gateway.router;
        call_with(router, "POST", "/api/orders", body, &[])
            .await
            .expect(200);
        let seen = shop.service("order").seen().pop().expect("it was asked");
        assert_eq!(seen.body, body.as_bytes());
    }
}

#[tokio::test]
async fn answers_come_back_with_status_and_headers() {
    let routes = |_: &str| {
        let stale = [("age", "7"), ("warning", "110 - \"Response is Stale\"")];
        let created = [("idempotent-replayed", "true"), ("location", "/orders/1")];
        Router::new()
            .route("/products", get((stale, "old")))
            .route("/orders", any((StatusCode::CREATED, created, "made")))
    };
    let shop = Shop::with(routes, &[]).await;
    let stale = shop.gateway.get("/api/products").await;
    assert_eq!(
        (text(&stale.headers, "age"), stale.status.as_u16()),
        ("7", 200)
    );
    assert!(text(&stale.headers, "warning").starts_with("110 "));
    let made = shop.gateway.call("POST", "/api/orders", json!({})).await;
    assert_eq!(text(&made.headers, "idempotent-replayed"), "true");
    made.expect(201);
}

#[tokio::test]
async fn problems_name_the_path_the_client_asked_for() {
    let problem = async || {
        let body = json!({"type": "sold_out", "title": "Sold out", "status": 409, "detail": "none left",
            "instance": "/orders", "request_id": "r", "errors": [{"pointer": "/quantity", "detail": "d"}]});
        let kind = [
            ("content-type", "application/problem+json"),
            ("retry-after", "9"),
        ];
        (StatusCode::CONFLICT, kind, body.to_string())
    };
    // Something in between that says problem and means something else.
    let broken = async || {
        let kind = [("content-type", "application/problem+json")];
        (StatusCode::BAD_GATEWAY, kind, "<html>").into_response()
    };
    let routes = |_: &str| {
        Router::new()
            .route("/orders", any(problem))
            .route("/stock", get(broken))
            .route(
                "/products",
                get(async || (StatusCode::BAD_REQUEST, "plain text")),
            )
    };
    let shop = Shop::with(routes, &["--call-max-retries=0"]).await;
    let answer = shop.gateway.call("POST", "/api/orders", json!({})).await;
    answer.expect_problem(409, "sold_out");
    assert_eq!(answer.body["instance"], "/api/orders");
    assert_eq!(answer.body["errors"][0]["pointer"], "/quantity");
    assert_eq!(text(&answer.headers, "retry-after"), "9");
    let length = answer.body.to_string().len().to_string();
    assert_eq!(text(&answer.headers, "content-length"), length);

    assert_eq!(shop.gateway.get("/api/stock").await.status, 502);
    let plain = shop.gateway.get("/api/products").await;
    plain.expect_problem(400, "bad_request");
    assert_eq!(plain.body["instance"], "/api/products");
}

#[tokio::test]
async fn silence_and_floods_have_an_end() {
    let routes = |_: &str| {
        Router::new()
            .route("/orders", any(std::future::pending::<()>))
            .route("/products", get(async || "x".repeat(2000)))
    };
    let limits = [
        "--call-try-timeout=100ms",
        "--call-deadline=300ms",
        "--call-max-response-bytes=1000",
    ];
    let shop = Shop::with(routes, &limits).await;
    for (method, path) in [("GET", "/api/orders"), ("POST", "/api/orders")] {
        let started = Instant::now();
        let answer = shop.gateway.call(method, path, Value::Null).await;
        assert!(started.elapsed() < Duration::from_secs(2));
        answer.expect_problem(504, "upstream_timeout");
        assert!(answer.headers.contains_key("retry-after"));
    }
    // A try that took too long is repeated under the same key.
    let keys: Vec<_> = {
        let seen = shop.service("order").seen();
        let posts = seen.iter().filter(|s| s.method == "POST");
        posts
            .map(|s| s.headers["idempotency-key"].clone())
            .collect()
    };
    assert!(
        keys.len() > 1 && keys.iter().all(|k| *k == keys[0]),
        "{keys:?}"
    );

    let flood = shop.gateway.get("/api/products").await;
    flood.expect_problem(502, "bad_gateway");
    let shown = flood.body.to_string();
    assert!(
        !shown.contains("127.0.0.1") && !shown.contains("xxx"),
        "{shown}"
    );
    shop.gateway
        .get(&format!("/api/jobs/{ID}"))
        .await
        .expect(200);
}

//! Which routes there are, and which there must not be.
use crate::support::{Gateway, INSIDE, PUBLIC, Shop, real};
use axum::{Router, http::StatusCode, routing::get};
use serde_json::{Value, json};
use service::testing::{Answer, call_with};

#[tokio::test]
async fn each_public_route_reaches_its_service() {
    let shop = Shop::start().await;
    for (method, path, service) in PUBLIC {
        let path = real(path);
        let answer = shop
            .gateway
            .call(method, &format!("{path}?limit=1&after=a%20b"), Value::Null)
            .await;
        assert_eq!(
            answer.expect(200),
            json!({"service": service}),
            "{method} {path}"
        );
        let inner = path.trim_start_matches("/api");
        let seen = shop.service(service).seen().pop().expect("it was asked");
        assert_eq!(
            (seen.method.as_str(), seen.path),
            (method, format!("{inner}?limit=1&after=a%20b"))
        );
        shop.expect_nothing_passed_on();
        shop.service(service).seen().clear();
    }
}

#[tokio::test]
async fn routes_of_the_inside_are_closed() {
    let shop = Shop::start().await;
    for (method, path, _) in INSIDE {
        let path = real(path);
        // Without the prefix they must not be there either.
        for path in [path.as_str(), path.trim_start_matches("/api")] {
            let answer = shop.gateway.call(method, path, json!({})).await;
            let code = match answer.status {
                StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
                _ => "not_found",
            };
            let status = if code == "not_found" { 404 } else { 405 };
            answer.expect_problem(status, code);
        }
    }
    shop.expect_nothing_passed_on();
}

#[tokio::test]
async fn no_other_method_is_passed_on() {
    let shop = Shop::start().await;
    for (_, path, _) in PUBLIC {
        let real = real(path);
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            if PUBLIC.iter().any(|(m, p, _)| (*m, *p) == (method, path)) {
                continue;
            }
            let answer = shop.gateway.call(method, &real, Value::Null).await;
            answer.expect_problem(405, "method_not_allowed");
            assert!(answer.headers.contains_key("allow"), "{method} {real}");
        }
    }
    shop.expect_nothing_passed_on();
}

#[tokio::test]
async fn odd_paths_lead_nowhere() {
    let shop = Shop::start().await;
    for path in [
        "/api",
        "/api/",
        "/api//orders",
        "/api/orders/",
        "/api/Orders",
        "/api/orders/..",
        "/api/orders/../reservations",
        "/api/orders/../cancel",
        "/api/orders/%2e%2e%2freservations",
        "/api/orders/%2E%2E%2Foutbox%2Facknowledge",
        "/api/orders/..%2freservations",
        "/api/orders/..%5creservations",
        "/api/orders/%252e%252e%252freservations",
        "/api/orders/%00",
        "/api/orders/a%0d%0aX-Evil:%20yes",
        "/api/products/../stock",
        "/api/products/%2e%2e/stock",
        "/api/jobs/%2e%2e/retry",
        "/api/jobs/dead%2fretry",
        "/%61pi/orders",
        "/orders",
        "/livez",
        "/metrics",
        "/faults",
    ] {
        for method in ["GET", "POST", "PUT"] {
            let answer = shop.gateway.call(method, path, Value::Null).await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 404 | 405), "{method} {path}: {answer:?}");
        }
    }
    shop.expect_nothing_passed_on();
}

#[track_caller]
fn expect_hardened(what: &str, answer: &Answer) {
    let header = |name: &str| {
        let value = answer.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or("missing")
    };
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src '"), "{what}: {policy}");
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(header(name), value, "{what}: {name}");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let panics = |_: &str| Router::new().route("/stock", get(async || StatusCode::IM_A_TEAPOT));
    let shop = Shop::with(panics, &["--max-body-bytes=1000"]).await;
    for (path, status) in [
        ("/", 200),
        ("/console/style.css", 200),
        ("/docs/", 200),
        ("/api/status", 200),
        ("/api/openapi.json", 200),
        ("/api/products", 200),
        ("/api/stock", 418),
        ("/api/nothing", 404),
        ("/api/orders/%2e%2e", 404),
        ("/api/job", 405),
    ] {
        let answer = shop.gateway.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        expect_hardened(path, &answer);
    }
    let away = Gateway::new(&[], &[]).get("/api/orders").await;
    expect_hardened("a service is away", &away);
    let large = "x".repeat(1001);
    let router = &shop.gateway.router;
    for (status, body, header) in [
        (413, large.as_str(), ("accept", "*/*")),
        (415, "{}", ("content-encoding", "gzip")),
        (501, "{}", ("transfer-encoding", "gzip, chunked")),
        (504, "{}", ("x-request-deadline-ms", "0")),
    ] {
        let answer = call_with(router, "POST", "/api/orders", body, &[header]).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        expect_hardened("a refused request", &answer);
    }
}

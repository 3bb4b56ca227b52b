//! `/api/status`.
use crate::support::{Gateway, NOWHERE, SERVICES, Stub};
use axum::{Router, http::StatusCode, routing::get};
use serde_json::{Value, json};
use service::Json;
use std::time::{Duration, Instant};

fn ready() -> Router {
    let queues = async || Json(json!({"jobs": {"waiting": 3}}));
    Router::new()
        .route("/ready", get("ready"))
        .route("/queues", get(queues))
}

fn not_ready() -> Router {
    Router::new().route("/ready", get(StatusCode::SERVICE_UNAVAILABLE))
}

async fn status(replicas: &[(&str, &str)], settings: &[&str]) -> Value {
    let gateway = Gateway::new(replicas, settings);
    gateway.get("/api/status").await.expect(200)
}

#[tokio::test]
async fn ready_means_a_ready_replica_of_each_service() {
    let mut stubs = Vec::new();
    for service in SERVICES {
        stubs.push(Stub::start(service, ready()).await);
    }
    let sick = Stub::start("order", not_ready()).await;
    let orders = format!("{},{},{NOWHERE}", stubs[0].url, sick.url);
    let mut urls: Vec<_> = SERVICES
        .into_iter()
        .zip(stubs.iter().map(|s| s.url.as_str()))
        .collect();
    urls[0].1 = &orders;
    let all = status(&urls, &[]).await;
    assert_eq!(all["ready"], true, "{all}");
    assert_eq!(
        all["services"],
        json!({
            "order": {"ready": 1, "total": 3},
            "inventory": {"ready": 1, "total": 1},
            "notification": {"ready": 1, "total": 1},
            "auth": {"ready": 1, "total": 1},
            "image": {"ready": 1, "total": 1},
            "worker": {"ready": 1, "total": 1},
            "commander": {"ready": 1, "total": 1},
            "gateway": {"ready": 1, "total": 1},
        })
    );
    assert_eq!(all["queues"]["jobs"]["waiting"], 3);
    assert!(all["version"].is_string() && all["revision"].is_string());
    assert!(all["uptime_seconds"].is_u64());

    let none = format!("{},{NOWHERE}", sick.url);
    urls[0].1 = &none;
    let without_order = status(&urls, &[]).await;
    assert_eq!(without_order["ready"], false);
    assert_eq!(
        without_order["services"]["order"],
        json!({"ready": 0, "total": 2})
    );
    assert_eq!(without_order["services"]["worker"]["ready"], 1);
}

#[tokio::test]
async fn gateways_are_counted_where_their_addresses_are_known() {
    let gateways = Stub::start("gateway", ready()).await;
    let urls = format!("--gateway-ops-urls={},{NOWHERE}", gateways.url);
    let status = status(&[], &[&urls]).await;
    assert_eq!(
        status["services"]["gateway"],
        json!({"ready": 1, "total": 2})
    );
    assert_eq!(
        (&status["ready"], &status["queues"]),
        (&json!(false), &json!(null))
    );
}

#[tokio::test]
async fn replicas_that_hang_are_not_ready_and_not_waited_for() {
    let hang = || Router::new().fallback(std::future::pending::<()>);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, hang()).await });
    let started = Instant::now();
    let status = status(&[("order", &url), ("worker", &url)], &[]).await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert_eq!(status["services"]["order"], json!({"ready": 0, "total": 1}));
    assert_eq!(status["queues"], json!(null));
    server.abort();
}

#[tokio::test]
async fn many_readers_are_one_probe() {
    let order = Stub::start("order", ready()).await;
    let gateway = Gateway::new(&[("order", &order.url)], &[]);
    let started = Instant::now();
    for _ in 0..100 {
        gateway.get("/api/status").await.expect(200);
    }
    let most = 2 + started.elapsed().as_millis() as usize / 250;
    let probes = order.seen().len();
    assert!(probes <= most, "{probes} probes in {:?}", started.elapsed());
}

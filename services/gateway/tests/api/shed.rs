//! More requests than it may pass on at once.
use crate::support::Shop;
use axum::{Router, routing::get};
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::yield_now};

/// Services whose orders take until they are let go.
async fn slow(gate: &Arc<Notify>) -> Shop {
    let routes = |_: &str| {
        let gate = gate.clone();
        let wait = async move || {
            gate.notified().await;
            "done"
        };
        Router::new().route("/orders", get(wait))
    };
    Shop::with(routes, &["--max-in-flight=1"]).await
}

async fn until_asked(shop: &Shop, times: usize) {
    let started = Instant::now();
    while shop.service("order").seen().len() < times {
        assert!(started.elapsed() < Duration::from_secs(10), "never asked");
        yield_now().await;
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once() {
    let gate = Arc::new(Notify::new());
    let shop = slow(&gate).await;
    let first = shop.gateway.get("/api/orders");
    let others = async {
        until_asked(&shop, 1).await;
        for path in ["/api/orders", "/api/products", "/api/products"] {
            let answer = shop.gateway.get(path).await;
            answer.expect_problem(503, "overloaded");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        // Who operates can end what floods the others.
        shop.gateway.get("/api/ops/state").await.expect(200);
        // What is not passed on is not refused.
        for path in ["/api/status", "/api/openapi.json", "/"] {
            shop.gateway.get(path).await.expect(200);
        }
        assert!(
            shop.gateway
                .metrics()
                .contains("http_requests_shed_total 3\n")
        );
        assert_eq!(
            shop.service("order")
                .seen()
                .iter()
                .filter(|s| s.path == "/orders")
                .count(),
            1
        );
        gate.notify_one();
    };
    let (first, ()) = tokio::join!(first, others);
    first.expect(200);
    shop.gateway.get("/api/products").await.expect(200);
    assert!(
        shop.gateway
            .metrics()
            .contains("http_requests_shed_total 3\n")
    );
}

#[tokio::test]
async fn a_client_that_leaves_makes_room() {
    let gate = Arc::new(Notify::new());
    let shop = slow(&gate).await;
    for n in 1..=3 {
        let mut request = pin!(shop.gateway.get("/api/orders"));
        tokio::select! {
            answer = &mut request => panic!("answered too early: {answer:?}"),
            () = until_asked(&shop, n) => {}
        }
    }
    shop.gateway.get("/api/products").await.expect(200);
}

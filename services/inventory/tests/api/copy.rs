//! Reading products while the database is away.
use crate::support::Replica;
use db::testing::{Line, sqlite};
use inventory::MIGRATIONS;
use serde_json::json;
use service::testing::Answer;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The gateway gives a try this long; a copy that comes later helps nobody.
const TRY: Duration = Duration::from_secs(1);

fn assert_copy(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.headers.contains_key("age"), "{answer:?}");
    assert!(
        answer.headers["warning"]
            .to_str()
            .expect("ASCII")
            .starts_with("110 ")
    );
}

async fn read(shop: &Replica, path: &str) -> Answer {
    let started = Instant::now();
    let answer = shop.get(path).await;
    assert!(
        started.elapsed() < TRY,
        "{path} took {:?}",
        started.elapsed()
    );
    answer
}

/// Reads what can be read, and sees the copies after `cut`.
async fn outage(shop: &Replica, cut: impl AsyncFnOnce()) {
    let (list, one) = (
        shop.get("/products").await,
        shop.get("/products/PROD-001").await,
    );
    for fresh in [&list, &one] {
        assert!(
            !fresh.headers.contains_key("age") && !fresh.headers.contains_key("warning"),
            "{fresh:?}"
        );
    }
    shop.get("/products/PROD-999")
        .await
        .expect_problem(404, "product_not_found");
    cut().await;
    for _ in 0..3 {
        for (path, before) in [("/products", &list), ("/products/PROD-001", &one)] {
            let answer = read(shop, path).await;
            assert_copy(&answer);
            assert_eq!(answer.body, before.body);
        }
    }
    assert!(
        shop.metrics()
            .contains(r#"inventory_requests_total{operation="read",outcome="stale"} 6"#)
    );
    for path in [
        "/products?limit=3",
        "/products/PROD-002",
        "/products/PROD-999",
        "/stock",
    ] {
        let answer = shop.get(path).await;
        answer.expect_problem(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    shop.reserve(Uuid::now_v7(), "PROD-001", 1)
        .await
        .expect_problem(503, "unavailable");
    let set = shop
        .call("PUT", "/products/PROD-001/stock", json!({"available": 1}))
        .await;
    set.expect_problem(503, "unavailable");
}

#[tokio::test]
async fn products_are_read_from_the_copy_while_postgres_is_away() {
    let mut line = Line::new(&MIGRATIONS).await;
    let shop = Replica::new(line.db.clone());
    outage(&shop, async || line.cut()).await;
    line.mend();
    let started = Instant::now();
    while shop.get("/products").await.headers.contains_key("age") {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "the copy is shown for ever"
        );
    }
    shop.reserve(Uuid::now_v7(), "PROD-001", 1)
        .await
        .expect(200);
    assert_eq!(shop.stock("PROD-001").await, (9999, 1, 0));
    line.close().await;
}

#[tokio::test]
async fn products_are_read_from_the_copy_while_the_file_is_away() {
    sqlite(&MIGRATIONS, async |db| {
        let shop = Replica::new(db.clone());
        outage(&shop, async || db.close().await).await;
    })
    .await;
}

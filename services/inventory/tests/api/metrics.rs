//! What a scrape shows.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Dashboards, rules and alerts know these names.
const NAMES: [&str; 19] = [
    "build",
    "circuit_breaker_state",
    "client_request_duration_seconds",
    "client_requests",
    "client_retries",
    "client_retry_budget_exhausted",
    "db_pool_connections",
    "http_request_duration_seconds",
    "http_requests",
    "http_requests_in_flight",
    "inventory_holds",
    "inventory_requests",
    "inventory_stock",
    "log_events",
    "process_cpu_seconds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
];

#[tokio::test]
async fn the_names_are_the_agreed_ones() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        shop.reserve(Uuid::now_v7(), "PROD-001", 1)
            .await
            .expect(200);
        let text = shop.metrics();
        let types = text
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next());
        assert_eq!(types.collect::<BTreeSet<_>>(), NAMES.into_iter().collect());
    })
    .await;
}

#[tokio::test]
async fn each_outcome_is_counted() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        shop.set_stock("PROD-001", 5).await;
        shop.call("PUT", "/products/NONE/stock", json!({"available": 1}))
            .await
            .expect(404);
        let order = Uuid::now_v7();
        shop.reserve(order, "PROD-001", 5).await.expect(200);
        shop.reserve(order, "PROD-001", 4).await.expect(409);
        shop.reserve(Uuid::now_v7(), "PROD-001", 1)
            .await
            .expect(409);
        shop.reserve(Uuid::now_v7(), "NONE", 1).await.expect(404);
        let text = shop.metrics();
        for (operation, outcome) in [
            ("set_stock", "ok"),
            ("set_stock", "invalid"),
            ("reserve", "ok"),
            ("reserve", "refused"),
            ("reserve", "sold_out"),
            ("reserve", "invalid"),
        ] {
            let line = format!(
                r#"inventory_requests_total{{operation="{operation}",outcome="{outcome}"}} 1"#
            );
            assert!(text.contains(&line), "{line} missing in\n{text}");
        }
    })
    .await;
}

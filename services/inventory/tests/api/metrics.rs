//! What is counted.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::json;
use uuid::Uuid;

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

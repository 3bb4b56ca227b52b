//! What is counted.
use crate::{
    inventory::Inventory,
    support::{NOWHERE, Replica, lanterns},
};
use db::testing::each;
use order::MIGRATIONS;
use serde_json::json;

#[tokio::test]
async fn each_outcome_is_counted() {
    each(&MIGRATIONS, async |db| {
        let inventory = Inventory::start(&[("PROD-001", 2900, 3)]).await;
        let shop = Replica::new(&db, &inventory.url).await;
        shop.buy("key", &lanterns(2)).await.expect(201);
        shop.buy("key", &lanterns(2)).await.expect(201);
        shop.buy("key", &lanterns(1)).await.expect(422);
        shop.buy("other", &lanterns(2)).await.expect(409);
        shop.post("/orders", lanterns(0)).await.expect(422);
        let text = shop.metrics();
        for (product, status) in [
            ("PROD-001", "confirmed"),
            ("PROD-001", "replayed"),
            ("PROD-001", "sold_out"),
            ("unknown", "key_reused"),
            ("unknown", "invalid"),
        ] {
            let line =
                format!(r#"order_requests_total{{status="{status}",product_id="{product}"}} 1"#);
            assert!(text.contains(&line), "{line} missing in\n{text}");
        }
        assert!(
            text.contains("order_request_duration_seconds_count 5"),
            "{text}"
        );
        let away = Replica::new(&db, NOWHERE).await;
        away.post("/orders", lanterns(1)).await.expect(503);
        assert!(
            away.metrics()
                .contains(r#"order_requests_total{status="error",product_id="unknown"} 1"#)
        );
    })
    .await;
}

#[tokio::test]
async fn callers_can_not_make_up_series() {
    each(&MIGRATIONS, async |db| {
        let inventory = Inventory::start(&[("PROD-001", 2900, 3)]).await;
        let shop = Replica::new(&db, &inventory.url).await;
        let order = async |product: String| {
            let body = json!({"product_id": product, "quantity": 1, "email": "a@example.com"});
            shop.post("/orders", body).await.expect(422);
        };
        order("MADE-UP".to_owned()).await;
        order("made up".to_owned()).await;
        let series = || {
            shop.metrics()
                .lines()
                .filter(|l| !l.starts_with('#'))
                .count()
        };
        let before = series();
        for n in 0..100 {
            order(format!("MADE-UP-{n}")).await;
            order(format!("made up {n}")).await;
        }
        assert_eq!(series(), before);
    })
    .await;
}

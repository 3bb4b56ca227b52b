//! Setting stock aside, one caller at a time.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn pieces_are_set_aside_once_for_each_order() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let order = Uuid::now_v7();
        let first = shop.reserve(order, "PROD-001", 3).await.expect(200);
        assert_eq!(first["order_id"], order.to_string());
        assert_eq!(
            (&first["product_id"], &first["quantity"]),
            (&json!("PROD-001"), &json!(3))
        );
        assert_eq!(
            (&first["unit_price_minor"], &first["currency"]),
            (&json!(2900), &json!("EUR"))
        );
        assert_eq!(first["state"], "held");
        assert_eq!(shop.stock("PROD-001").await, (9997, 3, 0));
        for _ in 0..3 {
            assert_eq!(shop.reserve(order, "PROD-001", 3).await.expect(200), first);
        }
        assert_eq!(shop.stock("PROD-001").await, (9997, 3, 0));
    })
    .await;
}

#[tokio::test]
async fn an_id_means_one_reservation_only() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let order = Uuid::now_v7();
        shop.reserve(order, "PROD-001", 3).await.expect(200);
        for (product, quantity) in [("PROD-001", 2), ("PROD-002", 3)] {
            shop.reserve(order, product, quantity)
                .await
                .expect_problem(409, "reservation_mismatch");
        }
        assert_eq!(shop.stock("PROD-001").await, (9997, 3, 0));
        assert_eq!(shop.stock("PROD-002").await, (10000, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let before = shop.snapshot().await;
        for product in [
            "PROD-999",
            "",
            "prod-001",
            "PROD-001\0",
            "' OR 1=1--",
            "../PROD-001",
        ] {
            shop.reserve(Uuid::now_v7(), product, 1)
                .await
                .expect_problem(404, "product_not_found");
        }
        for quantity in [0, -1, 1001, i64::MAX, i64::MIN] {
            let answer = shop.reserve(Uuid::now_v7(), "PROD-001", quantity).await;
            answer.expect_problem(422, "invalid_field");
            assert_eq!(answer.body["errors"][0]["pointer"], "/quantity");
        }
        assert_eq!(shop.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn sold_out_takes_nothing_and_binds_nothing() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        shop.set_stock("PROD-001", 5).await;
        let refused = Uuid::now_v7();
        shop.reserve(refused, "PROD-001", 6)
            .await
            .expect_problem(409, "sold_out");
        assert_eq!(shop.stock("PROD-001").await, (5, 0, 0));
        shop.reserve(Uuid::now_v7(), "PROD-001", 5)
            .await
            .expect(200);
        shop.reserve(Uuid::now_v7(), "PROD-001", 1)
            .await
            .expect_problem(409, "sold_out");
        assert_eq!(shop.stock("PROD-001").await, (0, 5, 0));
        // The same order may try again when there is more.
        shop.set_stock("PROD-001", 6).await;
        shop.reserve(refused, "PROD-001", 6).await.expect(200);
        assert_eq!(shop.stock("PROD-001").await, (0, 11, 0));
    })
    .await;
}

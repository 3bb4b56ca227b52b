//! Buying.
use crate::{
    inventory::Inventory,
    support::{NOWHERE, Replica, inventory, lanterns},
};
use db::testing::each;
use order::MIGRATIONS;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

#[tokio::test]
async fn an_order_is_stored_as_it_is_answered() {
    each(&MIGRATIONS, async |db| {
        let (inventory, before) = (inventory().await, db::now());
        let shop = Replica::new(&db, &inventory.url).await;
        let answer = shop.post("/orders", lanterns(2)).await;
        assert!(!answer.headers.contains_key("idempotent-replayed"));
        let order = answer.expect(201);
        let id: Uuid = order["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a UUID");
        let mut expected = lanterns(2);
        for (field, value) in [
            ("id", order["id"].clone()),
            ("created_at", order["created_at"].clone()),
            ("status", json!("confirmed")),
            ("total_minor", json!(5800)),
            ("currency", json!("EUR")),
        ] {
            expected[field] = value;
        }
        assert_eq!(order, expected, "these fields and no others");
        let created: chrono::DateTime<chrono::Utc> =
            serde_json::from_value(order["created_at"].clone()).expect("a time");
        assert!(before <= created && created <= db::now());
        assert!(
            order["created_at"].as_str().expect("text").ends_with('Z'),
            "times are UTC"
        );
        assert_eq!(shop.get(&format!("/orders/{id}")).await.expect(200), order);
        let stock = inventory.stock();
        assert_eq!(stock.reservations[&id].quantity, 2);
        assert_eq!((stock.calls, stock.reservations.len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn without_a_key_every_order_is_another() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        assert_ne!(shop.bought().await, shop.bought().await);
        assert_eq!(shop.rows().await, (2, 4));
    })
    .await;
}

#[tokio::test]
async fn sold_out_and_unknown_products_leave_nothing_behind() {
    each(&MIGRATIONS, async |db| {
        let inventory = Inventory::start(&[("PROD-001", 2900, 1)]).await;
        let shop = Replica::new(&db, &inventory.url).await;
        shop.post("/orders", lanterns(2))
            .await
            .expect_problem(409, "sold_out");
        let mut unknown = lanterns(1);
        unknown["product_id"] = json!("PROD-999");
        let answer = shop.post("/orders", unknown).await;
        answer.expect_problem(422, "product_not_found");
        assert_eq!(answer.body["errors"][0]["pointer"], "/product_id");
        assert_eq!(shop.rows().await, (0, 0));
        shop.post("/orders", lanterns(1)).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn a_total_beyond_all_money_is_refused() {
    each(&MIGRATIONS, async |db| {
        let inventory = Inventory::start(&[("PROD-001", i64::MAX / 2, 10)]).await;
        let shop = Replica::new(&db, &inventory.url).await;
        let answer = shop.post("/orders", lanterns(3)).await;
        answer.expect_problem(422, "invalid_field");
        assert_eq!(answer.body["errors"][0]["pointer"], "/quantity");
        assert_eq!(shop.rows().await, (0, 0));
        let order = shop.post("/orders", lanterns(2)).await.expect(201);
        assert_eq!(order["total_minor"], i64::MAX - 1);
    })
    .await;
}

#[tokio::test]
async fn without_inventory_the_answer_is_no_and_comes_fast() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(&db, NOWHERE).await;
        for _ in 0..20 {
            let started = Instant::now();
            let answer = shop.post("/orders", lanterns(1)).await;
            answer.expect_problem(503, "unavailable");
            assert!(answer.headers.contains_key("retry-after"));
            assert!(
                started.elapsed() < Duration::from_secs(1),
                "{:?}",
                started.elapsed()
            );
        }
        assert_eq!(shop.rows().await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_inventory_that_hangs_holds_an_order_no_longer_than_the_deadline() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let settings = [
            "--inventory-urls",
            &inventory.url,
            "--call-deadline",
            "600ms",
            "--call-try-timeout",
            "200ms",
        ];
        let shop = Replica::with(&db, &settings).await;
        inventory.stock().hangs = true;
        let started = Instant::now();
        let answer = shop.post("/orders", lanterns(1)).await;
        answer.expect_problem(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(shop.rows().await, (0, 0));
    })
    .await;
}

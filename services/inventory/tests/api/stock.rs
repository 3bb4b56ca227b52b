//! Setting the stock by hand.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::{Value, json};
use service::testing::call_with;
use uuid::Uuid;

#[tokio::test]
async fn what_is_set_is_available_and_counts_as_stocked() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        shop.reserve(Uuid::now_v7(), "PROD-001", 10)
            .await
            .expect(200);
        for available in [0, 1, 1_000_000_000, 5] {
            let path = "/products/PROD-001/stock";
            let product = shop
                .call("PUT", path, json!({"available": available}))
                .await
                .expect(200);
            assert_eq!(
                (&product["id"], &product["available"]),
                (&json!("PROD-001"), &json!(available))
            );
            assert_eq!(
                shop.stock("PROD-001").await,
                (available, 10, 0),
                "what is held is not touched"
            );
        }
        assert_eq!(shop.stock("PROD-002").await, (10000, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn other_values_are_refused_and_change_nothing() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let before = shop.snapshot().await;
        let path = "/products/PROD-001/stock";
        for value in [
            "-1",
            "1000000001",
            "9223372036854775807",
            "9223372036854775808",
            "1e20",
            "1.5",
            "\"1\"",
            "null",
            "true",
            "[]",
        ] {
            let body = format!(r#"{{"available": {value}}}"#);
            let answer = call_with(&shop.router, "PUT", path, &body, &[]).await;
            answer.expect_problem(422, "invalid_field");
            assert_eq!(answer.body["errors"][0]["pointer"], "/available", "{value}");
        }
        for body in [
            r#"{"available": 1, "price_minor": 1}"#,
            r#"{"available": 1, "available": 2}"#,
            "{}",
            "[]",
            "3",
        ] {
            let answer = call_with(&shop.router, "PUT", path, body, &[]).await;
            answer.expect_problem(422, "invalid_field");
        }
        for body in ["", "{", r#"{"available": 1} x"#, r#"{"available": NaN}"#] {
            let answer = call_with(&shop.router, "PUT", path, body, &[]).await;
            answer.expect_problem(400, "malformed_json");
        }
        let unknown = shop
            .call("PUT", "/products/PROD-999/stock", json!({"available": 1}))
            .await;
        unknown.expect_problem(404, "product_not_found");
        let wrong = shop.call("DELETE", path, Value::Null).await;
        wrong.expect_problem(405, "method_not_allowed");
        assert_eq!(wrong.headers["allow"], "PUT");
        assert_eq!(shop.snapshot().await, before);
    })
    .await;
}

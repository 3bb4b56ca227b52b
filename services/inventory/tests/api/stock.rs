//! Setting the stock by hand.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::{Value, json};
use service::{
    Identity,
    testing::{OPERATOR, call_as, call_with, identity},
};
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
        let (name, value) = identity(OPERATOR);
        let operator = [(name, value.as_str())];
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
            let answer = call_with(&shop.router, "PUT", path, &body, &operator).await;
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
            let answer = call_with(&shop.router, "PUT", path, body, &operator).await;
            answer.expect_problem(422, "invalid_field");
        }
        for body in ["", "{", r#"{"available": 1} x"#, r#"{"available": NaN}"#] {
            let answer = call_with(&shop.router, "PUT", path, body, &operator).await;
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

#[tokio::test]
async fn only_an_operator_sees_and_sets_stock() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let before = shop.snapshot().await;
        let user = Identity::User(Uuid::from_u128(7));
        for (who, status, code) in [
            (Identity::Anonymous, 401, "unauthorized"),
            (user, 403, "forbidden"),
        ] {
            for (method, path) in [("PUT", "/products/PROD-001/stock"), ("GET", "/stock")] {
                let body = json!({"available": 7});
                let answer = call_as(&shop.router, who, method, path, body).await;
                answer.expect_problem(status, code);
            }
            for path in ["/products", "/products/PROD-001"] {
                let answer = call_as(&shop.router, who, "GET", path, Value::Null).await;
                answer.expect(200);
            }
        }
        assert_eq!(shop.snapshot().await, before);
    })
    .await;
}

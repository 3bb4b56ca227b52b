//! Whose an order is, and who may see, cancel and repeat it.
use crate::support::{Replica, inventory, lanterns};
use db::testing::each;
use order::MIGRATIONS;
use serde_json::{Value, json};
use service::{
    Identity,
    testing::{Answer, OPERATOR, call_as, call_with, identity},
};
use uuid::Uuid;

const ADA: Identity = Identity::User(Uuid::from_u128(7));
const EVE: Identity = Identity::User(Uuid::from_u128(8));

async fn buy(shop: &Replica, who: Identity, key: &str, quantity: i64) -> Answer {
    let (name, value) = identity(who);
    let headers = [("idempotency-key", key), (name, &value)];
    let body = lanterns(quantity).to_string();
    call_with(&shop.router, "POST", "/orders", &body, &headers).await
}

async fn ids(shop: &Replica, who: Identity) -> Vec<String> {
    let page = call_as(&shop.router, who, "GET", "/orders?limit=500", Value::Null).await;
    let page = page.expect(200);
    let items = page["items"].as_array().expect("items").iter();
    items
        .map(|o| o["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn users_see_and_cancel_their_own_and_operators_all() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let hers = buy(&shop, ADA, "k", 1).await.expect(201);
        let nobodys = shop.buy("k", &lanterns(1)).await.expect(201);
        let id = hers["id"].as_str().expect("an id");
        assert_eq!(ids(&shop, ADA).await, [id]);
        assert!(ids(&shop, EVE).await.is_empty());
        assert_eq!(ids(&shop, OPERATOR).await.len(), 2);
        let answer = call_as(
            &shop.router,
            Identity::Anonymous,
            "GET",
            "/orders",
            Value::Null,
        )
        .await;
        answer.expect_problem(401, "unauthorized");

        // Who knows the id may see it; it can't be guessed.
        for who in [Identity::Anonymous, EVE] {
            let path = format!("/orders/{id}");
            let seen = call_as(&shop.router, who, "GET", &path, Value::Null).await;
            assert_eq!(seen.expect(200), hers);
        }
        let cancel = async |who, order: &Value| {
            let path = format!("/orders/{}/cancel", order["id"].as_str().expect("an id"));
            call_as(&shop.router, who, "POST", &path, Value::Null).await
        };
        let absent = json!({"id": Uuid::from_u128(9)});
        for order in [&hers, &nobodys, &absent] {
            cancel(EVE, order)
                .await
                .expect_problem(404, "order_not_found");
            let answer = cancel(Identity::Anonymous, order).await;
            answer.expect_problem(401, "unauthorized");
        }
        for order in [&hers, &nobodys] {
            let path = format!("/orders/{}", order["id"].as_str().expect("an id"));
            assert_eq!(shop.get(&path).await.expect(200)["status"], "confirmed");
        }
        for _ in 0..2 {
            assert_eq!(cancel(ADA, &hers).await.expect(200)["status"], "cancelled");
            // Cancelled or not, it is none of hers.
            cancel(EVE, &hers)
                .await
                .expect_problem(404, "order_not_found");
        }
        cancel(OPERATOR, &nobodys).await.expect(200);
        let events = shop.outbox().await;
        assert!(events.iter().any(|(_, e)| e.user_id == ADA.user_id()));
    })
    .await;
}

#[tokio::test]
async fn the_same_key_of_another_is_another_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let hers = buy(&shop, ADA, "k", 1).await.expect(201);
        let other = buy(&shop, EVE, "k", 2).await.expect(201);
        let nobodys = shop.buy("k", &lanterns(3)).await.expect(201);
        let orders = [&hers, &other, &nobodys];
        let quantities = orders.map(|o| o["quantity"].as_i64());
        assert_eq!(quantities, [Some(1), Some(2), Some(3)]);
        assert_eq!(buy(&shop, ADA, "k", 1).await.expect(201), hers);
        buy(&shop, ADA, "k", 2)
            .await
            .expect_problem(422, "idempotency_key_reused");
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_nobody_signed_is_refused() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let (name, value) = identity(ADA);
        for forged in [value.replace(".user.", ".operator."), "operator".to_owned()] {
            let headers = [(name, forged.as_str())];
            for (method, path) in [("GET", "/orders"), ("POST", "/orders")] {
                let body = lanterns(1).to_string();
                let answer = call_with(&shop.router, method, path, &body, &headers).await;
                answer.expect_problem(401, "invalid_identity");
            }
        }
        for header in [("x-user-id", "operator"), ("x-role", "operator")] {
            let answer = call_with(&shop.router, "GET", "/orders", "", &[header]).await;
            answer.expect_problem(401, "unauthorized");
        }
        assert!(ids(&shop, OPERATOR).await.is_empty());
    })
    .await;
}

//! What only other services call: settling holds, touching, sales.
use crate::support::{Replica, inventory, lanterns};
use chrono::{DateTime, Utc};
use contracts::order::{Order, Sales, Settled};
use db::testing::{each, replica};
use futures::future::join_all;
use order::MIGRATIONS;
use serde_json::{Value, json};
use std::collections::HashMap;
use uuid::Uuid;

fn hold(order_id: Uuid) -> Value {
    json!({"order_id": order_id, "product_id": "PROD-001", "quantity": 1})
}

async fn settle(shop: &Replica, orders: &[Uuid]) -> HashMap<Uuid, bool> {
    let holds: Vec<_> = orders.iter().copied().map(hold).collect();
    let answer = shop
        .post("/orders/settle", json!({"holds": holds}))
        .await
        .expect(200);
    let settled: Settled = serde_json::from_value(answer).expect("verdicts");
    settled
        .orders
        .into_iter()
        .map(|v| (v.order_id, v.confirmed))
        .collect()
}

#[tokio::test]
async fn a_hold_is_confirmed_only_by_a_confirmed_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let (bought, cancelled, never) = (shop.bought().await, shop.bought().await, Uuid::now_v7());
        shop.post(&format!("/orders/{cancelled}/cancel"), Value::Null)
            .await
            .expect(200);
        for _ in 0..2 {
            let verdicts = settle(&shop, &[bought, cancelled, never]).await;
            assert_eq!(
                verdicts,
                HashMap::from([(bought, true), (cancelled, false), (never, false)])
            );
        }
        assert!(settle(&shop, &[]).await.is_empty());
        // The tombstone is nobody's order.
        shop.get(&format!("/orders/{never}"))
            .await
            .expect_problem(404, "order_not_found");
        shop.post(&format!("/orders/{never}/cancel"), Value::Null)
            .await
            .expect_problem(404, "order_not_found");
        let list = shop.get("/orders").await.expect(200);
        assert_eq!(list["items"].as_array().expect("items").len(), 2);
        assert_eq!(
            shop.get(&format!("/orders/{bought}")).await.expect(200)["status"],
            "confirmed"
        );
        assert_eq!(
            shop.outbox().await.len(),
            6,
            "settling tells nobody anything"
        );
    })
    .await;
}

/// The order's hold ran out while the order was on its way: it must not be stored any more.
#[tokio::test]
async fn an_order_that_comes_after_the_verdict_is_refused() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        // The id that belongs to the key, from a replica with another database.
        let elsewhere = replica_id(&inventory.url).await;
        let shop = Replica::new(&db, &inventory.url).await;
        assert_eq!(
            settle(&shop, &[elsewhere]).await,
            HashMap::from([(elsewhere, false)])
        );
        // Inventory still holds the pieces, then has given them back.
        shop.buy("late", &lanterns(1))
            .await
            .expect_problem(409, "order_expired");
        inventory.release(elsewhere);
        shop.buy("late", &lanterns(1))
            .await
            .expect_problem(409, "order_expired");
        assert_eq!(shop.outbox().await.len(), 0);
        shop.get(&format!("/orders/{elsewhere}"))
            .await
            .expect_problem(404, "order_not_found");
        shop.buy("again", &lanterns(1)).await.expect(201);
    })
    .await;
}

/// The order id of the key `late`: the same on every replica with the same secret.
async fn replica_id(inventory: &str) -> Uuid {
    let id = std::sync::Mutex::new(Uuid::nil());
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let order = Replica::new(&db, inventory)
            .await
            .buy("late", &lanterns(1))
            .await
            .expect(201);
        *id.lock().expect("not poisoned") = order["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a UUID");
    })
    .await;
    id.into_inner().expect("not poisoned")
}

#[tokio::test]
async fn verdicts_and_orders_racing_never_disagree() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let other = replica(&db, &MIGRATIONS).await;
        let (shop, sweeper) = (
            Replica::new(&db, &inventory.url).await,
            Replica::new(&other, &inventory.url).await,
        );
        let body = lanterns(1);
        let orders = join_all((0..60).map(|n| {
            let (shop, body, key) = (&shop, &body, format!("key-{n}"));
            async move { shop.buy(&key, body).await }
        }));
        let verdicts = async {
            let mut all: HashMap<Uuid, Vec<bool>> = HashMap::new();
            while all.len() < 60 {
                let held: Vec<Uuid> = inventory.stock().reservations.keys().copied().collect();
                for some in held.chunks(7) {
                    for (id, confirmed) in settle(&sweeper, some).await {
                        all.entry(id).or_default().push(confirmed);
                    }
                }
                tokio::task::yield_now().await;
            }
            all
        };
        let (answers, verdicts) = futures::join!(orders, verdicts);
        let mut bought = 0;
        for answer in answers {
            if answer.status == 201 {
                let id: Uuid = answer.body["id"]
                    .as_str()
                    .expect("an id")
                    .parse()
                    .expect("a UUID");
                assert!(
                    verdicts[&id].iter().all(|confirmed| *confirmed),
                    "{id} was given away"
                );
                bought += 1;
            } else {
                answer.expect_problem(409, "order_expired");
            }
        }
        let confirmed = verdicts.values().filter(|v| v.iter().all(|c| *c)).count();
        let refused = verdicts.values().filter(|v| v.iter().all(|c| !*c)).count();
        assert_eq!(
            (confirmed, refused),
            (bought, 60 - bought),
            "no verdict ever changes"
        );
    })
    .await;
}

async fn listed(shop: &Replica) -> Vec<Order> {
    let mut page = shop.get("/orders?limit=500").await.expect(200);
    serde_json::from_value(page["items"].take()).expect("orders")
}

#[tokio::test]
async fn touching_goes_through_all_orders_in_steps() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        for _ in 0..7 {
            shop.bought().await;
        }
        settle(&shop, &[Uuid::now_v7()]).await;
        let mut orders = listed(&shop).await;
        orders.reverse();
        let stamp = "2030-01-01T00:00:00Z";
        let touch = async |since: DateTime<Utc>, limit: i64| {
            let body = json!({"since": since, "stamp": stamp, "limit": limit});
            shop.post("/orders/touch", body).await.expect(200)
        };
        let first = touch(orders[0].created_at, 3).await;
        assert_eq!(
            (&first["touched"], &first["last"]),
            (&json!(3), &json!(orders[2].created_at))
        );
        let rest = touch(orders[2].created_at, 500).await;
        assert_eq!(rest["touched"], 5, "from the last one on, itself included");
        assert_eq!(
            touch(db::now(), 500).await,
            json!({"touched": 0, "last": null})
        );
        // Only the stamp is written.
        orders.reverse();
        assert_eq!(listed(&shop).await, orders);
        let stamp: DateTime<Utc> = stamp.parse().expect("a time");
        let stamped = "SELECT COUNT(*) FROM orders WHERE updated_at = $1";
        let count: i64 = db::with_db!(&db.writer, |pool| sqlx::query_scalar(stamped)
            .bind(stamp)
            .fetch_one(pool)
            .await)
        .expect("a count");
        assert_eq!(count, 7, "tombstones are not touched");
    })
    .await;
}

#[tokio::test]
async fn sales_are_those_of_the_time_without_what_was_cancelled() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let buy = async |product: &str, quantity: i64| {
            let mut body = lanterns(quantity);
            body["product_id"] = json!(product);
            let order = shop.post("/orders", body).await.expect(201);
            serde_json::from_value::<Order>(order).expect("an order")
        };
        let first = buy("PROD-001", 2).await;
        buy("PROD-001", 3).await;
        let cancelled = buy("PROD-001", 4).await;
        shop.post(&format!("/orders/{}/cancel", cancelled.id), Value::Null)
            .await
            .expect(200);
        settle(&shop, &[Uuid::now_v7()]).await;
        let last = buy("PROD-002", 1).await;
        let sales = async |from: DateTime<Utc>, to: DateTime<Utc>| -> Vec<Value> {
            let time = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let answer = shop
                .get(&format!("/sales?from={}&to={}", time(from), time(to)))
                .await
                .expect(200);
            let sales: Sales = serde_json::from_value(answer).expect("sales");
            sales
                .items
                .iter()
                .map(|line| {
                    json!([
                        line.product_id,
                        line.orders,
                        line.quantity,
                        line.total_minor,
                        line.currency
                    ])
                })
                .collect()
        };
        // From the first moment on, up to but without the last.
        let lanterns = json!(["PROD-001", 2, 5, 14_500, "EUR"]);
        assert_eq!(
            sales(first.created_at, last.created_at).await,
            std::slice::from_ref(&lanterns)
        );
        let jacket = json!(["PROD-002", 1, 1, 14_900, "EUR"]);
        assert_eq!(sales(first.created_at, db::now()).await, [lanterns, jacket]);
        assert_eq!(sales(db::now(), db::now()).await, Vec::<Value>::new());
        shop.get("/sales?from=yesterday&to=today")
            .await
            .expect_problem(400, "invalid_query");
    })
    .await;
}

//! Reading orders: one, and all of them page by page.
use crate::support::{Replica, inventory, lanterns};
use chrono::{DateTime, Utc};
use db::testing::each;
use futures::future::join_all;
use order::MIGRATIONS;
use serde_json::{Value, json};
use std::collections::HashSet;
use uuid::Uuid;

/// All pages, one after the other, and what happens between them.
async fn pages(shop: &Replica, limit: usize, between: impl AsyncFn()) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = shop
            .get(&format!("/orders?limit={limit}{after}"))
            .await
            .expect(200);
        let found = page["items"].as_array_mut().expect("items");
        assert!(found.len() <= limit);
        items.append(found);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return items,
        }
        between().await;
    }
}

/// Times can't be compared as text: a fraction that ends in zeros is shorter.
fn parse_time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().expect("a time");
    text.parse().expect("a time")
}

#[tokio::test]
async fn a_hundred_and_twenty_orders_are_each_listed_once_newest_first() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let orders = join_all((0..120).map(|_| shop.bought())).await;
        // Orders that come meanwhile don't move the others.
        let items = pages(&shop, 25, async || {
            shop.bought().await;
        })
        .await;
        let ids: Vec<Uuid> = items
            .iter()
            .map(|o| o["id"].as_str().expect("an id").parse().expect("a UUID"))
            .collect();
        assert_eq!(ids.len(), 120);
        assert_eq!(ids.iter().collect::<HashSet<_>>(), orders.iter().collect());
        let times: Vec<_> = items.iter().map(|o| parse_time(&o["created_at"])).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
        assert_eq!(
            shop.get("/orders").await.expect(200)["items"]
                .as_array()
                .expect("items")
                .len(),
            50
        );
        assert_eq!(pages(&shop, 500, async || ()).await.len(), 124);
    })
    .await;
}

/// Tombstones of holds are no orders, and leave no gaps in the pages.
#[tokio::test]
async fn pages_are_full_of_orders() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        for _ in 0..5 {
            shop.bought().await;
            let hold = json!({"order_id": Uuid::now_v7(), "product_id": "PROD-001", "quantity": 1});
            let settle = json!({"holds": [hold]});
            shop.post("/orders/settle", settle).await.expect(200);
        }
        assert_eq!(pages(&shop, 2, async || ()).await.len(), 5);
        let page = shop.get("/orders?limit=5").await.expect(200);
        assert_eq!(page["items"].as_array().expect("items").len(), 5);
    })
    .await;
}

/// A page that ends just at the last order has no next.
#[tokio::test]
async fn the_last_page_says_so() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        assert_eq!(
            shop.get("/orders").await.expect(200),
            json!({"items": [], "next": null})
        );
        for _ in 0..2 {
            shop.bought().await;
        }
        assert_eq!(
            shop.get("/orders?limit=2").await.expect(200)["next"],
            json!(null)
        );
        assert_ne!(
            shop.get("/orders?limit=1").await.expect(200)["next"],
            json!(null)
        );
    })
    .await;
}

#[tokio::test]
async fn bad_queries_are_refused() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let id = Uuid::nil();
        let mut queries: Vec<_> = [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=abc",
            "limit=",
            "limit=1&limit=2",
            "page=2",
            "after",
            "after=x",
            "after=1_",
            "after=_",
            "after=%00",
            "after='%20OR%201=1--",
        ]
        .map(str::to_owned)
        .to_vec();
        for micros in [
            "",
            "x",
            "1e3",
            "9223372036854775807",
            "-9223372036854775808",
            "-8000000000000000000",
            "99999999999999999999",
        ] {
            queries.push(format!("after={micros}_{id}"));
        }
        queries.push(format!("after=1_{id}_1"));
        for query in &queries {
            let answer = shop.get(&format!("/orders?{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            answer.expect_problem(400, "invalid_query");
        }
        for fine in [
            "limit=500".to_owned(),
            "limit=1".to_owned(),
            format!("after=0_{id}"),
            format!("after=253402300799000000_{id}"),
        ] {
            shop.get(&format!("/orders?{fine}")).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn ids_that_can_not_exist_are_not_found() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let id = shop.post("/orders", lanterns(1)).await.expect(201)["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        shop.get(&format!("/orders/{id}")).await.expect(200);
        shop.get(&format!("/orders/{}", Uuid::now_v7()))
            .await
            .expect_problem(404, "order_not_found");
        for odd in [
            "1",
            "%00",
            "%2e%2e%2f",
            "..%5c",
            "%252e",
            "%ff",
            "'%20OR%201=1--",
            &format!("{id}%00"),
            &format!("{id}'--"),
            &"0".repeat(500),
        ] {
            let answer = shop.get(&format!("/orders/{odd}")).await;
            assert_eq!(answer.status, 404, "{odd}: {answer:?}");
            let cancel = shop
                .post(&format!("/orders/{odd}/cancel"), Value::Null)
                .await;
            assert_eq!(cancel.status, 404, "{odd}: {cancel:?}");
        }
    })
    .await;
}

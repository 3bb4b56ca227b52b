//! Idempotency keys: a repeat is the same order, on whichever replica it arrives.
use crate::{
    inventory::Inventory,
    support::{Replica, inventory, lanterns},
};
use axum::{body::Body, http::Request};
use db::testing::{each, replica};
use futures::future::join_all;
use order::MIGRATIONS;
use serde_json::json;
use service::testing::{call_with, send};
use std::collections::HashSet;

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_makes_no_second_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let first = shop.buy("key-1", &lanterns(2)).await.expect(201);
        for _ in 0..3 {
            let again = shop.buy("key-1", &lanterns(2)).await;
            assert_eq!(again.headers["idempotent-replayed"], "true");
            assert_eq!(again.expect(201), first);
        }
        // Said otherwise, but the same.
        let text = r#"{ "email":"a@example.com","quantity":2,  "product_id":"PROD-001" }"#;
        let again = call_with(
            &shop.router,
            "POST",
            "/orders",
            text,
            &[("idempotency-key", "key-1")],
        )
        .await;
        assert_eq!(again.expect(201), first);
        assert_eq!(shop.rows().await, (1, 2));
        assert_eq!(inventory.stock().reservations.len(), 1);
        let other = shop.buy("key-2", &lanterns(2)).await.expect(201);
        assert_ne!(other["id"], first["id"]);
    })
    .await;
}

#[tokio::test]
async fn a_key_can_not_be_used_for_another_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        shop.buy("key", &lanterns(2)).await.expect(201);
        for (field, value) in [
            ("quantity", json!(3)),
            ("product_id", json!("PROD-002")),
            ("email", json!("b@example.com")),
        ] {
            let mut other = lanterns(2);
            other[field] = value;
            shop.buy("key", &other)
                .await
                .expect_problem(422, "idempotency_key_reused");
        }
        assert_eq!(shop.rows().await, (1, 2));
        let stock = inventory.stock();
        assert_eq!(stock.reservations.len(), 1, "nothing is reserved twice");
        assert!(stock.reservations.values().all(|r| r.quantity == 2));
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_does_not_use_up_the_key() {
    each(&MIGRATIONS, async |db| {
        let inventory = Inventory::start(&[("PROD-001", 2900, 1)]).await;
        let shop = Replica::new(&db, &inventory.url).await;
        shop.buy("key", &lanterns(0))
            .await
            .expect_problem(422, "invalid_field");
        shop.buy("key", &lanterns(2))
            .await
            .expect_problem(409, "sold_out");
        inventory.restock("PROD-001", 1);
        let answer = shop.buy("key", &lanterns(2)).await;
        assert!(!answer.headers.contains_key("idempotent-replayed"));
        answer.expect(201);
    })
    .await;
}

#[tokio::test]
async fn keys_have_a_syntax() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let long = "x".repeat(256);
        for bad in ["", " ", "two words", "tab\there", "caf\u{e9}", &long] {
            shop.buy(bad, &lanterns(1))
                .await
                .expect_problem(400, "invalid_idempotency_key");
        }
        let two = Request::post("/orders")
            .header("host", "test")
            .header("content-type", "application/json")
            .header("idempotency-key", "a")
            .header("idempotency-key", "b")
            .body(Body::from(lanterns(1).to_string()));
        let answer = send(&shop.router, two.expect("a request")).await;
        answer.expect_problem(400, "invalid_idempotency_key");
        assert_eq!((shop.rows().await, inventory.stock().calls), ((0, 0), 0));
        for good in [
            "a",
            "\"quoted\"",
            "'; DROP TABLE orders;--",
            &"x".repeat(255),
        ] {
            let good = good.replace(' ', "_");
            shop.buy(&good, &lanterns(1)).await.expect(201);
        }
        assert_eq!(shop.rows().await, (4, 8));
    })
    .await;
}

#[tokio::test]
async fn a_hundred_repeats_at_once_on_two_replicas_are_one_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let other = replica(&db, &MIGRATIONS).await;
        let shops = [
            Replica::new(&db, &inventory.url).await,
            Replica::new(&other, &inventory.url).await,
        ];
        for round in 1..=3 {
            let (key, body) = (format!("round-{round}"), lanterns(2));
            let repeats = (0..100).map(|n| shops[n % 2].buy(&key, &body));
            let answers = join_all(repeats).await;
            let replayed = answers
                .iter()
                .filter(|a| a.headers.contains_key("idempotent-replayed"))
                .count();
            let orders: HashSet<_> = answers
                .into_iter()
                .map(|a| a.expect(201).to_string())
                .collect();
            assert_eq!((orders.len(), replayed), (1, 99));
            // One event, told to two consumers: a second one would be a second mail.
            assert_eq!(shops[0].rows().await, (round, 2 * round));
        }
        assert_eq!(inventory.stock().reservations.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn of_two_orders_racing_for_a_key_one_wins_whole() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let other = replica(&db, &MIGRATIONS).await;
        let shops = [
            Replica::new(&db, &inventory.url).await,
            Replica::new(&other, &inventory.url).await,
        ];
        let mut rival = lanterns(2);
        rival["email"] = json!("b@example.com");
        let bodies = [lanterns(2), rival, lanterns(3)];
        let race = (0..60).map(|n| {
            let (shop, body) = (&shops[n % 2], &bodies[n % 3]);
            async move { (body, shop.buy("key", body).await) }
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(race)
            .await
            .into_iter()
            .partition(|(_, a)| a.status == 201);
        for (_, answer) in &lost {
            answer.expect_problem(422, "idempotency_key_reused");
        }
        assert_eq!((won.len(), lost.len()), (20, 40));
        let order = &won[0].1.body;
        for (body, answer) in &won {
            assert_eq!(&answer.body, order);
            assert_eq!(
                (&order["email"], &order["quantity"]),
                (&body["email"], &body["quantity"])
            );
        }
        assert_eq!(shops[0].rows().await, (1, 2));
        let stock = inventory.stock();
        let reserved: Vec<_> = stock
            .reservations
            .values()
            .map(|r| json!(r.quantity))
            .collect();
        assert_eq!(reserved, [order["quantity"].clone()]);
    })
    .await;
}

/// Many orders at once, arriving at both replicas in opposite order: neither may block the other.
#[tokio::test]
async fn repeats_of_many_orders_do_not_get_in_each_others_way() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let other = replica(&db, &MIGRATIONS).await;
        let shops = [
            Replica::new(&db, &inventory.url).await,
            Replica::new(&other, &inventory.url).await,
        ];
        let body = lanterns(1);
        for round in 1..=10 {
            let keys: Vec<_> = (0..48).map(|n| format!("{round}-{n}")).collect();
            let there = keys.iter().map(|key| shops[0].buy(key, &body));
            let back = keys.iter().rev().map(|key| shops[1].buy(key, &body));
            let (there, back) = futures::join!(join_all(there), join_all(back));
            for answer in there.into_iter().chain(back) {
                answer.expect(201);
            }
            assert_eq!(shops[0].rows().await, (48 * round, 96 * round));
        }
    })
    .await;
}

//! Cancelling: once, and everybody is told once.
use crate::support::{Replica, inventory, lanterns};
use contracts::{event::Kind, order::Status};
use db::testing::{each, replica};
use futures::future::join_all;
use order::MIGRATIONS;
use serde_json::Value;
use uuid::Uuid;

#[tokio::test]
async fn a_cancelled_order_stays_cancelled_and_is_told_once() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let (id, other) = (shop.bought().await, shop.bought().await);
        let before = shop.get(&format!("/orders/{id}")).await.expect(200);
        let cancelled = shop
            .post(&format!("/orders/{id}/cancel"), Value::Null)
            .await
            .expect(200);
        let mut expected = before;
        expected["status"] = "cancelled".into();
        assert_eq!(cancelled, expected, "nothing else changes");
        for _ in 0..2 {
            assert_eq!(
                shop.post(&format!("/orders/{id}/cancel"), Value::Null)
                    .await
                    .expect(200),
                cancelled
            );
        }
        assert_eq!(
            shop.get(&format!("/orders/{id}")).await.expect(200),
            cancelled
        );
        assert_eq!(
            shop.get(&format!("/orders/{other}")).await.expect(200)["status"],
            "confirmed"
        );
        let told = shop.outbox().await;
        let told: Vec<_> = told
            .iter()
            .filter(|(_, e)| e.kind == Kind::OrderCancelled)
            .collect();
        assert_eq!(told.len(), 2, "one for each consumer");
        assert!(
            told.iter()
                .all(|(_, e)| (e.order.id, e.order.status) == (id, Status::Cancelled))
        );
        assert_eq!(told[0].1.id, told[1].1.id, "of one event");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_can_not_be_cancelled() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let answer = shop
            .post(&format!("/orders/{}/cancel", Uuid::now_v7()), Value::Null)
            .await;
        answer.expect_problem(404, "order_not_found");
        assert_eq!(shop.rows().await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn cancelling_at_once_on_two_replicas_is_one_cancellation() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let other = replica(&db, &MIGRATIONS).await;
        let shops = [
            Replica::new(&db, &inventory.url).await,
            Replica::new(&other, &inventory.url).await,
        ];
        let path = format!("/orders/{}/cancel", shops[0].bought().await);
        let cancels = (0..20).map(|n| shops[n % 2].post(&path, Value::Null));
        for answer in join_all(cancels).await {
            assert_eq!(answer.expect(200)["status"], "cancelled");
        }
        assert_eq!(shops[0].rows().await, (1, 4));
    })
    .await;
}

/// The key of a cancelled order buys nothing new: it still stands for that order.
#[tokio::test]
async fn the_key_of_a_cancelled_order_shows_the_cancelled_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let order = shop.buy("key", &lanterns(1)).await.expect(201);
        let id = order["id"].as_str().expect("an id");
        let cancelled = shop
            .post(&format!("/orders/{id}/cancel"), Value::Null)
            .await
            .expect(200);
        // Before and after inventory has given the pieces back.
        assert_eq!(shop.buy("key", &lanterns(1)).await.expect(201), cancelled);
        inventory.release(id.parse().expect("a UUID"));
        let again = shop.buy("key", &lanterns(1)).await;
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.expect(201), cancelled);
        shop.buy("key", &lanterns(2))
            .await
            .expect_problem(422, "idempotency_key_reused");
    })
    .await;
}

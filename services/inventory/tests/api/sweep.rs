//! Holds whose order never came: the order service decides, the stock follows.
use crate::support::{Orders, Replica, eventually};
use db::{Db, testing::each};
use futures::future::join_all;
use inventory::MIGRATIONS;
use serde_json::{Value, json};
use uuid::Uuid;

async fn setting(db: Db, hold_seconds: &str) -> (Orders, Replica) {
    let orders = Orders::start().await;
    let settings = ["--order-urls", &orders.url, "--hold-seconds", hold_seconds];
    let shop = Replica::with(db, &settings);
    (orders, shop)
}

async fn sweep(shop: &Replica) -> Value {
    shop.call("POST", "/reservations/sweep", Value::Null)
        .await
        .expect(200)
}

#[tokio::test]
async fn expired_holds_become_what_order_says() {
    each(&MIGRATIONS, async |db| {
        let (orders, shop) = setting(db, "1").await;
        let (known, unknown) = (Uuid::now_v7(), Uuid::now_v7());
        shop.reserve(known, "PROD-001", 2).await.expect(200);
        shop.reserve(unknown, "PROD-001", 3).await.expect(200);
        orders.confirm(known);
        eventually("the holds expire", async || {
            sweep(&shop).await;
            shop.stock("PROD-001").await.1 == 0
        })
        .await;
        assert_eq!(shop.stock("PROD-001").await, (9998, 0, 2));
        assert_eq!(sweep(&shop).await, json!({"sold": 0, "released": 0}));
        // The tombstone: the order that comes too late gets nothing.
        shop.reserve(unknown, "PROD-001", 3)
            .await
            .expect_problem(409, "reservation_released");
        shop.reserve(known, "PROD-001", 2).await.expect(200);
        assert_eq!(shop.stock("PROD-001").await, (9998, 0, 2));
    })
    .await;
}

#[tokio::test]
async fn holds_that_may_still_get_their_order_are_left_alone() {
    each(&MIGRATIONS, async |db| {
        let (orders, shop) = setting(db, "3600").await;
        shop.reserve(Uuid::now_v7(), "PROD-001", 2)
            .await
            .expect(200);
        assert_eq!(sweep(&shop).await, json!({"sold": 0, "released": 0}));
        assert!(orders.settled().is_empty(), "nobody had to be asked");
        assert_eq!(shop.stock("PROD-001").await, (9998, 2, 0));
    })
    .await;
}

#[tokio::test]
async fn without_order_nothing_is_decided() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::with(
            db,
            &[
                "--order-urls",
                crate::support::NOWHERE,
                "--hold-seconds",
                "1",
            ],
        );
        shop.reserve(Uuid::now_v7(), "PROD-001", 2)
            .await
            .expect(200);
        eventually("the hold expires", async || {
            let answer = shop.call("POST", "/reservations/sweep", Value::Null).await;
            if answer.status == 200 {
                return false;
            }
            answer.expect_problem(503, "unavailable");
            assert!(answer.headers.contains_key("retry-after"));
            true
        })
        .await;
        assert_eq!(shop.stock("PROD-001").await, (9998, 2, 0));
    })
    .await;
}

#[tokio::test]
async fn many_expired_holds_are_settled_by_one_sweep() {
    each(&MIGRATIONS, async |db| {
        let (orders, shop) = setting(db, "1").await;
        let reserves = (0..450).map(|_| shop.reserve(Uuid::now_v7(), "PROD-001", 1));
        join_all(reserves).await;
        let marker = Uuid::now_v7();
        shop.reserve(marker, "PROD-002", 1).await.expect(200);
        eventually("the last hold expires", async || {
            sweep(&shop).await;
            shop.stock("PROD-002").await.1 == 0
        })
        .await;
        assert_eq!(shop.stock("PROD-001").await, (10000, 0, 0));
        let settled = orders.settled();
        assert!(
            settled.iter().all(|s| s.holds.len() <= 200),
            "order is asked in small steps"
        );
        assert_eq!(
            settled.iter().map(|s| s.holds.len()).sum::<usize>(),
            451,
            "each hold is asked about once"
        );
    })
    .await;
}

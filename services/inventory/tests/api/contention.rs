//! Many orders at once, over two replicas of one database.
use crate::support::Replica;
use db::{
    Db,
    testing::{each, replica},
};
use futures::future::join_all;
use inventory::MIGRATIONS;
use rand::RngExt as _;
use std::{cell::Cell, collections::HashMap};
use uuid::Uuid;

async fn two_replicas(db: Db) -> [Replica; 2] {
    let other = replica(&db, &MIGRATIONS).await;
    [Replica::new(db), Replica::new(other)]
}

/// Looks at the stock again and again until `work` is done; every look checks the sums.
async fn watched<T>(shop: &Replica, work: impl Future<Output = T>) -> T {
    let (done, looks) = (Cell::new(false), Cell::new(0));
    let watch = async {
        while !done.get() {
            shop.snapshot().await;
            looks.set(looks.get() + 1);
        }
    };
    let work = async {
        let result = work.await;
        done.set(true);
        result
    };
    let (result, ()) = futures::join!(work, watch);
    assert!(looks.get() > 0, "nobody looked meanwhile");
    result
}

#[tokio::test]
async fn a_hundred_pieces_go_to_a_hundred_of_two_hundred_orders() {
    each(&MIGRATIONS, async |db| {
        let shops = two_replicas(db).await;
        shops[0].set_stock("PROD-001", 100).await;
        let orders = (0..200).map(|n| {
            let shop = &shops[n % 2];
            async move {
                shop.reserve(Uuid::now_v7(), "PROD-001", 1)
                    .await
                    .status
                    .as_u16()
            }
        });
        let statuses = watched(&shops[0], join_all(orders)).await;
        let count = |status| statuses.iter().filter(|s| **s == status).count();
        assert_eq!((count(200), count(409)), (100, 100), "{statuses:?}");
        assert_eq!(shops[1].stock("PROD-001").await, (0, 100, 0));
    })
    .await;
}

/// Near sold out, batches hold orders that fit and orders that don't.
#[tokio::test]
async fn mixed_orders_take_what_fits_and_no_more() {
    each(&MIGRATIONS, async |db| {
        let shops = two_replicas(db).await;
        let products = ["PROD-001", "PROD-002", "PROD-003", "PROD-004", "PROD-005"];
        for product in products {
            shops[0].set_stock(product, 150).await;
        }
        let orders = (0..300).map(|n: usize| {
            let shop = &shops[n % 2];
            let product = products[rand::rng().random_range(0..products.len())];
            let quantity = rand::rng().random_range(1..=9);
            async move {
                let answer = shop.reserve(Uuid::now_v7(), product, quantity).await;
                (product, quantity, answer.status.as_u16())
            }
        });
        let outcomes = watched(&shops[0], join_all(orders)).await;
        let mut granted: HashMap<&str, i64> = HashMap::new();
        for (product, quantity, status) in &outcomes {
            match status {
                200 => *granted.entry(product).or_default() += quantity,
                409 => {}
                status => panic!("{status} for {quantity} of {product}"),
            }
        }
        for product in products {
            let (available, held, _) = shops[0].stock(product).await;
            assert_eq!(held, granted.get(product).copied().unwrap_or(0));
            assert_eq!(available, 150 - held);
            let refused = outcomes.iter().filter(|o| o.0 == product && o.2 == 409);
            if let Some(smallest) = refused.map(|o| o.1).min() {
                assert!(
                    available < smallest,
                    "{smallest} of {product} refused with {available} left"
                );
            }
        }
    })
    .await;
}

/// Retries of the same orders reach both replicas in different orders; neither may block the other.
#[tokio::test]
async fn the_same_orders_on_both_replicas_are_one_reservation_each() {
    each(&MIGRATIONS, async |db| {
        let shops = two_replicas(db).await;
        for round in 1..=25 {
            let ids: Vec<_> = (0..64).map(|_| Uuid::now_v7()).collect();
            let there = ids.iter().map(|id| shops[0].reserve(*id, "PROD-001", 1));
            let back = ids
                .iter()
                .rev()
                .map(|id| shops[1].reserve(*id, "PROD-001", 1));
            let answers = futures::join!(join_all(there), join_all(back));
            for answer in answers.0.into_iter().chain(answers.1) {
                answer.expect(200);
            }
            assert_eq!(
                shops[0].stock("PROD-001").await,
                (10000 - 64 * round, 64 * round, 0)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn setting_the_stock_between_orders_loses_no_piece() {
    each(&MIGRATIONS, async |db| {
        let shops = two_replicas(db).await;
        let orders = (0..100).map(|n| {
            let shop = &shops[n % 2];
            async move {
                if n % 10 == 0 {
                    shop.set_stock("PROD-001", 10).await;
                    200
                } else {
                    shop.reserve(Uuid::now_v7(), "PROD-001", 1)
                        .await
                        .status
                        .as_u16()
                }
            }
        });
        let statuses = watched(&shops[1], join_all(orders)).await;
        assert!(
            statuses.iter().all(|s| matches!(s, 200 | 409)),
            "{statuses:?}"
        );
        let held = statuses.iter().filter(|s| **s == 200).count() as i64 - 10;
        assert_eq!(shops[0].stock("PROD-001").await.1, held);
    })
    .await;
}

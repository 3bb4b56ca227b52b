//! Without its database the service says so, and comes back by itself.
use crate::support::{Replica, inventory, lanterns};
use db::{
    Pool,
    testing::{Line, postgres, sqlite},
};
use order::MIGRATIONS;
use serde_json::Value;
use service::testing::{OPERATOR, call_as};
use sqlx::{ConnectOptions as _, PgConnection};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

async fn away(shop: &Replica) {
    let cancel = format!("/orders/{}/cancel", Uuid::now_v7());
    for (method, path, body) in [
        ("POST", "/orders", lanterns(1)),
        ("GET", "/orders", Value::Null),
        (
            "GET",
            "/orders/018f0000-0000-7000-8000-000000000000",
            Value::Null,
        ),
        ("POST", &cancel, Value::Null),
    ] {
        let started = Instant::now();
        let answer = call_as(&shop.router, OPERATOR, method, path, body).await;
        answer.expect_problem(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{path} took {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn while_postgres_is_away_orders_are_refused_and_taken_again_after() {
    let mut line = Line::new(&MIGRATIONS).await;
    let inventory = inventory().await;
    let shop = Replica::new(&line.db, &inventory.url).await;
    let first = shop.buy("first", &lanterns(1)).await.expect(201);
    line.cut();
    away(&shop).await;
    shop.buy("second", &lanterns(1))
        .await
        .expect_problem(503, "unavailable");
    line.mend();
    let started = Instant::now();
    while shop.get("/orders").await.status != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "it doesn't come back"
        );
    }
    assert_eq!(shop.buy("first", &lanterns(1)).await.expect(201), first);
    shop.buy("second", &lanterns(1)).await.expect(201);
    assert_eq!(shop.rows().await, (2, 4));
    line.close().await;
}

#[tokio::test]
async fn while_the_file_is_away_orders_are_refused() {
    sqlite(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        db.close().await;
        away(&shop).await;
    })
    .await;
}

/// Ends all connections to the database but this one.
async fn end_the_others(admin: &mut PgConnection) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(end).execute(admin).await.expect("it ends them");
}

/// A failover ends all connections; whoever orders next doesn't notice.
#[tokio::test]
async fn ended_connections_are_replaced() {
    postgres(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let Pool::Postgres(pool) = &db.writer else {
            panic!("this is about Postgres");
        };
        let mut admin = pool
            .connect_options()
            .connect()
            .await
            .expect("one more connection");
        let shop = Replica::new(&db, &inventory.url).await;
        for round in 0..10 {
            futures::future::join_all((0..8).map(|_| shop.get("/orders"))).await;
            end_the_others(&mut admin).await;
            let key = format!("round-{round}");
            shop.buy(&key, &lanterns(1)).await.expect(201);
            shop.get("/orders").await.expect(200);
        }
        assert_eq!(shop.rows().await, (10, 20));
    })
    .await;
}

//! A disk that is full: orders are refused and leave nothing behind; with room again all goes on.
use crate::support::{Replica, inventory, lanterns};
use db::{Db, Pool, testing};
use order::MIGRATIONS;
use sqlx::{AssertSqlSafe, query_scalar, raw_sql};

async fn refuses_then_goes_on(db: &Db, fill: impl AsyncFn(), make_room: impl AsyncFn()) {
    let inventory = inventory().await;
    let shop = Replica::new(db, &inventory.url).await;
    let first = shop.buy("first", &lanterns(1)).await.expect(201);
    let mut stored = shop.rows().await;
    fill().await;
    for number in 0.. {
        let answer = shop.buy(&format!("more-{number}"), &lanterns(1)).await;
        if answer.status == 201 {
            // SQLite's last pages have room for some.
            assert!(number < 1000, "it is never full");
            stored = shop.rows().await;
            continue;
        }
        answer.expect_problem(507, "storage_full");
        break;
    }
    assert_eq!(shop.rows().await, stored, "something was half written");
    // What is there can still be read, and found under its key.
    shop.get("/orders").await.expect(200);
    make_room().await;
    assert_eq!(shop.buy("first", &lanterns(1)).await.expect(201), first);
    shop.buy("second", &lanterns(1)).await.expect(201);
    assert_eq!(shop.rows().await, (stored.0 + 1, stored.1 + 2));
}

#[tokio::test]
async fn a_full_sqlite_file() {
    testing::sqlite(&MIGRATIONS, async |db| {
        let Pool::Sqlite(file) = &db.writer else {
            panic!("this is about SQLite");
        };
        // The limit is the connection's own, and there is only this one that writes.
        let limit = async |pages: i64| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            let limit = query_scalar::<_, i64>(AssertSqlSafe(limit)).fetch_one(file);
            limit.await.expect("a limit");
        };
        refuses_then_goes_on(&db, async || limit(1).await, async || limit(1 << 30).await).await;
        let intact: String = query_scalar("PRAGMA integrity_check")
            .fetch_one(file)
            .await
            .expect("an answer");
        assert_eq!(intact, "ok");
    })
    .await;
}

/// Postgres on a full disk fails the statement with 53100, as this trigger does.
#[tokio::test]
async fn a_full_postgres() {
    const FILL: &str = "
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END$$;
        CREATE TRIGGER no_room BEFORE INSERT ON outbox EXECUTE FUNCTION fail();";
    testing::postgres(&MIGRATIONS, async |db| {
        let Pool::Postgres(pool) = &db.writer else {
            panic!("this is about Postgres");
        };
        let run = async |sql: &'static str| {
            raw_sql(sql).execute(pool).await.expect("it runs");
        };
        let make_room = async || run("DROP FUNCTION fail CASCADE").await;
        refuses_then_goes_on(&db, async || run(FILL).await, make_room).await;
    })
    .await;
}

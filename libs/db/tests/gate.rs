//! A database that is broken on purpose, on SQLite and Postgres.
use db::{Begin as _, Db, is_unavailable, testing::each, with_db};
use gate::{Gate, Mode};
use sqlx::{migrate::Migrator, query, query_scalar};
use std::time::{Duration, Instant};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");
const MINUTE: Duration = Duration::from_secs(60);

async fn count(db: &Db) -> sqlx::Result<i64> {
    with_db!(&db.reader, |pool| {
        query_scalar("SELECT COUNT(*) FROM notes")
            .fetch_one(pool)
            .await
    })
}

async fn rows(db: &Db) -> sqlx::Result<usize> {
    with_db!(&db.reader, |pool| {
        let rows = query("SELECT 1 FROM notes").fetch_all(pool).await;
        rows.map(|rows| rows.len())
    })
}

/// A transaction that changes nothing.
async fn begin(db: &Db) -> sqlx::Result<()> {
    with_db!(&db.writer, |pool| {
        let mut transaction = pool.begin_write().await?;
        query("UPDATE notes SET text = text")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    })
}

#[tokio::test]
async fn a_stopped_one_fails_at_once_as_if_it_were_away() {
    each(&MIGRATIONS, async |db| {
        let gate = Gate::default();
        let db = db.behind(&gate);
        let before = count(&db).await.expect("it works");
        let held = gate.shut(Mode::Stopped, MINUTE);
        let started = Instant::now();
        for _ in 0..20 {
            for error in [
                count(&db).await.expect_err("it is stopped"),
                rows(&db).await.map(drop).expect_err("it is stopped"),
                begin(&db).await.expect_err("it is stopped"),
                db.ping().await.expect_err("it is stopped"),
            ] {
                assert!(is_unavailable(&error), "{error:?}");
            }
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "failing takes time"
        );
        drop(held);
        // Its connections may be cut a moment later still, since it was shut for less than that takes.
        let back = loop {
            match count(&db).await {
                Err(error) if is_unavailable(&error) && started.elapsed() < MINUTE => {
                    tokio::task::yield_now().await;
                }
                counted => break counted,
            }
        };
        assert_eq!(back.expect("it is back"), before);
        begin(&db).await.expect("it is back");
        assert_eq!(rows(&db).await.expect("it is back"), 1);
    })
    .await;
}

#[tokio::test]
async fn each_use_of_a_slow_one_waits() {
    each(&MIGRATIONS, async |db| {
        let gate = Gate::default();
        let db = db.behind(&gate);
        let latency = Duration::from_millis(150);
        let _held = gate.shut(Mode::Slow(latency), MINUTE);
        for _ in 0..2 {
            let started = Instant::now();
            count(&db).await.expect("it answers");
            assert!(started.elapsed() >= latency, "{:?}", started.elapsed());
            let started = Instant::now();
            begin(&db).await.expect("it answers");
            assert!(started.elapsed() >= latency, "{:?}", started.elapsed());
        }
    })
    .await;
}

/// What names a connection: the process on the server's side, or a table that only it sees.
async fn is_new(db: &Db, earlier: &mut Vec<i32>) -> bool {
    with_postgres(db, earlier).await.unwrap_or(true)
}

async fn with_postgres(db: &Db, earlier: &mut Vec<i32>) -> sqlx::Result<bool> {
    let db::Pool::Postgres(pool) = &db.writer else {
        return Ok(true);
    };
    let pid: i32 = query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await?;
    let new = !earlier.contains(&pid);
    earlier.push(pid);
    Ok(new)
}

#[tokio::test]
async fn a_severed_one_loses_its_connections_again_and_again_and_goes_on() {
    each(&MIGRATIONS, async |db| {
        let gate = Gate::default();
        let db = db.behind(&gate);
        with_db!(&db.writer, |pool| query(
            "CREATE TEMPORARY TABLE here (n BIGINT)"
        )
        .execute(pool)
        .await
        .map(drop))
        .expect("a table of this connection");
        let mut connections = Vec::new();
        is_new(&db, &mut connections).await;
        let held = gate.shut(Mode::Severed, MINUTE);
        let gone = async || {
            with_db!(&db.writer, |pool| query("SELECT n FROM here")
                .execute(pool)
                .await
                .is_err())
        };
        let started = Instant::now();
        while !gone().await {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "it was not cut"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Whoever reads, or begins, notices nothing.
        let started = Instant::now();
        let (mut new, mut reads) = (0, 0);
        while started.elapsed() < Duration::from_millis(2500) {
            count(&db).await.expect("reads are repeated");
            new += u32::from(is_new(&db, &mut connections).await);
            reads += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(new >= 2, "{new} new connections in {reads} reads");
        drop(held);
        begin(&db).await.expect("it is whole again");
    })
    .await;
}

/// The statement that runs when its connection is cut fails as it does when a server goes.
#[tokio::test]
async fn what_runs_on_postgres_is_cut_too() {
    db::testing::postgres(&MIGRATIONS, async |db| {
        let gate = Gate::default();
        let db = db.behind(&gate);
        let db::Pool::Postgres(pool) = &db.writer else {
            panic!("this is about Postgres");
        };
        let mut transaction = pool.begin_write().await.expect("it begins");
        let sleeping = query("SELECT pg_sleep(20)").execute(&mut *transaction);
        let cut = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            gate.shut(Mode::Severed, MINUTE)
        };
        let (slept, _held) = tokio::join!(sleeping, cut);
        let error = slept.expect_err("its connection was cut");
        assert!(is_unavailable(&error), "{error:?}");
    })
    .await;
}

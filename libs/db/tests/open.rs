//! Opening a database: replicas that start at once, and servers that don't let us in.
use db::{
    Db, Settings,
    testing::{PostgresServer, drop_postgres, new_postgres},
    with_db,
};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, migrate::Migrator, query, query_scalar, raw_sql};
use std::error::Error as _;
use tokio::time::{Duration, Instant};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

/// Six replicas on an empty database: all of them open it, and each migration ran once.
async fn all_open(url: &str) {
    let settings = Settings::from_url(url);
    let replicas = (0..6).map(|_| Db::open(&settings, "test", &MIGRATIONS));
    let replicas: Vec<Db> = join_all(replicas)
        .await
        .into_iter()
        .map(|opened| opened.expect("it opens"))
        .collect();
    for replica in &replicas {
        for (table, rows) in [("_sqlx_migrations", 2), ("notes", 1)] {
            let count = format!("SELECT COUNT(*) FROM {table}");
            let count: i64 = with_db!(&replica.reader, |pool| {
                let count = query_scalar(AssertSqlSafe(count));
                count.fetch_one(pool).await.expect("a count")
            });
            assert_eq!(count, rows, "{table}");
        }
    }
    for replica in replicas {
        replica.close().await;
    }
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_an_empty_database_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("test.db");
    all_open(&format!("sqlite:{}", file.display())).await;
    let (server, url) = new_postgres().await;
    all_open(&url).await;
    drop_postgres(&server, &url).await;
}

/// What is told when this can't be opened: the error and its causes, as the log has them.
async fn refused(settings: &Settings) -> String {
    let error = Db::open(settings, "test", &MIGRATIONS).await;
    let error = error.expect_err("it doesn't open");
    let cause = error.source().map(ToString::to_string);
    let told = format!("{error}: {}", cause.unwrap_or_default());
    assert!(!told.contains('\n') && !told.contains("hunter2"), "{told}");
    told
}

#[tokio::test]
async fn a_server_that_refuses_is_named_and_so_is_what_to_do() {
    let server = PostgresServer::start();
    let good = server.url("postgres");
    let place = host(&good);
    let wrong = good.replacen(":test@", ":hunter2@", 1);
    let told = refused(&Settings::from_url(wrong)).await;
    assert!(told.contains(&place) && told.contains("password"), "{told}");
    let told = refused(&Settings::from_url(server.url("nowhere"))).await;
    assert!(
        told.contains(&place) && told.contains("create this database"),
        "{told}"
    );
}

/// Host and port as a URL has them.
fn host(url: &str) -> String {
    let (_, rest) = url.split_once('@').expect("a user");
    rest.split('/').next().expect("a host").to_owned()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_but_not_for_ever() {
    for place in ["127.0.0.1:1", "nowhere.invalid:5432"] {
        let url = format!("postgres://shop:hunter2@{place}/orders");
        let settings = Settings {
            database_wait_seconds: 1,
            ..Settings::from_url(url)
        };
        let started = Instant::now();
        let told = refused(&settings).await;
        assert!(
            told.contains(place) && told.contains("is it running"),
            "{told}"
        );
        assert!(started.elapsed() >= Duration::from_secs(1));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = folder.path().join("no/such/folder/test.db");
    let url = format!("sqlite:{}", nowhere.display());
    let told = refused(&Settings::from_url(&url)).await;
    assert!(
        told.contains(&url) && told.contains("does its folder exist"),
        "{told}"
    );
}

/// A connection ends while it is idle: who reads or begins a transaction next doesn't notice.
#[tokio::test]
async fn ended_connections_are_replaced_unseen() {
    let (server, url) = new_postgres().await;
    let db = Db::open(&Settings::from_url(&url), "test", &MIGRATIONS).await;
    let db = db.expect("it opens");
    let db::Pool::Postgres(pool) = &db.writer else {
        panic!("this is about Postgres");
    };
    for _ in 0..5 {
        // All connections that the pool may have.
        let busy = (0..8).map(|_| query("SELECT pg_sleep(0.05)").execute(pool));
        for done in join_all(busy).await {
            done.expect("it sleeps");
        }
        let mut admin = sqlx::ConnectOptions::connect(&*pool.connect_options())
            .await
            .expect("one more connection");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        raw_sql(end)
            .execute(&mut admin)
            .await
            .expect("it ends them");
        let mut read = Vec::new();
        for _ in 0..12 {
            read.push(query_scalar::<_, i64>("SELECT COUNT(*) FROM notes").fetch_one(pool));
        }
        for rows in join_all(read).await {
            assert_eq!(rows.expect("it reads"), 1);
        }
        let written = db::Begin::begin_write(pool).await;
        written
            .expect("it begins")
            .rollback()
            .await
            .expect("it ends");
    }
    db.close().await;
    drop_postgres(&server, &url).await;
}

/// While the server is away, nobody waits for it longer than it takes to see that; after, all goes on.
#[tokio::test]
async fn an_outage_is_seen_at_once_and_its_end_soon() {
    let mut server = PostgresServer::start();
    let url = server.url("postgres");
    let db = Db::open(&Settings::from_url(url), "test", &MIGRATIONS).await;
    let db = db.expect("it opens");
    server.kill();
    for _ in 0..20 {
        let asked = Instant::now();
        let error = db.ping().await.expect_err("it is away");
        assert!(db::is_unavailable(&error), "{error}");
        assert!(
            asked.elapsed() < Duration::from_millis(800),
            "{:?}",
            asked.elapsed()
        );
    }
    server.run();
    let back = Instant::now();
    while db.ping().await.is_err() {
        assert!(
            back.elapsed() < Duration::from_secs(5),
            "it doesn't come back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    db.close().await;
}

//! Fresh databases for tests, one of each kind.
use crate::{Db, Settings};
use sqlx::{Connection as _, PgConnection, migrate::Migrator};
use std::future::Future;

/// Runs `test` on a fresh SQLite file and then on a fresh Postgres database.
///
/// The Postgres server is the one at `TEST_POSTGRES_URL`; `ci/test` starts one and sets it.
///
/// # Panics
/// When a database can't be made: a missing server is a failure, not a reason to skip.
pub async fn each<F: Future<Output = ()>>(migrations: &Migrator, test: impl Fn(Db) -> F) {
    sqlite(migrations, &test).await;
    postgres(migrations, &test).await;
}

/// Runs `test` on a fresh SQLite file.
pub async fn sqlite<F: Future<Output = ()>>(migrations: &Migrator, test: impl Fn(Db) -> F) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = Db::open(&Settings::from_url(url), "test", migrations).await.expect("SQLite opens");
    test(db.clone()).await;
    db.close().await;
}

/// Runs `test` on a fresh Postgres database.
pub async fn postgres<F: Future<Output = ()>>(migrations: &Migrator, test: impl Fn(Db) -> F) {
    let (server, url) = new_postgres().await;
    let db = Db::open(&Settings::from_url(url.clone()), "test", migrations).await.expect("Postgres opens");
    test(db.clone()).await;
    db.close().await;
    drop_postgres(&server, &url).await;
}

/// A new, empty Postgres database: the server's URL and its own.
pub async fn new_postgres() -> (String, String) {
    let server = option_env("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL must name a Postgres server; run the tests with ci/test");
    let name = format!("test_{:x}", std::process::id() as u128 ^ std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos());
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let base = base.rsplit_once('/').expect("a URL with a database").0;
    (server.clone(), format!("{base}/{name}?{query}"))
}

/// Drops a database made by [`new_postgres`].
pub async fn drop_postgres(server: &str, url: &str) {
    let path = url.split('?').next().unwrap_or(url);
    let name = path.rsplit('/').next().expect("a URL with a database");
    execute(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn execute(server: &str, sql: &str) {
    let mut admin = PgConnection::connect(server).await.expect("the Postgres server answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.expect("an administrator's statement");
}

fn option_env(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|v| v.into_string().ok())
}

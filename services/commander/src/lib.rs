//! Shows every replica, kills on purpose, and keeps the journal of what broke and healed.
mod config;
mod driver;
mod entry;
mod error;
mod kill;
mod metrics;
mod readings;
mod replica;
mod rollout;
mod routes;
mod state;
mod store;
mod traffic;
mod watch;

pub use config::{Config, Environment};

use client::Upstream;
use db::Db;
use driver::Driver;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use rand::{SeedableRng as _, rngs::StdRng};
use readings::Readings;
use service::{Background, Server, Shutdown};
use std::sync::{Arc, Mutex};
use store::Store;
use tokio::sync::watch::Sender;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    driver: Driver,
    readings: Readings,
    /// May anything be broken?
    chaos: bool,
    random: Arc<Mutex<StdRng>>,
    /// Marks every change of a replica or of the journal.
    changes: Sender<()>,
    metrics: Metrics,
}

impl App {
    #[must_use]
    pub fn new(config: &Config, db: Db, registry: &mut Registry) -> Self {
        db.register(registry);
        let client = client::Metrics::register(registry);
        let upstream = |name, urls| Upstream::new(name, urls, config.client.clone(), &client);
        let seed = config.chaos_seed.unwrap_or_else(rand::random);
        let chaos = config.chaos();
        tracing::info!(chaos, seed, "random choices follow this seed");
        Self {
            store: Store::new(db),
            driver: Driver::new(config),
            readings: Readings::new(
                upstream("gateway", &config.gateway_ops_urls),
                upstream("worker", &config.worker_urls),
            ),
            chaos,
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            changes: Sender::new(()),
            metrics: Metrics::register(registry),
        }
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    service::layers(routes::routes(app), &config.service, registry)
}

/// The background tasks of this service.
#[must_use]
pub fn background(app: &App) -> Background {
    let mut background = Background::default();
    background.spawn("watch", |stop| watch::run(app.clone(), stop));
    background
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the database or addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let db = Db::open(&config.db, "commander", &MIGRATIONS).await?;
    let mut registry = telemetry::registry();
    let app = App::new(&config, db.clone(), &mut registry);
    watch::trim(&app).await?;
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app);
    Server::new(config.listen, config.service, registry)
        .check("database", move || {
            let store = app.store.clone();
            async move { Ok(store.ping().await?) }
        })
        .background(background)
        .serve(router, shutdown)
        .await?;
    db.close().await;
    Ok(())
}

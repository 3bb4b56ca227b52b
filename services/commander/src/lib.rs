//! Shows every replica, kills on purpose, and keeps the journal of what broke and healed.
mod alert;
pub mod audit;
mod badge;
#[cfg(feature = "kubernetes")]
mod cluster;
mod config;
mod desk;
pub mod drill;
mod driver;
mod entry;
mod error;
mod inject;
mod kill;
pub mod load;
mod metrics;
mod points;
mod present_load;
mod readings;
mod replica;
mod rollout;
mod routes;
mod scale;
mod state;
mod store;
mod traffic;
mod watch;

#[cfg(feature = "kubernetes")]
pub use cluster::Cluster;
pub use config::{Config, Environment, OpsUrl};

use client::Upstream;
use db::Db;
use desk::Desk;
use drill::{catalogue::Catalogue, site::Site};
use driver::Driver;
use metrics::Metrics;
use points::Points;
use prometheus_client::registry::Registry;
use rand::{SeedableRng as _, rngs::StdRng};
use readings::Readings;
use service::{Background, Faults, Secret, Server, Shutdown};
use std::sync::{Arc, Mutex};
use store::{Store, runs::Runs};
use tokio::sync::watch::Sender;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    driver: Driver,
    points: Points,
    readings: Readings,
    /// May anything be broken?
    chaos: bool,
    /// Of Alertmanager; none where everybody inside may tell alerts.
    alert_token: Option<Secret>,
    random: Arc<Mutex<StdRng>>,
    /// Marks every change of a replica, of the journal or of an alert.
    changes: Sender<()>,
    /// Marks an entry that ends by itself.
    noted: Sender<()>,
    metrics: Metrics,
    runs: Runs,
    desk: Desk,
    site: Site,
    drills: Arc<Catalogue>,
}

impl App {
    /// # Errors
    /// When the drills can't be read.
    pub fn new(config: &Config, db: Db, registry: &mut Registry) -> anyhow::Result<Self> {
        let drills = Catalogue::load(config.drills.as_deref())?;
        let metrics = Metrics::register(registry);
        for drill in drills.all() {
            metrics.know_drill(&drill.name);
        }
        db.register(registry);
        let client = client::Metrics::register(registry);
        let upstream = |name, urls| Upstream::new(name, urls, config.client.clone(), &client);
        let seed = config.chaos_seed.unwrap_or_else(rand::random);
        let chaos = config.service.chaos();
        tracing::info!(chaos, seed, "random choices follow this seed");
        let site = badge::site(config, upstream("auth", &config.auth_urls));
        Ok(Self {
            runs: Runs::new(db.clone()),
            desk: Desk::new(),
            site,
            drills: Arc::new(drills),
            store: Store::new(db),
            driver: Driver::new(config),
            points: Points::new(&config.service),
            readings: Readings::new(
                upstream("gateway", &config.gateway_ops_urls),
                upstream("worker", &config.worker_urls),
            ),
            chaos,
            alert_token: config.alert_token().cloned(),
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            changes: Sender::new(()),
            noted: Sender::new(()),
            metrics,
        })
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
    background.spawn("desk", |stop| desk::run(app.clone(), stop));
    background.spawn("trim", |stop| watch::trim(app.clone(), stop));
    background
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the database or addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let faults = Faults::new(&config.service);
    let db = Db::open(&config.db, "commander", &MIGRATIONS).await?;
    let db = db.behind(&faults.database());
    let mut registry = telemetry::registry();
    let app = App::new(&config, db.clone(), &mut registry)?;
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app);
    Server::new(config.listen, config.service, registry)
        .faults(faults)
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

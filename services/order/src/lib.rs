//! Takes orders, keeps their state, and tells the others through the outbox.
mod config;
mod error;
mod inventory;
mod metrics;
mod order;
mod place;
mod record;
mod relay;
mod routes;
mod store;

pub use config::Config;

use db::Db;
use inventory::Inventory;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use queue::Queue;
use record::Recorder;
use relay::{Outbox, Relay};
use service::{Background, Faults, Server, Shutdown};
use std::{sync::Arc, time::Duration};
use store::Store;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The queues that every order event goes to.
pub(crate) const CONSUMERS: [&str; 2] =
    [contracts::INVENTORY_EVENTS, contracts::NOTIFICATION_EVENTS];

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    recorder: Recorder,
    outbox: Outbox,
    inventory: Inventory,
    metrics: Metrics,
    secret: Arc<[u8]>,
}

impl App {
    /// The app and the relay that delivers its events.
    ///
    /// # Errors
    /// When a setting is missing.
    pub fn new(
        config: &Config,
        db: Db,
        queue: Queue,
        registry: &mut Registry,
    ) -> anyhow::Result<(Self, Relay)> {
        db.register(registry);
        let store = Store::new(db);
        let redeliver = Duration::from_secs(config.outbox_redeliver_seconds.into());
        let (relay, outbox) = Relay::new(store.clone(), queue, redeliver);
        let client_metrics = client::Metrics::register(registry);
        let inventory = client::Upstream::new(
            "inventory",
            &config.inventory_urls,
            config.client.clone(),
            &client_metrics,
        );
        let app = Self {
            recorder: Recorder::new(store.clone(), outbox.clone()),
            store,
            outbox,
            inventory: Inventory::new(inventory),
            metrics: Metrics::register(registry),
            secret: config.secret()?.into(),
        };
        Ok((app, relay))
    }

    /// Brings the gauges up to date for a scrape.
    async fn refresh(self) {
        if let Ok((unsent, oldest)) = self.store.outbox().await {
            self.metrics.outbox_unsent.set(unsent);
            let age = oldest.map_or(0, |at| (db::now() - at).num_milliseconds().max(0));
            self.metrics.outbox_oldest.set(age as f64 / 1000.0);
        }
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    service::layers(routes::routes(app), &config.service, registry)
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the database, queue or addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    config.secret()?;
    let faults = Faults::new(&config.service);
    let db = Db::open(&config.db, "order", &MIGRATIONS).await?;
    let db = db.behind(&faults.database());
    let options = queue::Options::stopping_within(config.service.stop_timeout);
    let queue = config.queue.open(options).await?.behind(&faults.queue());
    let mut registry = telemetry::registry();
    let (app, relay) = App::new(&config, db.clone(), queue.clone(), &mut registry)?;
    let router = router(app.clone(), &config, &mut registry);
    let mut background = Background::default();
    background.spawn("relay", |stop| relay.run(stop));
    let store = app.store.clone();
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .check("database", move || {
            let store = store.clone();
            async move { Ok(store.ping().await?) }
        })
        .refresh(move || app.clone().refresh())
        .background(background)
        .serve(router, shutdown)
        .await?;
    queue.close().await;
    db.close().await;
    Ok(())
}

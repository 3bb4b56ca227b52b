//! Keeps products, their stock, and what is set aside for orders.
mod config;
mod error;
mod events;
mod metrics;
mod order;
mod product;
mod reservation;
mod reserve;
mod routes;
mod shelf;
mod store;
mod sweep;

pub use config::Config;

use db::Db;
use metrics::{Metrics, Product};
use order::Orders;
use prometheus_client::registry::Registry;
use queue::Queue;
use reserve::Reserver;
use service::{Background, Faults, Server, Shutdown};
use shelf::Shelf;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Events are worked in together with those of the next moment: nobody waits for them.
const LINGER: Duration = Duration::from_millis(50);

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    reserver: Reserver,
    shelf: Shelf,
    orders: Orders,
    metrics: Metrics,
}

impl App {
    #[must_use]
    pub fn new(config: &Config, db: Db, registry: &mut Registry) -> Self {
        db.register(registry);
        let store = Store::new(db);
        let client_metrics = client::Metrics::register(registry);
        let orders = client::Upstream::new(
            "order",
            &config.order_urls,
            config.client.clone(),
            &client_metrics,
        );
        let hold = Duration::from_secs(config.hold_seconds.into());
        Self {
            reserver: Reserver::new(store.clone(), hold),
            store,
            shelf: Shelf::default(),
            orders: Orders::new(orders),
            metrics: Metrics::register(registry),
        }
    }

    /// Brings the gauges up to date for a scrape.
    async fn refresh(self) {
        if let Ok(products) = self.store.products(500, None).await {
            for product in products {
                let label = Product {
                    product_id: product.id,
                };
                self.metrics
                    .stock
                    .get_or_create(&label)
                    .set(product.available);
            }
        }
        if let Ok(holds) = self.store.holds().await {
            self.metrics.holds.set(holds);
        }
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    service::layers(routes::routes(app), &config.service, registry)
}

/// The background tasks of this service.
#[must_use]
pub fn background(app: &App, queue: &Queue) -> Background {
    let mut background = Background::default();
    background.spawn("events", |stop| consume(app.clone(), queue.clone(), stop));
    background
}

/// Works in the order events of a queue until stopped.
async fn consume(app: App, queue: Queue, stop: CancellationToken) -> anyhow::Result<()> {
    let work = |jobs| events::work_in(app.clone(), jobs);
    queue
        .batches(contracts::INVENTORY_EVENTS)
        .linger(LINGER)
        .run(work, stop)
        .await;
    Ok(())
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the database, queue or addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let faults = Faults::new(&config.service);
    let db = Db::open(&config.db, "inventory", &MIGRATIONS).await?;
    let db = db.behind(&faults.database());
    let options = queue::Options::stopping_within(config.service.stop_timeout);
    let queue = config.queue.open(options).await?.behind(&faults.queue());
    let mut registry = telemetry::registry();
    let app = App::new(&config, db.clone(), &mut registry);
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app, &queue);
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

//! Tells customers by mail what became of their orders, one mail per event.
mod config;
mod deliver;
mod error;
mod events;
mod mail;
mod metrics;
mod notification;
mod order;
mod routes;
mod store;

pub use config::Config;

use db::Db;
use mail::Mailer;
use metrics::Metrics;
use order::Orders;
use prometheus_client::registry::Registry;
use queue::Queue;
use service::{Background, Faults, Server, Shutdown};
use std::{sync::Arc, time::Duration};
use store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Events are worked in together with those of the next moment: nobody waits for them.
const LINGER: Duration = Duration::from_millis(50);

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    orders: Orders,
    /// None: mails stay in the mailbox that `/notifications` shows.
    mailer: Option<Mailer>,
    max_attempts: i64,
    /// Wakes the delivery.
    due: Arc<Notify>,
    metrics: Metrics,
}

impl App {
    /// # Errors
    /// When the SMTP URL isn't one.
    pub fn new(config: &Config, db: Db, registry: &mut Registry) -> anyhow::Result<Self> {
        db.register(registry);
        let client_metrics = client::Metrics::register(registry);
        let orders = client::Upstream::new(
            "order",
            &config.order_urls,
            config.client.clone(),
            &client_metrics,
        );
        Ok(Self {
            store: Store::new(db),
            orders: Orders::new(orders),
            mailer: Mailer::new(config)?,
            max_attempts: config.mail_max_attempts.into(),
            due: Arc::new(Notify::new()),
            metrics: Metrics::register(registry),
        })
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
    background.spawn("delivery", |stop| deliver::run(app.clone(), stop));
    background
}

/// Works in the order events of a queue until stopped.
async fn consume(app: App, queue: Queue, stop: CancellationToken) -> anyhow::Result<()> {
    let work = |jobs| events::work_in(app.clone(), jobs);
    queue
        .batches(contracts::NOTIFICATION_EVENTS)
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
    let db = Db::open(&config.db, "notification", &MIGRATIONS).await?;
    let db = db.behind(&faults.database());
    let options = queue::Options::stopping_within(config.service.stop_timeout);
    let queue = config.queue.open(options).await?.behind(&faults.queue());
    let mut registry = telemetry::registry();
    let app = App::new(&config, db.clone(), &mut registry)?;
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app, &queue);
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .check("database", move || {
            let store = app.store.clone();
            async move { Ok(store.ping().await?) }
        })
        .background(background)
        .serve(router, shutdown)
        .await?;
    queue.close().await;
    db.close().await;
    Ok(())
}

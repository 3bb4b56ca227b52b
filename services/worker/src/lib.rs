//! Runs background jobs, and starts the scheduled ones.
mod clock;
mod config;
mod cron;
mod error;
mod jobs;
mod metrics;
mod routes;
mod submit;

pub use config::Config;

use chrono_tz::Tz;
use client::Upstream;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use queue::Queue;
use service::{Background, Faults, Server, Shutdown};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The queues whose depth is watched.
const QUEUES: [&str; 3] = [
    contracts::JOBS,
    contracts::INVENTORY_EVENTS,
    contracts::NOTIFICATION_EVENTS,
];

/// What handlers and jobs share.
#[derive(Clone)]
pub struct App {
    queue: Queue,
    orders: Upstream,
    inventory: Upstream,
    tz: Tz,
    keep_done: Duration,
    metrics: Metrics,
    queue_metrics: queue::Metrics,
}

impl App {
    #[must_use]
    pub fn new(config: &Config, queue: Queue, registry: &mut Registry) -> Self {
        let client = client::Metrics::register(registry);
        let upstream = |name, urls| Upstream::new(name, urls, config.client.clone(), &client);
        Self {
            queue,
            orders: upstream("order", &config.order_urls),
            inventory: upstream("inventory", &config.inventory_urls),
            tz: config.tz,
            keep_done: config.keep_done(),
            metrics: Metrics::register(registry),
            queue_metrics: queue::Metrics::register(registry),
        }
    }

    /// Brings the gauges up to date for a scrape.
    async fn refresh(self) {
        for name in QUEUES {
            if let Ok(stats) = self.queue.stats(name).await {
                self.queue_metrics.depth(name, &stats);
            }
        }
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    service::layers(routes::routes(app), &config.service, registry)
}

/// Runs jobs until stopped; those that run then are finished or handed back.
async fn work(app: App, concurrency: usize, stop: CancellationToken) -> anyhow::Result<()> {
    let worker = app
        .queue
        .worker(contracts::JOBS)
        .concurrency(concurrency)
        .metrics(app.queue_metrics.clone());
    worker
        .run(move |job| jobs::run(app.clone(), job), stop)
        .await;
    Ok(())
}

/// The background tasks of this service.
pub fn background(app: &App, config: &Config) -> Background {
    let mut background = Background::default();
    background.spawn("jobs", |stop| {
        work(app.clone(), config.job_concurrency.into(), stop)
    });
    background.spawn("cron", |stop| {
        cron::run(config.clone(), app.queue.clone(), app.metrics.clone(), stop)
    });
    background
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the queue or addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let options = queue::Options {
        keep_done_for: config.keep_done(),
        ..queue::Options::stopping_within(config.service.stop_timeout)
    };
    let faults = Faults::new(&config.service);
    let queue = config.queue.open(options).await?.behind(&faults.queue());
    let mut registry = telemetry::registry();
    let app = App::new(&config, queue.clone(), &mut registry);
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app, &config);
    let checked = queue.clone();
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .check("queue", move || {
            let queue = checked.clone();
            async move { Ok(queue.ping().await?) }
        })
        .refresh(move || app.clone().refresh())
        .background(background)
        .serve(router, shutdown)
        .await?;
    queue.close().await;
    Ok(())
}

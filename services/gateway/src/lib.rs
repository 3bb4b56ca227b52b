//! The front door: the one public address, and what stands between it and the services.
mod config;
mod console;
mod metrics;
mod openapi;
mod proxy;
mod routes;
mod status;

pub use config::Config;

use axum::middleware::from_fn;
use client::Upstream;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use routes::Peer;
use service::{Server, Shutdown};
use std::{sync::Arc, time::Instant};
use tokio::sync::Semaphore;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    order: Upstream,
    inventory: Upstream,
    notification: Upstream,
    worker: Upstream,
    gateways: Option<Upstream>,
    in_flight: Arc<Semaphore>,
    status: Arc<status::Recent>,
    openapi: Arc<openapi::Recent>,
    metrics: Metrics,
    started: Instant,
}

impl App {
    #[must_use]
    pub fn new(config: &Config, registry: &mut Registry) -> Self {
        let client = client::Metrics::register(registry);
        let upstream = |name, urls| Upstream::new(name, urls, config.client.clone(), &client);
        Self {
            order: upstream("order", &config.order_urls),
            inventory: upstream("inventory", &config.inventory_urls),
            notification: upstream("notification", &config.notification_urls),
            worker: upstream("worker", &config.worker_urls),
            gateways: config
                .gateway_ops_urls
                .as_ref()
                .map(|urls| upstream("gateway", urls)),
            in_flight: Arc::new(Semaphore::new(config.max_in_flight as usize)),
            status: Arc::default(),
            openapi: Arc::default(),
            metrics: Metrics::register(registry),
            started: Instant::now(),
        }
    }

    fn peer(&self, peer: Peer) -> &Upstream {
        match peer {
            Peer::Order => &self.order,
            Peer::Inventory => &self.inventory,
            Peer::Notification => &self.notification,
            Peer::Worker => &self.worker,
        }
    }

    /// Every service behind the gateway, by name.
    fn peers(&self) -> [(&'static str, &Upstream); 4] {
        [
            ("order", &self.order),
            ("inventory", &self.inventory),
            ("notification", &self.notification),
            ("worker", &self.worker),
        ]
    }
}

/// The public API.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    let router = service::layers(routes::routes(app), &config.service, registry);
    // Around everything, so that refused requests have the headers too.
    router.layer(from_fn(routes::harden))
}

/// Runs the gateway until shutdown.
///
/// # Errors
/// When a setting is wrong or the addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut registry = telemetry::registry();
    let app = App::new(&config, &mut registry);
    let router = router(app, &config, &mut registry);
    Server::new(config.listen, config.service, registry)
        .serve(router, shutdown)
        .await
}

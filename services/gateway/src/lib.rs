//! The front door: the one public address, and what stands between it and the services.
mod address;
mod config;
mod console;
mod identity;
mod live;
mod metrics;
mod openapi;
mod proxy;
mod routes;
mod status;
mod token;

pub use config::Config;
pub use routes::{Access, Peer, TABLE};

use axum::middleware::from_fn;
use client::{Settings, Upstream};
use contracts::image::MAX_FORM_BYTES;
use identity::Identities;
use live::Live;
use metrics::Metrics;
use prometheus_client::registry::Registry;
use service::{Background, Faults, IdentityKey, Server, Shutdown, Uploads};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// A picture takes its time: its turn and its decoding up to 10 s. A second try is for a replica that died.
const UPLOAD_TRY: Duration = Duration::from_secs(12);
const UPLOAD_DEADLINE: Duration = Duration::from_secs(15);

/// Requests to commander have places of their own: whoever operates must be able to end a flood.
const OPS_IN_FLIGHT: usize = 32;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    order: Upstream,
    inventory: Upstream,
    notification: Upstream,
    auth: Upstream,
    image: Upstream,
    uploads: Upstream,
    worker: Upstream,
    commander: Upstream,
    gateways: Option<Upstream>,
    identities: Identities,
    /// Signs who a request is from. None where a missing secret has stopped the start already.
    key: Option<IdentityKey>,
    trusted_proxies: u8,
    in_flight: Arc<Semaphore>,
    ops_in_flight: Arc<Semaphore>,
    status: Arc<status::Recent>,
    openapi: Arc<openapi::Recent>,
    live: Arc<Live>,
    metrics: Metrics,
    started: Instant,
}

impl App {
    #[must_use]
    pub fn new(config: &Config, registry: &mut Registry) -> Self {
        let client = client::Metrics::register(registry);
        let upstream = |name, urls| Upstream::new(name, urls, config.client.clone(), &client);
        let auth = upstream("auth", &config.auth_urls);
        let patient = Settings {
            call_try_timeout: UPLOAD_TRY,
            call_deadline: UPLOAD_DEADLINE,
            ..config.client.clone()
        };
        Self {
            identities: Identities::new(auth.clone()),
            key: config.service.identity_key(),
            trusted_proxies: config.trusted_proxies,
            auth,
            order: upstream("order", &config.order_urls),
            inventory: upstream("inventory", &config.inventory_urls),
            notification: upstream("notification", &config.notification_urls),
            image: upstream("image", &config.image_urls),
            uploads: Upstream::new("image-uploads", &config.image_urls, patient, &client),
            worker: upstream("worker", &config.worker_urls),
            commander: upstream("commander", &config.commander_urls),
            gateways: config
                .gateway_ops_urls
                .as_ref()
                .map(|urls| upstream("gateway", urls)),
            in_flight: Arc::new(Semaphore::new(config.max_in_flight as usize)),
            ops_in_flight: Arc::new(Semaphore::new(OPS_IN_FLIGHT)),
            status: Arc::default(),
            openapi: Arc::default(),
            live: Arc::default(),
            metrics: Metrics::register(registry, config.max_in_flight),
            started: Instant::now(),
        }
    }

    /// How much of it may be passed on at once.
    fn slots(&self, peer: Peer) -> &Semaphore {
        match peer {
            Peer::Commander => &self.ops_in_flight,
            _ => &self.in_flight,
        }
    }

    fn peer(&self, peer: Peer) -> &Upstream {
        match peer {
            Peer::Order => &self.order,
            Peer::Inventory => &self.inventory,
            Peer::Notification => &self.notification,
            Peer::Auth => &self.auth,
            Peer::Image => &self.image,
            Peer::Uploads => &self.uploads,
            Peer::Worker => &self.worker,
            Peer::Commander => &self.commander,
        }
    }

    /// Every service behind the gateway, by name.
    fn peers(&self) -> [(&'static str, &Upstream); 7] {
        [
            ("order", &self.order),
            ("inventory", &self.inventory),
            ("notification", &self.notification),
            ("auth", &self.auth),
            ("image", &self.image),
            ("worker", &self.worker),
            ("commander", &self.commander),
        ]
    }
}

/// The public API.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    let uploads = Uploads::new(routes::UPLOADS, MAX_FORM_BYTES, config.max_uploads);
    let router = service::layers_with(
        routes::routes(app),
        &config.service,
        Some(uploads),
        registry,
    );
    // Around everything, so that refused requests have the headers too.
    router.layer(from_fn(routes::harden))
}

/// The background tasks of the gateway. Streams end when `shutdown` begins, so that nobody waits for them.
#[must_use]
pub fn background(app: &App, shutdown: Shutdown) -> Background {
    let mut background = Background::default();
    let identities = app.identities.clone();
    background.spawn("keys", |stop| identities.run(stop));
    let app = app.clone();
    background.spawn("live", |stop| async move {
        live::run(&app, &shutdown).await;
        stop.cancelled().await;
        Ok(())
    });
    background
}

/// Runs the gateway until shutdown.
///
/// # Errors
/// When a setting is wrong or the addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut registry = telemetry::registry();
    let app = App::new(&config, &mut registry);
    let background = background(&app, shutdown.clone());
    let router = router(app, &config, &mut registry);
    let faults = Faults::new(&config.service);
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .background(background)
        .serve(router, shutdown)
        .await
}

//! Takes pictures, makes them safe and small, and serves them.
mod answer;
mod config;
mod darkroom;
mod decode;
mod error;
mod form;
mod markers;
mod metrics;
mod orientation;
mod picture;
mod pixels;
mod routes;
mod seed;
mod shelf;
mod store;
mod sweep;

pub use config::Config;

use bytes::Bytes;
use contracts::image::MAX_FORM_BYTES;
use darkroom::Darkroom;
use decode::Header;
use metrics::Metrics;
use picture::Picture;
use prometheus_client::registry::Registry;
use service::{Background, Faults, Server, Shutdown, Uploads};
use shelf::Shelf;
use store::Store;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    shelf: Shelf,
    darkroom: Darkroom,
    metrics: Metrics,
}

impl App {
    /// # Errors
    /// When the store can't be opened.
    pub fn new(config: &Config, registry: &mut Registry) -> anyhow::Result<Self> {
        let store = Store::open(&config.image_store_url)?;
        Ok(Self {
            shelf: Shelf::new(store.clone(), config.image_cache_bytes),
            store,
            darkroom: Darkroom::new(),
            metrics: Metrics::register(registry),
        })
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    let uploads = Uploads::new(routes::UPLOADS, MAX_FORM_BYTES, config.max_uploads);
    service::layers_with(
        routes::routes(app),
        &config.service,
        Some(uploads),
        registry,
    )
}

/// The background tasks of this service.
#[must_use]
pub fn background(app: &App) -> Background {
    let mut background = Background::default();
    background.spawn("seed", |stop| seed::run(app.store.clone(), stop));
    background.spawn("sweep", |stop| sweep::run(app.store.clone(), stop));
    background
}

/// The renditions of 800 and 256 pixels of a JPEG: the work of an upload without its store.
///
/// # Errors
/// When it is no picture that is taken.
pub fn renditions(jpeg: Bytes) -> anyhow::Result<[Bytes; 2]> {
    let pixels = Header::read(&jpeg)?.decode()?;
    Ok(Picture::from_stored(jpeg, &pixels)?.renditions)
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the store or the addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut registry = telemetry::registry();
    let app = App::new(&config, &mut registry)?;
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app);
    let store = app.store.clone();
    let faults = Faults::new(&config.service);
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .check("store", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .background(background)
        .serve(router, shutdown)
        .await
}

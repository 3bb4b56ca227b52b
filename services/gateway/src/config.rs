//! The settings of the gateway.
use client::Urls;
use std::net::SocketAddr;

/// The front door: routing, limits, retries, request ids.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "gateway", version)]
pub struct Config {
    /// Address of the public API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Replicas of order.
    #[arg(long, env = "ORDER_URLS", default_value = "http://127.0.0.1:5000")]
    pub order_urls: Urls,
    /// Replicas of inventory.
    #[arg(long, env = "INVENTORY_URLS", default_value = "http://127.0.0.1:5001")]
    pub inventory_urls: Urls,
    /// Replicas of notification.
    #[arg(
        long,
        env = "NOTIFICATION_URLS",
        default_value = "http://127.0.0.1:5002"
    )]
    pub notification_urls: Urls,
    /// Replicas of auth.
    #[arg(long, env = "AUTH_URLS", default_value = "http://127.0.0.1:5003")]
    pub auth_urls: Urls,
    /// Replicas of image.
    #[arg(long, env = "IMAGE_URLS", default_value = "http://127.0.0.1:5004")]
    pub image_urls: Urls,
    /// Replicas of worker.
    #[arg(long, env = "WORKER_URLS", default_value = "http://127.0.0.1:5005")]
    pub worker_urls: Urls,
    /// Replicas of commander.
    #[arg(long, env = "COMMANDER_URLS", default_value = "http://127.0.0.1:5006")]
    pub commander_urls: Urls,
    /// Ops listeners of all gateway replicas, for /api/status; without it a replica knows of itself only.
    #[arg(long, env = "GATEWAY_OPS_URLS")]
    pub gateway_ops_urls: Option<Urls>,
    /// Requests passed on at once by one replica; more are refused with 503 at once, so that latency stays low.
    #[arg(long, env = "MAX_IN_FLIGHT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_in_flight: u32,
    /// Proxies of ours in a row before the gateway, whose X-Forwarded-For is believed.
    #[arg(long, env = "TRUSTED_PROXIES", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=10))]
    pub trusted_proxies: u8,
    /// Uploads taken at once by one replica; more are refused with 503. Each may hold 5 MiB.
    #[arg(long, env = "MAX_UPLOADS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_uploads: u32,
    #[command(flatten)]
    pub client: client::Settings,
    #[command(flatten)]
    pub service: service::Config,
}

impl AsRef<service::Config> for Config {
    fn as_ref(&self) -> &service::Config {
        &self.service
    }
}

//! The settings of the inventory service.
use std::net::SocketAddr;

/// Keeps products, their stock, and what is set aside for orders.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "inventory", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5001")]
    pub listen: SocketAddr,
    /// Replicas of order.
    #[arg(long, env = "ORDER_URLS", default_value = "http://127.0.0.1:5000")]
    pub order_urls: client::Urls,
    /// Seconds for which stock is set aside for an order that doesn't come.
    #[arg(long, env = "HOLD_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub hold_seconds: u32,
    #[command(flatten)]
    pub db: db::Settings,
    #[command(flatten)]
    pub queue: queue::Settings,
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

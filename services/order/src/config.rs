//! The settings of the order service.
use service::Secret;
use std::net::SocketAddr;

/// Takes orders and tells the other services about them.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "order", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// Replicas of inventory.
    #[arg(long, env = "INVENTORY_URLS", default_value = "http://127.0.0.1:5001")]
    pub inventory_urls: client::Urls,
    /// Secret from which order ids are derived, so that nobody can guess one. Replicas share it.
    #[arg(long, env = "ORDER_ID_SECRET", hide_env_values = true)]
    pub order_id_secret: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "ORDER_ID_SECRET_FILE", value_parser = Secret::from_file, conflicts_with = "order_id_secret")]
    pub order_id_secret_file: Option<Secret>,
    /// Seconds after which an event that no consumer has acknowledged is pushed again.
    #[arg(long, env = "OUTBOX_REDELIVER_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub outbox_redeliver_seconds: u32,
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

impl Config {
    /// The secret, or a well-known one where nothing is at stake.
    ///
    /// # Errors
    /// When this isn't a development environment and no secret is set.
    pub fn secret(&self) -> anyhow::Result<Vec<u8>> {
        let secret = self
            .order_id_secret
            .as_ref()
            .or(self.order_id_secret_file.as_ref());
        match secret {
            Some(secret) => Ok(secret.expose().as_bytes().to_vec()),
            None if self.service.app_env == service::AppEnv::Development => {
                Ok(b"development".to_vec())
            }
            None => anyhow::bail!(
                "ORDER_ID_SECRET (or ORDER_ID_SECRET_FILE) must be set outside development"
            ),
        }
    }
}

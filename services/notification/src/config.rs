//! The settings of the notification service.
use lettre::message::Mailbox;
use std::net::SocketAddr;

/// Tells customers by mail what became of their orders.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "notification", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5002")]
    pub listen: SocketAddr,
    /// Replicas of order.
    #[arg(long, env = "ORDER_URLS", default_value = "http://127.0.0.1:5000")]
    pub order_urls: client::Urls,
    /// `smtp://[USER:PASSWORD@]HOST:PORT` or `smtps://…`. When left out, mails stay in the mailbox that /notifications shows.
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_parser = smtp_url)]
    pub smtp_url: Option<String>,
    /// Sender of all mails.
    #[arg(
        long,
        env = "MAIL_FROM",
        default_value = "Seawall <shop@seawall.example>"
    )]
    pub mail_from: Mailbox,
    /// Tries before a mail is given up (and can still be sent again by hand).
    #[arg(long, env = "MAIL_MAX_ATTEMPTS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub mail_max_attempts: u32,
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

fn smtp_url(text: &str) -> Result<String, String> {
    let parsed = lettre::AsyncSmtpTransport::<lettre::Tokio1Executor>::from_url(text);
    parsed.map(|_| text.to_owned()).map_err(|e| e.to_string())
}

//! The settings of the worker.
use chrono_tz::Tz;
use croner::Cron;
use std::{net::SocketAddr, str::FromStr as _, time::Duration};

/// Runs background jobs, and starts the scheduled ones.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "worker", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5005")]
    pub listen: SocketAddr,
    /// Replicas of order.
    #[arg(long, env = "ORDER_URLS", default_value = "http://127.0.0.1:5000")]
    pub order_urls: client::Urls,
    /// Replicas of inventory.
    #[arg(long, env = "INVENTORY_URLS", default_value = "http://127.0.0.1:5001")]
    pub inventory_urls: client::Urls,
    /// When "touch today" runs, as a cron expression: minute, hour, day, month, weekday; six fields begin with the second.
    #[arg(long, env = "CRON_SCHEDULE", default_value = "* * * * *", value_parser = Cron::from_str)]
    pub cron_schedule: Cron,
    /// When holds without an order are settled.
    #[arg(long, env = "SWEEP_SCHEDULE", default_value = "* * * * *", value_parser = Cron::from_str)]
    pub sweep_schedule: Cron,
    /// When finished jobs are trimmed.
    #[arg(long, env = "TRIM_SCHEDULE", default_value = "*/10 * * * *", value_parser = Cron::from_str)]
    pub trim_schedule: Cron,
    /// When the sales report of the day before is made.
    #[arg(long, env = "REPORT_SCHEDULE", default_value = "5 0 * * *", value_parser = Cron::from_str)]
    pub report_schedule: Cron,
    /// Time zone of the schedules and of what "today" means.
    #[arg(long, env = "TZ", default_value = "UTC")]
    pub tz: Tz,
    /// Jobs run at once by one replica.
    #[arg(long, env = "JOB_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub job_concurrency: u16,
    /// Hours for which finished jobs can be looked up.
    #[arg(long, env = "KEEP_DONE_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub keep_done_hours: u32,
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
    pub(crate) fn keep_done(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_done_hours) * 3600)
    }
}

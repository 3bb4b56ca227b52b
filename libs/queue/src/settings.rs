//! Which queue a service uses, as a setting.
use crate::{Error, Options, Queue};

/// Where the queue is. Flatten it into the service's own config.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Queue")]
pub struct Settings {
    /// `redis://[:PASSWORD@]HOST:PORT`. When left out, the queue is a SQLite file.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_parser = redis_url)]
    pub redis_url: Option<String>,
    /// SQLite file of the queue, shared by all processes of one machine.
    #[arg(long, env = "QUEUE_DATABASE_URL", default_value = "sqlite:queue.db", value_parser = sqlite_url)]
    pub queue_database_url: String,
}

impl Settings {
    /// Opens the queue that is configured.
    ///
    /// # Errors
    /// As [`Queue::open_with`].
    pub async fn open(&self, options: Options) -> Result<Queue, Error> {
        let url = self.redis_url.as_deref();
        Queue::open_with(url.unwrap_or(&self.queue_database_url), options).await
    }
}

fn redis_url(text: &str) -> Result<String, &'static str> {
    text.starts_with("redis://")
        .then(|| text.to_owned())
        .ok_or("expected redis://HOST:PORT")
}

fn sqlite_url(text: &str) -> Result<String, &'static str> {
    text.starts_with("sqlite:")
        .then(|| text.to_owned())
        .ok_or("expected sqlite:FILE")
}

//! The settings of the auth service.
use crate::password;
use service::Secret;
use std::{net::SocketAddr, time::Duration};

/// Accounts, logins and tokens.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "auth", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5003")]
    pub listen: SocketAddr,
    /// Secret that encrypts the signing keys in the database and derives refresh tokens. Replicas share it.
    #[arg(long, env = "AUTH_KEY_SECRET", hide_env_values = true)]
    pub auth_key_secret: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "AUTH_KEY_SECRET_FILE", value_parser = Secret::from_file, conflicts_with = "auth_key_secret")]
    pub auth_key_secret_file: Option<Secret>,
    /// Password of the account `operator`, read when there is no such account yet.
    #[arg(long, env = "OPERATOR_PASSWORD", hide_env_values = true)]
    pub operator_password: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "OPERATOR_PASSWORD_FILE", value_parser = Secret::from_file, conflicts_with = "operator_password")]
    pub operator_password_file: Option<Secret>,
    /// Seconds for which an access token is good.
    #[arg(long, env = "ACCESS_TOKEN_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(30..=900))]
    pub access_token_seconds: u32,
    /// Days after a login for which its refresh tokens are good.
    #[arg(long, env = "SESSION_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub session_days: u32,
    /// Days for which a key signs tokens before the next one does.
    #[arg(long, env = "SIGNING_KEY_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
    pub signing_key_days: u32,
    /// Memory of one password hash, KiB; the OWASP minimum is 19456.
    #[arg(long, env = "ARGON2_MEMORY_KIB", default_value_t = 19_456, value_parser = clap::value_parser!(u32).range(8..=1_048_576))]
    pub argon2_memory_kib: u32,
    /// Passes of one password hash.
    #[arg(long, env = "ARGON2_PASSES", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub argon2_passes: u32,
    /// Passwords hashed at once; as many as there are cores when left out.
    #[arg(long, env = "ARGON2_PARALLEL", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub argon2_parallel: Option<u16>,
    /// Passwords that wait for their turn; more are refused with 503.
    #[arg(long, env = "ARGON2_QUEUE", default_value_t = 16, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub argon2_queue: u16,
    #[command(flatten)]
    pub db: db::Settings,
    #[command(flatten)]
    pub service: service::Config,
}

impl AsRef<service::Config> for Config {
    fn as_ref(&self) -> &service::Config {
        &self.service
    }
}

impl Config {
    /// The secret of the keys, or a well-known one where nothing is at stake.
    ///
    /// # Errors
    /// When this isn't a development environment and no secret is set.
    pub(crate) fn key_secret(&self) -> anyhow::Result<Vec<u8>> {
        let secret = self.auth_key_secret.as_ref();
        match secret.or(self.auth_key_secret_file.as_ref()) {
            Some(secret) => Ok(secret.expose().as_bytes().to_vec()),
            None if self.service.app_env == service::AppEnv::Development => {
                Ok(b"development".to_vec())
            }
            None => anyhow::bail!(
                "AUTH_KEY_SECRET (or AUTH_KEY_SECRET_FILE) must be set outside development"
            ),
        }
    }

    pub(crate) fn operator_password(&self) -> Option<&str> {
        let password = self.operator_password.as_ref();
        let password = password.or(self.operator_password_file.as_ref());
        password.map(Secret::expose)
    }

    pub(crate) fn hashing(&self) -> password::Settings {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        password::Settings {
            memory_kib: self.argon2_memory_kib,
            passes: self.argon2_passes,
            parallel: self.argon2_parallel.map_or(cores, usize::from),
            queue: self.argon2_queue.into(),
        }
    }

    pub(crate) fn session(&self) -> Duration {
        days(self.session_days)
    }

    pub(crate) fn signing_key(&self) -> Duration {
        days(self.signing_key_days)
    }

    pub(crate) fn access_token(&self) -> Duration {
        Duration::from_secs(self.access_token_seconds.into())
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

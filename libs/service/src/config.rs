//! The settings all services share.
use crate::IdentityKey;
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// How a service listens, limits and stops. Flatten it into the service's own config.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Process")]
pub struct Config {
    /// Address of the ops listener: /livez /readyz /metrics /faults. Never make it public.
    #[arg(long, env = "OPS_LISTEN", default_value = "127.0.0.1:9091")]
    pub ops_listen: SocketAddr,
    /// Where this runs. Outside development, secrets have no default.
    #[arg(long, env = "APP_ENV", default_value = "development")]
    pub app_env: AppEnv,
    /// After SIGTERM, how long to keep serving while load balancers notice (`500ms`, `5s`).
    #[arg(long, env = "DRAIN_TIME", default_value = "500ms", value_parser = duration)]
    pub drain_time: Duration,
    /// After the drain, how long requests in flight, and then background work, may take to finish.
    #[arg(long, env = "STOP_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub stop_timeout: Duration,
    /// Connections open at once; further ones wait in the kernel's backlog.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 2048)]
    pub max_connections: u32,
    /// Largest request body in bytes.
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = 1 << 20)]
    pub max_body_bytes: usize,
    /// Time a client has for its request headers; also how long a connection may idle.
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Time a client has for its request body, and for taking the answer.
    #[arg(long, env = "BODY_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Let several processes listen on one port (SO_REUSEPORT).
    #[arg(long, env = "REUSE_PORT", default_value_t = false, action = clap::ArgAction::Set)]
    pub reuse_port: bool,
    /// Threads that run requests. One is cheapest; add replicas rather than threads.
    #[arg(long, env = "WORKER_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub worker_threads: u16,
    /// Secret with which the gateway signs who a request is from. All processes share it.
    #[arg(long, env = "IDENTITY_SECRET", hide_env_values = true)]
    pub identity_secret: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "IDENTITY_SECRET_FILE", value_parser = Secret::from_file, conflicts_with = "identity_secret")]
    pub identity_secret_file: Option<Secret>,
    /// May anything be broken on purpose? When left out, only in development.
    #[arg(long, env = "CHAOS_ENABLED")]
    pub chaos_enabled: Option<bool>,
    /// Secret of whoever sets faults on the ops listener. Without it there are no fault points.
    #[arg(long, env = "CHAOS_TOKEN", hide_env_values = true)]
    pub chaos_token: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "CHAOS_TOKEN_FILE", value_parser = Secret::from_file, conflicts_with = "chaos_token")]
    pub chaos_token_file: Option<Secret>,
    /// Start as a version that never gets ready, for rollouts that must fail.
    #[arg(long, env = "NEVER_READY", default_value_t = false, action = clap::ArgAction::Set, hide = true)]
    pub never_ready: bool,
    #[command(flatten)]
    pub telemetry: telemetry::Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AppEnv {
    Development,
    Uat,
    Production,
}

impl AppEnv {
    /// As `APP_ENV` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Uat => "uat",
            Self::Production => "production",
        }
    }
}

impl Config {
    /// The defaults, as a service without any environment has them.
    #[must_use]
    pub fn defaults() -> Self {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            config: Config,
        }
        let only = <Only as clap::Parser>::try_parse_from(["defaults"]);
        only.expect("every field has a default").config
    }

    /// The key that signs identities: a well-known one where nothing is at stake, and none where there
    /// must be a secret and isn't.
    #[must_use]
    pub fn identity_key(&self) -> Option<IdentityKey> {
        let secret = self.identity_secret.as_ref();
        let secret = secret.or(self.identity_secret_file.as_ref());
        match secret {
            Some(secret) => Some(IdentityKey::new(secret.expose().as_bytes())),
            None if self.app_env == AppEnv::Development => Some(IdentityKey::new(b"development")),
            None => None,
        }
    }

    /// May anything be broken here?
    #[must_use]
    pub fn chaos(&self) -> bool {
        let development = self.app_env == AppEnv::Development;
        self.chaos_enabled.unwrap_or(development)
    }

    /// What opens the fault points.
    #[must_use]
    pub fn chaos_token(&self) -> Option<&Secret> {
        self.chaos_token.as_ref().or(self.chaos_token_file.as_ref())
    }
}

/// `250ms`, `5s`, `2m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u32 = number
        .parse()
        .map_err(|_| "expected a number and a unit, such as 500ms or 5s")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "h" => Ok(Duration::from_secs(u64::from(number) * 3600)),
        _ => Err("expected a unit: ms, s, m or h".to_owned()),
    }
}

/// A secret given as text or as the path of a file that holds it; never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Reads the first line of a file, for `*_FILE` settings.
    ///
    /// # Errors
    /// A text that names the path when it can't be read or is empty.
    pub fn from_file(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| format!("can't read {}: {e}", path.display()))?;
        text.parse().map_err(|e| format!("{}: {e}", path.display()))
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Err("is empty"),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "5", "s", "-5s", "5 s", "1.5s", "99999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret: Secret = "hunter2".parse().expect("not empty");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}

//! Whether a server is set up so that jobs are safe there.
use super::Redis;
use crate::Error;
use redis::{ErrorKind, RedisError};

impl Redis {
    /// Looks at the server's settings as `INFO` tells them, which is open to us where `CONFIG` is not.
    /// A server that is away is taken as it comes: services may start before it.
    pub async fn check(&self) -> Result<(), Error> {
        let place = self.link.place();
        let info: String = match self.link.query(&redis::cmd("INFO")).await {
            Ok(info) => info,
            Err(Error::Redis(source)) if refuses(&source) => {
                return Err(Error::Refused { place, source });
            }
            Err(error) => {
                tracing::warn!(place, %error, "Redis doesn't answer yet, its settings are not checked");
                return Ok(());
            }
        };
        let setting = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        match setting("maxmemory_policy") {
            Some("noeviction") | None => {}
            Some(policy) => {
                let policy = policy.to_owned();
                return Err(Error::Evicts { place, policy });
            }
        }
        if setting("aof_enabled") == Some("0") {
            tracing::warn!(
                place,
                "Redis keeps no append-only file: it loses all jobs when it crashes (set appendonly yes)"
            );
        }
        Ok(())
    }
}

/// Does the server not want to know us, now or later?
fn refuses(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

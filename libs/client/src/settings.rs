//! The numbers that decide how patient and how insistent calls are.
use std::time::Duration;

/// How calls to other services behave. Flatten it into the service's own config.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Calls to other services")]
pub struct Settings {
    /// Longest time a call may take with all its retries; a shorter deadline of the caller wins.
    #[arg(long, env = "CALL_DEADLINE", default_value = "3s", value_parser = duration)]
    pub call_deadline: Duration,
    /// Time one try may take when a further try would be safe.
    #[arg(long, env = "CALL_TRY_TIMEOUT", default_value = "1s", value_parser = duration)]
    pub call_try_timeout: Duration,
    /// Time to open a connection.
    #[arg(long, env = "CALL_CONNECT_TIMEOUT", default_value = "250ms", value_parser = duration)]
    pub call_connect_timeout: Duration,
    /// Most retries of one call.
    #[arg(long, env = "CALL_MAX_RETRIES", default_value_t = 2)]
    pub call_max_retries: u32,
    /// Retries allowed as a share of calls, in percent.
    #[arg(long, env = "CALL_RETRY_PERCENT", default_value_t = 20)]
    pub call_retry_percent: u32,
    /// Retries a second allowed on top of that share, so that rare calls are retried too.
    #[arg(long, env = "CALL_RETRY_RESERVE", default_value_t = 10)]
    pub call_retry_reserve: u32,
    /// Most calls, and so connections, to one replica at once; further calls fail at once.
    #[arg(long, env = "CALL_MAX_CONNECTIONS", default_value_t = 256)]
    pub call_max_connections: usize,
    /// An unused connection is closed after this; keep it below the servers' own limit.
    #[arg(long, env = "CALL_IDLE_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub call_idle_timeout: Duration,
    /// Largest response body in bytes.
    #[arg(long, env = "CALL_MAX_RESPONSE_BYTES", default_value_t = 8 << 20)]
    pub call_max_response_bytes: usize,
    /// Memory of the answers larger than 64 KiB of one service together, from their first byte until they
    /// have been passed on, in bytes. More of them wait for a moment, then fail.
    #[arg(long, env = "CALL_ANSWER_MEMORY_BYTES", default_value_t = 16 << 20)]
    pub call_answer_memory_bytes: usize,
    /// How often host names are looked up again.
    #[arg(long, env = "CALL_RESOLVE_INTERVAL", default_value = "5s", value_parser = duration)]
    pub call_resolve_interval: Duration,
    /// Failures in a row that open a replica's circuit breaker.
    #[arg(long, env = "BREAKER_FAILURES", default_value_t = 5)]
    pub breaker_failures: u32,
    /// Share of failures in the last 10 s that opens it, in percent.
    #[arg(long, env = "BREAKER_PERCENT", default_value_t = 50)]
    pub breaker_percent: u32,
    /// Calls in the last 10 s below which that share means nothing.
    #[arg(long, env = "BREAKER_MIN_CALLS", default_value_t = 20)]
    pub breaker_min_calls: u32,
    /// Time a breaker stays open before it lets probes through.
    #[arg(long, env = "BREAKER_OPEN", default_value = "5s", value_parser = duration)]
    pub breaker_open: Duration,
    /// First pause before a replica that refused its connection is tried again; doubles up to 1 s.
    #[arg(long, env = "BREAKER_REDIAL", default_value = "100ms", value_parser = duration)]
    pub breaker_redial: Duration,
    /// Probes that must succeed to close a breaker.
    #[arg(long, env = "BREAKER_PROBES", default_value_t = 3)]
    pub breaker_probes: u32,
    /// Largest share of replicas set aside at once because of their answers, in percent (at least one).
    #[arg(long, env = "BREAKER_EJECT_PERCENT", default_value_t = 50)]
    pub breaker_eject_percent: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_deadline: Duration::from_secs(3),
            call_try_timeout: Duration::from_secs(1),
            call_connect_timeout: Duration::from_millis(250),
            call_max_retries: 2,
            call_retry_percent: 20,
            call_retry_reserve: 10,
            call_max_connections: 256,
            call_idle_timeout: Duration::from_secs(5),
            call_max_response_bytes: 8 << 20,
            call_answer_memory_bytes: 16 << 20,
            call_resolve_interval: Duration::from_secs(5),
            breaker_failures: 5,
            breaker_percent: 50,
            breaker_min_calls: 20,
            breaker_open: Duration::from_secs(5),
            breaker_redial: Duration::from_millis(100),
            breaker_probes: 3,
            breaker_eject_percent: 50,
        }
    }
}

/// `250ms` or `3s`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a whole number and a unit, such as 250ms or 3s";
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or(EXPECTED)?, 1000),
    };
    let number: u32 = number.parse().map_err(|_| EXPECTED)?;
    Ok(Duration::from_millis(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn defaults_agree_with_the_command_line() {
        let parsed = Only::try_parse_from(["test"]).expect("every field has a default");
        assert_eq!(parsed.settings, Settings::default());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        for bad in ["", "3", "ms", "-1s", "1.5s", "3m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}

//! Ways to call, from none of the mechanisms to all of them.
use client::Settings;
use std::time::Duration;

/// One way.
pub struct Way {
    pub name: &'static str,
    pub says: &'static str,
    pub settings: fn() -> Settings,
}

pub const WAYS: &[Way] = &[
    Way {
        name: "nothing",
        says: "wait for any answer, take the first",
        settings: || Settings {
            call_try_timeout: LONG,
            call_deadline: LONG,
            ..bare()
        },
    },
    Way {
        name: "timeout",
        says: "give up after 250 ms",
        settings: || Settings {
            call_deadline: SHORT,
            ..bare()
        },
    },
    Way {
        name: "retries",
        says: "and try again, up to three times",
        settings: || Settings {
            call_max_retries: 3,
            call_retry_percent: 1_000_000,
            call_retry_reserve: 1_000_000,
            ..bare()
        },
    },
    Way {
        name: "budget",
        says: "and retry at most a fifth of the calls",
        settings: || Settings {
            call_max_retries: 3,
            ..bare()
        },
    },
    Way {
        name: "breaker",
        says: "and leave alone whoever fails",
        settings: || Settings {
            call_max_retries: 3,
            call_try_timeout: SHORT,
            ..Settings::default()
        },
    },
];

const SHORT: Duration = Duration::from_millis(250);
const LONG: Duration = Duration::from_secs(60);

/// One try, a timeout, no breaker.
fn bare() -> Settings {
    Settings {
        call_try_timeout: SHORT,
        call_max_retries: 0,
        call_max_connections: 4096,
        breaker_failures: u32::MAX,
        breaker_percent: 101,
        breaker_min_calls: u32::MAX,
        ..Settings::default()
    }
}

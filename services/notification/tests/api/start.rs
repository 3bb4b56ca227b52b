//! The binary: settings, start, stop.
use service::testing::{Process, expect_refused, expect_start_and_stop};

const BINARY: &str = env!("CARGO_BIN_EXE_notification");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("ORDER_URLS", ""),
        ("MAIL_FROM", "shop@"),
        (
            "MAIL_FROM",
            "Shop <shop@example.com>\r\nBcc: eve@example.com",
        ),
        ("MAIL_MAX_ATTEMPTS", "0"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
    for url in [
        "http://shop:hunter2@mail",
        "hunter2",
        "smtp://shop:hunter2@mail:x",
        "smtp://shop:hunter2@",
    ] {
        expect_refused(BINARY, "SMTP_URL", url, Some("hunter2"));
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "notification", &["database"]);
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let process = Process::start(BINARY, &[]).ready();
    process
        .get(process.api, "/notifications")
        .expect("an answer");
    let names = [
        "build",
        "circuit_breaker_state",
        "client_request_duration_seconds",
        "client_requests",
        "client_retries",
        "client_retry_budget_exhausted",
        "db_pool_connections",
        "http_request_duration_seconds",
        "http_requests",
        "http_requests_in_flight",
        "log_events",
        "notifications",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(process.metric_names(), names);
}

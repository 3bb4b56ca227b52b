//! The binary: settings, start, stop.
use service::testing::{Process, expect_refused, expect_start_and_stop};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_order");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("INVENTORY_URLS", "https://inventory"),
        ("OUTBOX_REDELIVER_SECONDS", "0"),
        ("MAX_CONNECTIONS", "-1"),
        ("MAX_BODY_BYTES", "1MB"),
        ("HEADER_TIMEOUT", "10 s"),
        ("BODY_TIMEOUT", "1h30m"),
        ("REUSE_PORT", "perhaps"),
        ("RUST_LOG", "loud=very"),
        ("BREAKER_PERCENT", "half"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
    expect_refused(BINARY, "ORDER_ID_SECRET", " ", None);
    expect_refused(BINARY, "ORDER_ID_SECRET_FILE", "/no/such/file", None);
    expect_refused(
        BINARY,
        "DATABASE_URL",
        "postgres://shop:hunter2@[",
        Some("hunter2"),
    );
    expect_refused(
        BINARY,
        "REDIS_URL",
        "redis//:hunter2@localhost",
        Some("hunter2"),
    );
}

/// Ids that can be guessed are fine on a laptop only.
#[test]
fn production_needs_a_secret() {
    let production = ("APP_ENV", "production");
    let (status, _) = Process::start(BINARY, &[production]).ended();
    assert_eq!(status.code(), Some(2));
    let identity = ("IDENTITY_SECRET", "hunter2");
    let (status, printed) = Process::start(BINARY, &[production, identity]).ended();
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("ORDER_ID_SECRET"), "{printed}");
    let secret = [production, identity, ("ORDER_ID_SECRET", "hunter2")];
    let process = Process::start(BINARY, &secret).ready();
    process.terminate();
    let (status, printed) = process.ended();
    assert!(
        status.success() && !printed.contains("hunter2"),
        "{printed}"
    );
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "order", &["database"]);
}

/// While it waits for its database it can be told to stop.
#[test]
fn a_start_can_be_interrupted() {
    let settings = [("DATABASE_URL", "postgres://shop@127.0.0.1:1/orders")];
    let process = Process::start(BINARY, &settings);
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    process.terminate();
    let (status, printed) = process.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(!printed.contains("listening"), "{printed}");
}

#[test]
fn a_second_signal_ends_it_now() {
    let process = Process::start(BINARY, &[("DRAIN_TIME", "1h")]).ready();
    process.terminate();
    while process
        .get(process.ops, "/readyz")
        .is_some_and(|(status, _)| status == 200)
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        process.get(process.ops, "/livez").expect("it drains").0,
        200
    );
    process.terminate();
    let (status, printed) = process.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let process = Process::start(BINARY, &[("INVENTORY_URLS", "http://127.0.0.1:1")]).ready();
    let order = r#"{"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"}"#;
    assert_eq!(process.post("/orders", order).expect("an answer").0, 503);
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
        "order_outbox_oldest_seconds",
        "order_outbox_unsent",
        "order_request_duration_seconds",
        "order_requests",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(process.metric_names(), names);
}

//! The binary: settings, start, stop.
use db::testing::PostgresServer;
use queue::testing::RedisServer;
use serde_json::Value;
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

/// Panics unless the start ends with one line that names the place and says what to do.
fn expect_no_start(settings: &[(&str, &str)], place: &str, advice: &str) {
    let (status, printed) = Process::start(BINARY, settings).ended();
    assert_eq!(status.code(), Some(1), "{printed}");
    let lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .filter(|line: &Value| line["level"] != "info")
        .collect();
    assert_eq!(lines.len(), 1, "{printed}");
    let told = lines[0]["message"].as_str().expect("a message");
    assert!(told.contains(place) && told.contains(advice), "{told}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(
        !told.contains("Error {") && !told.contains("Error("),
        "{told}"
    );
}

#[test]
fn servers_that_refuse_us_end_the_start() {
    let postgres = PostgresServer::start();
    let good = postgres.url("postgres");
    let (_, place) = good.split_once('@').expect("a host");
    let place = place.split('/').next().expect("a port");
    let wrong_password = good.replacen(":test@", ":hunter2@", 1);
    let advice = "check the user and the password in DATABASE_URL";
    expect_no_start(&[("DATABASE_URL", &wrong_password)], place, advice);
    let no_database = postgres.url("nowhere");
    let advice = "create this database";
    expect_no_start(&[("DATABASE_URL", &no_database)], place, advice);

    let redis = RedisServer::with(&["--appendonly", "yes", "--requirepass", "right"]);
    let advice = "check the user and the password in REDIS_URL";
    let wrong = redis.url().replacen("//", "//:hunter2@", 1);
    let place = redis.url().replacen("redis://", "", 1);
    for url in [wrong, redis.url()] {
        expect_no_start(&[("REDIS_URL", &url)], &place, advice);
    }
    let redis = RedisServer::with(&["--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"]);
    let place = redis.url().replacen("redis://", "", 1);
    let advice = "set its maxmemory-policy to noeviction";
    expect_no_start(&[("REDIS_URL", &redis.url())], &place, advice);
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

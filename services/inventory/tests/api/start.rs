//! The binary: settings, start, stop.
use service::testing::{Process, expect_refused, expect_start_and_stop};

const BINARY: &str = env!("CARGO_BIN_EXE_inventory");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("OPS_LISTEN", "127.0.0.1"),
        ("ORDER_URLS", "order:5000"),
        ("HOLD_SECONDS", "0"),
        ("HOLD_SECONDS", "a minute"),
        ("APP_ENV", "prod"),
        ("LOG_LEVEL", "loud=very"),
        ("LOG_FORMAT", "xml"),
        ("DRAIN_TIME", "5"),
        ("WORKER_THREADS", "0"),
        ("DATABASE_MAX_CONNECTIONS", "1"),
        ("CALL_DEADLINE", "soon"),
        ("QUEUE_DATABASE_URL", "postgres://localhost/queue"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
    for (variable, value) in [
        ("DATABASE_URL", "mysql://root:hunter2@localhost/shop"),
        (
            "DATABASE_URL",
            "postgres://root:hunter2@localhost:99999/shop",
        ),
        ("DATABASE_URL", "hunter2"),
        ("REDIS_URL", "http://:hunter2@localhost"),
    ] {
        expect_refused(BINARY, variable, value, Some("hunter2"));
    }
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let inventory = Process::start(BINARY, &[]).ready();
    let reserve = r#"{"order_id": "018f0000-0000-7000-8000-000000000000", "product_id": "PROD-001", "quantity": 1}"#;
    inventory.post("/reservations", reserve).expect("an answer");
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
        "inventory_holds",
        "inventory_requests",
        "inventory_stock",
        "log_events",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(inventory.metric_names(), names);
    let (_, text) = inventory.get(inventory.ops, "/metrics").expect("an answer");
    for line in [
        r#"inventory_stock{product_id="PROD-001"} 9999"#,
        "inventory_holds 1",
    ] {
        assert!(text.contains(line), "{line} missing in\n{text}");
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "inventory", &["database"]);
}

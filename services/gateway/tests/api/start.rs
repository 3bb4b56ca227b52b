//! The binary: settings, start, overload, stop.
use crate::support::NOWHERE;
use service::testing::{Process, expect_refused, expect_start_and_stop};
use std::{
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("OPS_LISTEN", "127.0.0.1"),
        ("ORDER_URLS", "order:5000"),
        ("ORDER_URLS", "http://root:secret@order:5000"),
        ("INVENTORY_URLS", "https://inventory"),
        ("NOTIFICATION_URLS", ""),
        ("WORKER_URLS", "http://worker/jobs"),
        ("COMMANDER_URLS", "commander"),
        ("GATEWAY_OPS_URLS", "http://127.0.0.1:99999"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_IN_FLIGHT", "many"),
        ("MAX_UPLOADS", "0"),
        ("CALL_DEADLINE", "3"),
        ("REUSE_PORT", "perhaps"),
        ("APP_ENV", "prod"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

/// The next connection, if it comes soon.
fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("our own socket");
    let started = Instant::now();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            return stream;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "nobody came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "gateway", &[]);
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let away = [
        "ORDER_URLS",
        "INVENTORY_URLS",
        "NOTIFICATION_URLS",
        "IMAGE_URLS",
        "WORKER_URLS",
        "COMMANDER_URLS",
    ];
    let gateway = Process::start(BINARY, &away.map(|name| (name, NOWHERE))).ready();
    let (status, _) = gateway.get(gateway.api, "/api/orders").expect("an answer");
    assert_eq!(status, 503);
    let names = [
        "build",
        "circuit_breaker_state",
        "client_request_duration_seconds",
        "client_requests",
        "client_retries",
        "client_retry_budget_exhausted",
        "http_request_duration_seconds",
        "http_requests",
        "http_requests_in_flight",
        "http_requests_in_flight_limit",
        "http_requests_shed",
        "log_events",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(gateway.metric_names(), names);
}

#[test]
fn an_overloaded_gateway_is_alive_and_says_so() {
    // Accepts, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let settings = [("MAX_IN_FLIGHT", "1"), ("ORDER_URLS", url.as_str())];
    let gateway = Process::start(BINARY, &settings).ready();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| gateway.get(gateway.api, "/api/orders"));
        let _reached = accepted(&silent);
        for _ in 0..10 {
            let started = Instant::now();
            let (status, body) = gateway.get(gateway.api, "/api/orders").expect("an answer");
            assert_eq!(status, 503);
            assert!(body.contains("\"overloaded\""), "{body}");
            for path in ["/health", "/ready"] {
                let (status, _) = gateway.get(gateway.api, path).expect("an answer");
                assert_eq!(status, 200, "{path}");
            }
            assert!(started.elapsed() < Duration::from_secs(1));
        }
        let (_, metrics) = gateway.get(gateway.ops, "/metrics").expect("an answer");
        assert!(
            metrics.contains("http_requests_shed_total 10\n"),
            "{metrics}"
        );
        let (status, _) = slow.join().expect("no panic").expect("an answer");
        assert_eq!(status, 504);
    });
}

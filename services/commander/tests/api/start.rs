//! The binary: settings, start, stop.
use crate::support::{Supervisor, eventually};
use service::testing::{Process, expect_refused, expect_start_and_stop};

const BINARY: &str = env!("CARGO_BIN_EXE_commander");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("DRIVER", "swarm"),
        ("GATEWAY_OPS_URLS", "gateway:9091"),
        ("WORKER_URLS", ""),
        ("CHAOS_ENABLED", "perhaps"),
        ("CHAOS_SEED", "-1"),
        ("APP_ENV", "prod"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "commander", &["database"]);
}

/// Without a supervisor it waits for one, and its journal can be read.
#[test]
fn the_seed_of_a_run_is_in_the_log() {
    let process = Process::start(BINARY, &[("CHAOS_SEED", "4711")]).ready();
    let (status, _) = process.get(process.api, "/ops/journal").expect("an answer");
    assert_eq!(status, 200);
    process.terminate();
    let (_, printed) = process.ended();
    assert!(printed.contains("\"seed\":4711"), "{printed}");
}

/// Dashboards, rules and alerts know these names.
#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_the_agreed_names() {
    let supervisor = Supervisor::of(&["order"]);
    let socket = supervisor.socket.to_str().expect("UTF-8");
    let process = Process::start(BINARY, &[("SUPERVISOR_SOCKET", socket)]).ready();
    let (status, _) = process.get(process.api, "/ops/state").expect("an answer");
    assert_eq!(status, 200);
    eventually("it knows the services", async || {
        process.metric_names().contains(&"chaos_kills".to_owned())
    })
    .await;
    let names = [
        "build",
        "chaos_kills",
        "chaos_load_active",
        "circuit_breaker_state",
        "client_request_duration_seconds",
        "client_requests",
        "client_retries",
        "client_retry_budget_exhausted",
        "db_pool_connections",
        "drill_runs",
        "http_request_duration_seconds",
        "http_requests",
        "http_requests_in_flight",
        "log_events",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(process.metric_names(), names);
}

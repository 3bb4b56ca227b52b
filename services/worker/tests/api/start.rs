//! The binary: settings, start, stop.
use service::testing::{Process, expect_refused, expect_start_and_stop};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_worker");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("ORDER_URLS", "http://order/api"),
        ("INVENTORY_URLS", "inventory"),
        ("CRON_SCHEDULE", "every minute"),
        ("CRON_SCHEDULE", "60 * * * *"),
        ("SWEEP_SCHEDULE", ""),
        ("TRIM_SCHEDULE", "* * * *"),
        ("REPORT_SCHEDULE", "* * * * 8"),
        ("TZ", "Mars/Olympus"),
        ("JOB_CONCURRENCY", "0"),
        ("KEEP_DONE_HOURS", "0"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "worker", &["queue"]);
}

/// A job that runs when the worker is told to stop is finished first.
#[test]
fn a_running_job_is_finished_before_the_end() {
    let process = Process::start(BINARY, &[]).ready();
    let sleep = r#"{"kind": "sleep", "payload": {"ms": 1500}}"#;
    let (status, job) = process.post("/job", sleep).expect("an answer");
    assert_eq!(status, 202);
    let job: serde_json::Value = serde_json::from_str(&job).expect("JSON");
    let path = format!("/jobs/{}", job["id"].as_str().expect("an id"));
    let state = || process.get(process.api, &path).expect("an answer").1;
    while !state().contains(r#""state":"running""#) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let asked = Instant::now();
    process.terminate();
    let (status, printed) = process.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(
        asked.elapsed() > Duration::from_secs(1),
        "the job was cut off"
    );
    assert!(asked.elapsed() < Duration::from_secs(15));
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let settings = [
        ("CRON_SCHEDULE", "* * * * * *"),
        ("ORDER_URLS", "http://127.0.0.1:1"),
    ];
    let process = Process::start(BINARY, &settings).ready();
    process
        .post("/job", r#"{"kind": "echo"}"#)
        .expect("an answer");
    process
        .post("/job", r#"{"kind": "fail"}"#)
        .expect("an answer");
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
        "log_events",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
        "worker_cron_last_success_timestamp_seconds",
        "worker_job_duration_seconds",
        "worker_jobs_failure",
        "worker_jobs_success",
        "worker_queue_depth",
        "worker_queue_oldest_seconds",
    ];
    let started = Instant::now();
    while process.metric_names() != names {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            process.metric_names()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let (_, text) = process.get(process.ops, "/metrics").expect("an answer");
    for queue in ["jobs", "events-inventory", "events-notification"] {
        for state in ["waiting", "running", "retrying", "done", "dead"] {
            let series = format!(r#"worker_queue_depth{{queue="{queue}",state="{state}"}}"#);
            assert!(text.contains(&series), "{series} missing in\n{text}");
        }
    }
}

//! The binary: settings, start, stop.
use crate::{samples::jpeg, support::upload};
use service::testing::{Process, expect_refused, expect_start_and_stop};

const BINARY: &str = env!("CARGO_BIN_EXE_image");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("IMAGE_STORE_URL", "images"),
        ("IMAGE_STORE_URL", "file://images"),
        ("IMAGE_STORE_URL", "ftp://images"),
        ("IMAGE_STORE_URL", "s3://"),
        ("IMAGE_CACHE_BYTES", "much"),
        ("MAX_UPLOADS", "0"),
        ("APP_ENV", "prod"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "image", &["store"]);
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let image = Process::start(BINARY, &[]).ready();
    let answer = upload(image.api, &jpeg(10, 10));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let names = [
        "build",
        "http_request_duration_seconds",
        "http_requests",
        "http_requests_in_flight",
        "image_processing_seconds",
        "image_uploads",
        "log_events",
        "process_cpu_seconds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ];
    assert_eq!(image.metric_names(), names);
}

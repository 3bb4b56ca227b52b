//! The binary: settings, start, stop.
use service::testing::{Process, expect_refused, expect_start_and_stop};

const BINARY: &str = env!("CARGO_BIN_EXE_auth");

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("LISTEN", "nowhere"),
        ("ACCESS_TOKEN_SECONDS", "901"),
        ("SESSION_DAYS", "0"),
        ("SIGNING_KEY_DAYS", "-1"),
        ("ARGON2_MEMORY_KIB", "7"),
        ("ARGON2_PASSES", "0"),
        ("ARGON2_PARALLEL", "0"),
        ("AUTH_KEY_SECRET", " "),
        ("AUTH_KEY_SECRET_FILE", "/nowhere"),
        ("OPERATOR_PASSWORD_FILE", "/nowhere"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

#[test]
fn outside_development_the_secrets_must_be_set() {
    let (status, _) = Process::start(BINARY, &[("APP_ENV", "production")]).ended();
    assert_eq!(status.code(), Some(2));
    let settings = [("APP_ENV", "production"), ("IDENTITY_SECRET", "s")];
    let (status, printed) = Process::start(BINARY, &settings).ended();
    assert!(
        !status.success() && printed.contains("AUTH_KEY_SECRET"),
        "{printed}"
    );
}

#[test]
fn it_starts_and_stops() {
    expect_start_and_stop(BINARY, "auth", &["database"]);
}

/// Dashboards, rules and alerts know these names.
#[test]
fn the_metrics_have_the_agreed_names() {
    let process = Process::start(BINARY, &[]).ready();
    process
        .get(process.api, "/.well-known/jwks.json")
        .expect("an answer");
    let names = [
        "auth_attempts",
        "auth_refresh_reuse_detected",
        "build",
        "db_pool_connections",
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

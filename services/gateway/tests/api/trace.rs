//! The way of traces out of a process: at its end, and while nobody takes them.
use crate::support::{NOWHERE, Stub};
use axum::{Router, http::StatusCode, routing::post};
use service::testing::{Process, expect_refused};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

fn start(collector: &str, more: &[(&str, &str)]) -> Process {
    let mut settings = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", collector)];
    settings.extend(more);
    Process::start(BINARY, &settings).ready()
}

fn ask(gateway: &Process) {
    let (status, _) = gateway.get(gateway.api, "/api/status").expect("an answer");
    assert_eq!(status, 200);
}

fn stop(gateway: Process) -> String {
    gateway.terminate();
    let (status, printed) = gateway.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
    printed
}

#[test]
fn bad_settings_stop_the_start() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "tempo:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://tempo:4318"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ] {
        expect_refused(BINARY, variable, value, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_goes_out_at_the_end() {
    let collector = Stub::start("collector", Router::new()).await;
    // Without the flush it would go out in an hour.
    let later = ("OTEL_BSP_SCHEDULE_DELAY", "3600000");
    let gateway = start(&collector.url, &[later]);
    ask(&gateway);
    // A probe leaves no trace.
    gateway.get(gateway.api, "/health").expect("an answer");
    assert!(collector.seen().is_empty());
    stop(gateway);
    let seen = collector.seen();
    let [sent] = &seen[..] else {
        panic!("{} exports", seen.len());
    };
    assert_eq!(
        (sent.method.as_str(), sent.path.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(sent.headers["content-type"], "application/x-protobuf");
    let holds = |text: &str| {
        sent.body
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds("GET /api/status") && holds("service.instance.id"));
    assert!(!holds("/health"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_not_sent() {
    let collector = Stub::start("collector", Router::new()).await;
    for settings in [
        &[("OTEL_TRACES_SAMPLER", "always_off")][..],
        &[
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ],
    ] {
        let gateway = start(&collector.url, settings);
        ask(&gateway);
        stop(gateway);
    }
    // An empty variable is none.
    let gateway = start(
        "",
        &[("OTEL_TRACES_SAMPLER", ""), ("OTEL_TRACES_SAMPLER_ARG", "")],
    );
    ask(&gateway);
    stop(gateway);
    assert!(collector.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_told_once_and_holds_up_nobody() {
    let failing = Router::new().route("/v1/traces", post(StatusCode::BAD_REQUEST));
    let failing = Stub::start("collector", failing).await;
    for collector in [NOWHERE, failing.url.as_str()] {
        // Nobody reads what it prints before its end, and a pipe holds only so much.
        let quiet = ("LOG_LEVEL", "warn");
        let gateway = start(collector, &[("OTEL_BSP_SCHEDULE_DELAY", "20"), quiet]);
        let started = Instant::now();
        // Enough for many batches.
        while started.elapsed() < Duration::from_millis(700) {
            let asked = Instant::now();
            ask(&gateway);
            assert!(
                asked.elapsed() < Duration::from_secs(3),
                "{:?}",
                asked.elapsed()
            );
        }
        let stopped = Instant::now();
        let printed = stop(gateway);
        assert!(
            stopped.elapsed() < Duration::from_secs(8),
            "{:?}",
            stopped.elapsed()
        );
        assert_eq!(
            printed.matches("traces are lost for now").count(),
            1,
            "{printed}"
        );
    }
    assert!(failing.seen().len() > 1, "one batch proves nothing");
}

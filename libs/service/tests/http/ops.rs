//! The ops listener: probes and metrics, and what of them the API shows.
use crate::support::{
    Connection, config, eventually, free_port, get_path, request, start, start_with,
};
use rand::RngExt as _;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn probes_and_metrics_are_on_the_ops_listener_only() {
    let running = start(config()).await;
    for path in [
        "/livez", "/health", "/healthz", "/readyz", "/ready", "/metrics",
    ] {
        assert_eq!(
            get_path(running.ops, path).await.status,
            200,
            "{path} on ops"
        );
    }
    for path in ["/livez", "/healthz", "/readyz", "/metrics", "/faults"] {
        get_path(running.api, path)
            .await
            .expect_problem(404, "not_found");
    }
    for path in ["/health", "/ready"] {
        assert_eq!(
            get_path(running.api, path).await.status,
            200,
            "{path} on the API"
        );
    }
    for path in ["/", "/items/7", "/context"] {
        assert_eq!(
            get_path(running.ops, path).await.status,
            404,
            "{path} on ops"
        );
    }
}

/// What a dependency does when it is asked.
#[derive(Clone, Copy)]
enum Mood {
    Fine,
    Failing,
    Hanging,
}

#[tokio::test]
async fn readiness_names_each_check_and_tells_the_truth() {
    let mood = Arc::new(Mutex::new(Mood::Fine));
    let check = {
        let mood = mood.clone();
        move || {
            let mood = *mood.lock().expect("not poisoned");
            async move {
                match mood {
                    Mood::Fine => Ok(()),
                    Mood::Failing => anyhow::bail!("password=hunter2 refused"),
                    Mood::Hanging => std::future::pending().await,
                }
            }
        }
    };
    let running = start_with(config(), |server| {
        server.check("tides", check).check("moon", async || Ok(()))
    })
    .await;
    for (now, status, state, tides) in [
        (Mood::Fine, 200, "ready", "ok"),
        (Mood::Failing, 503, "not_ready", "failed"),
        (Mood::Hanging, 503, "not_ready", "timeout"),
        (Mood::Fine, 200, "ready", "ok"),
    ] {
        *mood.lock().expect("not poisoned") = now;
        for (address, path) in [(running.ops, "/readyz"), (running.api, "/ready")] {
            let reply = get_path(address, path).await;
            let body = reply.json();
            assert_eq!(
                (reply.status, &body["status"]),
                (status, &state.into()),
                "{path}"
            );
            assert_eq!(
                body["checks"],
                serde_json::json!({"tides": tides, "moon": "ok"}),
                "{path}"
            );
            assert!(!reply.text.contains("hunter2"), "{path} tells the error");
        }
        assert_eq!(
            get_path(running.ops, "/livez").await.status,
            200,
            "liveness depends on nothing"
        );
    }
}

/// The lines of the exposition that are samples, without their values and exemplars.
async fn series(ops: SocketAddr) -> BTreeSet<String> {
    let text = get_path(ops, "/metrics").await.text;
    let samples = text.lines().filter(|l| !l.starts_with('#'));
    samples
        .map(|l| {
            l.split_once("} ")
                .map_or(l.split(' ').next().unwrap_or(l), |(s, _)| s)
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn strangers_can_not_make_up_series() {
    let running = start(config()).await;
    let mut connection = Connection::open(running.api).await;
    let mut ask = async |method: &str, path: &str, agent: u64| {
        let trace =
            format!("traceparent: 00-{agent:032x}-{agent:016x}-01\r\nX-Request-Id: {agent}\r\n");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nUser-Agent: {agent:x}\r\n{trace}\r\n"
        );
        connection.send(head).await;
        connection.reply().await.expect("an answer").status
    };
    // One of each kind.
    let known = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "FROB"];
    for method in known {
        ask(method, "/nowhere", 1).await;
        ask(method, "/items/1", 1).await;
    }
    let before = series(running.ops).await;
    assert!(
        before.iter().any(|s| s.contains("/items/{id}")),
        "{before:?}"
    );
    for _ in 0..2000 {
        let n: u64 = rand::rng().random_range(1..u64::MAX);
        let path = if n.is_multiple_of(2) {
            format!("/items/{n}?q={n}")
        } else {
            format!("/{n:x}/{n}")
        };
        let method = match n % 7 {
            0 => format!("M{n:X}"),
            kind => known[usize::try_from(kind - 1).expect("small")].to_owned(),
        };
        ask(&method, &path, n).await;
    }
    let after = series(running.ops).await;
    assert_eq!(
        before.symmetric_difference(&after).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[tokio::test]
async fn the_exposition_is_openmetrics_and_counts() {
    let running = start(config()).await;
    for _ in 0..3 {
        get_path(running.api, "/items/7").await;
    }
    request(running.api, "GET", "/panic", "").await;
    let reply = get_path(running.ops, "/metrics").await;
    let kind = reply.headers["content-type"].to_str().expect("ASCII");
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    assert!(reply.text.ends_with("# EOF\n"), "the end is missing");
    for line in [
        r#"http_requests_total{method="GET",route="/items/{id}",status="200"} 3"#,
        r#"http_requests_total{method="GET",route="/panic",status="500"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/items/{id}"} 3"#,
        "http_requests_in_flight 0",
    ] {
        assert!(
            reply.text.contains(line),
            "{line} missing in\n{}",
            reply.text
        );
    }
    for edge in ["0.005", "0.25", "2.0", "10.0", "+Inf"] {
        let bucket = format!(
            r#"http_request_duration_seconds_bucket{{le="{edge}",method="GET",route="/items/{{id}}"}}"#
        );
        assert!(
            reply.text.contains(&bucket),
            "{bucket} missing in\n{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn a_sampled_trace_is_an_exemplar() {
    let running = start(config()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    request(
        running.api,
        "GET",
        "/",
        &format!("traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n"),
    )
    .await;
    let text = get_path(running.ops, "/metrics").await.text;
    assert!(
        text.contains(&format!(r#"# {{trace_id="{trace}"}}"#)),
        "{text}"
    );
}

#[tokio::test]
async fn requests_that_clients_leave_are_counted_and_not_in_flight() {
    let running = start(config()).await;
    let shows = async |line: &str| get_path(running.ops, "/metrics").await.text.contains(line);
    let mut connection = Connection::open(running.api).await;
    connection
        .send("GET /gate HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await;
    eventually("the request is in flight", async || {
        shows("http_requests_in_flight 1").await
    })
    .await;
    drop(connection);
    eventually("it is gone", async || {
        shows("http_requests_in_flight 0").await
    })
    .await;
    let left = r#"http_requests_total{method="GET",route="/gate",status="499"} 1"#;
    assert!(shows(left).await);
}

#[tokio::test]
async fn gauges_are_brought_up_to_date_by_a_scrape() {
    let depth = prometheus_client::metrics::gauge::Gauge::<i64>::default();
    let (seen, shown) = (depth.clone(), depth.clone());
    let mut registry = telemetry::registry();
    registry.register("tide", "Depth of the water", shown);
    let (api, ops) = (free_port(), free_port());
    let config = service::Config {
        ops_listen: ops,
        ..config()
    };
    let server = service::Server::new(api, config, registry).refresh(move || {
        let seen = seen.clone();
        async move {
            seen.inc();
        }
    });
    let task = tokio::spawn(server.serve(axum::Router::new(), service::Shutdown::new()));
    eventually("the server listens", async || {
        tokio::net::TcpStream::connect(ops).await.is_ok()
    })
    .await;
    assert_eq!(depth.get(), 0, "idle processes do nothing");
    assert!(get_path(ops, "/metrics").await.text.contains("tide 1\n"));
    assert!(get_path(ops, "/metrics").await.text.contains("tide 2\n"));
    task.abort();
}

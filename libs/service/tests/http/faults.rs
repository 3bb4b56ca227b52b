//! Fault points, set and felt from outside.
use crate::support::{
    PATIENCE, Reply, Running, config, eventually, get_path, raw, request, start, start_with,
};
use serde_json::{Value, json};
use service::{Config, Faults, faults::Kind};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

const TOKEN: &str = "a token of this test";

fn with_token() -> Config {
    Config {
        chaos_token: Some(TOKEN.parse().expect("a token")),
        ..config()
    }
}

/// A server with fault points, but neither a database nor a queue.
async fn breakable() -> Running {
    let config = with_token();
    let faults = Faults::new(&config);
    start_with(config, |server| server.faults(faults)).await
}

async fn ask(ops: SocketAddr, method: &str, path: &str, token: &str, body: &str) -> Reply {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: ops\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    raw(ops, text).await.expect("an answer")
}

async fn set(running: &Running, fault: Value) -> Reply {
    ask(running.ops, "POST", "/faults", TOKEN, &fault.to_string()).await
}

/// Sets a fault that is taken.
async fn begin(running: &Running, fault: Value) -> Value {
    let reply = set(running, fault).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

async fn active(running: &Running) -> Vec<Value> {
    let reply = ask(running.ops, "GET", "/faults", TOKEN, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["items"].as_array().expect("items").clone()
}

async fn gauge(running: &Running, kind: &str) -> String {
    let text = get_path(running.ops, "/metrics").await.text;
    let line = format!("chaos_fault_active{{fault=\"{kind}\"}} ");
    let value = text.lines().find_map(|l| l.strip_prefix(&line));
    value.unwrap_or("missing").to_owned()
}

async fn timed(running: &Running, path: &str) -> (Reply, Duration) {
    let started = Instant::now();
    (get_path(running.api, path).await, started.elapsed())
}

#[tokio::test]
async fn there_are_none_unless_they_are_enabled_and_there_is_a_token() {
    let off = Config {
        chaos_enabled: Some(false),
        ..with_token()
    };
    let production = Config {
        app_env: service::AppEnv::Production,
        identity_secret: Some("a secret".parse().expect("a secret")),
        ..with_token()
    };
    for config in [off, production, config()] {
        let faults = Faults::new(&config);
        let running = start_with(config, |server| server.faults(faults)).await;
        for method in ["GET", "POST", "DELETE"] {
            let reply = ask(running.ops, method, "/faults", TOKEN, "").await;
            assert_eq!(reply.status, 404, "{reply:?}");
        }
        assert_eq!(gauge(&running, "latency").await, "missing");
    }
    // Nor are they where everybody comes.
    let running = breakable().await;
    let reply = ask(running.api, "GET", "/faults", TOKEN, "").await;
    assert_eq!(reply.status, 404, "{reply:?}");
}

#[tokio::test]
async fn only_the_token_opens_them() {
    let running = breakable().await;
    let crash = json!({"fault": "crash", "seconds": 1}).to_string();
    let longer = format!("{TOKEN}x");
    for token in ["", "another", &TOKEN[1..], &longer] {
        for (method, path) in [
            ("POST", "/faults"),
            ("GET", "/faults"),
            ("DELETE", "/faults"),
            ("DELETE", "/faults/0198c0de-0000-7000-8000-000000000000"),
        ] {
            let reply = ask(running.ops, method, path, token, &crash).await;
            reply.expect_problem(401, "unauthorized");
        }
    }
    let bare = request(running.ops, "GET", "/faults", "").await;
    bare.expect_problem(401, "unauthorized");
    assert!(active(&running).await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let running = breakable().await;
    let wrong = [
        (json!({"fault": "latency", "latency_ms": 5}), ""),
        (json!({"fault": "latency", "seconds": 5}), "/latency_ms"),
        (
            json!({"fault": "latency", "latency_ms": 5, "seconds": 0}),
            "/seconds",
        ),
        (
            json!({"fault": "latency", "latency_ms": 5, "seconds": 601}),
            "/seconds",
        ),
        (
            json!({"fault": "latency", "latency_ms": 0, "seconds": 5}),
            "/latency_ms",
        ),
        (
            json!({"fault": "latency", "latency_ms": "5", "seconds": 5}),
            "/latency_ms",
        ),
        (
            json!({"fault": "error", "status": 200, "seconds": 5}),
            "/status",
        ),
        (
            json!({"fault": "error", "status": 600, "seconds": 5}),
            "/status",
        ),
        (
            json!({"fault": "error", "percent": 101, "seconds": 5}),
            "/percent",
        ),
        (
            json!({"fault": "error", "percent": 0, "seconds": 5}),
            "/percent",
        ),
        (
            json!({"fault": "error", "route": "items", "seconds": 5}),
            "/route",
        ),
        (
            json!({"fault": "error", "method": "get", "seconds": 5}),
            "/method",
        ),
        (
            json!({"fault": "error", "megabytes": 5, "seconds": 5}),
            "/megabytes",
        ),
        (
            json!({"fault": "unready", "percent": 5, "seconds": 5}),
            "/percent",
        ),
        (
            json!({"fault": "cpu", "threads": 17, "seconds": 5}),
            "/threads",
        ),
        (
            json!({"fault": "memory", "megabytes": 513, "seconds": 5}),
            "/megabytes",
        ),
        (json!({"fault": "database", "seconds": 5}), "/mode"),
        (
            json!({"fault": "queue", "mode": "odd", "seconds": 5}),
            "/mode",
        ),
        (json!({"fault": "earthquake", "seconds": 5}), "/fault"),
        (json!({"fault": "hang", "seconds": 5, "more": 1}), "/more"),
    ];
    for (fault, pointer) in wrong {
        let reply = set(&running, fault.clone()).await;
        reply.expect_problem(422, "invalid_field");
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{fault}");
    }
    for kind in ["database", "queue"] {
        let fault = json!({"fault": kind, "mode": "stopped", "seconds": 5});
        set(&running, fault)
            .await
            .expect_problem(422, "fault_not_available");
    }
    let fault = json!({"fault": "expired_key", "seconds": 5});
    set(&running, fault)
        .await
        .expect_problem(422, "fault_not_available");
    let malformed = ask(running.ops, "POST", "/faults", TOKEN, "{").await;
    malformed.expect_problem(400, "malformed_json");
    let nobody = "/faults/0198c0de-0000-7000-8000-000000000000";
    let reply = ask(running.ops, "DELETE", nobody, TOKEN, "").await;
    reply.expect_problem(404, "not_found");
    assert!(active(&running).await.is_empty());
    assert_eq!(get_path(running.api, "/").await.status, 200);
}

#[tokio::test]
async fn a_fault_says_what_it_is_and_until_when() {
    let running = breakable().await;
    let order = json!({"fault": "error", "route": "/nowhere", "seconds": 60});
    let fault = begin(&running, order).await;
    assert_eq!(active(&running).await.len(), 1);
    let until: chrono::DateTime<chrono::Utc> = fault["until"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("RFC 3339");
    let left = (until - chrono::Utc::now()).num_seconds();
    assert!((30..=60).contains(&left), "{fault}");
    let remaining = fault["remaining_seconds"].as_f64().expect("a number");
    assert!((30.0..=60.0).contains(&remaining), "{fault}");
    let mut rest = fault.clone();
    for field in ["id", "until", "remaining_seconds"] {
        rest[field].take();
    }
    assert_eq!(
        rest,
        json!({"fault": "error", "status": 503, "route": "/nowhere", "percent": 100, "seconds": 60,
            "id": null, "until": null, "remaining_seconds": null})
    );
    let path = format!("/faults/{}", fault["id"].as_str().expect("an id"));
    for status in [204, 404] {
        let reply = ask(running.ops, "DELETE", &path, TOKEN, "").await;
        assert_eq!(reply.status, status);
    }
    assert!(active(&running).await.is_empty());
}

#[tokio::test]
async fn errors_hit_their_route_and_method_and_are_counted_as_what_users_see() {
    let running = breakable().await;
    let order = json!({"fault": "error", "status": 500, "route": "/items/{id}", "method": "GET", "seconds": 60});
    begin(&running, order).await;
    get_path(running.api, "/items/7")
        .await
        .expect_problem(500, "fault_injected");
    assert_eq!(get_path(running.api, "/").await.status, 200);
    assert_eq!(
        request(running.api, "DELETE", "/items/7", "").await.status,
        405
    );
    assert_eq!(get_path(running.ops, "/readyz").await.status, 200);
    let metrics = get_path(running.ops, "/metrics").await.text;
    let counted = r#"http_requests_total{method="GET",route="/items/{id}",status="500"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(gauge(&running, "error").await, "1");
    assert_eq!(gauge(&running, "hang").await, "0");
    assert_eq!(
        ask(running.ops, "DELETE", "/faults", TOKEN, "")
            .await
            .status,
        204
    );
    assert_eq!(get_path(running.api, "/items/7").await.status, 200);
    assert_eq!(gauge(&running, "error").await, "0");
}

#[tokio::test]
async fn some_of_a_hundred_are_some() {
    let running = breakable().await;
    begin(
        &running,
        json!({"fault": "error", "percent": 50, "seconds": 60}),
    )
    .await;
    let mut failed = 0;
    for _ in 0..200 {
        failed += u32::from(get_path(running.api, "/").await.status == 503);
    }
    // One in 10^11 runs is outside by chance.
    assert!((52..=148).contains(&failed), "{failed} of 200");
}

#[tokio::test]
async fn latency_delays_its_route_and_ends_by_itself() {
    let running = breakable().await;
    let order = json!({"fault": "latency", "latency_ms": 300, "jitter_ms": 50, "route": "/items/{id}", "seconds": 2});
    let set_at = Instant::now();
    begin(&running, order).await;
    let (reply, took) = timed(&running, "/items/1").await;
    assert_eq!(reply.text, "item");
    assert!(took >= Duration::from_millis(300), "{took:?}");
    let metrics = get_path(running.ops, "/metrics").await.text;
    let quick =
        r#"http_request_duration_seconds_bucket{le="0.25",method="GET",route="/items/{id}"} 0"#;
    assert!(
        metrics.contains(quick),
        "the delay is not measured: {metrics}"
    );
    eventually("it is over", async || active(&running).await.is_empty()).await;
    assert!(set_at.elapsed() >= Duration::from_secs(2), "it ended early");
    assert_eq!(gauge(&running, "latency").await, "0");
    let quick = async || timed(&running, "/items/1").await.1 < Duration::from_millis(300);
    eventually("it is quick again", quick).await;
}

#[tokio::test]
async fn a_hang_lasts_until_its_end_or_until_it_is_taken_away() {
    let running = breakable().await;
    begin(&running, json!({"fault": "hang", "seconds": 1})).await;
    let (reply, took) = timed(&running, "/").await;
    assert_eq!(reply.text, "hello");
    assert!(took >= Duration::from_millis(900), "{took:?}");
    begin(&running, json!({"fault": "hang", "seconds": 600})).await;
    let (reply, _) = tokio::join!(get_path(running.api, "/"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ask(running.ops, "DELETE", "/faults", TOKEN, "").await
    });
    assert_eq!(reply.text, "hello");
}

#[tokio::test]
async fn readiness_refuses_and_the_api_goes_on() {
    let running = breakable().await;
    begin(&running, json!({"fault": "unready", "seconds": 1})).await;
    let reply = get_path(running.ops, "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["checks"]["fault"], "failed");
    assert_eq!(get_path(running.api, "/ready").await.status, 503);
    assert_eq!(get_path(running.ops, "/livez").await.status, 200);
    assert_eq!(get_path(running.api, "/").await.status, 200);
    let ready = async || get_path(running.ops, "/readyz").await.status == 200;
    eventually("it is ready again", ready).await;
    assert_eq!(
        get_path(running.ops, "/readyz").await.json()["checks"],
        json!({})
    );
}

/// Threads of this process that faults have started.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks
        .filter_map(name)
        .filter(|name| name.trim() == "fault")
        .count()
}

fn megabytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("the memory of this process");
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse::<usize>().ok());
    pages.expect("a number of pages") * 4 / 1024
}

/// In one test, since they share this process.
#[tokio::test]
async fn burnt_threads_and_memory_come_back() {
    let running = breakable().await;
    begin(
        &running,
        json!({"fault": "cpu", "threads": 2, "seconds": 1}),
    )
    .await;
    assert_eq!(gauge(&running, "cpu").await, "1");
    eventually("they run", async || threads() == 2).await;
    eventually("they end", async || threads() == 0).await;
    assert_eq!(gauge(&running, "cpu").await, "0");
    let before = megabytes();
    begin(
        &running,
        json!({"fault": "memory", "megabytes": 200, "seconds": 600}),
    )
    .await;
    eventually("it grows", async || megabytes() >= before + 190).await;
    let more = set(
        &running,
        json!({"fault": "memory", "megabytes": 313, "seconds": 600}),
    )
    .await;
    more.expect_problem(422, "invalid_field");
    assert_eq!(
        ask(running.ops, "DELETE", "/faults", TOKEN, "")
            .await
            .status,
        204
    );
    eventually("it is given back", async || megabytes() < before + 50).await;
}

#[tokio::test]
async fn there_is_an_end_to_how_many() {
    let running = breakable().await;
    let order = json!({"fault": "error", "route": "/nowhere", "seconds": 600});
    for _ in 0..64 {
        begin(&running, order.clone()).await;
    }
    set(&running, order)
        .await
        .expect_problem(409, "too_many_faults");
}

/// The gates are what databases and queues are behind.
#[tokio::test]
async fn dependencies_that_are_there_can_be_shut() {
    let config = with_token();
    let faults = Faults::new(&config);
    let (database, queue) = (faults.database(), faults.queue());
    faults.offer(Kind::ExpiredKey);
    let seen = faults.clone();
    let running = start_with(config, |server| server.faults(faults)).await;
    begin(
        &running,
        json!({"fault": "database", "mode": "stopped", "seconds": 1}),
    )
    .await;
    assert!(database.pass().await.is_err());
    assert!(queue.pass().await.is_ok());
    let started = Instant::now();
    begin(
        &running,
        json!({"fault": "queue", "mode": "slow", "latency_ms": 100, "seconds": 600}),
    )
    .await;
    queue.pass().await.expect("it is only slow");
    assert!(started.elapsed() >= Duration::from_millis(100));
    eventually("it is open again", async || database.pass().await.is_ok()).await;
    assert!(!seen.is_active(Kind::ExpiredKey));
    begin(&running, json!({"fault": "expired_key", "seconds": 1})).await;
    assert!(seen.is_active(Kind::ExpiredKey));
    assert_eq!(
        ask(running.ops, "DELETE", "/faults", TOKEN, "")
            .await
            .status,
        204
    );
    assert!(queue.is_open() || queue.pass().await.is_ok());
    assert!(!seen.is_active(Kind::ExpiredKey));
}

/// Whoever has no fault points shows none of this.
#[tokio::test]
async fn a_server_without_them_serves() {
    let running = start(config()).await;
    let reply = tokio::time::timeout(PATIENCE, get_path(running.ops, "/faults")).await;
    assert_eq!(reply.expect("an answer").status, 404);
}

//! The picture of the platform: replicas, signals, queues.
use crate::support::{Commander, Supervisor};
use axum::{Router, routing::get};
use commander::MIGRATIONS;
use control::State;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test]
async fn every_replica_shows_with_its_state() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory", "worker"]);
        supervisor.lose("inventory-1");
        supervisor.start("worker-2");
        supervisor.set("worker-1", |replica| replica.state = State::Stopping);
        let commander = Commander::new(&db, &supervisor, &[]);
        let state = commander.get("/ops/state").await.expect(200);
        let shown: Vec<_> = state["services"]
            .as_array()
            .expect("services")
            .iter()
            .flat_map(|service| service["replicas"].as_array().expect("replicas"))
            .map(|r| {
                assert_eq!(r["started_at"].is_null(), r["state"] == "down", "{r}");
                json!([r["name"], r["state"], r["restarts"], r["killable"], r["address"], r["zone"]])
            })
            .collect();
        assert_eq!(
            Value::from(shown),
            json!([
                ["order-1", "ready", 0, true, "127.0.0.1:5010", "a"],
                ["order-2", "ready", 0, true, "127.0.0.1:5020", "b"],
                ["inventory-1", "down", 0, false, "127.0.0.1:5010", "a"],
                ["inventory-2", "ready", 0, false, "127.0.0.1:5020", "b"],
                ["worker-1", "draining", 0, false, "127.0.0.1:5010", "a"],
                ["worker-2", "starting", 1, false, "127.0.0.1:5020", "b"],
            ])
        );
        let mut rest = state;
        for field in ["services", "at", "version"] {
            assert!(!rest[field].take().is_null(), "{field} is missing");
        }
        assert_eq!(
            rest,
            json!({
                "environment": "local", "version": null, "at": null, "services": null,
                "signals": {"window_seconds": 10, "requests_per_second": 0.0, "error_ratio": 0.0,
                    "p50_ms": null, "p95_ms": null, "p99_ms": null, "in_flight": 0, "saturation": 0.0},
                "queues": [], "faults": [], "load": null,
            })
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_supervisor_it_says_so_and_finds_it_again() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let away = supervisor.socket.with_extension("away");
        std::fs::rename(&supervisor.socket, &away).expect("our own file");
        let commander = Commander::new(&db, &supervisor, &[]);
        commander
            .get("/ops/state")
            .await
            .expect_problem(503, "unavailable");
        let answer = commander.kill(json!({})).await;
        answer.expect_problem(503, "unavailable");
        assert!(commander.journal().await.is_empty());
        std::fs::rename(&away, &supervisor.socket).expect("our own file");
        commander.get("/ops/state").await.expect(200);
        crate::support::eventually("it watches again", async || {
            commander
                .metrics()
                .contains("chaos_kills_total{service=\"order\"} 0\n")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn who_knows_the_state_hears_of_the_next_one_at_once() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        let ask = async |version: &str| {
            let started = Instant::now();
            let path = format!("/ops/changes?after={version}");
            (commander.get(&path).await.expect(200), started.elapsed())
        };
        let (first, _) = ask("").await;
        let version = first["version"].as_str().expect("a version");
        let (same, took) = ask(version).await;
        assert_eq!(same["version"], version);
        assert!((400..3000).contains(&took.as_millis()), "{took:?}");
        crate::support::eventually("it watches", async || {
            commander.metrics().contains("chaos_kills_total{")
        })
        .await;
        // On a busy machine a round may take longer, but not each.
        let mut rounds = 0..20;
        let at_once = async || {
            let (known, _) = ask("").await;
            let version = known["version"].as_str().expect("a version");
            let (next, ()) = tokio::join!(ask(version), async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                supervisor.set("order-2", |replica| replica.restarts += 1);
            });
            let restarts = |answer: &Value| {
                let replicas = &answer["state"]["services"][0]["replicas"];
                replicas[1]["restarts"].as_u64().expect("a number")
            };
            let changed = restarts(&next.0) == restarts(&known) + 1;
            changed && next.1 < Duration::from_millis(400)
        };
        while !at_once().await {
            rounds.next().expect("a change that shows at once");
        }
        supervisor.lose("order-2");
        crate::support::eventually("its death is news, too", async || {
            let (answer, _) = ask("").await;
            answer["journal"][0]["target"] == "order-2"
        })
        .await;
        // Another replica of commander gives the same version.
        let other = Commander::new(&db, &supervisor, &[]);
        let [ours, theirs] = [ask("").await.0, other.get("/ops/changes").await.expect(200)];
        assert_eq!(theirs["version"], ours["version"]);
    })
    .await;
}

/// A server that counts what it is asked.
struct Stub {
    url: String,
    asked: Arc<AtomicU32>,
    _task: AbortOnDropHandle<()>,
}

impl Stub {
    /// Answers `path` with what `body` makes of the number of the request, counted from 0.
    async fn start(
        path: &str,
        body: impl Fn(u32) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let answer = async move || body(count.fetch_add(1, Ordering::Relaxed));
        let router = Router::new().route(path, get(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            url,
            asked,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn metrics(n: u32) -> String {
    let (ok, failed) = (1000 + 90 * n, 10 * n);
    let all = ok + failed;
    format!(
        "# TYPE http_requests counter\n\
         http_requests_total{{method=\"GET\",route=\"/api/orders\",status=\"200\"}} {ok}\n\
         http_requests_total{{method=\"GET\",route=\"/api/orders\",status=\"503\"}} {failed}\n\
         # TYPE http_request_duration_seconds histogram\n\
         http_request_duration_seconds_bucket{{le=\"0.1\",method=\"GET\",route=\"/api/orders\"}} {all}\n\
         http_request_duration_seconds_bucket{{le=\"+Inf\",method=\"GET\",route=\"/api/orders\"}} {all}\n\
         # TYPE http_requests_in_flight gauge\nhttp_requests_in_flight 32\n\
         # TYPE http_requests_in_flight_limit gauge\nhttp_requests_in_flight_limit 128\n# EOF\n"
    )
}

#[tokio::test]
async fn signals_and_queues_are_read_while_somebody_asks() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let gateways = [Stub::start("/metrics", metrics).await, Stub::start("/metrics", metrics).await];
        let queues = r#"{"jobs":{"waiting":3,"running":1,"retrying":2,"done":9,"dead":4,"oldest_seconds":1.5}}"#;
        let queues = |_| queues.to_owned();
        let worker = Stub::start("/queues", queues).await;
        let supervisor = Supervisor::of(&["order"]);
        let urls = format!("--gateway-ops-urls={},{}", gateways[0].url, gateways[1].url);
        let worker_urls = format!("--worker-urls={}", worker.url);
        let commander = Commander::new(&db, &supervisor, &[&urls, &worker_urls]);
        let state = commander.get("/ops/state").await.expect(200);
        assert_eq!(
            state["queues"],
            json!([{"name": "jobs", "waiting": 3, "running": 1, "retrying": 2, "dead": 4, "oldest_seconds": 1.5}])
        );
        assert_eq!(state["signals"]["requests_per_second"], 0.0);
        assert_eq!(state["signals"]["in_flight"], 64);
        assert_eq!(state["signals"]["saturation"], 0.25);
        let started = Instant::now();
        let signals = loop {
            let state = commander.get("/ops/state").await.expect(200);
            if state["signals"]["requests_per_second"] != 0.0 {
                break state["signals"].clone();
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // Each gateway has answered 100 more, in a second or a little longer.
        let rate = signals["requests_per_second"].as_f64().expect("a number");
        assert!((20.0..=250.0).contains(&rate), "{signals}");
        assert_eq!(signals["error_ratio"], 0.1);
        assert_eq!(signals["p50_ms"], 50.0);
        let asked = [gateways[0].asked(), gateways[1].asked(), worker.asked()];
        assert_eq!(asked, [2, 2, 2], "asked more often than once a second");
        // Nobody asks, so commander doesn't either.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(gateways[0].asked(), 2);
    })
    .await;
}

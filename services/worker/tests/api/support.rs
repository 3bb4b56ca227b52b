//! A replica under test.
use axum::Router;
use clap::Parser as _;
use prometheus_client::{encoding::text::encode, registry::Registry};
use queue::{Options, Queue, testing::Fresh};
use serde_json::Value;
use service::{
    Background,
    testing::{Answer, OPERATOR, call_as, call_with, identity},
};
use std::time::Duration;
use tokio::time::Instant;
use worker::{App, Config};

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";
/// A schedule that doesn't come while tests run.
const RARELY: &str = "0 0 29 2 *";

/// One replica of the worker.
pub struct Replica {
    router: Router,
    registry: Registry,
    config: Config,
    app: App,
    background: Option<Background>,
}

impl Replica {
    /// A replica that runs jobs, and none by schedule unless `settings` say so.
    pub fn new(queue: &Queue, peers: &str, settings: &[&str]) -> Self {
        let mut replica = Self::idle(queue, peers, settings);
        replica.start();
        replica
    }

    /// A replica that takes jobs but runs none yet.
    pub fn idle(queue: &Queue, peers: &str, settings: &[&str]) -> Self {
        let mut all = vec!["worker", "--order-urls", peers, "--inventory-urls", peers];
        for schedule in [
            "--cron-schedule",
            "--sweep-schedule",
            "--trim-schedule",
            "--report-schedule",
        ] {
            if !settings.contains(&schedule) {
                all.extend([schedule, RARELY]);
            }
        }
        all.extend(settings);
        let config = Config::try_parse_from(all).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, queue.clone(), &mut registry);
        let router = worker::router(app.clone(), &config, &mut registry);
        Self {
            router,
            registry,
            config,
            app,
            background: None,
        }
    }

    pub fn start(&mut self) {
        self.background = Some(worker::background(&self.app, &self.config));
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    /// As an operator.
    pub async fn get(&self, path: &str) -> Answer {
        call_as(&self.router, OPERATOR, "GET", path, Value::Null).await
    }

    /// As an operator.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        call_as(&self.router, OPERATOR, "POST", path, body).await
    }

    /// Submits a job under a key.
    pub async fn submit(&self, key: &str, body: &Value) -> Answer {
        let operator = identity(OPERATOR);
        let headers = [("idempotency-key", key), (operator.0, &operator.1)];
        call_with(&self.router, "POST", "/job", &body.to_string(), &headers).await
    }

    /// Submits a job; gives its id.
    pub async fn id_of(&self, body: Value) -> String {
        let job = self.post("/job", body).await.expect(202);
        job["id"].as_str().expect("an id").to_owned()
    }

    pub async fn job(&self, id: &str) -> Value {
        self.get(&format!("/jobs/{id}")).await.expect(200)
    }

    /// Waits until a job is in this state.
    pub async fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("the job is {state}"), async || {
            self.job(id).await["state"] == state
        })
        .await;
        self.job(id).await
    }

    /// Runs a job to its end; gives its result.
    pub async fn result(&self, body: Value) -> Value {
        let id = self.id_of(body).await;
        self.until(&id, "done").await["result"].take()
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}

/// Runs `body` with an empty queue of each kind, whose retries come fast.
pub async fn each(body: impl AsyncFn(&Fresh)) {
    let options = Options {
        backoff_base: Duration::from_millis(50),
        backoff_cap: Duration::from_millis(200),
        ..Options::default()
    };
    queue::testing::each_with(options, body).await;
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

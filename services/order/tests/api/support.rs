//! A replica under test.
use crate::inventory::Inventory;
use axum::Router;
use clap::Parser as _;
use contracts::event::Event;
use db::{Db, with_db};
use order::{App, Config};
use prometheus_client::{encoding::text::encode, registry::Registry};
use queue::{Options, Queue, testing::Fresh};
use serde_json::{Value, json};
use service::testing::{Answer, OPERATOR, call_as, call_with};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// One replica of order.
pub struct Replica {
    pub router: Router,
    db: Db,
    registry: Registry,
    _relay: Option<AbortOnDropHandle<()>>,
    _queue: Option<Fresh>,
}

impl Replica {
    /// A replica whose events stay in the outbox.
    pub async fn new(db: &Db, inventory: &str) -> Self {
        Self::with(db, &["--inventory-urls", inventory]).await
    }

    pub async fn with(db: &Db, settings: &[&str]) -> Self {
        let unused = Fresh::sqlite(Options::default()).await;
        let mut replica = Self::build(db, unused.queue.clone(), settings, false);
        replica._queue = Some(unused);
        replica
    }

    /// A replica that delivers its events, again after a second without acknowledgement.
    pub fn delivering(db: &Db, queue: Queue, inventory: &str) -> Self {
        let settings = [
            "--inventory-urls",
            inventory,
            "--outbox-redeliver-seconds",
            "1",
        ];
        Self::build(db, queue, &settings, true)
    }

    pub fn build(db: &Db, queue: Queue, settings: &[&str], deliver: bool) -> Self {
        let mut settings = [&["order"], settings].concat();
        if !settings.contains(&"--call-deadline") {
            // A loaded machine may be slow without anything being wrong.
            settings.extend(["--call-deadline", "20s", "--call-try-timeout", "10s"]);
        }
        let config = Config::try_parse_from(settings).expect("valid settings");
        let mut registry = telemetry::registry();
        let (app, relay) = App::new(&config, db.clone(), queue, &mut registry).expect("an app");
        let router = order::router(app, &config, &mut registry);
        let run = async move {
            relay
                .run(CancellationToken::new())
                .await
                .expect("it never fails")
        };
        Self {
            router,
            db: db.clone(),
            registry,
            _relay: deliver.then(|| AbortOnDropHandle::new(tokio::spawn(run))),
            _queue: None,
        }
    }

    /// As an operator.
    pub async fn get(&self, path: &str) -> Answer {
        call_as(&self.router, OPERATOR, "GET", path, Value::Null).await
    }

    /// As an operator.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        call_as(&self.router, OPERATOR, "POST", path, body).await
    }

    /// Orders under a key.
    pub async fn buy(&self, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key)];
        call_with(&self.router, "POST", "/orders", &body.to_string(), &headers).await
    }

    /// An order that succeeds; gives its id.
    pub async fn bought(&self) -> Uuid {
        let order = self.post("/orders", lanterns(1)).await.expect(201);
        order["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a UUID")
    }

    /// Rows of orders and of the outbox.
    pub async fn rows(&self) -> (i64, i64) {
        let count = "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM outbox)";
        with_db!(&self.db.writer, |pool| sqlx::query_as(count)
            .fetch_one(pool)
            .await)
        .expect("rows")
    }

    /// What the outbox holds, by queue.
    pub async fn outbox(&self) -> Vec<(String, Event)> {
        let select = "SELECT queue, event FROM outbox ORDER BY created_at, queue";
        let rows: Vec<(String, String)> = with_db!(&self.db.writer, |pool| sqlx::query_as(select)
            .fetch_all(pool)
            .await)
        .expect("rows");
        let event = |(queue, event): (String, String)| {
            (queue, serde_json::from_str(&event).expect("an event"))
        };
        rows.into_iter().map(event).collect()
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}

/// An order of the first product.
pub fn lanterns(quantity: i64) -> Value {
    json!({"product_id": "PROD-001", "quantity": quantity, "email": "a@example.com"})
}

/// A stub with plenty of everything.
pub async fn inventory() -> Inventory {
    Inventory::start(&[("PROD-001", 2900, 10_000), ("PROD-002", 14_900, 10_000)]).await
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

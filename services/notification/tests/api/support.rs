//! A replica under test, and an order service that counts acknowledgements.
use axum::{Router, extract::State, http::StatusCode, routing::post};
use clap::Parser as _;
use contracts::{
    event::{Event, Kind},
    notification::{Notification, Status},
    order::{self, Acknowledge, Order},
};
use db::Db;
use notification::{App, Config};
use prometheus_client::{encoding::text::encode, registry::Registry};
use queue::{NewJob, Options, Queue, testing::Fresh};
use serde_json::Value;
use service::{
    Background, Json,
    testing::{Answer, OPERATOR, call_as},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// One replica of notification; what it does in the background ends with it.
pub struct Replica {
    router: Router,
    registry: Registry,
    _background: Background,
}

impl Replica {
    pub fn new(db: &Db, queue: &Queue, settings: &[&str]) -> Self {
        let settings = [&["notification"], settings].concat();
        let config = Config::try_parse_from(settings).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, db.clone(), &mut registry).expect("an app");
        let router = notification::router(app.clone(), &config, &mut registry);
        let _background = notification::background(&app, queue);
        Self {
            router,
            registry,
            _background,
        }
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    pub async fn get(&self, path: &str) -> Answer {
        call_as(&self.router, OPERATOR, "GET", path, Value::Null).await
    }

    pub async fn resend(&self, id: Uuid) -> Answer {
        call_as(
            &self.router,
            OPERATOR,
            "POST",
            &format!("/notifications/{id}/resend"),
            Value::Null,
        )
        .await
    }

    /// All notifications, newest first.
    pub async fn all(&self) -> Vec<Notification> {
        let mut page = self.get("/notifications?limit=500").await.expect(200);
        serde_json::from_value(page["items"].take()).expect("notifications")
    }

    /// Waits until the only notification has this status.
    pub async fn until(&self, status: Status) -> Notification {
        eventually(
            &format!("it is {status:?}"),
            async || matches!(self.all().await.as_slice(), [only] if only.status == status),
        )
        .await;
        self.all().await.remove(0)
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }

    /// Panics unless so many tries had these outcomes.
    #[track_caller]
    pub fn expect_counts(&self, sent: u64, retried: u64, dead: u64) {
        let text = self.metrics();
        for (outcome, count) in [("sent", sent), ("retried", retried), ("dead", dead)] {
            let line =
                format!(r#"notifications_total{{channel="email",outcome="{outcome}"}} {count}"#);
            assert!(text.contains(&line), "{line} missing in\n{text}");
        }
    }
}

/// An event about an order of its own.
pub fn event(kind: Kind) -> Event {
    let order = Order {
        id: Uuid::now_v7(),
        product_id: "PROD-001".to_owned(),
        quantity: 2,
        email: "ada@example.com".to_owned(),
        status: order::Status::Confirmed,
        total_minor: 5805,
        currency: "EUR".to_owned(),
        created_at: db::now(),
    };
    Event {
        id: Uuid::now_v7(),
        kind,
        order,
        user_id: None,
    }
}

pub fn confirmed() -> Event {
    event(Kind::OrderConfirmed)
}

pub async fn queue() -> Fresh {
    Fresh::sqlite(Options::default()).await
}

/// Puts events on the queue, each as a new job.
pub async fn deliver(queue: &Fresh, events: &[&Event]) {
    let jobs: Vec<_> = events
        .iter()
        .map(|e| NewJob::new("order_event", e).expect("JSON"))
        .collect();
    queue
        .queue
        .push(contracts::NOTIFICATION_EVENTS, &jobs)
        .await
        .expect("the queue is there");
}

/// Waits until all events are worked in.
pub async fn until_worked_in(queue: &Fresh) {
    eventually("the queue is empty", async || {
        let stats = queue
            .queue
            .stats(contracts::NOTIFICATION_EVENTS)
            .await
            .expect("stats");
        stats == queue::Stats::default()
    })
    .await;
}

/// A stand-in for the order service.
pub struct Orders {
    pub url: String,
    acknowledged: Arc<Mutex<Vec<Uuid>>>,
    _task: AbortOnDropHandle<()>,
}

impl Orders {
    pub async fn start() -> Self {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/outbox/acknowledge", post(acknowledge))
            .with_state(acknowledged.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            url,
            acknowledged,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The events that were acknowledged, each as often as it was.
    pub fn acknowledged(&self) -> Vec<Uuid> {
        self.acknowledged.lock().expect("not poisoned").clone()
    }
}

async fn acknowledge(
    State(seen): State<Arc<Mutex<Vec<Uuid>>>>,
    Json(done): Json<Acknowledge>,
) -> StatusCode {
    assert_eq!(done.queue, contracts::NOTIFICATION_EVENTS);
    seen.lock().expect("not poisoned").extend(done.event_ids);
    StatusCode::NO_CONTENT
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! A replica under test, and an order service that answers as told.
use axum::{Router, extract::State, http::StatusCode, routing::post};
use clap::Parser as _;
use contracts::{
    order::{Acknowledge, Settle, Settled, Verdict},
    product::Stock,
};
use db::Db;
use inventory::{App, Config};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, json};
use service::{
    Json,
    testing::{Answer, OPERATOR, call_as},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use uuid::Uuid;

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// One replica of inventory.
pub struct Replica {
    pub app: App,
    pub router: Router,
    registry: Registry,
}

impl Replica {
    /// A replica for which the order service is away.
    pub fn new(db: Db) -> Self {
        Self::with(db, &["--order-urls", NOWHERE])
    }

    pub fn with(db: Db, settings: &[&str]) -> Self {
        let settings = [&["inventory"], settings].concat();
        let config = Config::try_parse_from(settings).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, db, &mut registry);
        let router = inventory::router(app.clone(), &config, &mut registry);
        Self {
            app,
            router,
            registry,
        }
    }

    /// As an operator.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        call_as(&self.router, OPERATOR, method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub async fn set_stock(&self, product: &str, available: i64) {
        let path = format!("/products/{product}/stock");
        self.call("PUT", &path, json!({"available": available}))
            .await
            .expect(200);
    }

    pub async fn reserve(&self, order: Uuid, product: &str, quantity: i64) -> Answer {
        let body = json!({"order_id": order, "product_id": product, "quantity": quantity});
        self.call("POST", "/reservations", body).await
    }

    /// Where all pieces are; the sum is checked every time.
    pub async fn snapshot(&self) -> Vec<Stock> {
        let mut page = self.get("/stock").await.expect(200);
        let stock: Vec<Stock> = serde_json::from_value(page["items"].take()).expect("stock");
        for s in &stock {
            assert_eq!(
                s.stocked,
                s.available + s.held + s.sold,
                "pieces are lost or made up: {s:?}"
            );
            assert!(s.available >= 0, "oversold: {s:?}");
        }
        stock
    }

    /// Available, held and sold.
    pub async fn stock(&self, product: &str) -> (i64, i64, i64) {
        let stock = self.snapshot().await;
        let found = stock.iter().find(|s| s.product_id == product);
        let stock = found.expect("the product exists");
        (stock.available, stock.held, stock.sold)
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}

/// A stand-in for the order service.
pub struct Orders {
    pub url: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    confirmed: Mutex<HashSet<Uuid>>,
    settled: Mutex<Vec<Settle>>,
    acknowledged: Mutex<Vec<Acknowledge>>,
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Orders {
    pub async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let router = Router::new()
            .route("/orders/settle", post(settle))
            .route("/outbox/acknowledge", post(acknowledge))
            .with_state(seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { url, seen, task }
    }

    /// From now on, this order is there.
    pub fn confirm(&self, order: Uuid) {
        self.seen
            .confirmed
            .lock()
            .expect("not poisoned")
            .insert(order);
    }

    pub fn settled(&self) -> MutexGuard<'_, Vec<Settle>> {
        self.seen.settled.lock().expect("not poisoned")
    }

    /// The ids of all events that were acknowledged, each as often as it was.
    pub fn acknowledged(&self) -> Vec<Uuid> {
        let calls = self.seen.acknowledged.lock().expect("not poisoned");
        assert!(calls.iter().all(|a| a.queue == contracts::INVENTORY_EVENTS));
        calls.iter().flat_map(|a| a.event_ids.clone()).collect()
    }
}

async fn settle(State(seen): State<Arc<Seen>>, Json(settle): Json<Settle>) -> Json<Settled> {
    let confirmed = seen.confirmed.lock().expect("not poisoned");
    let verdict = |hold: &contracts::order::Hold| Verdict {
        order_id: hold.order_id,
        confirmed: confirmed.contains(&hold.order_id),
    };
    let orders = settle.holds.iter().map(verdict).collect();
    seen.settled.lock().expect("not poisoned").push(settle);
    Json(Settled { orders })
}

async fn acknowledge(State(seen): State<Arc<Seen>>, Json(done): Json<Acknowledge>) -> StatusCode {
    seen.acknowledged.lock().expect("not poisoned").push(done);
    StatusCode::NO_CONTENT
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

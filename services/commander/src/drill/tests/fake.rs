//! A platform in memory, as far as a drill sees one, that can be told to misbehave.
use crate::drill::site::Site;
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ills {
    /// A replica is down from the start.
    pub unhealthy: bool,
    /// A kill is accepted and nothing dies.
    pub immortal: bool,
    /// Faults are accepted and never show.
    pub invisible: bool,
    /// There are no fault points.
    pub no_faults: bool,
    /// Orders fail while a fault is active, and for so long after a kill.
    pub fails_ms: u64,
    /// The first 40 orders take so long.
    pub slow_ms: u64,
    /// Each n-th order is acknowledged and not stored.
    pub loses_every: usize,
}

pub struct Fake {
    pub site: Site,
    shop: Arc<Mutex<Shop>>,
    _server: AbortOnDropHandle<()>,
}

struct Shop {
    ills: Ills,
    orders: BTreeMap<String, Value>,
    asked: usize,
    faults: Vec<Value>,
    journal: Vec<Value>,
    killed: Option<Instant>,
    stocked: i64,
}

type Shared = Arc<Mutex<Shop>>;

impl Fake {
    pub async fn start(ills: Ills) -> Self {
        let shop = Arc::new(Mutex::new(Shop {
            ills,
            orders: BTreeMap::new(),
            asked: 0,
            faults: Vec::new(),
            journal: Vec::new(),
            killed: None,
            stocked: 0,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/api/orders", any(orders))
            .route("/api/products", get(products))
            .route("/api/products/{id}", get(async || "{}"))
            .route("/api/products/{id}/stock", any(set_stock))
            .route("/api/stock", get(stock))
            .route("/api/notifications", get(mails))
            .route("/api/ops/state", get(state))
            .route("/api/ops/journal", get(journal))
            .route("/api/ops/kill", any(kill))
            .route("/api/ops/faults", any(faults))
            .layer(from_fn_with_state(shop.clone(), operator))
            .with_state(shop.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("it runs until it is dropped");
        });
        let site = Site {
            url,
            login: Arc::new(|| Box::pin(async { Ok("operator".to_owned()) })),
            prometheus: None,
            alertmanager: None,
        };
        Self {
            site,
            shop,
            _server: AbortOnDropHandle::new(server),
        }
    }

    /// The replica that was down is ready.
    pub fn heal(&self) {
        self.shop.lock().expect("not poisoned").ills.unhealthy = false;
    }

    pub fn active_faults(&self) -> usize {
        self.shop.lock().expect("not poisoned").faults.len()
    }
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

/// Nothing under `/api/ops` for anybody else.
async fn operator(State(_): State<Shared>, request: Request, next: Next) -> Response {
    let known = request.headers().contains_key("authorization");
    match request.uri().path().starts_with("/api/ops") && !known {
        true => StatusCode::UNAUTHORIZED.into_response(),
        false => next.run(request).await,
    }
}

async fn orders(State(shop): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await;
    let (answer, delay) = shop
        .lock()
        .expect("not poisoned")
        .order(&head, &body.expect("a body"));
    tokio::time::sleep(delay).await;
    answer
}

impl Shop {
    /// The answer, and how long it takes.
    fn order(&mut self, head: &Parts, body: &[u8]) -> (Response, Duration) {
        let at_once = |answer| (answer, Duration::ZERO);
        if head.method == Method::GET {
            let items: Vec<_> = self.orders.values().cloned().collect();
            return at_once(json_of(&json!({ "items": items, "next": null })));
        }
        let ills = self.ills;
        let recent = |at: Instant| at.elapsed() < Duration::from_millis(ills.fails_ms);
        let broken = ills.fails_ms > 0 && !self.faults.is_empty();
        if broken || self.killed.is_some_and(recent) {
            return at_once(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        }
        let key = head.headers["idempotency-key"].to_str().expect("text");
        let key = key.to_owned();
        let asked: Value = serde_json::from_slice(body).expect("JSON");
        if let Some(order) = self.orders.get(&key) {
            return at_once(json_of(order));
        }
        let order = json!({
            "id": Uuid::now_v7(), "product_id": asked["product_id"], "quantity": asked["quantity"],
            "email": asked["email"], "status": "confirmed", "total_minor": 500, "currency": "EUR",
            "created_at": chrono::Utc::now(),
        });
        self.asked += 1;
        let every = self.ills.loses_every;
        if every == 0 || !self.asked.is_multiple_of(every) {
            self.orders.insert(key, order.clone());
        }
        let delay = if self.asked <= 40 { ills.slow_ms } else { 0 };
        let mut answer = json_of(&order);
        *answer.status_mut() = StatusCode::CREATED;
        (answer, Duration::from_millis(delay))
    }
}

async fn products() -> Response {
    json_of(&json!({ "items": [{ "id": "PROD-001" }], "next": null }))
}

async fn set_stock(State(shop): State<Shared>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let mut shop = shop.lock().expect("not poisoned");
    shop.stocked = asked["available"].as_i64().expect("a number") + shop.orders.len() as i64;
    json_of(&json!({}))
}

async fn stock(State(shop): State<Shared>) -> Response {
    let shop = shop.lock().expect("not poisoned");
    let sold = shop.orders.len() as i64;
    json_of(&json!({ "items": [{
        "product_id": "PROD-001", "stocked": shop.stocked, "available": shop.stocked - sold,
        "held": 0, "sold": sold,
    }] }))
}

async fn mails(State(shop): State<Shared>) -> Response {
    let shop = shop.lock().expect("not poisoned");
    let mail = |order: &Value| json!({ "order_id": order["id"], "kind": "order_confirmed", "status": "sent" });
    let items: Vec<_> = shop.orders.values().map(mail).collect();
    json_of(&json!({ "items": items, "next": null }))
}

async fn state(State(shop): State<Shared>) -> Response {
    let shop = shop.lock().expect("not poisoned");
    let replica = |name: &str, ready: bool| {
        let state = if ready { "ready" } else { "down" };
        json!({ "name": name, "state": state, "restarts": 0 })
    };
    let order = [
        replica("order-1", true),
        replica("order-2", !shop.ills.unhealthy),
    ];
    json_of(&json!({
        "environment": "local", "services": [{ "name": "order", "replicas": order }],
        "faults": shop.faults, "load": null,
    }))
}

async fn journal(State(shop): State<Shared>) -> Response {
    let shop = shop.lock().expect("not poisoned");
    json_of(&json!({ "items": shop.journal, "next": null }))
}

async fn kill(State(shop): State<Shared>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let mut shop = shop.lock().expect("not poisoned");
    shop.killed = Some(Instant::now());
    let outcome = if shop.ills.immortal { "failed" } else { "done" };
    let entry = json!({
        "id": Uuid::now_v7(), "target": asked["replica"], "outcome": outcome, "recovered_ms": 40,
    });
    shop.journal.push(entry.clone());
    let mut answer = json_of(&entry);
    *answer.status_mut() = StatusCode::ACCEPTED;
    answer
}

async fn faults(State(shop): State<Shared>, method: Method, body: Bytes) -> Response {
    let mut shop = shop.lock().expect("not poisoned");
    if shop.ills.no_faults {
        return StatusCode::NOT_IMPLEMENTED.into_response();
    }
    if method == Method::DELETE {
        shop.faults.clear();
        return StatusCode::NO_CONTENT.into_response();
    }
    if method == Method::POST {
        let asked: Value = serde_json::from_slice(&body).expect("JSON");
        let fault = json!({ "id": Uuid::now_v7(), "spec": asked["spec"] });
        if !shop.ills.invisible {
            shop.faults.push(fault.clone());
        }
        return json_of(&json!({ "items": [fault] }));
    }
    json_of(&json!({ "items": shop.faults }))
}

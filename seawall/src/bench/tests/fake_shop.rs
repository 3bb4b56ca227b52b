//! A shop in memory behind a real socket, as far as the bench sees one.
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

/// What goes wrong. `every` means each n-th order.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The connection closes when the order is stored but not answered.
    pub close_every: usize,
    /// The same, and the key is forgotten.
    pub forget_every: usize,
    /// Answers 503 once, before anything is done.
    pub busy_every: usize,
    /// Acknowledges without storing.
    pub lose_every: usize,
    /// Every order, answered with 500.
    pub broken: bool,
    /// Mails are only listed after this time.
    pub mail_delay: Duration,
    /// One piece of each product is held for this time since the start.
    pub held_for: Duration,
    /// Orders wait while the time since the start lies within.
    pub stall: Option<(Duration, Duration)>,
    /// Lists and stock need the operator with this password.
    pub password: Option<&'static str>,
}

/// A running one; it ends with the test's runtime.
pub struct FakeShop {
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    faults: Faults,
    started: Instant,
    /// Orders asked for, tries included.
    asked: usize,
    orders: Vec<Value>,
    keys: HashMap<String, Value>,
    stock: BTreeMap<String, (i64, i64)>,
    jobs: Vec<Value>,
    mailed_at: Instant,
}

impl FakeShop {
    /// One that has `available` pieces of each of two products.
    pub async fn start(available: i64, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let now = Instant::now();
        let stock = ["P1", "P2"].map(|id| (id.to_owned(), (available, 0)));
        let state = Arc::new(Mutex::new(State {
            faults,
            started: now,
            asked: 0,
            orders: Vec::new(),
            keys: HashMap::new(),
            stock: stock.into(),
            jobs: Vec::new(),
            mailed_at: now,
        }));
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accept");
                let state = shared.clone();
                let serve = service_fn(move |request| answer(state.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Self { url, state }
    }

    /// How many orders are stored.
    pub fn orders(&self) -> usize {
        lock(&self.state).orders.len()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic while locked")
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hang up")
    }
}

impl std::error::Error for HangUp {}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, HangUp> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name| {
        head.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let is_order = head.method == Method::POST && head.uri.path() == "/api/orders";
    if is_order {
        stall(&state).await;
    }
    let mut state = lock(&state);
    let operator = header("authorization") == "Bearer token";
    let open = is_order || head.uri.path() == "/api/auth/login" || state.faults.password.is_none();
    let (status, body) = match (&head.method, head.uri.path()) {
        _ if !open && !operator => (401, json!({ "type": "unauthorized" })),
        (&Method::POST, "/api/orders") => state.order(header("idempotency-key"), &body)?,
        (&Method::POST, "/api/auth/login") => state.log_in(&body),
        (&Method::POST, "/api/job") => (202, state.job()),
        (&Method::PUT, path) => (200, state.restock(path, &body)),
        (_, path) => (200, state.list(path, head.uri.query().unwrap_or_default())),
    };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Ok(response)
}

async fn stall(state: &Mutex<State>) {
    let (started, stall) = {
        let state = lock(state);
        (state.started, state.faults.stall)
    };
    if let Some((from, to)) = stall
        && (from..to).contains(&started.elapsed())
    {
        sleep_until(started + to).await;
    }
    sleep(Duration::from_micros(200)).await;
}

impl State {
    fn order(&mut self, key: &str, body: &Value) -> Result<(u16, Value), HangUp> {
        self.asked += 1;
        let hit = |every| every != 0 && self.asked.is_multiple_of(every);
        let faults = self.faults.clone();
        let (busy, lose) = (hit(faults.busy_every), hit(faults.lose_every));
        let (close, forget) = (hit(faults.close_every), hit(faults.forget_every));
        if faults.broken || busy {
            return Ok((if busy { 503 } else { 500 }, json!({})));
        }
        if let Some(order) = self.keys.get(key) {
            return Ok((201, order.clone()));
        }
        let product = body["product_id"].as_str().expect("a product").to_owned();
        let (available, sold) = self.stock.get_mut(&product).expect("a known product");
        if *available == 0 {
            return Ok((409, json!({ "type": "sold_out" })));
        }
        (*available, *sold) = (*available - 1, *sold + 1);
        let order = json!({
            "id": Uuid::now_v7(), "product_id": product, "quantity": body["quantity"],
            "email": body["email"], "status": "confirmed", "total_minor": 500,
            "currency": "EUR", "created_at": chrono::Utc::now(),
        });
        if !lose {
            self.orders.push(order.clone());
        }
        if !forget {
            self.keys.insert(key.to_owned(), order.clone());
        }
        self.mailed_at = Instant::now() + faults.mail_delay;
        if close || forget {
            Err(HangUp)
        } else {
            Ok((201, order))
        }
    }

    fn log_in(&self, body: &Value) -> (u16, Value) {
        match self.faults.password {
            Some(password) if body["password"] == password => {
                (200, json!({ "access_token": "token" }))
            }
            _ => (401, json!({})),
        }
    }

    fn job(&mut self) -> Value {
        let now = chrono::Utc::now();
        let job =
            json!({ "id": Uuid::now_v7(), "state": "done", "created_at": now, "finished_at": now });
        self.jobs.push(job.clone());
        job
    }

    fn restock(&mut self, path: &str, body: &Value) -> Value {
        let id = path
            .trim_start_matches("/api/products/")
            .trim_end_matches("/stock");
        let available = body["available"].as_i64().expect("a number");
        self.stock.get_mut(id).expect("a known product").0 = available;
        json!({})
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let product = |id: &String| json!({ "id": id });
        let held = i64::from(self.started.elapsed() < self.faults.held_for);
        let stock = |(id, (available, sold)): (&String, &(i64, i64))| {
            json!({
                "product_id": id, "stocked": available + sold, "available": available - held,
                "held": held, "sold": sold,
            })
        };
        let mail = |order: &Value| json!({ "order_id": order["id"], "kind": "order_confirmed", "status": "sent" });
        let items: Vec<_> = match path {
            "/api/products" => self.stock.keys().map(product).collect(),
            "/api/stock" => self.stock.iter().map(stock).collect(),
            "/api/orders" => self.orders.clone(),
            "/api/notifications" if Instant::now() < self.mailed_at => Vec::new(),
            "/api/notifications" => self.orders.iter().map(mail).collect(),
            "/api/jobs" => self.jobs.clone(),
            _ => Vec::new(),
        };
        page(items, query)
    }
}

/// Newest first, a hundred a page whatever is asked for; the cursor is a place in the list,
/// spelt so that it has to be encoded.
fn page(mut items: Vec<Value>, query: &str) -> Value {
    items.reverse();
    let start: usize = match query.split_once("after=at%20") {
        Some((_, place)) => place.parse().expect("our own cursor"),
        None => 0,
    };
    let end = items.len().min(start + 100);
    let next = (end < items.len()).then(|| format!("at {end}"));
    json!({ "items": items[start..end], "next": next })
}

//! Jobs that ask other services: report, touch today, sweep holds.
use crate::support::{NOWHERE, Replica, each, eventually};
use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::{
    order::{Sales, SalesLine, Touch, Touched},
    reservation::Swept,
};
use serde::Deserialize;
use serde_json::json;
use service::{Json, Query};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A stand-in for order and inventory.
pub struct Peers {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
pub struct Seen {
    /// When the orders of today were made.
    pub orders: Vec<DateTime<Utc>>,
    pub touches: Vec<Touch>,
    pub reports: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    pub sweeps: usize,
}

type Shared = State<Arc<Mutex<Seen>>>;

impl Peers {
    pub async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new()
            .route("/sales", get(sales))
            .route("/orders/touch", post(touch))
            .route("/reservations/sweep", post(sweep))
            .with_state(seen.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            url,
            seen,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("not poisoned")
    }
}

#[derive(Deserialize)]
struct Between {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

async fn sales(State(seen): Shared, Query(Between { from, to }): Query<Between>) -> Json<Sales> {
    seen.lock().expect("not poisoned").reports.push((from, to));
    let line = SalesLine {
        product_id: "PROD-001".to_owned(),
        orders: 2,
        quantity: 5,
        total_minor: 14_500,
        currency: "EUR".to_owned(),
    };
    Json(Sales {
        from,
        to,
        items: vec![line],
    })
}

async fn touch(State(seen): Shared, Json(touch): Json<Touch>) -> Json<Touched> {
    let mut seen = seen.lock().expect("not poisoned");
    let limit = usize::try_from(touch.limit).expect("a limit");
    let found: Vec<_> = seen
        .orders
        .iter()
        .copied()
        .filter(|at| *at >= touch.since)
        .take(limit)
        .collect();
    seen.touches.push(touch);
    Json(Touched {
        touched: found.len() as u64,
        last: found.last().copied(),
    })
}

async fn sweep(State(seen): Shared) -> Json<Swept> {
    seen.lock().expect("not poisoned").sweeps += 1;
    Json(Swept {
        sold: 3,
        released: 4,
    })
}

#[tokio::test]
async fn a_report_is_about_one_day_of_the_zone() {
    each(async |queue| {
        let peers = Peers::start().await;
        let replica = Replica::new(&queue.queue, &peers.url, &["--tz", "Europe/Berlin"]);
        let body = json!({"kind": "report", "payload": {"day": "2026-10-25"}});
        let line = json!({"product_id": "PROD-001", "orders": 2, "quantity": 5, "total_minor": 14_500, "currency": "EUR"});
        assert_eq!(replica.result(body).await, json!({"day": "2026-10-25", "sales": [line]}));
        let time = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        // The day on which the clocks go back has 25 hours.
        assert_eq!(peers.seen().reports, [(time("2026-10-24T22:00:00Z"), time("2026-10-25T23:00:00Z"))]);
        let today = replica.result(json!({"kind": "report"})).await;
        assert_eq!(today["day"].as_str().expect("a day").len(), 10);
        let (from, to) = peers.seen().reports[1];
        assert!(from <= Utc::now() && Utc::now() < to, "{from} to {to} is not today");
        assert!(replica.metrics().contains(r#"worker_cron_last_success_timestamp_seconds{job="report"}"#));
    })
    .await;
}

#[tokio::test]
async fn touch_today_goes_on_until_all_are_touched() {
    each(async |queue| {
        let peers = Peers::start().await;
        let replica = Replica::new(&queue.queue, &peers.url, &[]);
        let stamp: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        let first = stamp - TimeDelta::hours(2);
        peers.seen().orders = (0..1200).map(|n| first + TimeDelta::seconds(n)).collect();
        let result = replica
            .result(json!({"kind": "touch_today", "payload": {"at": stamp}}))
            .await;
        // Each step begins with the last order of the step before.
        assert_eq!(result, json!({"touched": 1202}));
        let seen = peers.seen();
        let since: Vec<_> = seen.touches.iter().map(|t| t.since).collect();
        let midnight = "2026-11-21T00:00:00Z".parse().expect("a time");
        assert_eq!(since, [midnight, seen.orders[499], seen.orders[998]]);
        assert!(
            seen.touches
                .iter()
                .all(|t| t.stamp == stamp && t.limit <= 500)
        );
    })
    .await;
}

#[tokio::test]
async fn sweep_holds_asks_inventory() {
    each(async |queue| {
        let peers = Peers::start().await;
        let replica = Replica::new(&queue.queue, &peers.url, &[]);
        assert_eq!(
            replica.result(json!({"kind": "sweep_holds"})).await,
            json!({"sold": 3, "released": 4})
        );
        assert_eq!(peers.seen().sweeps, 1);
    })
    .await;
}

/// A service that is away is no reason to give up: the job comes again.
#[tokio::test]
async fn a_job_whose_service_is_away_is_tried_again() {
    each(async |queue| {
        let peers = Peers::start().await;
        let lost = Replica::new(&queue.queue, NOWHERE, &[]);
        let id = lost
            .id_of(json!({"kind": "sweep_holds", "max_attempts": 25}))
            .await;
        eventually("it has failed", async || {
            lost.job(&id).await["last_error"].is_string()
        })
        .await;
        drop(lost);
        let replica = Replica::new(&queue.queue, &peers.url, &[]);
        assert_eq!(
            replica.until(&id, "done").await["result"],
            json!({"sold": 3, "released": 4})
        );
    })
    .await;
}

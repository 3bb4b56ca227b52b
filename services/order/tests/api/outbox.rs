//! Events: written with the order, delivered until they are acknowledged.
use crate::support::{NOWHERE, Replica, eventually, inventory, lanterns};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::{INVENTORY_EVENTS, NOTIFICATION_EVENTS, event::Event, event::Kind};
use db::{
    Db,
    testing::{each, replica},
    with_db,
};
use order::MIGRATIONS;
use queue::{Job, NewJob, Options, Queue, testing::Fresh};
use serde_json::{Value, json};
use service::testing::call_with;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

const CONSUMERS: [&str; 2] = [INVENTORY_EVENTS, NOTIFICATION_EVENTS];

async fn queue() -> Fresh {
    Fresh::sqlite(Options::default()).await
}

async fn waiting(queue: &Queue) -> [u64; 2] {
    let mut counts = [0; 2];
    for (count, name) in counts.iter_mut().zip(CONSUMERS) {
        *count = queue.stats(name).await.expect("the queue is there").waiting;
    }
    counts
}

/// A consumer that only remembers what it got.
struct Consumer {
    got: Arc<Mutex<Vec<Job>>>,
    _task: AbortOnDropHandle<()>,
}

impl Consumer {
    fn start(queue: &Queue, name: &'static str) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let (queue, jobs) = (queue.clone(), got.clone());
        let task = async move {
            let take = |mut batch: Vec<Job>| {
                jobs.lock().expect("not poisoned").append(&mut batch);
                async { Ok::<(), &str>(()) }
            };
            queue
                .batches(name)
                .run(take, CancellationToken::new())
                .await;
        };
        Self {
            got,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    fn events(&self) -> Vec<Event> {
        let got = self.got.lock().expect("not poisoned");
        got.iter()
            .filter(|job| job.kind == "order_event")
            .map(|job| job.parse().expect("an event"))
            .collect()
    }
}

/// When each event is pushed again, by its queue.
async fn due(db: &Db) -> HashMap<String, DateTime<Utc>> {
    let select = "SELECT queue, due_at FROM outbox";
    let rows: Vec<(String, DateTime<Utc>)> = with_db!(&db.writer, |pool| {
        sqlx::query_as(select).fetch_all(pool).await.expect("rows")
    });
    rows.into_iter().collect()
}

/// An event its consumer can't read would be pushed every few seconds for ever.
#[tokio::test]
async fn an_event_that_nobody_acknowledges_is_pushed_rarely_in_the_end() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let quiet = Replica::new(&db, &inventory.url).await;
        quiet.bought().await;
        let now = db::now();
        let (old, past) = (now - TimeDelta::minutes(11), now - TimeDelta::seconds(1));
        with_db!(&db.writer, |pool| {
            sqlx::query("UPDATE outbox SET due_at = $1, created_at = CASE WHEN queue = $2 THEN $3 ELSE created_at END")
                .bind(past)
                .bind(NOTIFICATION_EVENTS)
                .bind(old)
                .execute(pool)
                .await
                .map(drop)
                .expect("it ages")
        });
        let _shop = Replica::delivering(&db, queue.queue.clone(), &inventory.url);
        eventually("both are pushed", async || {
            waiting(&queue.queue).await == [1, 1]
        })
        .await;
        let due = due(&db).await;
        assert!(due[NOTIFICATION_EVENTS] >= now + TimeDelta::minutes(5), "{due:?}");
        assert!(due[INVENTORY_EVENTS] < now + TimeDelta::minutes(1), "{due:?}");
    })
    .await;
}

async fn acknowledge(shop: &Replica, queue: &str, events: &[Uuid]) {
    let body = json!({"queue": queue, "event_ids": events});
    shop.post("/outbox/acknowledge", body).await.expect(204);
}

#[tokio::test]
async fn events_are_stored_with_the_order() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        let order = shop.post("/orders", lanterns(2)).await.expect(201);
        let outbox = shop.outbox().await;
        let queues: Vec<_> = outbox.iter().map(|(queue, _)| queue.as_str()).collect();
        assert_eq!(queues, CONSUMERS);
        for (_, event) in &outbox {
            assert_eq!(event.kind, Kind::OrderConfirmed);
            assert_eq!(serde_json::to_value(&event.order).expect("JSON"), order);
            assert_eq!(event.id, outbox[0].1.id);
        }
    })
    .await;
}

#[tokio::test]
async fn events_reach_both_queues_at_once_and_carry_the_trace() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        // So late that only the push after the commit can be what delivers.
        let settings = [
            "--inventory-urls",
            &inventory.url,
            "--outbox-redeliver-seconds",
            "3600",
        ];
        let shop = Replica::build(&db, queue.queue.clone(), &settings, true);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [
            ("traceparent", parent.as_str()),
            ("x-request-id", "request-7"),
        ];
        call_with(
            &shop.router,
            "POST",
            "/orders",
            &lanterns(2).to_string(),
            &headers,
        )
        .await
        .expect(201);
        eventually("both queues have it", async || {
            waiting(&queue.queue).await == [1, 1]
        })
        .await;
        for (name, event) in shop.outbox().await {
            let job = queue
                .queue
                .job(&name, event.id)
                .await
                .expect("the queue is there");
            let job = job.expect("the job's id is the event's");
            assert_eq!(job.parse::<Event>().expect("an event").order, event.order);
            assert!(job.traceparent.expect("a trace").contains(trace));
            assert_eq!(job.request_id.as_deref(), Some("request-7"));
            assert_eq!(job.max_attempts, 0, "an event is never given up");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_acknowledged_is_forgotten_and_the_rest_comes_again() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let shop = Replica::delivering(&db, queue.queue.clone(), &inventory.url);
        let [stock, mail] = CONSUMERS.map(|name| Consumer::start(&queue.queue, name));
        let order = shop.bought().await;
        eventually("both have it", async || {
            !stock.events().is_empty() && !mail.events().is_empty()
        })
        .await;
        let event = stock.events()[0].id;
        acknowledge(&shop, INVENTORY_EVENTS, &[event, Uuid::now_v7()]).await;
        assert_eq!(
            shop.outbox()
                .await
                .iter()
                .map(|(queue, _)| queue.as_str())
                .collect::<Vec<_>>(),
            [NOTIFICATION_EVENTS]
        );
        let seen = stock.events().len();
        eventually("the other one comes again and again", async || {
            mail.events().len() >= 3
        })
        .await;
        assert_eq!(
            stock.events().len(),
            seen,
            "what is acknowledged comes no more"
        );
        assert!(
            mail.events()
                .iter()
                .all(|e| (e.id, e.order.id) == (event, order))
        );
        acknowledge(&shop, NOTIFICATION_EVENTS, &[event]).await;
        assert_eq!(shop.rows().await, (1, 0));
        // Nothing to acknowledge is no error.
        acknowledge(&shop, NOTIFICATION_EVENTS, &[event]).await;
        acknowledge(&shop, NOTIFICATION_EVENTS, &[]).await;
        acknowledge(&shop, "no such queue", &[event]).await;
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_died_before_pushing_has_another_push_for_it() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let settings = [
            "--inventory-urls",
            &inventory.url,
            "--outbox-redeliver-seconds",
            "1",
        ];
        let dead = Replica::build(&db, queue.queue.clone(), &settings, false);
        let order = dead.bought().await;
        drop(dead);
        let _heir = Replica::delivering(&db, queue.queue.clone(), NOWHERE);
        let mail = Consumer::start(&queue.queue, NOTIFICATION_EVENTS);
        eventually("it is delivered", async || {
            mail.events().iter().any(|e| e.order.id == order)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn two_relays_on_one_outbox_queue_each_event_once() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let other = replica(&db, &MIGRATIONS).await;
        let shops =
            [&db, &other].map(|db| Replica::delivering(db, queue.queue.clone(), &inventory.url));
        for n in 0..20 {
            shops[n % 2].bought().await;
        }
        // Both have looked for overdue events several times by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(waiting(&queue.queue).await, [20, 20]);
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_away_stops_no_order_and_loses_no_event() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, Fresh::redis(Options::default()).await);
        let shop = Replica::delivering(&db, queue.queue.clone(), &inventory.url);
        let mail = Consumer::start(&queue.queue, NOTIFICATION_EVENTS);
        shop.bought().await;
        eventually("the first is delivered", async || mail.events().len() == 1).await;
        let meanwhile = async {
            eventually("the queue is away", async || {
                queue.queue.ping().await.is_err()
            })
            .await;
            let mut orders = Vec::new();
            for _ in 0..5 {
                orders.push(shop.bought().await);
            }
            assert!(
                queue.queue.ping().await.is_err(),
                "the orders came while it was away"
            );
            orders
        };
        let ((), orders) = futures::join!(queue.outage(Duration::from_secs(2)), meanwhile);
        eventually("all are delivered", async || {
            let events = mail.events();
            orders
                .iter()
                .all(|id| events.iter().any(|e| e.order.id == *id))
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_lost_everything_is_filled_again() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let shop = Replica::delivering(&db, queue.queue.clone(), &inventory.url);
        for _ in 0..10 {
            shop.bought().await;
        }
        eventually("all are queued", async || {
            waiting(&queue.queue).await == [10, 10]
        })
        .await;
        queue.empty().await;
        eventually("all are queued again", async || {
            waiting(&queue.queue).await == [10, 10]
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_deep_queue_is_not_made_deeper() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let filler: Vec<_> = (0..2100)
            .map(|n| NewJob::new("filler", &n).expect("JSON"))
            .collect();
        queue
            .queue
            .push(INVENTORY_EVENTS, &filler)
            .await
            .expect("the queue is there");
        let settings = [
            "--inventory-urls",
            &inventory.url,
            "--outbox-redeliver-seconds",
            "1",
        ];
        let shop = Replica::build(&db, queue.queue.clone(), &settings, false);
        let order = shop.bought().await;
        let relay = Replica::delivering(&db, queue.queue.clone(), NOWHERE);
        eventually("the other queue has it", async || {
            waiting(&queue.queue).await[1] == 1
        })
        .await;
        assert_eq!(
            waiting(&queue.queue).await[0],
            2100,
            "the table keeps the backlog"
        );
        assert_eq!(relay.rows().await, (1, 2));
        let stock = Consumer::start(&queue.queue, INVENTORY_EVENTS);
        eventually("once there is room it comes", async || {
            stock.events().iter().any(|e| e.order.id == order)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn many_events_are_delivered_in_batches() {
    each(&MIGRATIONS, async |db| {
        let (inventory, queue) = (inventory().await, queue().await);
        let settings = [
            "--inventory-urls",
            &inventory.url,
            "--outbox-redeliver-seconds",
            "1",
        ];
        let shop = Replica::build(&db, queue.queue.clone(), &settings, false);
        for _ in 0..3 {
            futures::future::join_all((0..100).map(|_| shop.bought())).await;
        }
        let _relay = Replica::delivering(&db, queue.queue.clone(), NOWHERE);
        eventually("all are queued", async || {
            waiting(&queue.queue).await == [300, 300]
        })
        .await;
        let cancel = shop.get("/orders?limit=1").await.expect(200)["items"][0]["id"].clone();
        let path = format!("/orders/{}/cancel", cancel.as_str().expect("an id"));
        shop.post(&path, Value::Null).await.expect(200);
        eventually("a cancellation too", async || {
            waiting(&queue.queue).await == [301, 301]
        })
        .await;
    })
    .await;
}

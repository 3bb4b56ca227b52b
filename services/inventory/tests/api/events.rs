//! Order events from the queue: at least once, in any order.
use crate::support::{Orders, Replica, eventually};
use contracts::{
    event::{Event, Kind},
    order::{Order, Status},
};
use db::{Db, testing::each};
use inventory::MIGRATIONS;
use queue::{NewJob, Options, testing::Fresh};
use service::Background;
use uuid::Uuid;

struct Setting {
    shop: Replica,
    orders: Orders,
    queue: Fresh,
    _background: Background,
}

async fn setting(db: Db) -> Setting {
    let orders = Orders::start().await;
    let shop = Replica::with(db, &["--order-urls", &orders.url]);
    let queue = Fresh::sqlite(Options::default()).await;
    let background = inventory::background(&shop.app, &queue.queue);
    Setting {
        shop,
        orders,
        queue,
        _background: background,
    }
}

fn event(order_id: Uuid, kind: Kind) -> Event {
    let order = Order {
        id: order_id,
        product_id: "PROD-001".to_owned(),
        quantity: 2,
        email: "a@example.com".to_owned(),
        status: Status::Confirmed,
        total_minor: 5800,
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

impl Setting {
    /// Puts events on the queue, each time as a new job, and waits until all are worked in.
    async fn deliver(&self, events: &[&Event]) {
        let jobs: Vec<_> = events
            .iter()
            .map(|e| NewJob::new("order_event", e).expect("JSON"))
            .collect();
        self.queue
            .queue
            .push(contracts::INVENTORY_EVENTS, &jobs)
            .await
            .expect("the queue is there");
        self.until_worked_in().await;
    }

    async fn until_worked_in(&self) {
        eventually("the queue is empty", async || {
            let stats = self
                .queue
                .queue
                .stats(contracts::INVENTORY_EVENTS)
                .await
                .expect("stats");
            stats == queue::Stats::default()
        })
        .await;
    }

    async fn held(&self) -> Uuid {
        let order = Uuid::now_v7();
        self.shop.reserve(order, "PROD-001", 2).await.expect(200);
        order
    }
}

#[tokio::test]
async fn a_confirmed_order_is_sold_once_however_often_it_comes() {
    each(&MIGRATIONS, async |db| {
        let s = setting(db).await;
        let confirmed = event(s.held().await, Kind::OrderConfirmed);
        s.deliver(&[&confirmed, &confirmed]).await;
        s.deliver(&[&confirmed]).await;
        assert_eq!(s.shop.stock("PROD-001").await, (9998, 0, 2));
        assert_eq!(
            s.orders.acknowledged(),
            [confirmed.id; 3],
            "every delivery is acknowledged"
        );
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_order_gives_back_once_in_whatever_order_events_come() {
    each(&MIGRATIONS, async |db| {
        let s = setting(db).await;
        let pair = async || {
            let order = s.held().await;
            (
                event(order, Kind::OrderConfirmed),
                event(order, Kind::OrderCancelled),
            )
        };
        let (yes, no) = pair().await;
        s.deliver(&[&yes]).await;
        s.deliver(&[&no, &no, &yes]).await;
        let (yes, no) = pair().await;
        s.deliver(&[&no]).await;
        s.deliver(&[&yes, &no]).await;
        let (yes, no) = pair().await;
        s.deliver(&[&no, &yes, &no, &yes]).await;
        let (_, no) = pair().await;
        s.deliver(&[&no]).await;
        assert_eq!(s.shop.stock("PROD-001").await, (10000, 0, 0));
        // What was given back stays so: a late retry of the order may not take it again.
        let late = s.shop.reserve(no.order.id, "PROD-001", 2).await;
        late.expect_problem(409, "reservation_released");
        assert_eq!(s.shop.stock("PROD-001").await, (10000, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_event_does_not_hold_up_the_others() {
    each(&MIGRATIONS, async |db| {
        let s = setting(db).await;
        let good = event(s.held().await, Kind::OrderConfirmed);
        let jobs = [
            NewJob::new("order_event", &"nonsense").expect("JSON"),
            NewJob::new("order_event", &good).expect("JSON"),
        ];
        s.queue
            .queue
            .push(contracts::INVENTORY_EVENTS, &jobs)
            .await
            .expect("the queue is there");
        s.until_worked_in().await;
        assert_eq!(s.shop.stock("PROD-001").await, (9998, 0, 2));
        assert_eq!(
            s.orders.acknowledged(),
            [good.id],
            "what wasn't read isn't acknowledged"
        );
    })
    .await;
}

#[tokio::test]
async fn events_are_worked_in_while_order_is_away() {
    each(&MIGRATIONS, async |db| {
        let Setting { shop, queue, .. } = setting(db.clone()).await;
        let alone = Replica::new(db);
        let _background = inventory::background(&alone.app, &queue.queue);
        let order = Uuid::now_v7();
        shop.reserve(order, "PROD-001", 2).await.expect(200);
        let job = NewJob::new("order_event", &event(order, Kind::OrderConfirmed)).expect("JSON");
        queue
            .queue
            .push(contracts::INVENTORY_EVENTS, &[job])
            .await
            .expect("the queue is there");
        eventually("it is sold", async || {
            alone.stock("PROD-001").await == (9998, 0, 2)
        })
        .await;
    })
    .await;
}

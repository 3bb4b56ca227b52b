//! Order events from the queue: each becomes one notification, however often it comes.
use crate::support::{NOWHERE, Orders, Replica, confirmed, deliver, event, queue, until_worked_in};
use contracts::{event::Kind, notification::Status};
use db::testing::{each, replica};
use notification::MIGRATIONS;
use queue::NewJob;
use std::collections::HashSet;

#[tokio::test]
async fn an_event_is_one_notification_however_often_it_comes() {
    each(&MIGRATIONS, async |db| {
        let (orders, queue) = (Orders::start().await, queue().await);
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", &orders.url]);
        let event = confirmed();
        deliver(&queue, &[&event, &event]).await;
        until_worked_in(&queue).await;
        deliver(&queue, &[&event]).await;
        until_worked_in(&queue).await;
        let only = inbox.until(Status::Sent).await;
        assert_eq!(
            (only.id, only.order_id, only.kind),
            (event.id, event.order.id, Kind::OrderConfirmed)
        );
        assert_eq!(
            orders.acknowledged(),
            [event.id; 3],
            "every delivery is acknowledged"
        );
        inbox.expect_counts(1, 0, 0);
    })
    .await;
}

#[tokio::test]
async fn the_events_of_an_order_are_told_one_by_one() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        let (yes, mut no) = (confirmed(), event(Kind::OrderCancelled));
        no.order.id = yes.order.id;
        deliver(&queue, &[&no, &yes]).await;
        until_worked_in(&queue).await;
        let told = inbox.all().await;
        assert_eq!(told.len(), 2);
        for told in &told {
            assert_eq!(
                (told.order_id, told.to.as_str(), told.channel.as_str()),
                (yes.order.id, "ada@example.com", "email")
            );
            assert!(told.subject.contains(&yes.order.id.to_string()));
            assert!(
                told.text.contains("2 x PROD-001 for 58.05 EUR"),
                "{}",
                told.text
            );
        }
        let subjects: Vec<_> = told
            .iter()
            .map(|n| (n.kind, n.subject.rsplit(' ').next().expect("a word")))
            .collect();
        assert!(
            subjects.contains(&(Kind::OrderConfirmed, "confirmed")),
            "{subjects:?}"
        );
        assert!(
            subjects.contains(&(Kind::OrderCancelled, "cancelled")),
            "{subjects:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn two_replicas_make_no_second_notification() {
    each(&MIGRATIONS, async |db| {
        let (queue, other) = (queue().await, replica(&db, &MIGRATIONS).await);
        let settings = ["--order-urls", NOWHERE];
        let inboxes = [&db, &other].map(|db| Replica::new(db, &queue.queue, &settings));
        let events: Vec<_> = (0..40).map(|_| confirmed()).collect();
        let there: Vec<_> = events.iter().collect();
        let back: Vec<_> = events.iter().rev().collect();
        for _ in 0..3 {
            deliver(&queue, &there).await;
            deliver(&queue, &back).await;
        }
        until_worked_in(&queue).await;
        let ids: Vec<_> = inboxes[0].all().await.iter().map(|n| n.id).collect();
        assert_eq!(ids.len(), 40);
        assert_eq!(
            ids.into_iter().collect::<HashSet<_>>(),
            events.iter().map(|e| e.id).collect()
        );
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_event_does_not_hold_up_the_others() {
    each(&MIGRATIONS, async |db| {
        let (orders, queue) = (Orders::start().await, queue().await);
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", &orders.url]);
        let nonsense = NewJob::new("order_event", &"nonsense").expect("JSON");
        queue
            .queue
            .push(contracts::NOTIFICATION_EVENTS, &[nonsense])
            .await
            .expect("the queue is there");
        let good = confirmed();
        deliver(&queue, &[&good]).await;
        assert_eq!(inbox.until(Status::Sent).await.id, good.id);
        until_worked_in(&queue).await;
        assert_eq!(orders.acknowledged(), [good.id]);
    })
    .await;
}

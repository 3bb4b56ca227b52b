//! A mail whose replica died while sending is sent by another.
use crate::{
    sink::{Mood, Sink},
    support::{NOWHERE, Replica, confirmed, deliver, eventually, queue},
};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::notification::Status;
use db::{
    Db,
    testing::{each, replica},
    with_db,
};
use notification::MIGRATIONS;
use std::time::Duration;

/// When the only mail comes up again if its claim isn't settled.
async fn claimed_until(db: &Db) -> DateTime<Utc> {
    let select = "SELECT next_attempt_at FROM notifications";
    with_db!(&db.reader, |pool| sqlx::query_scalar(select)
        .fetch_one(pool)
        .await)
    .expect("one row")
}

/// As if the time of the claim had passed.
async fn let_claims_run_out(db: &Db) {
    let update = "UPDATE notifications SET next_attempt_at = $1 WHERE status = 'pending'";
    with_db!(&db.writer, |pool| sqlx::query(update)
        .bind(db::now())
        .execute(pool)
        .await
        .map(drop))
    .expect("it is updated");
}

#[tokio::test]
async fn the_claim_of_a_dead_replica_is_taken_over() {
    each(&MIGRATIONS, async |db| {
        let (sink, queue) = (Sink::start().await, queue().await);
        let settings = ["--order-urls", NOWHERE, "--smtp-url", &sink.url];
        sink.next(&[Mood::Hang]);
        let victim = Replica::new(&db, &queue.queue, &settings);
        let event = confirmed();
        deliver(&queue, &[&event]).await;
        eventually("the victim is sending", async || {
            sink.has_used_moods()
                && matches!(victim.all().await.as_slice(), [only] if only.attempts == 1)
        })
        .await;
        drop(victim);
        let heir = Replica::new(&replica(&db, &MIGRATIONS).await, &queue.queue, &settings);
        let left = claimed_until(&db).await - db::now();
        assert!(
            left > TimeDelta::seconds(15),
            "a claim outlasts the longest try: {left}"
        );
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(sink.mails().is_empty(), "who may be alive is not doubled");
        let_claims_run_out(&db).await;
        let sent = heir.until(Status::Sent).await;
        assert_eq!(sent.attempts, 2);
        assert_eq!(
            sink.headers("Message-ID"),
            [format!("<{}@seawall.example>", event.id)]
        );
    })
    .await;
}

/// The first try was thought dead, but comes back late with bad news: the second one's word stands.
#[tokio::test]
async fn a_late_word_about_an_old_try_changes_nothing() {
    each(&MIGRATIONS, async |db| {
        let (slow, sink, queue) = (Sink::start().await, Sink::start().await, queue().await);
        slow.next(&[Mood::Slow(Duration::from_secs(4))]);
        slow.always(Some(Mood::Content(550)));
        let first = Replica::new(
            &db,
            &queue.queue,
            &["--order-urls", NOWHERE, "--smtp-url", &slow.url],
        );
        deliver(&queue, &[&confirmed()]).await;
        eventually("the first is sending", async || {
            slow.has_used_moods()
                && matches!(first.all().await.as_slice(), [only] if only.attempts == 1)
        })
        .await;
        let settings = ["--order-urls", NOWHERE, "--smtp-url", &sink.url];
        sink.next(&[Mood::Recipient(550)]);
        let second = Replica::new(&replica(&db, &MIGRATIONS).await, &queue.queue, &settings);
        let_claims_run_out(&db).await;
        let dead = second.until(Status::Dead).await;
        assert_eq!(dead.attempts, 2);
        eventually("the first is through", async || {
            first.metrics().contains(r#"outcome="sent"} 1"#)
        })
        .await;
        assert_eq!(second.all().await[0].status, Status::Dead);
    })
    .await;
}

#[tokio::test]
async fn two_replicas_send_each_mail_once() {
    each(&MIGRATIONS, async |db| {
        let (sink, queue, other) = (
            Sink::start().await,
            queue().await,
            replica(&db, &MIGRATIONS).await,
        );
        let settings = ["--order-urls", NOWHERE, "--smtp-url", &sink.url];
        let outboxes = [&db, &other].map(|db| Replica::new(db, &queue.queue, &settings));
        let events: Vec<_> = (0..60).map(|_| confirmed()).collect();
        deliver(&queue, &events.iter().collect::<Vec<_>>()).await;
        eventually("all are sent", async || {
            let all = outboxes[0].all().await;
            all.len() == 60 && all.iter().all(|n| n.status == Status::Sent)
        })
        .await;
        let mut ids = sink.headers("Message-ID");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), sink.mails().len()), (60, 60));
    })
    .await;
}

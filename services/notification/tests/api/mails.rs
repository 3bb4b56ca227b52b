//! Delivery through a mail server that doesn't always want.
use crate::{
    sink::{Mood, Sink},
    support::{NOWHERE, Orders, Replica, confirmed, deliver, eventually, queue, until_worked_in},
};
use contracts::notification::Status;
use db::{Db, testing::each};
use notification::MIGRATIONS;
use queue::testing::Fresh;
use std::{net::TcpListener, time::Duration};

struct Setting {
    sink: Sink,
    queue: Fresh,
    outbox: Replica,
}

async fn setting(db: &Db, max_attempts: &str) -> Setting {
    let (sink, queue) = (Sink::start().await, queue().await);
    let settings = [
        "--order-urls",
        NOWHERE,
        "--smtp-url",
        &sink.url,
        "--mail-max-attempts",
        max_attempts,
    ];
    let outbox = Replica::new(db, &queue.queue, &settings);
    Setting {
        sink,
        queue,
        outbox,
    }
}

#[tokio::test]
async fn a_mail_says_what_happened() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "8").await;
        let event = confirmed();
        deliver(&s.queue, &[&event, &event]).await;
        let sent = s.outbox.until(Status::Sent).await;
        assert_eq!((sent.attempts, sent.last_error), (1, None));
        until_worked_in(&s.queue).await;
        assert_eq!(
            s.sink.headers("Message-ID"),
            [format!("<{}@seawall.example>", event.id)]
        );
        assert_eq!(s.sink.headers("To"), ["ada@example.com"]);
        assert_eq!(s.sink.headers("From"), ["Seawall <shop@seawall.example>"]);
        let mail = &s.sink.mails()[0];
        assert!(mail.contains("2 x PROD-001 for 58.05 EUR"), "{mail}");
        assert!(
            mail.contains(&format!("{} is confirmed", event.order.id))
                || mail.contains("Subject: Your order"),
            "{mail}"
        );
        s.outbox.expect_counts(1, 0, 0);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_later_is_asked_again_under_the_same_message_id() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "8").await;
        s.sink.next(&[Mood::Recipient(450)]);
        s.sink.always(Some(Mood::Content(451)));
        let event = confirmed();
        deliver(&s.queue, &[&event]).await;
        eventually("it is tried again", async || {
            matches!(s.outbox.all().await.as_slice(), [only] if only.attempts >= 2 && only.status == Status::Pending
                && only.last_error.as_ref().is_some_and(|e| e.contains("not now")))
        })
        .await;
        s.sink.always(None);
        let sent = s.outbox.until(Status::Sent).await;
        assert!(sent.attempts >= 3, "{sent:?}");
        assert_eq!(sent.last_error, None);
        assert_eq!(s.sink.headers("Message-ID"), [format!("<{}@seawall.example>", event.id)]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_never_is_believed() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "8").await;
        s.sink.next(&[Mood::Recipient(550)]);
        deliver(&s.queue, &[&confirmed()]).await;
        let dead = s.outbox.until(Status::Dead).await;
        assert_eq!(dead.attempts, 1);
        assert!(
            dead.last_error
                .expect("a reason")
                .contains("no such mailbox")
        );
        assert!(s.sink.mails().is_empty());
        s.outbox.expect_counts(0, 0, 1);
    })
    .await;
}

#[tokio::test]
async fn a_mail_is_given_up_in_the_end_and_can_be_sent_by_hand() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "3").await;
        s.sink.always(Some(Mood::Content(451)));
        let event = confirmed();
        deliver(&s.queue, &[&event]).await;
        let dead = s.outbox.until(Status::Dead).await;
        assert_eq!(dead.attempts, 3);
        assert!(dead.last_error.expect("a reason").contains("not now"));
        s.outbox.expect_counts(0, 2, 1);
        s.sink.always(None);
        let again = s.outbox.resend(dead.id).await.expect(202);
        assert_eq!(
            (&again["status"], &again["attempts"]),
            (&"pending".into(), &0.into()),
            "with all its tries"
        );
        let sent = s.outbox.until(Status::Sent).await;
        assert_eq!((sent.attempts, sent.last_error), (1, None));
        assert_eq!(
            s.sink.headers("Message-ID"),
            [format!("<{}@seawall.example>", event.id)]
        );
        // By hand, also what was taken before.
        s.outbox.resend(sent.id).await.expect(202);
        eventually("it comes a second time", async || s.sink.mails().len() == 2).await;
        let ids = s.sink.headers("Message-ID");
        assert_eq!(ids[0], ids[1], "who got it twice can tell");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_up_is_tried_again() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "8").await;
        s.sink.next(&[Mood::HangUp, Mood::TakeAndHangUp]);
        deliver(&s.queue, &[&confirmed()]).await;
        let sent = s.outbox.until(Status::Sent).await;
        assert_eq!(sent.attempts, 3);
        // Nobody can know that it was taken the first time; the receiver sees the same mail twice.
        let ids = s.sink.headers("Message-ID");
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    each(&MIGRATIONS, async |db| {
        let place = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let (queue, url) = (queue().await, format!("smtp://{place}"));
        let outbox = Replica::new(
            &db,
            &queue.queue,
            &["--order-urls", NOWHERE, "--smtp-url", &url],
        );
        deliver(&queue, &[&confirmed()]).await;
        eventually("a try fails", async || {
            outbox.metrics().contains(r#"outcome="retried"} 1"#)
        })
        .await;
        let sink = Sink::at(place).await;
        outbox.until(Status::Sent).await;
        assert_eq!(sink.mails().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn slow_and_refused_mails_do_not_hold_up_the_others_nor_the_events() {
    each(&MIGRATIONS, async |db| {
        let (sink, queue, orders) = (Sink::start().await, queue().await, Orders::start().await);
        let settings = ["--order-urls", &orders.url, "--smtp-url", &sink.url];
        let outbox = Replica::new(&db, &queue.queue, &settings);
        sink.next(&[
            Mood::Slow(Duration::from_secs(2)),
            Mood::Recipient(550),
            Mood::Content(451),
        ]);
        let events: Vec<_> = (0..30).map(|_| confirmed()).collect();
        deliver(&queue, &events.iter().collect::<Vec<_>>()).await;
        eventually("the events are acknowledged", async || {
            orders.acknowledged().len() == 30
        })
        .await;
        eventually("29 are sent and one is dead", async || {
            let all = outbox.all().await;
            let count = |status| all.iter().filter(|n| n.status == status).count();
            (count(Status::Sent), count(Status::Dead)) == (29, 1)
        })
        .await;
        let mut ids = sink.headers("Message-ID");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), sink.mails().len()), (29, 29), "each once");
    })
    .await;
}

/// Order refuses such addresses; should one get here all the same, no mail is written with it.
#[tokio::test]
async fn no_address_smuggles_headers_or_recipients() {
    each(&MIGRATIONS, async |db| {
        let s = setting(&db, "8").await;
        let evil = [
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com\nSubject: hi",
            "ada@example.com\r\n\r\nhello",
            "\"x\r\nBcc: eve@example.com\" <ada@example.com>",
            "ada@example.com>\r\nRCPT TO:<eve@example.com",
            "ada@example.com, eve@example.com",
            "ada@exa mple.com",
            "",
        ];
        for email in evil {
            let mut event = confirmed();
            event.order.email = email.to_owned();
            deliver(&s.queue, &[&event]).await;
        }
        eventually("all are dead or sent", async || {
            let all = s.outbox.all().await;
            all.len() == evil.len() && all.iter().all(|n| n.status != Status::Pending)
        })
        .await;
        for mail in s.sink.mails() {
            assert!(
                !mail.contains("eve@example.com") && !mail.contains("Subject: hi"),
                "{mail}"
            );
        }
        assert_eq!(s.sink.mails().len(), 0);
    })
    .await;
}

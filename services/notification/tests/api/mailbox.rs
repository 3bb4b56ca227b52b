//! Without a mail server, mails stay in the mailbox that the list shows.
use crate::support::{NOWHERE, Replica, confirmed, deliver, queue};
use contracts::notification::Status;
use db::testing::each;
use notification::MIGRATIONS;
use service::testing::{OPERATOR, call_as};
use uuid::Uuid;

#[tokio::test]
async fn a_mail_is_sent_when_it_is_in_the_mailbox() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        deliver(&queue, &[&confirmed()]).await;
        let mail = inbox.until(Status::Sent).await;
        assert_eq!((mail.attempts, mail.last_error), (1, None));
        let json = inbox.get("/notifications").await.expect(200)["items"][0].clone();
        for field in [
            "id",
            "order_id",
            "kind",
            "channel",
            "to",
            "subject",
            "text",
            "status",
            "attempts",
            "last_error",
            "created_at",
        ] {
            assert!(json.get(field).is_some(), "{field} missing in {json}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_mail_can_be_sent_again() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        deliver(&queue, &[&confirmed()]).await;
        let mail = inbox.until(Status::Sent).await;
        let again = inbox.resend(mail.id).await.expect(202);
        assert_eq!(
            (&again["id"], &again["status"]),
            (&mail.id.to_string().into(), &"sent".into())
        );
        assert_eq!(inbox.until(Status::Sent).await.id, mail.id);
        inbox.expect_counts(2, 0, 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_can_not_be_sent_again() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        inbox
            .resend(Uuid::now_v7())
            .await
            .expect_problem(404, "notification_not_found");
        for odd in ["1", "%00", "%2e%2e%2f", "'%20OR%201=1--"] {
            let path = format!("/notifications/{odd}/resend");
            let answer = call_as(
                inbox.router(),
                OPERATOR,
                "POST",
                &path,
                serde_json::Value::Null,
            )
            .await;
            assert_eq!(answer.status, 404, "{odd}: {answer:?}");
        }
    })
    .await;
}

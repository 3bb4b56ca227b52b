//! The list of mails: pages and filter.
use crate::{
    sink::{Mood, Sink},
    support::{NOWHERE, Replica, confirmed, deliver, eventually, queue, until_worked_in},
};
use chrono::{DateTime, Utc};
use contracts::event::Event;
use db::testing::each;
use notification::MIGRATIONS;
use serde_json::{Value, json};
use service::{Identity, testing::call_as};
use std::collections::HashSet;
use uuid::Uuid;

/// Times can't be compared as text: a fraction that ends in zeros is shorter.
fn parse_time(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().expect("a time");
    text.parse().expect("a time")
}

#[tokio::test]
async fn pages_hold_each_mail_once_newest_first() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        // Mails of one batch share their time; pages must go through them all the same.
        let events: Vec<_> = (0..120).map(|_| confirmed()).collect();
        deliver(&queue, &events.iter().collect::<Vec<_>>()).await;
        until_worked_in(&queue).await;
        let (mut mails, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = inbox
                .get(&format!("/notifications?limit=7&status=sent{after}"))
                .await
                .expect(200);
            mails.append(page["items"].as_array_mut().expect("items"));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let ids: HashSet<_> = mails
            .iter()
            .map(|n| n["id"].as_str().expect("an id").to_owned())
            .collect();
        assert_eq!(
            (mails.len(), ids),
            (120, events.iter().map(|e| e.id.to_string()).collect())
        );
        let times: Vec<_> = mails.iter().map(|n| parse_time(&n["created_at"])).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "newest first");
    })
    .await;
}

#[tokio::test]
async fn the_filter_shows_one_state() {
    each(&MIGRATIONS, async |db| {
        let (sink, queue) = (Sink::start().await, queue().await);
        let settings = ["--order-urls", NOWHERE, "--smtp-url", &sink.url];
        let outbox = Replica::new(&db, &queue.queue, &settings);
        assert_eq!(
            outbox.get("/notifications").await.expect(200),
            json!({"items": [], "next": null})
        );
        sink.next(&[Mood::Recipient(550)]);
        for _ in 0..3 {
            deliver(&queue, &[&confirmed()]).await;
        }
        eventually("all are through", async || {
            let three = outbox.all().await.len() == 3;
            let pending = outbox
                .get("/notifications?status=pending")
                .await
                .expect(200);
            three && pending["items"] == json!([])
        })
        .await;
        for (status, count) in [("sent", 2), ("dead", 1), ("pending", 0)] {
            let page = outbox
                .get(&format!("/notifications?status={status}"))
                .await
                .expect(200);
            let items = page["items"].as_array().expect("items");
            assert_eq!(items.len(), count, "{status}");
            assert!(items.iter().all(|n| n["status"] == status));
        }
    })
    .await;
}

#[tokio::test]
async fn bad_queries_are_refused() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        let id = Uuid::nil();
        let mut queries: Vec<_> = [
            "limit=0",
            "limit=501",
            "limit=abc",
            "status=lost",
            "status=",
            "status=sent&status=dead",
            "to=ada",
            "after=x",
            "after=%00",
        ]
        .map(str::to_owned)
        .to_vec();
        for micros in [
            "",
            "x",
            "9223372036854775807",
            "-9223372036854775808",
            "-8000000000000000000",
        ] {
            queries.push(format!("after={micros}_{id}"));
        }
        for query in queries {
            let answer = inbox.get(&format!("/notifications?{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            answer.expect_problem(400, "invalid_query");
        }
        inbox
            .get(&format!(
                "/notifications?after=0_{id}&status=dead&limit=500"
            ))
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn users_see_the_mails_about_their_own_orders() {
    each(&MIGRATIONS, async |db| {
        let queue = queue().await;
        let inbox = Replica::new(&db, &queue.queue, &["--order-urls", NOWHERE]);
        let (ada, eve) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let of = |user_id| Event {
            user_id,
            ..confirmed()
        };
        let (hers, other, nobodys) = (of(Some(ada)), of(Some(eve)), confirmed());
        deliver(&queue, &[&hers, &other, &nobodys]).await;
        until_worked_in(&queue).await;
        let see = async |who, query: &str| {
            let path = format!("/notifications{query}");
            call_as(inbox.router(), who, "GET", &path, Value::Null).await
        };
        for query in ["", "?status=sent", "?limit=1"] {
            let page = see(Identity::User(ada), query).await.expect(200);
            let ids: Vec<_> = page["items"].as_array().expect("items").iter().collect();
            assert_eq!(ids.len(), 1, "{query}: {page}");
            assert_eq!(ids[0]["id"], hers.id.to_string());
        }
        assert_eq!(inbox.all().await.len(), 3);
        let answer = see(Identity::Anonymous, "").await;
        answer.expect_problem(401, "unauthorized");

        let resend = format!("/notifications/{}/resend", hers.id);
        for (who, status, code) in [
            (Identity::Anonymous, 401, "unauthorized"),
            (Identity::User(ada), 403, "forbidden"),
        ] {
            let answer = call_as(inbox.router(), who, "POST", &resend, Value::Null).await;
            answer.expect_problem(status, code);
        }
    })
    .await;
}

//! Far ends: of time, of pages, of what is kept.
use crate::support::{NOWHERE, Replica, each};
use queue::{Options, testing::each_with};
use serde_json::json;
use service::testing::{OPERATOR, call_with, identity};
use std::{collections::HashSet, time::Duration};

#[tokio::test]
async fn times_far_away_break_nothing() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        for at in [
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+262142-12-31T23:59:59Z",
        ] {
            replica.id_of(json!({"kind": "echo", "run_at": at})).await;
        }
        let (mut seen, mut path) = (0, "/jobs?limit=1".to_owned());
        loop {
            let page = replica.get(&path).await.expect(200);
            seen += page["items"].as_array().expect("items").len();
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/jobs?limit=1&after={next}");
        }
        assert_eq!(seen, 3);
    })
    .await;
}

#[tokio::test]
async fn newcomers_do_not_move_the_pages() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let mut ids = HashSet::new();
        for n in 0..120 {
            ids.insert(replica.id_of(json!({"kind": "echo", "payload": n})).await);
        }
        let (mut found, mut path) = (Vec::new(), "/jobs".to_owned());
        for length in [50, 50, 20] {
            let page = replica.get(&path).await.expect(200);
            let items = page["items"].as_array().expect("items");
            assert_eq!(items.len(), length);
            let id = |job: &serde_json::Value| job["id"].as_str().expect("an id").to_owned();
            found.extend(items.iter().map(id));
            path = format!("/jobs?after={}", page["next"].as_str().unwrap_or_default());
            let newcomer = json!({"kind": "echo", "run_at": "9999-01-01T00:00:00Z"});
            replica.id_of(newcomer).await;
        }
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), ids);
    })
    .await;
}

#[tokio::test]
async fn two_keys_are_no_key() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let (name, operator) = identity(OPERATOR);
        let keys = [
            ("idempotency-key", "one"),
            ("idempotency-key", "two"),
            (name, &operator),
        ];
        call_with(
            replica.router(),
            "POST",
            "/job",
            r#"{"kind":"echo"}"#,
            &keys,
        )
        .await
        .expect_problem(400, "invalid_idempotency_key");
    })
    .await;
}

#[tokio::test]
async fn trim_forgets_all_but_the_newest() {
    let options = Options {
        keep_done: 2,
        // The queue trims by itself a quarter of this after the start: not during this test.
        lease: Duration::from_secs(400),
        ..Options::default()
    };
    each_with(options, async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let mut ids = Vec::new();
        for _ in 0..5 {
            let id = replica.id_of(json!({"kind": "echo"})).await;
            replica.until(&id, "done").await;
            ids.push(id);
        }
        let trimmed = replica.result(json!({"kind": "trim"})).await;
        assert_eq!(trimmed, json!({"trimmed": 3}));
        for (n, id) in ids.iter().enumerate() {
            let status = if n < 3 { 404 } else { 200 };
            replica.get(&format!("/jobs/{id}")).await.expect(status);
        }
    })
    .await;
}

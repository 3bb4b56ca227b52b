//! Listing jobs, and how deep the queues are.
use crate::support::{NOWHERE, Replica, each};
use contracts::{INVENTORY_EVENTS, JOBS, NOTIFICATION_EVENTS};
use serde_json::{Value, json};
use std::collections::HashSet;
use uuid::Uuid;

#[tokio::test]
async fn pages_hold_each_job_once() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let mut ids = HashSet::new();
        for n in 0..120 {
            ids.insert(replica.id_of(json!({"kind": "echo", "payload": n})).await);
        }
        for filter in ["", "&state=waiting"] {
            let (mut found, mut after) = (Vec::new(), String::new());
            loop {
                let page = replica
                    .get(&format!("/jobs?limit=35{filter}{after}"))
                    .await
                    .expect(200);
                let items = page["items"].as_array().expect("items");
                assert!(items.len() <= 35);
                found.extend(
                    items
                        .iter()
                        .map(|job| job["id"].as_str().expect("an id").to_owned()),
                );
                // What comes meanwhile moves nothing.
                let later = json!({"kind": "echo", "run_at": "9999-01-01T00:00:00Z"});
                replica.post("/job", later).await.expect(202);
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            found.retain(|id| ids.contains(id));
            assert_eq!(found.len(), 120);
            assert_eq!(found.into_iter().collect::<HashSet<_>>(), ids);
        }
        let default = replica.get("/jobs").await.expect(200);
        assert_eq!(default["items"].as_array().expect("items").len(), 50);
    })
    .await;
}

#[tokio::test]
async fn the_filter_shows_one_state() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let later = chrono::Utc::now() + chrono::TimeDelta::hours(1);
        let jobs = [
            (json!({"kind": "echo", "run_at": later}), "waiting"),
            (
                json!({"kind": "sleep", "payload": {"ms": 60_000}}),
                "running",
            ),
            (json!({"kind": "echo"}), "done"),
            (json!({"kind": "fail", "max_attempts": 1}), "dead"),
        ];
        for (body, state) in jobs {
            let id = replica.id_of(body).await;
            let job = replica.until(&id, state).await;
            let page = replica
                .get(&format!("/jobs?state={state}"))
                .await
                .expect(200);
            assert_eq!(page["items"][0]["id"], job["id"], "{state}");
            assert_eq!(page["items"].as_array().expect("items").len(), 1, "{state}");
        }
        assert_eq!(
            replica.get("/jobs").await.expect(200)["items"]
                .as_array()
                .expect("items")
                .len(),
            4
        );
        let queues = replica.get("/queues").await.expect(200);
        for (state, count) in [
            ("waiting", 1),
            ("running", 1),
            ("done", 1),
            ("dead", 1),
            ("retrying", 0),
        ] {
            assert_eq!(queues[JOBS][state], count, "{state}");
        }
        for name in [INVENTORY_EVENTS, NOTIFICATION_EVENTS] {
            assert_eq!(queues[name]["waiting"], 0);
        }
    })
    .await;
}

#[tokio::test]
async fn bad_queries_and_ids_are_refused() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        assert_eq!(
            replica.get("/jobs").await.expect(200),
            json!({"items": [], "next": null})
        );
        let id = Uuid::nil();
        for path in ["/jobs", "/jobs/dead"] {
            for query in [
                "limit=0",
                "limit=501",
                "limit=abc",
                "kind=echo",
                "after=x",
                "after=%00",
                "after=1.x",
                "after=",
                "limit=1&limit=2",
                &format!("after=x.{id}"),
                &format!("after=99999999999999999999.{id}"),
            ] {
                let answer = replica.get(&format!("{path}?{query}")).await;
                assert_eq!(answer.status, 400, "{path}?{query}: {answer:?}");
                answer.expect_problem(400, "invalid_query");
            }
            replica
                .get(&format!("{path}?after=1.{id}&limit=500"))
                .await
                .expect(200);
        }
        replica
            .get("/jobs/dead?state=done")
            .await
            .expect_problem(400, "invalid_query");
        for state in ["", "lost", "Dead", "dead&state=done"] {
            replica
                .get(&format!("/jobs?state={state}"))
                .await
                .expect_problem(400, "invalid_query");
        }
        replica
            .get(&format!("/jobs/{id}"))
            .await
            .expect_problem(404, "job_not_found");
        for odd in ["1", "%00", "%2e%2e%2f", "'%20OR%201=1--", "dead%00"] {
            let answer = replica.get(&format!("/jobs/{odd}")).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body["status"]),
                (404, &Value::from(404)),
                "{odd}"
            );
        }
    })
    .await;
}

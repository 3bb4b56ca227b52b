//! Submitting jobs: what is taken, what is refused, what is the same job.
use crate::support::{NOWHERE, Replica, each};
use futures::future::join_all;
use serde_json::{Value, json};
use service::Identity;
use service::testing::{OPERATOR, call_as, call_with, identity};
use std::collections::HashSet;
use uuid::Uuid;

async fn waiting(replica: &Replica) -> usize {
    replica.get("/jobs?limit=500").await.expect(200)["items"]
        .as_array()
        .expect("items")
        .len()
}

#[tokio::test]
async fn a_job_is_shown_as_it_was_submitted() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        for path in ["/job", "/jobs"] {
            let body = json!({"kind": "echo", "payload": {"hello": ["world", null, 1.5]}});
            let job = replica.post(path, body).await.expect(202);
            assert_eq!(job["kind"], "echo");
            assert_eq!(job["payload"], json!({"hello": ["world", null, 1.5]}));
            assert_eq!(
                (&job["state"], &job["attempts"], &job["max_attempts"]),
                (&json!("waiting"), &json!(0), &json!(5))
            );
            for field in ["last_error", "result", "finished_at"] {
                assert_eq!(job[field], json!(null), "{field}");
            }
            for field in ["created_at", "run_at"] {
                let time = job[field].as_str().expect("a time");
                assert!(
                    time.ends_with('Z') && time.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
                    "{time}"
                );
            }
            let id = job["id"].as_str().expect("an id");
            assert_eq!(replica.job(id).await, job);
        }
        // A payload can be left out.
        replica
            .post("/job", json!({"kind": "report"}))
            .await
            .expect(202);
    })
    .await;
}

#[tokio::test]
async fn a_key_stands_for_one_job() {
    each(async |queue| {
        let replicas = [0, 1].map(|_| Replica::idle(&queue.queue, NOWHERE, &[]));
        let body = json!({"kind": "echo", "payload": {"a": 1, "b": 2}});
        let answers = join_all((0..40).map(|n| replicas[n % 2].submit("key", &body))).await;
        let jobs: HashSet<_> = answers
            .into_iter()
            .map(|a| a.expect(202).to_string())
            .collect();
        assert_eq!((jobs.len(), waiting(&replicas[0]).await), (1, 1));
        // Said otherwise, but the same.
        let text = r#"{"payload": {"b": 2, "a": 1}, "kind": "echo"}"#;
        let (name, operator) = identity(OPERATOR);
        let job = call_with(
            replicas[0].router(),
            "POST",
            "/jobs",
            text,
            &[("idempotency-key", "key"), (name, &operator)],
        )
        .await;
        assert!(jobs.contains(&job.expect(202).to_string()));
        for other in [
            json!({"kind": "echo", "payload": {"a": 1}}),
            json!({"kind": "echo", "payload": {"a": 1, "b": 2}, "max_attempts": 3}),
            json!({"kind": "fail"}),
        ] {
            replicas[0]
                .submit("key", &other)
                .await
                .expect_problem(422, "idempotency_key_reused");
        }
        assert_eq!(waiting(&replicas[1]).await, 1);
        replicas[1].submit("another", &body).await.expect(202);
        assert_eq!(waiting(&replicas[1]).await, 2);
    })
    .await;
}

/// A key means the same job also after it is done.
#[tokio::test]
async fn a_key_outlives_the_run() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let body = json!({"kind": "echo", "payload": 7});
        let job = replica.submit("key", &body).await.expect(202);
        let done = replica
            .until(job["id"].as_str().expect("an id"), "done")
            .await;
        assert_eq!(replica.submit("key", &body).await.expect(202), done);
        assert_eq!(done["attempts"], 1);
    })
    .await;
}

#[tokio::test]
async fn keys_have_a_syntax() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let body = json!({"kind": "echo"});
        for bad in ["", "two words", "caf\u{e9}", &"x".repeat(256)] {
            replica
                .submit(bad, &body)
                .await
                .expect_problem(400, "invalid_idempotency_key");
        }
        assert_eq!(waiting(&replica).await, 0);
        replica.submit(&"x".repeat(255), &body).await.expect(202);
    })
    .await;
}

#[tokio::test]
async fn what_no_job_can_be_is_refused_by_name() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let long = "x".repeat(100_000);
        for (body, pointer) in [
            (json!({"kind": "make_tea"}), "/kind"),
            (json!({"kind": ""}), "/kind"),
            (json!({"kind": "Echo"}), "/kind"),
            (json!({"kind": "echo\u{0}"}), "/kind"),
            (json!({"kind": 1}), "/kind"),
            (
                json!({"kind": "fail", "payload": {"times": -1}}),
                "/payload",
            ),
            (
                json!({"kind": "fail", "payload": {"times": "2"}}),
                "/payload",
            ),
            (json!({"kind": "fail", "payload": {"often": 2}}), "/payload"),
            (json!({"kind": "fail", "payload": {(long): 2}}), "/payload"),
            (json!({"kind": "fail", "payload": []}), "/payload"),
            (json!({"kind": "fail", "payload": [2]}), "/payload"),
            (json!({"kind": "fail", "payload": 2}), "/payload"),
            (json!({"kind": "sleep"}), "/payload"),
            (json!({"kind": "sleep", "payload": {"ms": 1.5}}), "/payload"),
            (
                json!({"kind": "sleep", "payload": {"ms": 60_001}}),
                "/payload/ms",
            ),
            (
                json!({"kind": "report", "payload": {"day": "yesterday"}}),
                "/payload/day",
            ),
            (
                json!({"kind": "report", "payload": {"day": "2026-02-30"}}),
                "/payload/day",
            ),
            (
                json!({"kind": "touch_today", "payload": {"at": "noon"}}),
                "/payload",
            ),
            (json!({"kind": "echo", "max_attempts": 0}), "/max_attempts"),
            (json!({"kind": "echo", "max_attempts": 26}), "/max_attempts"),
            (json!({"kind": "echo", "max_attempts": -1}), "/max_attempts"),
            (json!({"kind": "echo", "run_at": "soon"}), "/run_at"),
        ] {
            let answer = replica.post("/job", body.clone()).await;
            let shown: String = body.to_string().chars().take(80).collect();
            assert_eq!(answer.status, 422, "{shown}: {answer:?}");
            answer.expect_problem(422, "invalid_field");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{shown}");
            assert!(
                answer.body.to_string().len() < 1000,
                "{shown} is echoed at length"
            );
        }
        for body in [
            json!({"kind": "echo", "priority": 1}),
            json!({}),
            json!([]),
            json!(["echo", 1]),
            Value::String("echo".to_owned()),
        ] {
            replica
                .post("/job", body)
                .await
                .expect_problem(422, "invalid_field");
        }
        let (name, value) = identity(OPERATOR);
        let operator = [(name, value.as_str())];
        for text in ["", "{", r#"{"kind": "echo"} x"#, &"[".repeat(20_000)] {
            let answer = call_with(replica.router(), "POST", "/job", text, &operator).await;
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{answer:?}");
        }
        let deep = format!(
            r#"{{"kind": "echo", "payload": {}1{}}}"#,
            "[".repeat(20_000),
            "]".repeat(20_000)
        );
        call_with(replica.router(), "POST", "/job", &deep, &operator)
            .await
            .expect_problem(400, "malformed_json");
        assert_eq!(waiting(&replica).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_job_waits_for_its_time() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let due = chrono::Utc::now() + chrono::TimeDelta::milliseconds(1500);
        let id = replica.id_of(json!({"kind": "echo", "run_at": due})).await;
        assert_eq!(replica.job(&id).await["state"], "waiting");
        let done = replica.until(&id, "done").await;
        let finished: chrono::DateTime<chrono::Utc> =
            serde_json::from_value(done["finished_at"].clone()).expect("a time");
        // The queue counts in milliseconds.
        assert!(
            finished >= due - chrono::TimeDelta::milliseconds(1),
            "{finished} is before {due}"
        );
    })
    .await;
}

#[tokio::test]
async fn jobs_are_for_operators() {
    each(async |queue| {
        let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        let id = replica.id_of(json!({"kind": "echo"})).await;
        let user = Identity::User(Uuid::from_u128(7));
        for (who, status, code) in [
            (Identity::Anonymous, 401, "unauthorized"),
            (user, 403, "forbidden"),
        ] {
            for (method, path) in [
                ("POST", "/job"),
                ("POST", "/jobs"),
                ("GET", "/jobs"),
                ("GET", "/jobs/dead"),
                ("POST", "/jobs/dead/retry"),
                ("GET", &format!("/jobs/{id}")),
                ("POST", &format!("/jobs/{id}/retry")),
            ] {
                let body = json!({"kind": "echo"});
                let answer = call_as(replica.router(), who, method, path, body).await;
                answer.expect_problem(status, code);
            }
        }
        assert_eq!(waiting(&replica).await, 1);
    })
    .await;
}

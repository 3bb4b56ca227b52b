//! Dead letters: jobs that failed for good, and their second life.
use crate::support::{NOWHERE, Replica, each, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

fn hopeless(attempts: u32) -> Value {
    json!({"kind": "fail", "max_attempts": attempts})
}

async fn dead(replica: &Replica) -> Vec<Value> {
    let mut page = replica.get("/jobs/dead").await.expect(200);
    serde_json::from_value(page["items"].take()).expect("items")
}

#[tokio::test]
async fn a_job_is_dead_after_its_last_attempt_and_says_why() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let id = replica.id_of(hopeless(3)).await;
        let job = replica.until(&id, "dead").await;
        assert_eq!(
            (&job["attempts"], &job["max_attempts"]),
            (&json!(3), &json!(3))
        );
        assert_eq!(job["last_error"], "asked to fail, attempt 3");
        assert!(job["finished_at"].is_string());
        assert_eq!(dead(&replica).await, [job]);
        assert!(
            replica
                .metrics()
                .contains(r#"worker_jobs_failure_total{job="fail"} 3"#)
        );
    })
    .await;
}

#[tokio::test]
async fn one_can_be_replayed_with_all_its_attempts() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let (id, other) = (
            replica.id_of(hopeless(2)).await,
            replica.id_of(hopeless(1)).await,
        );
        replica.until(&id, "dead").await;
        replica.until(&other, "dead").await;
        let again = replica
            .post(&format!("/jobs/{id}/retry"), Value::Null)
            .await
            .expect(200);
        assert_eq!(again["id"], id.as_str());
        eventually("it ran twice more", async || {
            replica
                .metrics()
                .contains(r#"worker_jobs_failure_total{job="fail"} 5"#)
        })
        .await;
        let job = replica.until(&id, "dead").await;
        assert_eq!(job["attempts"], 2);
        assert_eq!(dead(&replica).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn only_what_failed_is_replayed() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let id = replica.id_of(json!({"kind": "echo", "payload": 1})).await;
        let done = replica.until(&id, "done").await;
        let same = replica
            .post(&format!("/jobs/{id}/retry"), Value::Null)
            .await
            .expect(200);
        assert_eq!(same, done);
        let unknown = format!("/jobs/{}/retry", Uuid::now_v7());
        replica
            .post(&unknown, Value::Null)
            .await
            .expect_problem(404, "job_not_found");
        replica
            .post("/jobs/1/retry", Value::Null)
            .await
            .expect_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn all_can_be_replayed() {
    each(async |queue| {
        let mut replica = Replica::new(&queue.queue, NOWHERE, &[]);
        assert_eq!(
            replica
                .post("/jobs/dead/retry", Value::Null)
                .await
                .expect(200),
            json!({"replayed": 0})
        );
        for _ in 0..5 {
            let id = replica.id_of(hopeless(1)).await;
            replica.until(&id, "dead").await;
        }
        replica = Replica::idle(&queue.queue, NOWHERE, &[]);
        assert_eq!(
            replica
                .post("/jobs/dead/retry", Value::Null)
                .await
                .expect(200),
            json!({"replayed": 5})
        );
        assert!(dead(&replica).await.is_empty());
        replica.start();
        eventually("all are dead again", async || {
            dead(&replica).await.len() == 5
        })
        .await;
    })
    .await;
}

/// A payload that its kind can't read fails at once: it will never get better.
#[tokio::test]
async fn a_job_nobody_can_read_is_dead_at_once() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let job = queue::NewJob::new("make_tea", &json!({})).expect("JSON");
        queue
            .queue
            .push(contracts::JOBS, std::slice::from_ref(&job))
            .await
            .expect("the queue is there");
        let dead = replica.until(&job.id.to_string(), "dead").await;
        assert_eq!(dead["attempts"], 1);
        assert!(
            dead["last_error"]
                .as_str()
                .expect("a reason")
                .contains("make_tea")
        );
    })
    .await;
}

//! The kinds of jobs that need nobody else: echo, fail, sleep, trim.
use crate::support::{NOWHERE, Replica, each};
use serde_json::json;

#[tokio::test]
async fn echo_returns_its_payload() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        for payload in [
            json!({"a": [1, null, "\u{0}é"]}),
            json!([]),
            json!("text"),
            json!(7),
            json!({}),
        ] {
            let result = replica
                .result(json!({"kind": "echo", "payload": payload}))
                .await;
            assert_eq!(result, payload);
        }
        let text = replica.metrics();
        assert!(
            text.contains(r#"worker_jobs_success_total{job="echo"} 5"#),
            "{text}"
        );
        assert!(
            text.contains(r#"worker_job_duration_seconds_count{job="echo"} 5"#),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn fail_fails_as_often_as_told() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let id = replica
            .id_of(json!({"kind": "fail", "payload": {"times": 2}}))
            .await;
        let done = replica.until(&id, "done").await;
        assert_eq!(
            (&done["attempts"], &done["result"]),
            (&json!(3), &json!({"failed_before": 2}))
        );
        let text = replica.metrics();
        assert!(
            text.contains(r#"worker_jobs_failure_total{job="fail"} 2"#),
            "{text}"
        );
        assert!(
            text.contains(r#"worker_jobs_success_total{job="fail"} 1"#),
            "{text}"
        );
    })
    .await;
}

#[tokio::test]
async fn sleep_takes_its_time_and_holds_up_nobody() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &["--job-concurrency", "2"]);
        let slow = replica
            .id_of(json!({"kind": "sleep", "payload": {"ms": 1500}}))
            .await;
        replica.until(&slow, "running").await;
        replica.result(json!({"kind": "echo"})).await;
        assert_eq!(replica.job(&slow).await["state"], "running");
        assert_eq!(
            replica.until(&slow, "done").await["result"],
            json!({"slept_ms": 1500})
        );
    })
    .await;
}

#[tokio::test]
async fn trim_leaves_what_was_done_lately() {
    each(async |queue| {
        let replica = Replica::new(&queue.queue, NOWHERE, &[]);
        let id = replica.id_of(json!({"kind": "echo"})).await;
        replica.until(&id, "done").await;
        assert_eq!(
            replica.result(json!({"kind": "trim"})).await,
            json!({"trimmed": 0})
        );
        assert_eq!(replica.job(&id).await["state"], "done");
    })
    .await;
}

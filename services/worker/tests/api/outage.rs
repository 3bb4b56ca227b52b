//! The queue is away.
use crate::support::{NOWHERE, Replica};
use queue::{Options, testing::Fresh};
use serde_json::{Value, json};
use service::testing::{OPERATOR, call_as};
use std::time::Duration;

#[tokio::test]
async fn nothing_is_promised_while_the_queue_is_away() {
    let queue = Fresh::redis(Options::default()).await;
    let replica = Replica::idle(&queue.queue, NOWHERE, &[]);
    let kept = replica.id_of(json!({"kind": "echo"})).await;
    let asked = async {
        // Let it go first.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for (method, path) in [
            ("POST", "/job"),
            ("GET", "/jobs"),
            ("GET", "/queues"),
            ("POST", "/jobs/dead/retry"),
        ] {
            let body = json!({"kind": "echo"});
            let answer = call_as(replica.router(), OPERATOR, method, path, body).await;
            answer.expect_problem(503, "unavailable");
            assert!(answer.headers.contains_key("retry-after"), "{path}");
        }
    };
    tokio::join!(queue.outage(Duration::from_secs(6)), asked);
    assert_eq!(replica.job(&kept).await["state"], "waiting");
    let id = replica.id_of(json!({"kind": "echo"})).await;
    let page = replica.get("/jobs").await.expect(200);
    let ids: Vec<&Value> = page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|job| &job["id"])
        .collect();
    assert!(
        ids.len() == 2 && ids.contains(&&json!(id)),
        "what was refused is there: {ids:?}"
    );
}

//! Lists of jobs.
use crate::support::{NOWHERE, Replica, soon};
use queue::testing::{each, each_with};
use serde_json::{Value, json};
use std::collections::HashSet;

async fn ids(worker: &Replica, query: &str) -> Vec<String> {
    let page = worker.get(&format!("/jobs{query}")).await.expect(200);
    let items = page["items"].as_array().expect("items");
    let id = |job: &Value| job["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn each_state_has_its_list() {
    each_with(soon(), async |fresh| {
        let mut worker = Replica::running(&fresh.queue, NOWHERE, &["--job-concurrency=2"]);
        let done = worker.submit(json!({"kind": "echo"})).await;
        worker.until(&done, "done").await;
        let dead = worker
            .submit(json!({"kind": "fail", "max_attempts": 1}))
            .await;
        worker.until(&dead, "dead").await;
        let running = worker
            .submit(json!({"kind": "sleep", "payload": {"ms": 60_000}}))
            .await;
        worker.until(&running, "running").await;
        let later = json!({"kind": "echo", "run_at": "9999-01-01T00:00:00Z"});
        let waiting = worker.submit(later).await;
        for (state, id) in [
            ("waiting", &waiting),
            ("running", &running),
            ("done", &done),
            ("dead", &dead),
        ] {
            let found = ids(&worker, &format!("?state={state}")).await;
            assert_eq!(&found, std::slice::from_ref(id), "{state}");
        }
        assert_eq!(ids(&worker, "?state=retrying").await, [""; 0]);
        let all: HashSet<_> = ids(&worker, "").await.into_iter().collect();
        assert_eq!(all, HashSet::from([waiting, running, done, dead]));
        let depths = worker.get("/queues").await.expect(200);
        let jobs = &depths["jobs"];
        for state in ["waiting", "running", "done", "dead"] {
            assert_eq!(jobs[state], 1, "{state}: {jobs}");
        }
        for queue in ["events-inventory", "events-notification"] {
            assert_eq!(depths[queue]["waiting"], 0);
        }
        worker.kill();
    })
    .await;
}

#[tokio::test]
async fn pages_show_each_job_once() {
    each(async |queue| {
        let worker = Replica::idle(&queue);
        let mut made = HashSet::new();
        for n in 0..120 {
            made.insert(worker.submit(json!({"kind": "echo", "payload": n})).await);
        }
        let mut seen = Vec::new();
        let mut path = "/jobs?limit=50".to_owned();
        for length in [50, 50, 20] {
            let page = worker.get(&path).await.expect(200);
            let items = page["items"].as_array().expect("items");
            assert_eq!(items.len(), length);
            seen.extend(
                items
                    .iter()
                    .map(|j| j["id"].as_str().expect("an id").to_owned()),
            );
            let next = page["next"].as_str();
            assert_eq!(next.is_some(), seen.len() < 120);
            path = format!("/jobs?limit=50&after={}", next.unwrap_or_default());
            // What comes in meanwhile moves nothing.
            worker
                .submit(json!({"kind": "echo", "run_at": "9999-01-01T00:00:00Z"}))
                .await;
        }
        let unique: HashSet<_> = seen.into_iter().collect();
        assert_eq!(unique, made);
        assert_eq!(ids(&worker, "").await.len(), 50);
        assert_eq!(ids(&worker, "?limit=500").await.len(), 123);
    })
    .await;
}

#[tokio::test]
async fn bad_queries_are_refused() {
    each(async |queue| {
        let worker = Replica::idle(&queue);
        for path in ["/jobs", "/jobs/dead"] {
            for query in [
                "limit=0",
                "limit=501",
                "limit=-1",
                "limit=abc",
                "limit=1&limit=2",
                "page=2",
                "after=",
                "after=abc",
                "after=1.2",
                "after=%00",
                "after=99999999999999999999.018f0000-0000-7000-8000-000000000000",
            ] {
                worker
                    .get(&format!("{path}?{query}"))
                    .await
                    .expect_problem(400, "invalid_query");
            }
            for fine in ["limit=1", "limit=500", ""] {
                worker.get(&format!("{path}?{fine}")).await.expect(200);
            }
        }
        for state in ["ready", "DONE", "", "done,dead", "'"] {
            worker
                .get(&format!("/jobs?state={state}"))
                .await
                .expect_problem(400, "invalid_query");
        }
        // Dead letters have one state.
        worker
            .get("/jobs/dead?state=done")
            .await
            .expect_problem(400, "invalid_query");
    })
    .await;
}

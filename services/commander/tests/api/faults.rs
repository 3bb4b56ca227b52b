//! Faults at real ops listeners: no more than asked for, and all in the journal.
use crate::{
    ops::{TOKEN, fleet, places, which},
    support::{Commander, Supervisor, eventually},
};
use commander::MIGRATIONS;
use serde_json::{Value, json};
use service::faults::Kind;

const WITH_TOKEN: [&str; 1] = ["--chaos-token=the token of all"];

fn platform() -> Supervisor {
    assert!(WITH_TOKEN[0].ends_with(TOKEN));
    Supervisor::of(&["order", "worker", "image"])
}

fn error(seconds: u32) -> Value {
    json!({"fault": "error", "seconds": seconds})
}

async fn active(commander: &Commander) -> Value {
    commander.get("/ops/faults").await.expect(200)
}

#[tokio::test]
async fn one_is_one_and_all_are_those_of_the_service() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let fleet = fleet(&supervisor).await;
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        let hit = |_: ()| which(&fleet, |r| r.faults.is_active(Kind::Error));
        let named = json!({"service": "order", "replica": "order-2", "spec": error(600)});
        let begun = commander
            .call("POST", "/ops/faults", named)
            .await
            .expect(201);
        assert_eq!(places(&begun), ["order-2"]);
        assert_eq!(begun["items"][0]["service"], "order");
        assert_eq!(hit(()), ["order-2"]);
        let any = json!({"service": "worker", "spec": error(600)});
        let begun = commander.call("POST", "/ops/faults", any).await.expect(201);
        assert_eq!(places(&begun).len(), 1);
        assert_eq!(hit(()).len(), 2);
        let all = json!({"service": "image", "scope": "all", "spec": error(600)});
        let begun = commander.call("POST", "/ops/faults", all).await.expect(201);
        assert_eq!(places(&begun), ["image-1", "image-2"]);
        assert_eq!(hit(()).len(), 4);
        let state = commander.get("/ops/state").await.expect(200);
        assert_eq!(state["faults"].as_array().map(Vec::len), Some(4), "{state}");
        assert_eq!(
            active(&commander).await["items"].as_array().map(Vec::len),
            Some(4)
        );

        let journal = commander.journal().await;
        let brief: Vec<_> = journal
            .iter()
            .map(|e| json!([e["who"], e["action"], e["outcome"]]))
            .collect();
        assert_eq!(brief, vec![json!(["operator", "fault", "started"]); 3]);
        assert_eq!(journal[0]["target"], "image");
        assert_eq!(journal[2]["target"], "order-2");
        let detail: Value =
            serde_json::from_str(journal[2]["detail"].as_str().expect("text")).expect("JSON");
        assert_eq!(
            detail,
            json!({"fault": "error", "seconds": 600, "status": 503, "percent": 100})
        );

        let id = begun["items"][0]["id"].as_str().expect("an id");
        let path = format!("/ops/faults/{id}");
        commander
            .call("DELETE", &path, Value::Null)
            .await
            .expect(204);
        assert_eq!(hit(()).len(), 3);
        let again = commander.call("DELETE", &path, Value::Null).await;
        again.expect_problem(404, "fault_not_found");
        commander
            .call("DELETE", "/ops/faults", Value::Null)
            .await
            .expect(204);
        assert!(hit(()).is_empty());
        let journal = commander.journal().await;
        assert_eq!(journal.len(), 5);
        assert!(
            journal.iter().all(|e| e["outcome"] == "done"),
            "{journal:?}"
        );
        assert_eq!(journal[0]["action"], "clear");
    })
    .await;
}

#[tokio::test]
async fn a_fault_ends_in_the_journal_when_its_time_is_over() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let fleet = fleet(&supervisor).await;
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        let order = json!({"service": "order", "scope": "all", "spec": error(1)});
        commander
            .call("POST", "/ops/faults", order)
            .await
            .expect(201);
        // Another one keeps the journal; a kill of the same replica is another matter.
        drop(commander);
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        commander
            .kill(json!({"replica": "order-1"}))
            .await
            .expect(202);
        let over = async || {
            let journal = commander.journal().await;
            journal[1]["action"] == "fault" && journal[1]["outcome"] == "done"
        };
        eventually("it is over", over).await;
        assert!(which(&fleet, |r| r.faults.is_active(Kind::Error)).is_empty());
        assert_eq!(commander.journal().await[0]["outcome"], "started");
        supervisor.bring_back("order-1");
        commander.until("done").await;
    })
    .await;
}

#[tokio::test]
async fn an_outage_takes_the_dependency_from_all_who_have_it() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let fleet = fleet(&supervisor).await;
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        let post = async |body: Value| commander.call("POST", "/ops/outages", body).await;
        let queue = json!({"dependency": "queue", "mode": "stopped", "seconds": 600});
        let begun = post(queue).await.expect(201);
        assert_eq!(places(&begun), ["order-1", "order-2", "worker-1", "worker-2"]);
        assert_eq!(begun["items"][0]["fault"], "queue");
        let database = json!({"dependency": "database", "mode": "slow", "latency_ms": 50,
            "seconds": 600, "services": ["order"]});
        let begun = post(database).await.expect(201);
        assert_eq!(places(&begun), ["order-1", "order-2"]);
        assert_eq!(begun["items"][0]["latency_ms"], 50);
        let journal = commander.journal().await;
        assert_eq!(journal[0]["action"], "outage");
        assert_eq!(journal[0]["target"], "database");
        // Who is named must have it; then nobody loses it.
        let before = active(&commander).await;
        let worker = json!({"dependency": "database", "mode": "stopped", "seconds": 600,
            "services": ["order", "worker"]});
        post(worker).await.expect_problem(422, "fault_not_available");
        assert_eq!(places(&active(&commander).await), places(&before));
        assert_eq!(commander.journal().await[0]["outcome"], "failed");
        let nobody = json!({"dependency": "database", "mode": "stopped", "seconds": 9, "services": ["nobody"]});
        post(nobody).await.expect_problem(404, "replica_not_found");
        assert_eq!(which(&fleet, |r| r.faults.is_active(Kind::Database)), ["order-1", "order-2"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_or_away_changes_nothing() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let fleet = fleet(&supervisor).await;
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        let post = async |body: Value| commander.call("POST", "/ops/faults", body).await;
        for (spec, pointer) in [
            (json!({"fault": "error", "seconds": 0}), "/spec/seconds"),
            (
                json!({"fault": "latency", "seconds": 5}),
                "/spec/latency_ms",
            ),
            (json!({"fault": "crash", "seconds": 1}), "/spec/fault"),
        ] {
            let answer = post(json!({"service": "order", "spec": spec})).await;
            answer.expect_problem(422, "invalid_field");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{answer:?}");
        }
        let both =
            json!({"service": "order", "replica": "order-1", "scope": "all", "spec": error(5)});
        post(both).await.expect_problem(422, "invalid_field");
        for unknown in [
            json!({"service": "nobody", "spec": error(5)}),
            json!({"service": "order", "replica": "image-1", "spec": error(5)}),
        ] {
            post(unknown).await.expect_problem(404, "replica_not_found");
        }
        supervisor.lose("image-1");
        let gone = json!({"service": "image", "replica": "image-1", "spec": error(5)});
        post(gone).await.expect_problem(409, "replica_not_ready");
        assert!(
            commander
                .journal()
                .await
                .iter()
                .all(|e| e["action"] == "died")
        );
        let key = json!({"service": "order", "spec": {"fault": "expired_key", "seconds": 5}});
        post(key).await.expect_problem(422, "fault_not_available");
        // One of two doesn't answer: the other is let go.
        let nowhere = "http://127.0.0.1:1".to_owned();
        supervisor.set("order-2", |replica| replica.ops = nowhere);
        let all = json!({"service": "order", "scope": "all", "spec": error(600)});
        post(all).await.expect_problem(503, "unavailable");
        assert!(which(&fleet, |r| r.faults.is_active(Kind::Error)).is_empty());
        assert_eq!(commander.journal().await[0]["outcome"], "failed");
    })
    .await;
}

#[tokio::test]
async fn the_same_key_begins_it_once() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let _fleet = fleet(&supervisor).await;
        let commander = Commander::new(&db, &supervisor, &WITH_TOKEN);
        let order = json!({"service": "order", "spec": error(600)});
        let first = commander
            .post_with_key("/ops/faults", order.clone(), "k1")
            .await
            .expect(201);
        let second = commander
            .post_with_key("/ops/faults", order, "k1")
            .await
            .expect(201);
        assert_eq!(first["items"][0]["id"], second["items"][0]["id"]);
        assert_eq!(places(&active(&commander).await).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn without_chaos_or_a_token_nothing_breaks() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = platform();
        let fleet = fleet(&supervisor).await;
        for settings in [&["--chaos-enabled=false", WITH_TOKEN[0]][..], &[]] {
            let commander = Commander::new(&db, &supervisor, settings);
            let order = json!({"service": "order", "spec": error(5)});
            let outage = json!({"dependency": "queue", "mode": "stopped", "seconds": 5});
            for (method, path, body) in [
                ("POST", "/ops/faults", order),
                ("POST", "/ops/outages", outage),
                ("DELETE", "/ops/faults", Value::Null),
            ] {
                let answer = commander.call(method, path, body).await;
                answer.expect_problem(403, "chaos_disabled");
            }
            let faults = commander.get("/ops/faults").await.expect(200);
            assert_eq!(faults, json!({"items": []}));
            assert!(commander.journal().await.is_empty());
        }
        assert!(which(&fleet, |r| r.faults.is_active(Kind::Error)).is_empty());
    })
    .await;
}

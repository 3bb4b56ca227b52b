//! Kills: who dies, and what is noted.
use crate::support::{Commander, Supervisor, eventually, named};
use commander::MIGRATIONS;
use serde_json::{Value, json};

#[tokio::test]
async fn a_kill_is_noted_carried_out_and_seen_to_heal() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        let entry = commander.kill(named("order-2")).await.expect(202);
        assert_eq!(supervisor.killed(), ["order-2"]);
        for (field, value) in [
            ("who", "operator"),
            ("action", "kill"),
            ("target", "order-2"),
            ("outcome", "started"),
        ] {
            assert_eq!(entry[field], value, "{entry}");
        }
        assert_eq!(entry["recovered_ms"], Value::Null);
        // A process that starts is not one that is ready.
        supervisor.start("order-2");
        eventually("it is seen to start", async || {
            let state = commander.get("/ops/state").await.expect(200);
            state["services"][0]["replicas"][1]["state"] == "starting"
        })
        .await;
        assert_eq!(commander.journal().await, std::slice::from_ref(&entry));
        supervisor.ready("order-2");
        let done = commander.until("done").await;
        assert_eq!(done["id"], entry["id"]);
        assert!(done["recovered_ms"].as_i64().is_some_and(|ms| ms >= 0));
        // It was killed, so it hasn't died by itself as well.
        assert_eq!(commander.journal().await.len(), 1);
        let metrics = commander.metrics();
        assert!(
            metrics.contains("chaos_kills_total{service=\"order\"} 1\n"),
            "{metrics}"
        );
        assert!(
            metrics.contains("chaos_kills_total{service=\"inventory\"} 0\n"),
            "{metrics}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        for target in [
            named("order-3"),
            json!({"service": "orders"}),
            json!({"service": "inventory", "replica": "order-1", "force": true}),
            named(""),
        ] {
            let answer = commander.kill(target).await;
            answer.expect_problem(404, "replica_not_found");
        }
        for target in [
            json!({"replica": "order-1", "all": true}),
            json!({"force": "yes"}),
        ] {
            commander
                .kill(target)
                .await
                .expect_problem(422, "invalid_field");
        }
        assert!(supervisor.killed().is_empty());
        assert!(commander.journal().await.is_empty());
    })
    .await;
}

/// The gateway repeats a call whose answer it didn't get; and commander may be the one who dies.
#[tokio::test]
async fn a_repeated_request_kills_once() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory", "worker"]);
        let [one, two] = [1, 2].map(|_| Commander::new(&db, &supervisor, &[]));
        let first = one.kill_with_key(json!({}), "k").await.expect(202);
        for commander in [&one, &two] {
            let again = commander.kill_with_key(json!({}), "k").await.expect(202);
            assert_eq!(again["id"], first["id"]);
        }
        let both = tokio::join!(
            one.kill_with_key(json!({}), "other"),
            two.kill_with_key(json!({}), "other")
        );
        assert_eq!(both.0.expect(202)["id"], both.1.expect(202)["id"]);
        assert_eq!(supervisor.killed().len(), 2);
        for key in ["", "a b", &"x".repeat(256)] {
            let answer = one.kill_with_key(json!({}), key).await;
            answer.expect_problem(400, "invalid_idempotency_key");
        }
    })
    .await;
}

#[tokio::test]
async fn a_seed_gives_the_same_victims() {
    let order = async |seed: &str| {
        let supervisor = Supervisor::of(&["a", "b", "c"]);
        db::testing::sqlite(&MIGRATIONS, async |db| {
            let commander = Commander::new(&db, &supervisor, &[seed]);
            for _ in 0..8 {
                let entry = commander.kill(json!({})).await.expect(202);
                supervisor.bring_back(entry["target"].as_str().expect("a name"));
                commander.until("done").await;
            }
        })
        .await;
        supervisor.killed()
    };
    let first = order("--chaos-seed=7").await;
    assert_eq!(first, order("--chaos-seed=7").await);
    assert_ne!(first, order("--chaos-seed=8").await);
}

#[tokio::test]
async fn a_kill_that_could_not_be_has_failed_and_blocks_nobody() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        supervisor.refuse_kills();
        let commander = Commander::new(&db, &supervisor, &[]);
        for tries in 1..=2 {
            let answer = commander.kill(named("order-1")).await;
            answer.expect_problem(503, "unavailable");
            let journal = commander.journal().await;
            assert_eq!(journal.len(), tries);
            assert_eq!(journal[0]["outcome"], "failed");
            assert!(
                journal[0]["detail"]
                    .as_str()
                    .is_some_and(|d| d.contains("not running"))
            );
        }
        assert!(
            commander
                .metrics()
                .contains("chaos_kills_total{service=\"order\"} 0\n")
        );
    })
    .await;
}

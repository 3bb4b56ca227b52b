//! What is refused, so that nothing is broken beyond what was asked for.
use crate::support::{Commander, Supervisor, named};
use commander::MIGRATIONS;
use serde_json::json;

#[tokio::test]
async fn the_last_ready_replica_is_killed_by_force_alone() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        supervisor.lose("order-1");
        let commander = Commander::new(&db, &supervisor, &[]);
        for target in [json!({}), json!({"service": "order"}), named("order-2")] {
            let answer = commander.kill(target).await;
            answer.expect_problem(409, "last_replica");
        }
        assert!(supervisor.killed().is_empty());
        let target = json!({"replica": "order-2", "force": true});
        commander.kill(target).await.expect(202);
        assert_eq!(supervisor.killed(), ["order-2"]);
    })
    .await;
}

#[tokio::test]
async fn a_service_loses_one_replica_at_a_time() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        commander.kill(named("order-1")).await.expect(202);
        // Not by force either: whoever wants both gone waits for what the first has done.
        for target in [
            named("order-1"),
            json!({"replica": "order-2", "force": true}),
            json!({"service": "order", "force": true}),
        ] {
            let answer = commander.kill(target).await;
            answer.expect_problem(409, "busy");
            assert_eq!(answer.headers["retry-after"], "1");
        }
        // Chance takes another service.
        let entry = commander.kill(json!({})).await.expect(202);
        assert!(
            entry["target"]
                .as_str()
                .is_some_and(|t| t.starts_with("inventory"))
        );
        supervisor.bring_back(entry["target"].as_str().expect("a name"));
        supervisor.bring_back("order-1");
        commander.until("done").await;
        let all_done = async || {
            let journal = commander.journal().await;
            journal.iter().all(|e| e["outcome"] == "done")
        };
        crate::support::eventually("both are back", all_done).await;
        commander.kill(named("order-2")).await.expect(202);
    })
    .await;
}

/// Two replicas of commander see the same two replicas ready, and each kills another.
#[tokio::test]
async fn kills_at_once_are_one_kill() {
    db::testing::each(&MIGRATIONS, async |db| {
        for _ in 0..5 {
            let supervisor = Supervisor::of(&["order"]);
            let [one, two] = [1, 2].map(|_| Commander::new(&db, &supervisor, &[]));
            let (first, second) =
                tokio::join!(one.kill(named("order-1")), two.kill(named("order-2")));
            let mut statuses = [first.status.as_u16(), second.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [202, 409], "{first:?} {second:?}");
            assert_eq!(supervisor.killed().len(), 1);
            supervisor.bring_back(&supervisor.killed()[0]);
            one.until("done").await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_chaos_nothing_dies_and_everything_shows() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        for off in [
            "--chaos-enabled=false",
            "--app-env=production",
            "--app-env=uat",
        ] {
            let commander = Commander::new(&db, &supervisor, &[off]);
            let target = json!({"replica": "order-1", "force": true});
            commander
                .kill(target)
                .await
                .expect_problem(403, "chaos_disabled");
            let state = commander.get("/ops/state").await.expect(200);
            let replicas = &state["services"][0]["replicas"];
            assert_eq!(replicas[0]["state"], "ready", "{state}");
            assert_eq!(replicas[0]["killable"], false, "{state}");
            assert!(commander.journal().await.is_empty());
        }
        assert!(supervisor.killed().is_empty());
        let on = ["--app-env=production", "--chaos-enabled=true"];
        let commander = Commander::new(&db, &supervisor, &on);
        commander.kill(named("order-1")).await.expect(202);
    })
    .await;
}

//! Rollouts: who may begin one, and what the journal says of its end.
use crate::support::{Commander, Supervisor};
use commander::MIGRATIONS;
use control::Phase;
use serde_json::json;

#[tokio::test]
async fn a_rollout_is_noted_and_its_end_too() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory"]);
        let [one, two] = [1, 2].map(|_| Commander::new(&db, &supervisor, &[]));
        let entry = one.roll_out(json!({"service": "order"})).await.expect(202);
        for (field, value) in [
            ("who", "operator"),
            ("action", "rollout"),
            ("target", "order"),
            ("outcome", "started"),
        ] {
            assert_eq!(entry[field], value, "{entry}");
        }
        // One at a time, whoever is asked and whatever the service.
        for service in ["order", "inventory"] {
            let answer = two.roll_out(json!({"service": service})).await;
            answer.expect_problem(409, "busy");
        }
        // Its replicas leave and come as the rollout wants: nobody has died.
        supervisor.set("order-1", |replica| {
            replica.state = control::State::Stopping;
        });
        supervisor.end_rollout(Some((Phase::Done, None)));
        let done = two.until("done").await;
        assert_eq!(done["id"], entry["id"]);
        assert!(done["recovered_ms"].as_i64().is_some_and(|ms| ms >= 0));

        let order = json!({"service": "inventory", "broken": true});
        one.roll_out(order).await.expect(202);
        supervisor.end_rollout(Some((Phase::RolledBack, Some("inventory-3 was late"))));
        let failed = one.until("failed").await;
        assert_eq!(failed["detail"], "rolled back: inventory-3 was late");
        assert_eq!(one.journal().await.len(), 2);
    })
    .await;
}

/// Else nobody could ever begin another one.
#[tokio::test]
async fn a_rollout_that_the_supervisor_forgot_has_failed() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        let order = || json!({"service": "order"});
        commander.roll_out(order()).await.expect(202);
        supervisor.end_rollout(None);
        let failed = commander.until("failed").await;
        assert_eq!(failed["detail"], "the supervisor does not know of it");
        commander.roll_out(order()).await.expect(202);
    })
    .await;
}

#[tokio::test]
async fn a_rollout_that_makes_no_sense_is_refused() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        let answer = commander.roll_out(json!({"service": "orders"})).await;
        answer.expect_problem(404, "service_not_found");
        let answer = commander.roll_out(json!({})).await;
        answer.expect_problem(422, "invalid_field");
        let tame = Commander::new(&db, &supervisor, &["--chaos-enabled=false"]);
        let answer = tame.roll_out(json!({"service": "order"})).await;
        answer.expect_problem(403, "chaos_disabled");
        let compose = Commander::new(&db, &supervisor, &["--driver=compose"]);
        let answer = compose.roll_out(json!({"service": "order"})).await;
        answer.expect_problem(501, "not_available_here");
        assert!(commander.journal().await.is_empty());
    })
    .await;
}

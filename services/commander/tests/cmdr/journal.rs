//! What the journal says of deaths that nobody asked for, and how it is read.
use crate::support::{Commander, Supervisor, eventually, named};
use chrono::{TimeDelta, Utc};
use commander::MIGRATIONS;
use control::State;
use db::with_db;
use serde_json::Value;
use uuid::Uuid;

/// Commander knows the replicas; only then it can see one die.
async fn until_known(commander: &Commander) {
    eventually("the replicas are known", async || {
        commander.metrics().contains("chaos_kills_total{")
    })
    .await;
}

#[tokio::test]
async fn a_death_is_noted_once_however_many_see_it() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "inventory"]);
        let both = [1, 2].map(|_| Commander::new(&db, &supervisor, &[]));
        for commander in &both {
            until_known(commander).await;
        }
        supervisor.lose("order-1");
        let died = both[0].until("started").await;
        for (field, value) in [
            ("who", "supervisor"),
            ("action", "died"),
            ("target", "order-1"),
        ] {
            assert_eq!(died[field], value, "{died}");
        }
        supervisor.bring_back("order-1");
        let back = both[1].until("done").await;
        assert_eq!(back["id"], died["id"]);
        assert!(back["recovered_ms"].is_i64(), "{back}");
        // So fast that nobody saw it down.
        supervisor.set("inventory-2", |replica| {
            replica.started_at += TimeDelta::seconds(1);
            replica.restarts += 1;
            replica.state = State::Ready;
        });
        eventually("the second death is noted", async || {
            let journal = both[0].journal().await;
            journal[0]["target"] == "inventory-2" && journal[0]["outcome"] == "done"
        })
        .await;
        // Both have seen everything by then.
        supervisor.lose("order-2");
        both[1].until("started").await;
        assert_eq!(both[0].journal().await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_crash_loop_is_one_outage() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        until_known(&commander).await;
        for _ in 0..3 {
            supervisor.lose("order-1");
            supervisor.start("order-1");
            eventually("the start is seen", async || {
                let state = commander.get("/ops/state").await.expect(200);
                state["services"][0]["replicas"][0]["state"] == "starting"
            })
            .await;
        }
        supervisor.ready("order-1");
        commander.until("done").await;
        assert_eq!(commander.journal().await.len(), 1);
    })
    .await;
}

/// Leaving is not dying: the whole platform stops like this.
#[tokio::test]
async fn replicas_that_drain_have_not_died() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "worker"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        until_known(&commander).await;
        supervisor.set("order-1", |replica| {
            replica.state = State::Stopping;
            replica.pid = None;
        });
        supervisor.lose("worker-1");
        commander.until("started").await;
        let journal = commander.journal().await;
        assert_eq!(journal.len(), 1);
        assert_eq!(journal[0]["target"], "worker-1");
    })
    .await;
}

#[tokio::test]
async fn a_kill_without_a_replacement_has_failed_after_a_minute() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order", "worker"]);
        let old = Utc::now() - TimeDelta::seconds(61);
        for (target, life) in [("order-1", None), ("gone-1", Some("x"))] {
            with_db!(&db.writer, |pool| {
                sqlx::query(
                    "INSERT INTO journal (id, at, who, action, target, service, life, outcome) \
                     VALUES ($1, $2, 'operator', 'kill', $3, $3, $4, 'started')",
                )
                .bind(Uuid::now_v7())
                .bind(old)
                .bind(target)
                .bind(life)
                .execute(pool)
                .await
                .map(drop)
            })
            .expect("a row");
        }
        supervisor.lose("order-1");
        let commander = Commander::new(&db, &supervisor, &[]);
        eventually("both have failed", async || {
            let journal = commander.journal().await;
            journal.iter().filter(|e| e["outcome"] == "failed").count() == 2
        })
        .await;
        let details: Vec<Value> = commander
            .journal()
            .await
            .iter_mut()
            .map(|e| e["detail"].take())
            .filter(|d| d.is_string())
            .collect();
        assert!(
            details.contains(&"not ready again within 60 s".into()),
            "{details:?}"
        );
        assert!(
            details.contains(&"the replica is gone".into()),
            "{details:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_journal_comes_in_pages() {
    db::testing::each(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&["order"]);
        let commander = Commander::new(&db, &supervisor, &[]);
        for n in 0..5 {
            let victim = format!("order-{}", 1 + n % 2);
            commander.kill(named(&victim)).await.expect(202);
            supervisor.bring_back(&victim);
            commander.until("done").await;
        }
        let all = commander.journal().await;
        let (mut pages, mut path) = (Vec::new(), "/ops/journal?limit=2".to_owned());
        loop {
            let page = commander.get(&path).await.expect(200);
            pages.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/ops/journal?limit=2&after={next}");
        }
        assert_eq!((pages.len(), &pages), (5, &all));
        for bad in ["limit=0", "limit=501", "after=x", "before=1"] {
            let answer = commander.get(&format!("/ops/journal?{bad}")).await;
            answer.expect_problem(400, "invalid_query");
        }
    })
    .await;
}

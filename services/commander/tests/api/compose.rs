//! Containers: found by name, watched and broken through their ops listeners.
use crate::{
    ops::{Replica, places},
    support::{Commander, Supervisor, eventually},
};
use commander::MIGRATIONS;
use serde_json::{Value, json};

fn replica(state: &Value, service: &str, number: usize) -> Value {
    let services = state["services"].as_array().expect("services");
    let found = services.iter().find(|s| s["name"] == service);
    found.map_or(Value::Null, |s| s["replicas"][number - 1].clone())
}

#[tokio::test]
async fn containers_show_break_die_and_come_back() {
    db::testing::each(&MIGRATIONS, async |db| {
        // Nobody asks it anything.
        let supervisor = Supervisor::of(&[]);
        let one = Replica::start("order-1", true, true).listening().await;
        let two = Replica::start("order-2", true, true).listening().await;
        let image = Replica::start("image-1", false, false).listening().await;
        let name =
            |service: &str, r: &Replica| format!("{service}=http://localhost:{}", r.ops.port());
        let urls = format!(
            "--ops-urls={},{},{}",
            name("order", &one),
            name("order", &two),
            name("image", &image)
        );
        let settings = ["--driver=compose", &urls, "--chaos-token=the token of all"];
        let commander = Commander::new(&db, &supervisor, &settings);
        let state = commander.get("/ops/state").await.expect(200);
        assert_eq!(state["environment"], "compose");
        for (service, number, zone) in [("order", 1, "a"), ("order", 2, "b"), ("image", 1, "a")] {
            let shown = replica(&state, service, number);
            assert_eq!(shown["state"], "ready", "{state}");
            assert_eq!(shown["zone"], zone);
            assert!(shown["started_at"].is_string());
        }
        let unready = json!({"service": "image", "spec": {"fault": "unready", "seconds": 600}});
        let begun = commander
            .call("POST", "/ops/faults", unready)
            .await
            .expect(201);
        assert_eq!(places(&begun), ["image-1"]);
        eventually("it isn't ready", async || {
            let state = commander.get("/ops/state").await.expect(200);
            replica(&state, "image", 1)["state"] == "starting"
        })
        .await;

        // It dies; the container is started again at its address.
        let address = replica(&state, "order", 1)["address"].clone();
        let (dies, _stays) = match address == one.ops.to_string() {
            true => (one, two),
            false => (two, one),
        };
        let address = dies.ops;
        let shown = async |wanted: &str| {
            let state = commander.get("/ops/state").await.expect(200);
            replica(&state, "order", 1)["state"] == wanted
        };
        eventually("the watch has seen it", async || {
            commander
                .metrics()
                .contains("chaos_kills_total{service=\"order\"}")
        })
        .await;
        drop(dies);
        eventually("it is down", async || shown("down").await).await;
        eventually("its death is noted", async || {
            commander
                .journal()
                .await
                .iter()
                .any(|e| e["action"] == "died")
        })
        .await;
        let _back = Replica::start_at("order-1", address, true, true)
            .listening()
            .await;
        eventually("it is back", async || shown("ready").await).await;
        eventually("the journal says so", async || {
            let journal = commander.journal().await;
            let died = journal.iter().find(|e| e["action"] == "died");
            died.is_some_and(|e| e["outcome"] == "done" && e["recovered_ms"].is_i64())
        })
        .await;
        let state = commander.get("/ops/state").await.expect(200);
        assert_eq!(replica(&state, "order", 1)["restarts"], 1, "{state}");
    })
    .await;
}

/// A name that nothing is behind, and an ops listener that nobody answers at.
#[tokio::test]
async fn what_is_not_there_is_not_shown_or_down() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&[]);
        let urls = "--ops-urls=order=http://no-such-host.invalid:9091,image=http://127.0.0.1:1";
        let settings = ["--driver=compose", urls, "--chaos-token=the token of all"];
        let commander = Commander::new(&db, &supervisor, &settings);
        let state = commander.get("/ops/state").await.expect(200);
        assert_eq!(replica(&state, "order", 1), Value::Null);
        assert_eq!(replica(&state, "image", 1)["state"], "down");
        let answer = commander.kill(json!({"service": "image"})).await;
        answer.expect_problem(409, "busy");
    })
    .await;
}

//! New versions under load: no request fails, whether they are good or bad.
mod support;

use serde_json::{Value, json};
use std::{thread, time::Instant};
use support::{Platform, Sandbox, eventually};

const SERVICES: [&str; 8] = [
    "gateway",
    "order",
    "inventory",
    "notification",
    "auth",
    "image",
    "worker",
    "commander",
];

/// Load at a fixed rate while `meanwhile` runs. Nothing may fail in that time, no connection may break,
/// and the audit must find nothing.
fn under_load(platform: &Platform, seconds: u32, meanwhile: impl FnOnce()) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.arg("bench").args(["--url", &platform.url()]);
    command.arg("--data").arg(platform.data());
    let report = platform.data().join("report.json");
    command.arg("--json").arg(&report);
    command.args(["--rate", "20", "--seconds", &seconds.to_string()]);
    let load = thread::spawn(move || command.output().expect("runs"));
    let began = Instant::now();
    meanwhile();
    let took = began.elapsed().as_secs();
    assert!(!load.is_finished(), "the load ended too early");
    load.join().expect("no panic");
    let report = std::fs::read_to_string(report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["audit"]["violations"], 0, "{report}");
    let orders = &report["phases"][0]["orders"];
    for cause in ["connection refused", "connection closed"] {
        assert_eq!(orders["retried_by_cause"][cause], Value::Null, "{report}");
    }
    let timeline = report["phases"][0]["timeline"].as_array();
    let timeline = timeline.expect("seconds").iter();
    let during = timeline.filter(|second| second["second"].as_u64() <= Some(took));
    let failed: u64 = during.filter_map(|second| second["failed"].as_u64()).sum();
    assert_eq!(failed, 0, "{report}");
}

/// Begins a rollout and waits for its end; the entry of the journal.
fn roll_out(platform: &Platform, order: &Value) -> Value {
    let (status, entry) = platform.call("POST", "/api/ops/rollout", order);
    assert_eq!(status, 202, "{entry}");
    eventually("the rollout's end", || {
        let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
        let mut items = journal["items"].as_array()?.iter();
        let entry = items.find(|e| e["id"] == entry["id"])?;
        (entry["outcome"] != "started").then(|| entry.clone())
    })
}

fn pids(platform: &Platform, service: &str) -> Vec<Value> {
    let list = platform.control().list().into_iter();
    let of_service = list.filter(|r| r["service"] == service);
    of_service.map(|r| r["pid"].clone()).collect()
}

#[test]
fn every_service_gets_a_new_version_and_no_request_fails() {
    let platform = Platform::start();
    under_load(&platform, 90, || {
        for service in SERVICES {
            let old = pids(&platform, service);
            let entry = roll_out(&platform, &json!({"service": service}));
            assert_eq!(entry["outcome"], "done", "{entry}");
            let new = pids(&platform, service);
            assert_eq!(new.len(), 2, "{new:?}");
            assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?} {new:?}");
        }
    });
    let list = platform.control().list();
    assert!(list.iter().all(|r| r["state"] == "ready"), "{list:?}");
    assert!(list.iter().all(|r| r["restarts"] == 0), "{list:?}");
    // Whoever was replaced has not died.
    let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
    let journal = journal["items"].as_array().expect("items");
    assert_eq!(journal.len(), SERVICES.len(), "{journal:?}");
}

#[test]
fn a_version_that_never_gets_ready_is_rolled_back_and_nobody_notices() {
    let platform = Platform::start_with(Sandbox::new(), &[], &[("ROLLOUT_DEADLINE", "3s")]);
    let all = || platform.control().pids();
    let before = all();
    under_load(&platform, 30, || {
        for service in ["order", "gateway"] {
            let order = json!({"service": service, "broken": true});
            let entry = roll_out(&platform, &order);
            assert_eq!(entry["outcome"], "failed", "{entry}");
            let detail = format!("rolled back: {service}-3 was not ready within 3 s");
            assert_eq!(entry["detail"], detail.as_str());
        }
    });
    assert_eq!(all(), before);
}

#[test]
fn one_rollout_at_a_time_and_stopping_waits_for_none() {
    let platform = Platform::start();
    let ask = |service: &str, id: &str| {
        let order = json!({"do": "rollout", "id": id, "service": service, "broken": true});
        platform.control().call(&order)
    };
    assert_eq!(ask("order", "1")["rollout"]["phase"], "running");
    // The same again, as after a lost answer.
    assert_eq!(ask("order", "1")["rollout"]["phase"], "running");
    let busy = "a rollout of order is on its way";
    assert_eq!(ask("inventory", "2")["error"], busy);
    assert_eq!(ask("orders", "3")["error"], "no service is called orders");
    eventually("one stands in beside the replicas of its service", || {
        let list = platform.control().list();
        let place = |name: &str| list.iter().position(|r| r["name"] == name);
        (place("order-3")? == place("order-2")? + 1).then_some(())
    });
    platform.stop();
}

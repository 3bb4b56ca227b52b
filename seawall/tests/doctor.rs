//! `seawall doctor` against platforms that are well and ones that are not.
mod support;

use serde_json::Value;
use support::{Platform, Sandbox};

#[test]
fn all_is_well_right_after_the_start() {
    let platform = Platform::start();
    let (output, error, status) = platform.sandbox().run("doctor", &[]);
    assert!(status.success(), "{output}{error}");
    assert!(!output.contains("FAIL"), "{output}");
    for check in [
        "data folder",
        "ports",
        "gateway-1",
        "worker-2 metrics",
        "status",
        "its notification",
        "its cancellation",
    ] {
        let line = output.lines().find(|line| line.contains(check));
        assert!(line.is_some_and(|line| line.starts_with("ok")), "{output}");
    }
    // The order is gone again.
    let (_, orders) = platform.call("GET", "/api/orders", &Value::Null);
    assert_eq!(orders["items"][0]["product_id"], "PROD-005");
    assert_eq!(orders["items"][0]["status"], "cancelled");
}

#[test]
fn a_frozen_replica_is_named() {
    let platform = Platform::start();
    platform.control().kill("notification-1", "STOP");
    let (output, _, status) = platform.sandbox().run("doctor", &[]);
    assert_eq!(status.code(), Some(1), "{output}");
    let failures = output.lines().filter(|line| line.starts_with("FAIL"));
    let failures: Vec<&str> = failures.collect();
    assert!(!failures.is_empty(), "{output}");
    let named = |line: &&str| line.contains("notification-1");
    assert!(failures.iter().any(named), "{output}");
}

#[test]
fn nothing_runs() {
    let sandbox = Sandbox::new();
    let (output, _, status) = sandbox.run("doctor", &[]);
    assert_eq!(status.code(), Some(1), "{output}");
    let line = output.lines().find(|line| line.contains("supervisor"));
    let line = line.expect("a line about it");
    assert!(line.starts_with("FAIL"), "{line}");
    assert!(line.contains("seawall up"), "no hint: {line}");
    let ports = output.lines().find(|line| line.contains("ports"));
    assert!(ports.is_some_and(|line| line.starts_with("ok")), "{output}");
}

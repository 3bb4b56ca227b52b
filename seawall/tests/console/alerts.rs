//! The inbox of alerts.
use crate::{
    browser::DESKTOP,
    looks::{look, none},
    ops::as_operator,
    stage::Stage,
    support,
};
use serde_json::json;

/// Says it as Alertmanager does, past the front door.
fn tell(stage: &Stage, status: &str, ends_at: &str) {
    let alert = |name: &str, severity: &str| {
        json!({
            "status": status, "startsAt": "2026-11-21T18:00:00Z", "endsAt": ends_at, "fingerprint": name,
            "labels": {"alertname": name, "severity": severity},
            "annotations": {"summary": "No order service answers.", "runbook_url": "https://example.com/runbook"},
        })
    };
    let alerts = [
        alert("OrderDown", "critical"),
        alert("QueueBacklog", "warning"),
    ];
    let commander = stage.control().replica("commander-1");
    let url = format!("{}/alerts", commander["api"].as_str().expect("a URL"));
    let webhook = json!({"version": "4", "status": status, "alerts": alerts});
    let (answer, _) = support::http(
        "POST",
        &url,
        &[("content-type", "application/json")],
        &webhook.to_string(),
    );
    assert_eq!(answer, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_seen_acknowledged_and_cleared() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "ops").await;
    browser.see(".live", "live").await;
    browser.see("[aria-labelledby=alerts]", "No alerts").await;
    tell(&stage, "firing", "0001-01-01T00:00:00Z");
    let row = "[data-alert=OrderDown]";
    browser.see(row, "No order service answers.").await;
    browser.see(&format!("{row} .badge"), "critical").await;
    browser.see(&format!("{row} a"), "Runbook").await;
    browser
        .see("[data-alert=QueueBacklog] .badge", "warning")
        .await;
    let mut faults = Vec::new();
    look(&browser, "alerts", &mut faults).await;
    none(&faults);
    // By keyboard alone.
    let focus = "const b = document.querySelector('[data-alert=OrderDown] button'); b.focus(); return document.activeElement === b";
    browser.until("the button has the focus", focus).await;
    browser.press("\u{e007}").await;
    browser.see(row, "seen by operator").await;
    // It stays so for somebody who comes later.
    browser.go("#/jobs").await;
    browser.go("#/ops").await;
    browser.see(row, "seen by operator").await;
    browser.see(".live", "live").await;
    tell(&stage, "resolved", "2026-11-21T18:05:00Z");
    browser.see(&format!("{row} .badge"), "resolved").await;
    let buttons = "return !document.querySelector('[data-alert] button')";
    browser.until("nothing is left to do", buttons).await;
    browser.close(&[]).await;
}
